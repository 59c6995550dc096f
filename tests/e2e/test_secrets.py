"""Providers' keys from AWS Secrets Manager (moto's), and their rotation while the gateway runs.

The provider is aimock, which enforces its key: what arrives there is what Secrets Manager holds."""

import json
import time

import pytest

from harness.clients import HELLO, Ask, Chat
from harness.config import GATEWAY_ENV, OPENAI_KEY
from harness.process import eventually, listen_address
from harness.world import nonce


def gateway_with(world, secrets_manager, reference: str):
    """A gateway whose OpenAI key is this reference, and a client of it."""
    config = world.config()
    entry = {
        "name": "openai",
        "provider": {"openAI": {}},
        "baseUrl": f"{world.at.aimock}/v1",
        "policies": {"backendAuth": {"key": reference}},
    }
    config["ai"] = {"groups": [{"providers": [entry]}]}
    server = world.start_gateway(config, env=GATEWAY_ENV | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_manager.url})
    return server, Chat(server.wait_for(listen_address), world.issuer.token())


def test_a_key_of_a_json_secret_and_a_whole_secret(world, secrets_manager):
    secrets_manager.create_secret(Name="e2e/json", SecretString=json.dumps({"key": OPENAI_KEY, "other": "x"}))
    secrets_manager.create_secret(Name="e2e/plain", SecretString=f"{OPENAI_KEY}\n")
    for reference in ("secretsmanager:e2e/json#key", "secretsmanager:e2e/plain"):
        server, chat = gateway_with(world, secrets_manager, reference)
        assert chat.plain("gpt-4o", Ask(nonce())).text == HELLO
        server.stop()


def test_a_rotated_key_is_fetched_when_the_provider_refuses_the_old_one(world, secrets_manager):
    secrets_manager.create_secret(Name="e2e/rotated", SecretString="sk-the-old-one-that-is-gone")
    server, chat = gateway_with(world, secrets_manager, "secretsmanager:e2e/rotated")
    with pytest.raises(chat.errors.APIStatusError) as refused:
        chat.plain("gpt-4o", Ask(nonce()))
    assert refused.value.response.status_code == 502, "the provider refused our key, not the client's token"
    secrets_manager.put_secret_value(SecretId="e2e/rotated", SecretString=OPENAI_KEY)

    def answered() -> bool:
        try:
            return chat.plain("gpt-4o", Ask(nonce())).text == HELLO
        except chat.errors.APIStatusError:
            time.sleep(0.5)
            return False

    # No restart; a refused key is fetched again at most every ten seconds.
    eventually(answered, "the new key is used", 30)
    assert "sk-the-old-one" not in server.output and OPENAI_KEY not in server.output
    server.stop()


def test_a_secret_that_is_not_there_is_told_in_the_log_and_not_to_the_client(world, secrets_manager):
    server, chat = gateway_with(world, secrets_manager, "secretsmanager:e2e/never-made#key")
    with pytest.raises(chat.errors.APIStatusError) as refused:
        chat.plain("gpt-4o", Ask(nonce()))
    assert refused.value.response.status_code == 502
    assert "never-made" not in refused.value.response.text
    server.wait_for(lambda line: "secretsmanager:e2e/never-made#key" in line)
    server.stop()
