"""Connections to Bedrock, seen by a server that the test holds in its hands: what is in the request line, and what becomes of a dead one."""

import itertools
import json
import socket
import threading
import time
from urllib.parse import unquote

import pytest

from harness import patient
from harness.clients import Ask
from harness.process import eventually
from harness.world import nonce

ANSWER = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "hi"}]}
ANSWER |= {"stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}


class Server:
    """Answers every request, but for those in `dies`: there it hangs up. Each is named by its connection's number and its own on that connection.
    Only the first connection may be used again."""

    def __init__(self, dies: set[tuple[int, int]]):
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
            for request in itertools.count(1):
                if not (line := reader.readline()):
                    return
                length = 0
                while (header := reader.readline().strip().lower()) != b"":
                    if header.startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                reader.read(length)
                self.requests.append((number, line.decode().split(" ")[1]))
                if (number, request) in self.dies:
                    return
                body = json.dumps(ANSWER).encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                head += "\r\n" if number == 1 else "connection: close\r\n\r\n"
                connection.sendall(head.encode() + body)
                if number > 1:
                    return


@pytest.fixture
def bedrock(start_gateway, world):
    """A gateway whose only provider is Bedrock, at that server; no model is pinned."""

    def start(dies: set[tuple[int, int]] = frozenset()):
        server = Server(dies)
        provider = {"name": "held", "provider": {"bedrock": {"region": "us-east-1"}}, "baseUrl": server.url}
        provider["policies"] = {"backendAuth": {"aws": {}}}
        ai = world.config()["ai"] | {"models": [], "modelAliases": {}, "groups": [{"providers": [provider]}]}
        return start_gateway(ai=ai), server

    return start


def test_a_dead_connection_costs_an_attempt_and_not_the_request(bedrock):
    for _ in range(5):
        gateway, server = bedrock(dies={(1, 2)})
        began = time.monotonic()
        try:
            a_dead_connection_costs_an_attempt(gateway, server)
            return
        except gateway.messages().errors.APIError:
            # What breaks after a second was broken by the provider: so it may seem on a busy machine.
            assert time.monotonic() - began > 1
    raise AssertionError("it costs the request, every time")


def a_dead_connection_costs_an_attempt(gateway, server):
    # Which request finds it dead is the pool's business: the second one, unless the connection is not back by then.

    def attempts() -> int:
        before = len(server.requests)
        attempts = int(gateway.messages().plain("anthropic.c", Ask(nonce())).headers["x-tollgate-attempts"])
        assert len(server.requests) - before == attempts
        return attempts

    assert attempts() == 1
    assert eventually(lambda: (found := attempts()) > 1 and found, "the connection is used again") == 2
    used = [number for number, _ in server.requests]
    assert (used[0], used[-2]) == (1, 1) and used[-1] not in used[:-1], "then a new one"
    assert attempts() == 1


def test_a_bedrock_that_never_answered_is_not_asked_twice(bedrock):
    gateway, server = bedrock(dies={(1, 1)})
    with pytest.raises(gateway.messages().errors.APIError):
        gateway.messages().plain("anthropic.c", Ask(nonce()))
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["anthropic.", ""])
@pytest.mark.parametrize("name", ["..", ".", "../converse", "a/../../x", "a%2f..%2fb", "a?b=c", "a#b", "a;b", "a\\..\\b", "\u202e", "a//b"])
def test_a_model_name_is_one_segment_of_bedrocks_path(bedrock, kind, name):
    gateway, server = bedrock()
    body = {"model": kind + name, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    answer = patient.post(f"{gateway.url}/v1/messages", headers={"x-api-key": gateway.token}, json=body)
    if answer.status_code in (400, 404) and not server.requests:
        return
    [(_, path)] = server.requests
    _, model, segment, operation = path.split("/")
    assert (model, unquote(segment), operation in ("invoke", "converse")) == ("model", kind + name, True)
    assert segment not in (".", "..", "%2e", "%2e%2e", "%2E%2E", "%2E"), "a server that tidies paths would call something else"
    assert not set("?#;\\") & set(segment)
