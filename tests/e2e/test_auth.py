"""Identity, through the SDKs and past them: tokens of a real OAuth server, and forgeries."""

import time

import pytest

from harness import patient
from harness.clients import HELLO, Ask
from harness.process import json_line
from harness.tokens import SCOPE
from harness.world import nonce

MODEL = "via-openai-strict"


def refused(client, error: str):
    with pytest.raises(getattr(client.errors, error)) as caught:
        client.plain(MODEL, Ask(nonce()))
    response = caught.value.response
    body = response.json()
    assert body["error"]["message"]
    if client.name == "messages":
        assert body["type"] == "error"
        assert body["error"]["type"] == {"AuthenticationError": "authentication_error", "PermissionDeniedError": "permission_error"}[error]
    return response


BAD_TOKENS = {
    "expired": lambda issuer, world: issuer.minted(exp=int(time.time()) - 3600),
    "not yet valid": lambda issuer, world: issuer.minted(nbf=int(time.time()) + 3600),
    "signed by a stranger under our key id": lambda issuer, world: issuer.minted(key=world.stranger, kid=world.key.kid),
    "unknown key id": lambda issuer, world: issuer.minted(key=world.stranger),
    "changed after it was signed": lambda issuer, world: issuer.tampered(),
    "alg none": lambda issuer, world: issuer.unsigned(),
    "HS256 with the public key": lambda issuer, world: issuer.hmac_with_public_key(),
    "another issuer": lambda issuer, world: issuer.minted(iss="https://evil.example"),
    "another audience": lambda issuer, world: issuer.minted(aud="somebody-else"),
    "no audience": lambda issuer, world: issuer.minted(aud=None),
    "no expiry": lambda issuer, world: issuer.minted(exp=None),
    "key by jku": lambda issuer, world: issuer.minted(key=world.stranger, headers={"jku": "https://evil.example/jwks"}),
    "not a token": lambda issuer, world: "sk-not-a-jwt-at-all",
    "three dots of nothing": lambda issuer, world: "a.b.c",
    "a token of 100 kB": lambda issuer, world: "ey" + "A" * 100_000,
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_a_bad_token_is_a_401_in_the_clients_dialect(gateway, world, name, kind):
    client = gateway.client(name, token=BAD_TOKENS[kind](world.issuer, world))
    if kind == "a token of 100 kB":
        # 401 of ours, 431 of the HTTP server, 400 of a load balancer: all are fine.
        with pytest.raises(client.errors.APIStatusError) as caught:
            client.plain(MODEL, Ask(nonce()))
        assert caught.value.response.status_code in (401, 431, 400)
        return
    response = refused(client, "AuthenticationError")
    assert response.headers["www-authenticate"].lower().startswith("bearer")


def test_the_message_says_which_fault_it_was(gateway, world):
    def message(token):
        return refused(gateway.client("chat", token=token), "AuthenticationError").json()["error"]["message"].lower()

    assert "expired" in message(BAD_TOKENS["expired"](world.issuer, world))
    assert "signature" in message(world.issuer.tampered())
    missing = patient.post(f"{gateway.url}/v1/chat/completions", json={"model": MODEL, "messages": []})
    assert missing.status_code == 401
    texts = {message(BAD_TOKENS["expired"](world.issuer, world)), message(world.issuer.tampered()), message("a.b.c"), missing.json()["error"]["message"].lower()}
    assert len(texts) == 4, "missing, malformed, expired and bad signature are told apart"


@pytest.mark.parametrize("name", ["chat", "messages"])
def test_a_token_without_the_scope_is_a_403(gateway, world, name):
    refused(gateway.client(name, token=world.issuer.token(scope=None)), "PermissionDeniedError")
    refused(gateway.client(name, token=world.issuer.minted(scope="https://gateway.internal/other")), "PermissionDeniedError")
    refused(gateway.client(name, token=world.issuer.minted(scope=SCOPE + "-but-longer")), "PermissionDeniedError")


def test_no_refused_request_reaches_an_upstream(gateway, world):
    word = nonce()
    client = gateway.client("chat", token=world.issuer.tampered())
    with pytest.raises(client.errors.AuthenticationError):
        client.plain(MODEL, Ask(word))
    assert not world.llm.requests(word)


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_the_token_may_come_in_either_header(gateway, header, path):
    value = f"Bearer {gateway.token}" if header == "authorization" else gateway.token
    body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": nonce()}]}
    answer = patient.post(gateway.url + path, headers={header: value}, json=body)
    assert answer.status_code == 200
    assert HELLO in answer.text or "Hello" in answer.text


def test_the_scheme_is_read_as_http_says(gateway):
    for value in (f"bearer {gateway.token}", f"BEARER {gateway.token}"):
        assert patient.get(f"{gateway.url}/v1/models", headers={"authorization": value}).status_code == 200
    for value in ("Bearer", f"Basic {gateway.token}", f"{gateway.token}", f"Bearer {gateway.token} {gateway.token}"):
        assert patient.get(f"{gateway.url}/v1/models", headers={"authorization": value}).status_code == 401


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_health_needs_no_token(gateway, path):
    assert patient.get(gateway.url + path).status_code == 200


def test_the_team_comes_from_the_client_id(gateway, world):
    """Two clients of the OAuth server: one is in the configuration's table, the other is its own team."""
    for client_id, team in [("search-team", "search"), ("other-team", "other-team")]:
        request_id = f"e2e-team-{time.monotonic_ns()}"
        client = gateway.client("chat", token=world.issuer.token(client_id))
        client.plain(MODEL, Ask(nonce()), extra_headers={"x-request-id": request_id})

        def line(text: str, request_id=request_id):
            return json_line(text) if request_id in text else None

        entry = gateway.server.wait_for(line)
        assert f"'{team}'" in str(entry), entry


def test_the_gateway_starts_while_the_issuer_is_down(start_gateway, world):
    """Nothing is fetched at the start; a request then says 503 or 401, and health is fine."""
    auth = {"issuers": [{"issuer": world.at.issuer, "jwks": {"url": f"{world.at.refused}/jwks"}, "audiences": ["tollgate"]}]}
    gateway = start_gateway(auth=auth)
    assert patient.get(f"{gateway.url}/healthz").status_code == 200
    with pytest.raises(gateway.chat().errors.APIStatusError) as caught:
        gateway.chat().plain(MODEL, Ask(nonce()))
    assert caught.value.response.status_code in (401, 503)
