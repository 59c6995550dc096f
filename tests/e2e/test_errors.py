"""Errors as each provider words them, and the exception that each SDK makes of what the gateway says instead: conversations whole and streamed, embeddings,
reranks, token counts; errors inside of streams; whether the next provider is asked.

The bodies stand with their sources in `shared/wire/tests/fidelity/errors.json`; `docs/fidelity.md` has the words that each client reads.
"""

import json

import anthropic
import cohere
import openai
import pytest
from google import genai
from google.genai import types
from google.genai.errors import APIError, ClientError, ServerError

from conftest import Gateway
from harness.clients import HELLO, Ask
from harness.clouds import TokenServer
from harness.config import CLAUDE_ON_BEDROCK, GATEWAY_ENV, Providers, rule
from harness.failures import EXPECTED, OURS, Canned, Failure, failures
from harness.world import nonce

FAILURES = failures()
CONVERSE = [provider for provider in FAILURES if provider != "cohere-rerank"]
EMBED = ["openai", "azure", "gemini", "vertex-gemini", "mistral", "together", "fireworks", "ollama", "vllm"]
COUNT = ["anthropic", "foundry-claude", "bedrock-claude", "gemini", "vertex-gemini", "vertex-claude"]


@pytest.fixture(scope="module")
def tokens():
    server = TokenServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def failing(world, tokens):
    """A gateway of its own: each error is the only answer of a provider of its own, once alone and once with another provider behind it."""
    canned = Canned(Providers(world.at), tokens)
    models = []
    for failure in (failure for rows in FAILURES.values() for failure in rows):
        base = canned.put(failure.model, failure.http)
        models.append(rule(failure.model, canned.entry(failure.provider, failure.model, base)))
        first = canned.entry(failure.provider, f"first-{failure.model}", base)
        models.append(rule(f"next-{failure.model}", first, canned.providers.column("openai-strict", "well")))
    for stream in STREAMS:
        models.append(rule(stream.model, stream.entry(canned)))
    account = tokens.service_account()
    world.secrets.add(json.loads(account)["private_key"].splitlines()[1])
    server = world.start_gateway(world.config(ai={"models": models}), env=GATEWAY_ENV | {"E2E_GOOGLE": account})
    yield Gateway(world, server)
    server.stop()


@pytest.fixture(scope="module")
def google(failing):
    options = types.HttpOptions(base_url=failing.url, api_version="v1beta", timeout=60_000)
    return genai.Client(api_key=failing.token, http_options=options)


def check_each(provider: str, check) -> None:
    """Every row, and then what was wrong with any: one test for a provider keeps the suite quick."""
    wrong = []
    for failure in FAILURES[provider]:
        try:
            check(failure)
        except AssertionError as error:
            wrong.append(f"{failure.name}: {error}")
        except (openai.APIError, anthropic.APIError, APIError, cohere.core.ApiError) as error:
            wrong.append(f"{failure.name}: {error!r}")
    assert not wrong, "\n".join(wrong)


def check_status_error(failure: Failure, sdk, ask) -> None:
    """OpenAI's and Anthropic's SDK."""
    expected = failure.expected
    with pytest.raises(getattr(sdk, expected.exception)) as refused:
        ask()
    error, headers = refused.value, refused.value.response.headers
    # 529 is Anthropic's own status.
    overloaded = sdk is anthropic and failure.status == 529
    assert error.status_code == (529 if overloaded else expected.status)
    if sdk is anthropic:
        assert (error.body["type"], error.body["error"]["type"]) == ("error", expected.anthropic)
    else:
        assert error.code == (expected.code if expected is OURS else failure.code or expected.code), error.body
    check_advice(failure, headers, str(error.body))


def check_advice(failure: Failure, headers, text: str) -> None:
    """When and whether to try again, and what the message says."""
    expected = failure.expected
    assert headers.get("x-should-retry") == ("false" if expected.final else failure.should_retry)
    if failure.retry_after is not None:
        assert headers["retry-after"] == str(failure.retry_after)
    if "retry-after-ms" in failure.headers:
        assert headers["retry-after-ms"] == failure.headers["retry-after-ms"]
    if expected is OURS:
        assert "not of your token" in text and "www-authenticate" not in headers
    elif failure.says and failure.says != "content_filter_result":
        assert failure.says in text, text


def check_google(failure: Failure, ask) -> None:
    expected = failure.expected
    with pytest.raises(ServerError if expected.status >= 500 else ClientError) as refused:
        ask()
    error = refused.value
    assert (error.code, error.status) == (expected.status, expected.google), error.details
    if failure.retry_after is not None and expected is not OURS:
        assert "retryDelay" in json.dumps(error.details), error.details


@pytest.mark.parametrize("provider", CONVERSE)
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_openais_and_anthropics_sdk(failing, api, provider, mode):
    client = failing.client(api)
    check_each(provider, lambda failure: check_status_error(failure, client.errors, lambda: client.ask(failure.model, Ask(nonce()), mode)))


@pytest.mark.parametrize("provider", CONVERSE)
def test_googles_sdk(google, provider, mode):
    ask = google.models.generate_content if mode == "plain" else google.models.generate_content_stream
    check_each(provider, lambda failure: check_google(failure, lambda: list(ask(model=failure.model, contents=nonce()))))


@pytest.mark.parametrize("provider", CONVERSE)
def test_the_next_provider_is_asked_where_it_may_know_better(failing, provider):
    def check(failure: Failure) -> None:
        expected, model = failure.expected, f"next-{failure.model}"
        if expected.moves_on:
            reply = failing.chat().plain(model, Ask(nonce()))
            assert (reply.text, reply.headers["x-tollgate-provider"]) == (HELLO, "well")
            return
        with pytest.raises(getattr(openai, expected.exception)) as refused:
            failing.chat().plain(model, Ask(nonce()))
        assert refused.value.response.headers["x-tollgate-attempts"] == "1"

    check_each(provider, check)


def test_azures_reasons_for_a_filtered_prompt_reach_the_client(failing):
    """What has OpenAI's form goes through as it is."""
    (failure,) = [failure for failure in FAILURES["azure"] if failure.kind == "content_filter"]
    with pytest.raises(openai.BadRequestError) as refused:
        failing.chat().plain(failure.model, Ask(nonce()))
    assert refused.value.body == failure.body["error"]


@pytest.mark.parametrize("provider", EMBED)
def test_embeddings(failing, provider):
    sdk = failing.chat().sdk
    check_each(provider, lambda failure: check_status_error(failure, openai, lambda: sdk.embeddings.create(model=failure.model, input="x")))


@pytest.mark.parametrize("provider", COUNT)
def test_token_counts(failing, google, provider):
    sdk = failing.messages().sdk
    messages = [{"role": "user", "content": "x"}]

    def check(failure: Failure) -> None:
        if (provider, failure.status) == ("vertex-claude", 404):
            return  # It counts in some regions only: there is an estimate.
        check_status_error(failure, anthropic, lambda: sdk.messages.count_tokens(model=failure.model, messages=messages))
        check_google(failure, lambda: google.models.count_tokens(model=failure.model, contents="x"))

    check_each(provider, check)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_coheres_sdk(failing, version):
    client = (cohere.Client if version == "v1" else cohere.ClientV2)(api_key=failing.token, base_url=failing.url)

    def check(failure: Failure) -> None:
        with pytest.raises(getattr(cohere.errors, failure.expected.cohere)) as refused:
            client.rerank(model=failure.model, query="q", documents=["d"], request_options={"max_retries": 0})
        error = refused.value
        check_advice(failure, error.headers, str(error.body))
        assert error.body["message"]

    check_each("cohere-rerank", check)


class Stream:
    """A stream in which an error comes, before or after its first content."""

    CONTENT = {
        "vllm": ['data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}'],
        "anthropic": [
            'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}',
            'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
            'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}',
        ],
        "openai-responses": [
            'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[]}}',
            'event: response.output_item.added\ndata: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}',
            'event: response.content_part.added\ndata: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}',
            'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hel","logprobs":[]}',
        ],
        "gemini": ['data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hel"}]},"index":0}],"modelVersion":"m"}'],
    }

    def __init__(self, provider: str, kind: str, error: str, late: bool):
        self.provider, self.kind, self.error, self.late = provider, kind, error, late
        # A code of the provider's own, where OpenAI has none.
        self.code = "server_error" if '"code":"server_error"' in error else EXPECTED[kind].code
        self.model = f"stream-{provider}-{kind}-{'late' if late else 'early'}"

    def __repr__(self) -> str:
        return self.model

    def entry(self, canned: Canned) -> dict:
        if self.provider == "bedrock-claude":
            marker = self.error + ("-late" if self.late else "-first")
            return canned.providers.bedrock(self.model, CLAUDE_ON_BEDROCK.replace("-v1:0", f"--{marker}-v1:0"))
        content = self.CONTENT["vllm" if self.provider == "openrouter" else self.provider] + [": pause"]
        events = (content if self.late else []) + [self.error]
        body = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + "\n\n".join(events) + "\n\n"
        return canned.entry(self.provider, self.model, canned.put(self.model, body.encode()))


# What each provider says in the middle of a stream. The first and the fourth are recorded:
# https://github.com/coder/coder/blob/main/aibridge/fixtures/openai/chatcompletions/stream_error.txtar, https://github.com/openai/codex/issues/43337;
# the others are the providers' documentation's: https://openrouter.ai/docs/api-reference/errors, https://platform.claude.com/docs/en/api/errors,
# https://cloud.google.com/apis/design/errors. Bedrock's are frames of `tests/servers`, by their markers.
ERRORS_INSIDE = [
    ("vllm", "upstream_error", 'data: {"error": {"message": "The server had an error while processing your request. Sorry about that!", "type": "server_error"}}'),
    (
        "openrouter",
        "upstream_error",
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","provider":"openai","error":{"code":"server_error","message":"Provider disconnected unexpectedly"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}',
    ),
    ("openrouter", "rate_limited", 'data: {"error":{"code":429,"message":"Rate limit exceeded"}}'),
    (
        "openai-responses",
        "overloaded",
        'event: error\ndata: {"type":"error","error":{"type":"service_unavailable_error","code":"server_is_overloaded","message":"Our servers are currently overloaded. Please try again later.","param":null},"sequence_number":4}',
    ),
    ("anthropic", "overloaded", 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
    ("anthropic", "authentication", 'event: error\ndata: {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'),
    ("gemini", "overloaded", 'data: {"error":{"code":503,"message":"This model is currently experiencing high demand.","status":"UNAVAILABLE"}}'),
    ("gemini", "authentication", 'data: {"error":{"code":401,"message":"Request had invalid authentication credentials.","status":"UNAUTHENTICATED"}}'),
    ("bedrock-claude", "upstream_error", "error"),
]
STREAMS = [Stream(*error, late) for error in ERRORS_INSIDE for late in (False, True)]


@pytest.mark.parametrize("stream", STREAMS, ids=repr)
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_an_error_inside_a_stream(failing, api, stream):
    """Before the first content it is the status that it would have been; after it an error event, of which the SDK makes its exception."""
    expected, client = EXPECTED[stream.kind], failing.client(api)
    exception = client.errors.APIError if stream.late else getattr(client.errors, expected.exception)
    seen = ""
    with pytest.raises(exception) as failed:
        for event in client.events(stream.model, Ask(nonce())):
            seen += client.text_of(event)
    error = failed.value
    assert bool(seen) == stream.late
    if api == "messages":
        assert error.status_code == (200 if stream.late else expected.status)
        assert error.body["error"]["type"] == expected.anthropic
    else:
        assert isinstance(error, openai.APIStatusError) != stream.late
        assert error.code == stream.code, error.body
    if stream.kind == "authentication":
        assert "not of your token" in str(error)


@pytest.mark.parametrize("stream", STREAMS, ids=repr)
def test_an_error_inside_a_stream_by_googles_sdk(google, stream):
    expected, seen = EXPECTED[stream.kind], ""
    with pytest.raises(ServerError if expected.status >= 500 else ClientError) as failed:
        for chunk in google.models.generate_content_stream(model=stream.model, contents=nonce()):
            seen += chunk.text or ""
    error = failed.value
    assert bool(seen) == stream.late
    assert (error.code, error.status) == (expected.status, expected.google), error.details
