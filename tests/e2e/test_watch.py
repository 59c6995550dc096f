"""`cargo lambda watch`, as README says: a Lambda emulator that we did not write, with the function URL's streaming protocol.

It compiles the gateway at the first event, so it has a target of its own: `make e2e-watch`."""

import os
import socket

import httpx
import pytest

from harness.clients import CLIENTS, HELLO, Ask
from harness.config import GATEWAY_ENV
from harness.process import Server, eventually
from harness.world import ROOT, nonce

pytestmark = [
    pytest.mark.native("it has a front door of its own"),
    pytest.mark.skipif(os.environ.get("TOLLGATE_E2E_WATCH") != "1", reason="it compiles the gateway: make e2e-watch"),
    pytest.mark.timeout(1200),
]
VENV = ROOT / ".tools" / "venv" / "bin"


def free_port() -> int:
    """A port that nothing listens on now: `cargo lambda watch` takes no 0."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def url(world):
    tools = {name: os.environ[name] for name in ("CARGO_HOME", "RUSTUP_HOME", "CARGO_NET_OFFLINE") if name in os.environ}
    env = GATEWAY_ENV | tools | {
        "PATH": f"{VENV}:{os.environ['PATH']}",
        "TOLLGATE_CONFIG": str(world.write_config(world.config())),
        "TOLLGATE_RESPONSE_MODE": "stream",
    }

    def start() -> tuple[Server, str]:
        port = free_port()
        command = ["cargo-lambda", "lambda", "watch", "-A", "127.0.0.1", "-P", str(port), "-p", "tollgate-gateway", "--ignore-changes"]
        return Server("cargo-lambda", command, env, cwd=ROOT), f"http://127.0.0.1:{port}/lambda-url/gateway"

    def answers() -> bool:
        try:
            return httpx.get(base + "/", timeout=900).status_code == 200
        except httpx.TransportError:
            return False

    # It ends, and quietly, where somebody took its port in between.
    for _ in range(3):
        server, base = start()
        if eventually(lambda: answers() or not server.alive, "the gateway is compiled and healthy", 1000) and server.alive:
            break
    assert server.alive, server.output
    yield base
    server.stop()


@pytest.mark.parametrize("name", CLIENTS)
def test_the_first_content_comes_before_the_last_is_produced(world, url, name):
    word = nonce()
    model, journal = ("via-openai-strict", world.llm) if name == "chat" else ("via-bedrock-claude", world.bedrock)
    client = CLIENTS[name](url, world.issuer.token())
    text, open_at_first = "", None
    for event in client.events(model, Ask(f"[held] {word}")):
        text += client.text_of(event)
        if text and open_at_first is None:
            open_at_first = journal.last(word)["outcome"] == "open"
            journal.release(word)
    assert open_at_first, "the upstream was still talking when the first words arrived"
    assert text == HELLO * 16


@pytest.mark.parametrize("name", CLIENTS)
def test_whole_answers_and_errors(world, url, name):
    client = CLIENTS[name](url, world.issuer.token())
    assert client.plain("via-bedrock-other", Ask(nonce())).text == HELLO
    stranger = CLIENTS[name](url, world.issuer.tampered())
    with pytest.raises(stranger.errors.AuthenticationError):
        stranger.plain("via-openai-strict", Ask(nonce()))
