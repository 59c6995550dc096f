"""Providers of the clouds and of presets, at aimock's endpoints for them: paths with the model in them, keys in the providers' own headers, tokens that are
exchanged. aimock enforces its key in each of these headers, so an answer proves that it arrived."""

import json

import pytest

from harness.clients import HELLO, Ask, Chat, Messages
from harness.clouds import ENTRA_SECRET, TokenServer
from harness.config import GATEWAY_ENV, OPENAI_KEY
from harness.process import listen_address
from harness.world import nonce


@pytest.fixture(scope="module")
def tokens():
    server = TokenServer()
    yield server
    server.stop()


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
