"""The command line, and where a configuration may come from."""

import itertools
import subprocess

import httpx
import pytest

from harness import patient
from harness.clients import HELLO, Ask
from harness.config import GATEWAY_ENV, to_yaml
from harness.process import eventually, listen_address
from harness.world import GATEWAY, nonce

pytestmark = pytest.mark.native("the command line")


def run(*arguments, **options):
    return subprocess.run([GATEWAY, *arguments], capture_output=True, text=True, timeout=60, **options)


def test_check_says_that_a_file_is_good(world):
    done = run("check", world.write_config(world.config()))
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_names_the_key_the_place_and_the_nearest_word(world):
    config = to_yaml(world.config()).replace("modelAliases", "modelAlises")
    file = world.folder / "typo.yaml"
    file.write_text(config)
    done = run("check", file)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "modelAlises" in said and "modelAliases" in said
    line = config[: config.index("modelAlises")].count("\n") + 1
    assert str(line) in said, f"line {line}: {said}"


def test_check_never_prints_a_key_that_stands_where_a_reference_belongs(world):
    config = world.config()
    config["ai"]["models"][0]["groups"][0]["providers"][0]["policies"]["backendAuth"]["key"] = "sk-live-KNARZ-0123456789"
    done = run("check", world.write_config(config))
    assert done.returncode != 0
    assert "KNARZ" not in done.stdout + done.stderr


def test_check_of_nothing():
    done = run("check", "/nonexistent/tollgate.yaml")
    assert done.returncode != 0
    assert "/nonexistent/tollgate.yaml" in done.stdout + done.stderr


def test_an_unknown_word_shows_the_usage():
    done = run("dance")
    assert done.returncode != 0
    assert "serve" in done.stdout + done.stderr


def test_the_configuration_may_stand_in_the_environment(world):
    """Inline YAML, or a path."""
    config = world.config()
    config["ai"]["models"] = config["ai"]["models"][:6]
    for value in (to_yaml(config), str(world.write_config(config))):
        server = world.start_gateway(env=GATEWAY_ENV | {"TOLLGATE_CONFIG": value}, arguments=["serve"])
        url = server.wait_for(listen_address)
        assert patient.get(f"{url}/healthz").status_code == 200
        server.stop()


def test_a_missing_provider_key_is_told_without_stopping_the_others(world):
    """The gateway starts; the provider whose key is not there fails over, or says so."""
    env = {name: value for name, value in GATEWAY_ENV.items() if name != "E2E_OPENAI_KEY"}
    server = world.start_gateway(world.config(), env=env)
    url = server.wait_for(listen_address)
    from harness.clients import Chat

    chat = Chat(url, world.issuer.token())
    assert chat.plain("via-anthropic-strict", Ask(nonce())).text == HELLO
    try:
        chat.plain("via-openai-strict", Ask(nonce()))
        raise AssertionError("there is no key to send")
    except chat.errors.APIStatusError as error:
        assert error.response.status_code >= 500
    server.stop()


def test_the_loudest_log_level_tells_no_secret_either(world):
    """`test_leaks.py` looks at what this gateway writes, too; here it only has to write a lot."""
    from harness.clients import CLIENTS
    from harness.config import COLUMNS

    server = world.start_gateway(world.config(), env=GATEWAY_ENV | {"TOLLGATE_LOG": "trace"})
    url = server.wait_for(listen_address)
    for name, column in itertools.product(CLIENTS, COLUMNS):
        if (name, column) == ("responses", "openai-strict"):
            continue  # That fake has no Responses API.
        client = CLIENTS[name](url, world.issuer.token())
        for mode in ("plain", "stream"):
            assert client.ask(f"via-{column}", Ask(nonce(), system="Speak like a gatekeeper."), mode).text == HELLO
    wrong = CLIENTS["chat"](url, world.issuer.tampered())
    with pytest.raises(wrong.errors.AuthenticationError):
        wrong.plain("via-openai", Ask(nonce()))
    server.stop()


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz", timeout=1)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        pass
    return False


def test_it_stops_when_told_and_finishes_what_it_began(world):
    """SIGTERM in the middle of a stream: the stream ends whole, new connections are refused."""
    from harness.clients import Chat

    server = world.start_gateway(world.config())
    url, stopping = server.wait_for(listen_address), False
    chat = Chat(url, world.issuer.token())
    text, word = "", nonce()
    for event in chat.events("via-openai-strict", Ask(f"[held] {word}")):
        text += chat.text_of(event)
        if text and not stopping:
            server.process.terminate()
            stopping = eventually(lambda: refuses(url), "it takes no new connections")
            world.llm.release(word)
    assert text == HELLO * 16
    assert server.ended() == 0
