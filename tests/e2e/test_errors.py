"""Errors as each provider words them (its documentation's examples), and the exception that each SDK makes of what the gateway says instead.

The kinds are those of `docs/fidelity.md`, whose table has the words; here are status and class, plain and streamed.
"""

import json

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types
from google.genai.errors import ClientError, ServerError

from conftest import Gateway
from harness.clients import Ask
from harness.config import CLAUDE_ON_BEDROCK, NOVA_ON_BEDROCK, Providers, rule
from harness.world import nonce


def _openai(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(kind: str, message: str) -> dict:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}


def _google(code: int, status: str, message: str) -> dict:
    return {"error": {"code": code, "message": message, "status": status}}


# provider, kind -> status and body. Bedrock's exceptions have their name in a header.
SAID = {
    "openai": {
        "rate limit": (429, _openai("Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3, Requested 1.", "requests", "rate_limit_exceeded")),
        "quota": (429, _openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota")),
        "overloaded": (503, _openai("The server is currently overloaded with other requests.", "server_error")),
        "authentication": (401, _openai("Incorrect API key provided.", code="invalid_api_key")),
        "not found": (404, _openai("The model `gpt-x` does not exist or you do not have access to it.", code="model_not_found")),
        "context too long": (400, _openai("Your input exceeds the context window of this model.", code="context_length_exceeded")),
        "content filter": (400, _openai("Your request was rejected as a result of our safety system.", code="content_policy_violation")),
        "invalid": (400, _openai("Invalid value: 'x'.")),
    },
    "anthropic": {
        "rate limit": (429, _anthropic("rate_limit_error", "This request would exceed your organization's rate limit.")),
        "quota": (400, _anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),
        "overloaded": (529, _anthropic("overloaded_error", "Overloaded")),
        "authentication": (401, _anthropic("authentication_error", "invalid x-api-key")),
        "not found": (404, _anthropic("not_found_error", "model: claude-x")),
        "context too long": (400, _anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        "content filter": (400, _anthropic("invalid_request_error", "Output blocked by content filtering policy")),
        "invalid": (400, _anthropic("invalid_request_error", "messages: at least one message is required")),
    },
    "gemini": {
        "rate limit": (429, _google(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.")),
        "overloaded": (503, _google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")),
        "authentication": (400, _google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")),
        "not found": (404, _google(404, "NOT_FOUND", "models/gemini-x is not found for API version v1beta, or is not supported for generateContent.")),
        "context too long": (400, _google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")),
        "invalid": (400, _google(400, "INVALID_ARGUMENT", "Invalid value at 'contents'.")),
    },
}
# By the marker that the fake of Bedrock knows.
BEDROCK = {"rate limit": "throttle", "overloaded": "unavailable", "authentication": "denied", "not found": "not-found", "invalid": "validation"}
ROWS = [(provider, kind) for provider, rows in SAID.items() for kind in rows]
ROWS += [(provider, kind) for provider in ("bedrock-claude", "bedrock-other") for kind in BEDROCK]

# kind -> the exceptions of the SDKs, OpenAI's code, Google's status. A refused key is the gateway's, and no business of the client's token.
EXPECTED = {
    "rate limit": (openai.RateLimitError, "rate_limit_exceeded", anthropic.RateLimitError, "RESOURCE_EXHAUSTED"),
    "quota": (openai.RateLimitError, "insufficient_quota", anthropic.RateLimitError, "RESOURCE_EXHAUSTED"),
    "overloaded": (openai.InternalServerError, "server_is_overloaded", anthropic.InternalServerError, "UNAVAILABLE"),
    "authentication": (openai.InternalServerError, "upstream_credentials", anthropic.InternalServerError, "INTERNAL"),
    "not found": (openai.NotFoundError, "model_not_found", anthropic.NotFoundError, "NOT_FOUND"),
    "context too long": (openai.BadRequestError, "context_length_exceeded", anthropic.BadRequestError, "INVALID_ARGUMENT"),
    "content filter": (openai.BadRequestError, "content_policy_violation", anthropic.BadRequestError, "INVALID_ARGUMENT"),
    "invalid": (openai.BadRequestError, None, anthropic.BadRequestError, "INVALID_ARGUMENT"),
}
STATUSES = {"rate limit": 429, "quota": 429, "authentication": 502, "not found": 404}


def model_of(provider: str, kind: str) -> str:
    return f"{provider}-{kind.replace(' ', '-')}"


@pytest.fixture(scope="module")
def failing(world):
    """A gateway of its own: each error is the only answer of a provider of its own."""
    providers = Providers(world.at)
    models = []
    for provider, rows in SAID.items():
        for kind, (status, said) in rows.items():
            name, body = model_of(provider, kind), json.dumps(said).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            httpx.put(f"{world.at.llm}/canned/{name}", content=head.encode() + body).raise_for_status()
            base = f"{world.at.llm}/canned-{name}"
            match provider:
                case "openai":
                    models.append(rule(name, providers.openai(name, f"{base}/v1")))
                case "anthropic":
                    models.append(rule(name, providers.anthropic(name, base)))
                case "gemini":
                    models.append(rule(name, providers.gemini(name, f"{base}/v1beta")))
    for kind, marker in BEDROCK.items():
        for provider, model in (("bedrock-claude", CLAUDE_ON_BEDROCK), ("bedrock-other", NOVA_ON_BEDROCK)):
            name = model_of(provider, kind)
            models.append(rule(name, providers.bedrock(name, model.replace("-v1:0", f"--{marker}-v1:0"))))
    server = world.start_gateway(world.config(ai={"models": models}))
    yield Gateway(world, server)
    server.stop()


@pytest.mark.parametrize(("provider", "kind"), ROWS)
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_openais_and_anthropics_sdk(failing, api, provider, kind, mode):
    client = failing.client(api)
    openais, code, anthropics, _ = EXPECTED[kind]
    with pytest.raises(anthropics if api == "messages" else openais) as refused:
        client.ask(model_of(provider, kind), Ask(nonce()), mode)
    error = refused.value
    if kind == "overloaded":
        # 529 is Anthropic's own status.
        assert error.status_code == (529 if (api, provider) == ("messages", "anthropic") else 503)
    else:
        assert error.status_code == STATUSES.get(kind, 400)
    if api == "messages":
        assert error.body["type"] == "error"
    elif (provider, kind) != ("openai", "overloaded"):
        assert error.code == code, error.body
    should_retry = error.response.headers.get("x-should-retry")
    assert should_retry == ("false" if kind in ("quota", "authentication") else None)


@pytest.mark.parametrize(("provider", "kind"), ROWS)
def test_googles_sdk(failing, provider, kind, mode):
    google = genai.Client(api_key=failing.token, http_options=types.HttpOptions(base_url=failing.url, api_version="v1beta", timeout=60_000))
    ask = google.models.generate_content if mode == "plain" else google.models.generate_content_stream
    status = STATUSES.get(kind, 503 if kind == "overloaded" else 400)
    with pytest.raises(ServerError if status >= 500 else ClientError) as refused:
        list(ask(model=model_of(provider, kind), contents=nonce()))
    assert (refused.value.code, refused.value.status) == (status, EXPECTED[kind][3])
