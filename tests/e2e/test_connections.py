"""Connections to Bedrock, seen by a server that the test holds in its hands: what is in the request line, and what becomes of a dead one."""

import json
import socket
import threading
from urllib.parse import unquote

import httpx
import pytest

from harness.clients import Ask
from harness.world import nonce

ANSWER = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "hi"}]}
ANSWER |= {"stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}


class Server:
    """Answers every request, but for those whose number (over all connections) is in `dies`: there it hangs up."""

    def __init__(self, dies: set[int]):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.dies = dies
        self.requests: list[tuple[int, str]] = []
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection, self.connections), daemon=True).start()

    def serve(self, connection: socket.socket, number: int):
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                length = 0
                while (header := reader.readline().strip().lower()) != b"":
                    if header.startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                reader.read(length)
                self.requests.append((number, line.decode().split(" ")[1]))
                if len(self.requests) in self.dies:
                    return
                body = json.dumps(ANSWER).encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)


@pytest.fixture
def bedrock(start_gateway, world):
    """A gateway whose only provider is Bedrock, at that server; no model is pinned."""

    def start(dies: set[int] = frozenset()):
        server = Server(dies)
        provider = {"name": "held", "provider": {"bedrock": {"region": "us-east-1"}}, "baseUrl": server.url}
        provider["policies"] = {"backendAuth": {"aws": {}}}
        ai = world.config()["ai"] | {"models": [], "modelAliases": {}, "groups": [{"providers": [provider]}]}
        return start_gateway(ai=ai), server

    return start


def test_a_dead_connection_costs_an_attempt_and_not_the_request(bedrock):
    gateway, server = bedrock(dies={2})
    attempts = [gateway.messages().plain("anthropic.c", Ask(nonce())).headers["x-tollgate-attempts"] for _ in range(3)]
    assert attempts == ["1", "2", "1"]
    assert [number for number, _ in server.requests] == [1, 1, 2, 2]


def test_a_bedrock_that_never_answered_is_not_asked_twice(bedrock):
    gateway, server = bedrock(dies={1})
    with pytest.raises(gateway.messages().errors.APIError):
        gateway.messages().plain("anthropic.c", Ask(nonce()))
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["anthropic.", ""])
@pytest.mark.parametrize("name", ["..", ".", "../converse", "a/../../x", "a%2f..%2fb", "a?b=c", "a#b", "a;b", "a\\..\\b", "\u202e", "a//b"])
def test_a_model_name_is_one_segment_of_bedrocks_path(bedrock, kind, name):
    gateway, server = bedrock()
    body = {"model": kind + name, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{gateway.url}/v1/messages", headers={"x-api-key": gateway.token}, json=body)
    if answer.status_code in (400, 404) and not server.requests:
        return
    [(_, path)] = server.requests
    _, model, segment, operation = path.split("/")
    assert (model, unquote(segment), operation in ("invoke", "converse")) == ("model", kind + name, True)
    assert segment not in (".", "..", "%2e", "%2e%2e", "%2E%2E", "%2E"), "a server that tidies paths would call something else"
    assert not set("?#;\\") & set(segment)
