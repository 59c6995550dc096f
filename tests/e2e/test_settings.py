"""Settings that several providers have in words of their own: tiers, labels, log probabilities, searches of the web, custom tools. What the gateway asks is compared with
what the provider's own SDK asks for the same thing, and what it answers is read by the client's SDK."""

import json

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai import types
from openai.types.chat import ChatCompletionMessageCustomToolCall

from harness.config import CLAUDE_ON_BEDROCK, NOVA_ON_BEDROCK, Providers, rule
from harness.serving import serve, url_of
from harness.world import nonce

GEMINI, CLAUDE = "gemini-3-flash-preview", "claude-sonnet-4-5"
TEXT, PAGE = "Zürich is fine.", "https://example.com/zurich"
TOKEN = {"token": TEXT, "logProbability": -0.25}
SEARCHED = {
    "groundingChunks": [{"web": {"uri": PAGE, "title": "Zürich"}}],
    "groundingSupports": [{"segment": {"endIndex": 7, "text": "Zürich"}, "groundingChunkIndices": [0]}],
}
OF_GEMINI = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP", "index": 0, "groundingMetadata": SEARCHED,
            "logprobsResult": {"chosenCandidates": [TOKEN], "topCandidates": [{"candidates": [TOKEN]}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8, "serviceTier": "flex"},
}
CITED = [{"type": "web_search_result_location", "url": PAGE, "title": "Zürich", "encrypted_index": "Eo8B", "cited_text": "It is."}]
OF_CLAUDE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE, "stop_reason": "tool_use", "stop_sequence": None,
    "content": [
        {"type": "text", "text": TEXT, "citations": CITED},
        {"type": "tool_use", "id": "toolu_1", "name": "sh", "input": {"input": "ls"}},
    ],
    "usage": {"input_tokens": 3, "output_tokens": 5, "service_tier": "priority"},
}
CALL = {"id": "call_1", "name": "sh", "input": "ls \"a\""}
OF_RESPONSES = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.1",
    "output": [{"type": "custom_tool_call", "id": "ctc_1", "call_id": CALL["id"], "name": CALL["name"], "input": CALL["input"]}],
}
OF_CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5.1",
    "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls": [
        {"id": CALL["id"], "type": "custom", "custom": {"name": CALL["name"], "input": CALL["input"]}},
    ]}}],
}  # fmt: skip
OF_NOVA = {
    "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}}, "stopReason": "end_turn", "metrics": {"latencyMs": 1},
    "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}, "serviceTier": {"type": "flex"},
}


class Recorder:
    """Every provider at once; writes down what it is asked."""

    def __init__(self):
        self.asked = []
        self._server = serve(self._answer)
        self.url = url_of(self._server)

    def _answer(self, path, headers, raw):
        self.asked.append((path, {name.lower(): value for name, value in headers.items()}, json.loads(raw)))
        kind = [("content-type", "application/json")]
        if "generateContent" in path:
            return 200, kind, json.dumps(OF_GEMINI).encode()
        if path.endswith("/responses"):
            return 200, kind, json.dumps(OF_RESPONSES).encode()
        if path.endswith("/chat/completions"):
            return 200, kind, json.dumps(OF_CHAT).encode()
        if path.endswith("/converse"):
            return 200, kind, json.dumps(OF_NOVA).encode()
        more = [("x-amzn-bedrock-service-tier", "flex")] if path.endswith("/invoke") else []
        return 200, kind + more, json.dumps(OF_CLAUDE).encode()

    def of(self, word: str) -> list:
        return [asked for asked in self.asked if word in json.dumps(asked[2])]


@pytest.fixture(scope="module")
def upstream():
    recorder = Recorder()
    yield recorder
    recorder._server.shutdown()


def only(upstream, form: str) -> dict:
    """OpenAI, as a provider that speaks one of its dialects."""
    auth = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
    provider = {"custom": {"model": "gpt-5.1", "formats": [{"type": form}]}}
    return {"name": form, "provider": provider, "baseUrl": f"{upstream.url}/v1", "policies": auth}


@pytest.fixture(scope="module")
def asking(world, upstream):
    from conftest import Gateway

    providers = Providers(world.at)
    models = [
        rule("on-google", providers.gemini("google", upstream.url, GEMINI)),
        rule("on-anthropic", providers.anthropic("anthropic", upstream.url, CLAUDE)),
        rule("on-bedrock", providers.bedrock("claude", CLAUDE_ON_BEDROCK, upstream.url)),
        *[rule(f"on-{form}", only(upstream, form)) for form in ("responses", "completions")],
        rule("on-nova", providers.bedrock("nova", NOVA_ON_BEDROCK, upstream.url)),
    ]
    server = world.start_gateway(world.config(ai={"models": models}))
    yield Gateway(world, server)
    server.stop()


@pytest.fixture(scope="module")
def chat(asking):
    with openai.OpenAI(base_url=f"{asking.url}/v1", api_key=asking.token, max_retries=0) as client:
        yield client


def asked(chat, model: str, word: str, **more):
    return chat.chat.completions.create(model=model, messages=[{"role": "user", "content": word}], **more)


def test_gemini_is_asked_for_tier_and_log_probabilities_as_its_own_sdk_asks(chat, upstream):
    word = nonce()
    answer = asked(chat, "on-google", word, service_tier="flex", logprobs=True, top_logprobs=2)
    with genai.Client(api_key="key", http_options=types.HttpOptions(base_url=upstream.url, api_version="v1beta")) as client:
        config = types.GenerateContentConfig(service_tier="flex", response_logprobs=True, logprobs=2)
        client.models.generate_content(model=GEMINI, contents=word, config=config)
    (_, _, ours), (_, _, theirs) = upstream.of(word)
    assert (ours["serviceTier"], ours["generationConfig"]) == (theirs["serviceTier"], theirs["generationConfig"])
    assert answer.service_tier == "flex"
    token = answer.choices[0].logprobs.content[0]
    assert (token.token, token.logprob, bytes(token.bytes).decode()) == (TEXT, -0.25, TEXT)
    assert token.top_logprobs[0].logprob == -0.25


def test_gemini_searches_as_its_own_sdk_asks_and_its_sources_are_the_clients(chat, upstream):
    word = nonce()
    answer = asked(chat, "on-google", word, extra_body={"web_search_options": {}})
    with genai.Client(api_key="key", http_options=types.HttpOptions(base_url=upstream.url, api_version="v1beta")) as client:
        config = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])
        client.models.generate_content(model=GEMINI, contents=word, config=config)
    (_, _, ours), (_, _, theirs) = upstream.of(word)
    assert ours["tools"] == theirs["tools"]
    source = answer.choices[0].message.annotations[0].url_citation
    assert (source.url, source.title, TEXT[source.start_index : source.end_index]) == (PAGE, "Zürich", "Zürich")


def test_bedrock_is_asked_for_tier_and_labels_as_boto3_asks(chat, upstream):
    client = boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=upstream.url, aws_access_key_id="AKIAE2E", aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    labels = {"team": "search 7", "cost-center": "a/b"}
    word = nonce()
    nova = asked(chat, "on-nova", word, service_tier="flex", metadata=labels)
    content = [{"role": "user", "content": [{"text": word}]}]
    client.converse(modelId=NOVA_ON_BEDROCK, messages=content, serviceTier={"type": "flex"}, requestMetadata=labels)
    (_, _, ours), (_, _, theirs) = upstream.of(word)
    assert ours == theirs and nova.service_tier == "flex"
    word = nonce()
    claude = asked(chat, "on-bedrock", word, service_tier="flex", metadata=labels)
    client.invoke_model(modelId=CLAUDE_ON_BEDROCK, body=json.dumps({"x": word}), serviceTier="flex", requestMetadata=json.dumps(labels))
    (_, ours, _), (_, theirs, _) = upstream.of(word)
    names = ("x-amzn-bedrock-service-tier", "x-amzn-bedrock-request-metadata")
    assert ours[names[0]] == theirs[names[0]] == "flex"
    assert json.loads(ours[names[1]]) == json.loads(theirs[names[1]]) == labels
    # The header counts: the host knows better than the model.
    assert claude.service_tier == "flex"


def test_a_custom_tool_is_called_as_one_by_claude(chat, asking, upstream):
    word = nonce()
    tool = {"type": "custom", "custom": {"name": "sh", "description": "A shell."}}
    answer = asked(chat, "on-anthropic", word, tools=[tool], tool_choice={"type": "custom", "custom": {"name": "sh"}})
    call = answer.choices[0].message.tool_calls[0]
    assert isinstance(call, ChatCompletionMessageCustomToolCall)
    assert (call.custom.name, call.custom.input, answer.service_tier) == ("sh", "ls", "priority")
    assert answer.choices[0].message.annotations[0].url_citation.url == PAGE
    # The whole turn comes back, sources and all.
    again = nonce()
    turn = answer.choices[0].message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": call.id, "content": "a.txt"}
    messages = [{"role": "user", "content": again}, turn, result]
    strict = {"x-tollgate-strict": "true"}
    chat.chat.completions.create(model="on-anthropic", messages=messages, tools=[tool], extra_headers=strict)
    [(_, _, body)] = upstream.of(again)
    assert body["messages"][1]["content"][-1]["input"] == {"input": "ls"}


def test_claude_searches_as_its_own_sdk_asks(asking, upstream):
    word = nonce()
    with openai.OpenAI(base_url=f"{asking.url}/v1", api_key=asking.token, max_retries=0) as client:
        place = {"type": "approximate", "city": "Bern", "country": "CH"}
        answer = client.responses.create(model="on-anthropic", input=word, tools=[{"type": "web_search", "user_location": place}])
    with anthropic.Anthropic(base_url=upstream.url, api_key="key", max_retries=0) as client:
        tool = {"type": "web_search_20250305", "name": "web_search", "user_location": place}
        client.messages.create(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": word}], tools=[tool])
    (_, _, ours), (_, _, theirs) = upstream.of(word)
    assert ours["tools"] == theirs["tools"]
    annotation = answer.output[0].content[0].annotations[0]
    assert (annotation.type, annotation.url, answer.service_tier) == ("url_citation", PAGE, "priority")


@pytest.mark.parametrize("client", ["chat", "responses"])
def test_openais_other_dialect_is_asked_for_a_grammar_and_for_some_tools_as_its_own_sdk_asks(chat, upstream, client):
    word = nonce()
    grammar = {"syntax": "lark", "definition": "start: WORD"}
    nested = {"type": "custom", "custom": {"name": "sh", "description": "A shell.", "format": {"type": "grammar", "grammar": grammar}}}
    flat = {"type": "custom", "name": "sh", "description": "A shell.", "format": {"type": "grammar"} | grammar}
    look = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}, "strict": False}
    some = {"mode": "required", "tools": [{"type": "custom", "custom": {"name": "sh"}}]}
    for_chat = {
        "messages": [{"role": "user", "content": word}], "tools": [nested, {"type": "function", "function": look}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": some},
    }  # fmt: skip
    for_responses = {
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": word}]}], "tools": [flat, {"type": "function"} | look],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "sh"}]},
    }  # fmt: skip
    with openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="key", max_retries=0) as directly:
        if client == "chat":
            call = chat.chat.completions.create(model="on-responses", **for_chat).choices[0].message.tool_calls[0]
            assert isinstance(call, ChatCompletionMessageCustomToolCall)
            said = (call.id, call.custom.name, call.custom.input)
            directly.responses.create(model="gpt-5.1", **for_responses)
        else:
            call = chat.responses.create(model="on-completions", **for_responses).output[0]
            assert call.type == "custom_tool_call"
            said = (call.call_id, call.name, call.input)
            directly.chat.completions.create(model="gpt-5.1", **for_chat)
    assert said == tuple(CALL.values())
    (path, _, ours), (their_path, _, theirs) = upstream.of(word)
    assert path == their_path
    assert (ours["tools"], ours["tool_choice"]) == (theirs["tools"], theirs["tool_choice"])


def test_several_answers_are_refused_where_one_would_come(chat):
    with pytest.raises(openai.BadRequestError, match="gives one answer"):
        asked(chat, "on-anthropic", nonce(), n=2)
