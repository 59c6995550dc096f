"""The client goes away: the upstream call stops, in every transport."""

import socket
import time
import uuid
from urllib.parse import urlsplit

import pytest

from harness.clients import Ask
from harness.process import json_line
from harness.world import nonce

pytestmark = pytest.mark.native("a load balancer does not tell a function that its client has left")


@pytest.mark.parametrize("column", ["openai-strict", "anthropic-strict", "bedrock-claude", "bedrock-other"])
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_leaving_in_the_middle_of_a_stream_stops_the_upstream(gateway, world, name, column):
    word = nonce()
    client = gateway.client(name)
    events = client.events(f"via-{column}", Ask(f"[held] {word}"))
    for event in events:
        if client.text_of(event):
            break
    journal = world.bedrock if column.startswith("bedrock") else world.llm
    assert journal.last(word)["outcome"] == "open", "the rest is held back"
    events.close()
    journal.wait_for_outcome(word, "aborted")


@pytest.mark.parametrize("column", ["openai", "anthropic"])
def test_leaving_before_the_answer_began_stops_the_upstream(gateway, world, column, mode):
    """The upstream has not said a word yet."""
    word, request_id = nonce(), f"e2e-gone-{uuid.uuid4()}"
    # Generous timeouts, so that it is not the gateway that gives up first.
    model = f"patient-{column}"
    body = f'{{"model": "{model}", "max_tokens": 9, "stream": {str(mode == "stream").lower()}, "messages": [{{"role": "user", "content": "{word}"}}]}}'
    path = "/v1/chat/completions" if column == "openai" else "/v1/messages"
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as sock:
        head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {gateway.token}\r\nx-request-id: {request_id}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body.encode())
        world.llm.wait_for_outcome(word, "open")
    world.llm.wait_for_outcome(word, "aborted")

    def line(text: str):
        return json_line(text) if request_id in text and '"request"' in text else None

    entry = gateway.server.wait_for(line)
    assert entry["tollgate.client_gone"]
    [attempt] = entry["tollgate.attempts"]
    assert (attempt["provider"], attempt["fault"]) == (model, "client_gone"), "the log says whom the client was waiting for"


def test_what_was_used_until_then_is_in_the_log(gateway):
    request_id = f"e2e-left-{time.monotonic_ns()}"
    client = gateway.messages()
    events = client.events("via-bedrock-claude", Ask(f"[held] {nonce()}"), extra_headers={"x-request-id": request_id})
    for event in events:
        if client.text_of(event):
            break
    events.close()

    def line(text: str):
        return json_line(text) if request_id in text and '"request"' in text else None

    assert "12" in str(gateway.server.wait_for(line)), "the input tokens of message_start"
