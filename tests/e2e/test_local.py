"""`gateway` with nothing: no arguments, no configuration, no keys. What `make run` gives to somebody who just cloned it."""

import re

import httpx
import pytest

from harness import patient
from harness.clients import CLIENTS, WEATHER, Ask
from harness.process import json_line, listen_address
from harness.world import nonce

pytestmark = pytest.mark.native("a laptop's configuration")


class Local:
    """A local gateway, and what it printed for its user."""

    def __init__(self, world):
        env = {"TOLLGATE_LISTEN": "127.0.0.1:0", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(world.folder)}
        env |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        self.server = world.start_gateway(env=env)
        self.url = self.server.wait_for(listen_address)
        self.client_id = self.server.wait_for(lambda line: found(line, "client_id"))
        self.client_secret = self.server.wait_for(lambda line: found(line, "client_secret"))
        answer = self.ask_for_token()
        answer.raise_for_status()
        self.answer = answer.json()
        self.token = self.answer["access_token"]
        world.issuer.issued.append(self.token)

    def ask_for_token(self, **changes) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        return patient.post(f"{self.url}/oauth2/token", data=form | changes)

    def client(self, name: str):
        return CLIENTS[name](self.url, self.token)


def found(line: str, name: str) -> str | None:
    """`client_id`'s value in a line of JSON, a curl command, or prose like `client id: xyz`."""
    value = json_line(line)
    if value:
        for fields in (value, value.get("fields", {})):
            if fields.get(name):
                return str(fields[name])
        return None
    words = name.replace("_", "[_ ]")
    match = re.search(rf"{words}[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9_.~-]+)", line, re.IGNORECASE)
    return match.group(1) if match and not match.group(1).startswith("$") else None


@pytest.fixture(scope="module")
def local(world):
    return Local(world)


@pytest.fixture(params=["chat", "messages"])
def sdk(request, local):
    return local.client(request.param)


@pytest.fixture(scope="module")
def model(local):
    """Any model that it offers."""
    return local.client("chat").sdk.models.list().data[0].id


def test_the_token_is_shaped_like_cognitos(local):
    import jwt

    assert local.answer["token_type"] == "Bearer"
    claims = jwt.decode(local.token, options={"verify_signature": False})
    assert claims["token_use"] == "access"
    assert claims["client_id"] == local.client_id
    assert "https://gateway.internal/invoke" in claims["scope"].split()
    assert "aud" not in claims


def test_a_wrong_secret_gets_no_token(local):
    answer = local.ask_for_token(client_secret="wrong")
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == "invalid_client"


def test_basic_auth_works_for_the_token_too(local):
    answer = patient.post(
        f"{local.url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=(local.client_id, local.client_secret)
    )
    assert answer.status_code == 200


def test_no_token_no_answer(local):
    assert patient.post(f"{local.url}/v1/chat/completions", json={}).status_code == 401


def test_it_prints_lines_to_copy(local):
    for path in ("/oauth2/token", "/v1/chat/completions", "/v1/messages"):
        assert local.server.wait_for(lambda line, path=path: "curl" in line and path in line)


def test_text(sdk, model, mode):
    reply = sdk.ask(model, Ask(nonce()), mode)
    assert reply.text.strip()
    assert reply.stop == sdk.STOPS["end"]
    assert reply.input_tokens > 0 and reply.output_tokens > 0
    assert reply.headers["x-tollgate-provider"]


def test_any_model_name_is_answered(sdk):
    for name in ("gpt-4o", "claude-sonnet-4-20250514"):
        assert sdk.plain(name, Ask(nonce())).text.strip()


def test_tools(sdk, model, mode):
    ask = Ask(f"What is the weather in Paris? Use the tool. {nonce()}", tools=[WEATHER])
    reply = sdk.ask(model, ask, mode)
    assert [call.name for call in reply.tools] == ["get_weather"]
    assert reply.stop == sdk.STOPS["tool"]
    ask.then = sdk.replay(reply, ["18 degrees"])
    assert sdk.ask(model, ask, mode).text.strip()


def test_a_conversation_goes_on_by_the_id_of_its_last_response(local):
    sdk = local.client("responses").sdk
    first = sdk.responses.create(model="demo", input=f"Hello {nonce()}")
    second = sdk.responses.create(model="demo-claude", input="And?", previous_response_id=first.id)
    assert sdk.responses.retrieve(second.id).previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens, "the demo counts what it is sent"


def test_failover_can_be_tried(local):
    """One of the offered models fails over before our eyes, the first time: then its ill provider is left alone."""
    client = local.client("messages")
    models = [model.id for model in client.sdk.models.list()]
    # `demo-budget` is for another demonstration, and soon refused.
    models = [name for name in models if "*" not in name and name != "demo-budget"]
    attempts = {name: client.plain(name, Ask(nonce())).headers["x-tollgate-attempts"] for name in models}
    assert "2" in attempts.values(), f"no model of {attempts} shows a failover"


def test_it_refuses_a_public_address(world):
    server = world.start_gateway(env={"TOLLGATE_LISTEN": "0.0.0.0:0"})
    assert server.ended() != 0
    assert "0.0.0.0" in server.output or "127.0.0.1" in server.output or "loopback" in server.output
