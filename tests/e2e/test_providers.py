"""Providers of the clouds and of presets, at aimock's endpoints for them: paths with the model in them, keys in the providers' own headers, tokens that are
exchanged. aimock enforces its key in each of these headers, so an answer proves that it arrived."""

import json
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.clients import HELLO, Ask, Chat, Messages
from harness.config import GATEWAY_ENV, OPENAI_KEY
from harness.process import listen_address
from harness.serving import serve, url_of
from harness.world import nonce

ENTRA_SECRET = "entra-application-secret"


class TokenServer:
    """Gives aimock's key as a token to whoever proves who he is: an application with its secret, or a service account with its signature."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.granted = []
        self.server = serve(self._answer)
        self.url = url_of(self.server)

    def _answer(self, _path, _headers, body):
        form = parse_qs(body.decode())
        status, answer = self.answer({name: values[0] for name, values in form.items()})
        return status, [("content-type", "application/json")], json.dumps(answer).encode()

    def answer(self, form: dict) -> tuple[int, dict]:
        granted = {"access_token": OPENAI_KEY, "expires_in": 3599, "token_type": "Bearer"}
        if form["grant_type"] == "client_credentials" and form["client_secret"] == ENTRA_SECRET:
            self.granted.append("entra")
            return 200, granted
        if form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            claims = jwt.decode(form["assertion"], self.key.public_key(), ["RS256"], audience=f"{self.url}/token")
            self.granted.append(claims["iss"])
            return 200, granted
        return 401, {"error": "invalid_client"}

    def service_account(self) -> str:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json.dumps(
            {
                "type": "service_account",
                "client_email": "gateway@e2e.iam.gserviceaccount.com",
                "private_key_id": "k1",
                "private_key": pem,
                "token_uri": f"{self.url}/token",
            }
        )


@pytest.fixture(scope="module")
def tokens():
    server = TokenServer()
    yield server
    server.server.shutdown()


@pytest.fixture(scope="module")
def gateway(world, tokens):
    """One gateway with a model for each provider."""
    at = world.at.aimock
    key = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
    entra = {"tenantId": "t", "clientId": "c", "clientSecret": "env:E2E_ENTRA_SECRET", "tokenUrl": f"{tokens.url}/entra"}
    providers = {
        "azure-key": ({"azure": {"apiVersion": "2024-10-21", "model": "gpt-4o"}}, at, key),
        "azure-entra": (
            {"azure": {"apiVersion": "2024-10-21", "model": "gpt-4o"}},
            at,
            {"backendAuth": {"azure": {"explicitConfig": {"clientSecret": entra}}}},
        ),
        "gemini": ({"gemini": {"model": "gemini-2.5-flash"}}, at, key),
        "vertex": (
            {"vertex": {"projectId": "e2e", "region": "europe-west4", "model": "gemini-2.5-flash"}},
            at,
            {"backendAuth": {"gcp": {"credential": "env:E2E_GOOGLE"}}},
        ),
        "groq": ({"custom": {"preset": "groq", "model": "gpt-4o"}}, f"{at}/v1", key),
        "mistral": ({"custom": {"preset": "mistral", "model": "gpt-4o"}}, f"{at}/v1", {}),
        "cohere": ({"custom": {"preset": "cohere", "model": "gpt-4o"}}, f"{at}/v1", key),
    }
    config = world.config()
    config["ai"] = {
        "models": [
            {"match": [name], "groups": [{"providers": [{"name": name, "provider": kind, "baseUrl": base, "policies": policies}]}]}
            for name, (kind, base, policies) in providers.items()
        ]
    }
    credentials = tokens.service_account()
    world.secrets.update({ENTRA_SECRET, json.loads(credentials)["private_key"].splitlines()[1]})
    env = GATEWAY_ENV | {"E2E_ENTRA_SECRET": ENTRA_SECRET, "E2E_GOOGLE": credentials, "MISTRAL_API_KEY": OPENAI_KEY}
    server = world.start_gateway(config, env=env)
    yield server.wait_for(listen_address)
    server.stop()


@pytest.mark.parametrize("client", [Chat, Messages])
@pytest.mark.parametrize("model", ["azure-key", "azure-entra", "gemini", "vertex", "groq", "mistral", "cohere"])
def test_a_provider_answers_whole_and_streamed(world, gateway, model, client):
    client = client(gateway, world.issuer.token())
    assert client.plain(model, Ask(nonce())).text == HELLO
    assert client.stream(model, Ask(nonce())).text == HELLO


def test_each_token_is_asked_for_once(gateway, tokens, world):
    for model in ("azure-entra", "vertex"):
        Chat(gateway, world.issuer.token()).plain(model, Ask(nonce()))
    assert sorted(tokens.granted) == ["entra", "gateway@e2e.iam.gserviceaccount.com"]
