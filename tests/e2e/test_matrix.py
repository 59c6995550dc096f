"""Both APIs against every upstream: what the SDK returns, and what the upstream was really asked.

Columns: `openai` and `anthropic` are aimock, a mock that is not ours; the `-strict` ones are fake-llm, which checks what the
real services check and keeps the raw body; `bedrock-claude` is InvokeModel, `bedrock-other` Converse, both frame-exact.
"""

import json

import pytest

from harness.clients import HELLO, PNG, PNG_BASE64, REPORT, SIGNATURE, THOUGHT, WEATHER, Ask
from harness.config import BEDROCK_NAMES, COLUMNS
from harness.world import nonce

# Cells that cannot exist, and why.
IMPOSSIBLE = {
    ("thinking", "openai"): "Chat Completions has no field for thinking text: there is nothing to carry",
    ("thinking", "openai-strict"): "Chat Completions has no field for thinking text: there is nothing to carry",
}


@pytest.fixture(params=COLUMNS)
def column(request):
    row = request.function.__name__.removeprefix("test_")
    if reason := IMPOSSIBLE.get((row, request.param)):
        pytest.skip(reason)
    return request.param


@pytest.fixture
def sent(world, column):
    """The raw body that reached the upstream of this column, by the prompt's nonce; None where the mock keeps none."""

    def body(word: str) -> dict | None:
        if column.startswith("bedrock"):
            return world.bedrock.last(word)["body"]
        if column.endswith("-strict"):
            return world.llm.last(word)["body"]
        assert world.aimock.requests(word), "nothing with this prompt reached aimock"
        return None

    return body


def served_by(reply, column: str) -> None:
    assert reply.headers["x-tollgate-provider"] == column
    assert reply.headers["x-tollgate-attempts"] == "1"
    assert reply.headers["x-request-id"]


def test_text(client, column, mode, sent):
    word = nonce()
    reply = client.ask(f"via-{column}", Ask(word), mode)
    served_by(reply, column)
    assert reply.text == HELLO
    assert reply.stop == client.STOPS["end"]
    assert (reply.input_tokens, reply.output_tokens) == (12, 7)
    body = sent(word)
    if body is None:
        return
    if column == "bedrock-claude":
        assert body["anthropic_version"] == "bedrock-2023-05-31"
    if column == "bedrock-other":
        assert body["inferenceConfig"]["maxTokens"] == 4096
    if column.endswith("-strict"):
        assert body.get("stream", False) == (mode == "stream")


def test_system(client, column, mode, sent):
    word = nonce()
    reply = client.ask(f"via-{column}", Ask(f"[system] {word}", system="Speak like a gatekeeper."), mode)
    served_by(reply, column)
    assert reply.text == "The system prompt says: Speak like a gatekeeper."
    sent(word)


def test_image(client, column, mode, sent):
    word = nonce()
    reply = client.ask(f"via-{column}", Ask(f"[image] {word}", image=True), mode)
    served_by(reply, column)
    assert reply.text == f"I see image/png of {len(PNG)} bytes."
    body = sent(word)
    if body is not None:
        assert PNG_BASE64 in json.dumps(body), "the image's bytes reach the upstream as they were"


def test_tools(client, column, mode, sent):
    """A whole tool loop: the call, its result, the answer."""
    word = nonce()
    ask = Ask(f"[tool] {word}", tools=[WEATHER])
    first = client.ask(f"via-{column}", ask, mode)
    served_by(first, column)
    assert first.stop == client.STOPS["tool"]
    assert first.text == "Let me look that up."
    (call,) = first.tools
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    assert call.id
    ask.then = client.replay(first, ["18 degrees"])
    second = client.ask(f"via-{column}", ask, mode)
    assert (second.text, second.stop) == ("The tools said: 18 degrees.", client.STOPS["end"])
    sent(word)


def test_parallel_tools(client, column, mode, sent):
    """Two calls at once keep their order, names and ids; both results go back in one turn."""
    word = nonce()
    ask = Ask(f"[parallel] {word}", tools=[WEATHER])
    first = client.ask(f"via-{column}", ask, mode)
    served_by(first, column)
    assert first.stop == client.STOPS["tool"]
    assert [(call.name, call.input) for call in first.tools] == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    assert len({call.id for call in first.tools}) == 2
    ask.then = client.replay(first, ["18 degrees", "21 degrees"])
    second = client.ask(f"via-{column}", ask, mode)
    assert second.text == "The tools said: 18 degrees; 21 degrees."
    body = sent(word)
    if column == "bedrock-other":
        assert [set(block) for block in body["messages"][-1]["content"]] == [{"toolResult"}, {"toolResult"}]
    elif column in ("bedrock-claude", "anthropic-strict"):
        assert [block["type"] for block in body["messages"][-1]["content"]] == ["tool_result", "tool_result"]


def test_tool_history_without_tools(client, column, mode):
    """The second turn of a tool loop, with the tools left out: still answered (Converse wants its tool config)."""
    word = nonce()
    ask = Ask(f"[tool] {word}", tools=[WEATHER])
    ask.then = client.replay(client.ask(f"via-{column}", ask, mode), ["18 degrees"])
    ask.tools = []
    assert client.ask(f"via-{column}", ask, mode).text == "The tools said: 18 degrees."


def test_thinking(client, column, mode, sent):
    word = nonce()
    reply = client.ask(f"via-{column}", Ask(f"[thinking] {word}", thinking=True), mode)
    served_by(reply, column)
    assert reply.text == HELLO
    if client.name == "messages":
        assert reply.thinking == [(THOUGHT, SIGNATURE)]
    else:
        assert reply.thinking in ([], [(THOUGHT, None)]), "as `reasoning_content`, or not at all; never in the text"
    body = sent(word)
    if body is not None and column != "bedrock-other":
        assert "thinking" in body or "effort" in body.get("output_config", {}), "the upstream is asked to think"


@pytest.mark.parametrize("column", ["anthropic-strict", "bedrock-claude"], indirect=True)
def test_a_tool_loop_with_thinking_on(client, column, mode):
    """Claude wants its thinking back in a tool loop: the Anthropic SDK sends it, a chat client cannot. Both are answered."""
    word = nonce()
    ask = Ask(f"[tool] [thinking] {word}", tools=[WEATHER], thinking=True)
    first = client.ask(f"via-{column}", ask, mode)
    assert [call.input for call in first.tools] == [{"city": "Paris"}]
    ask.then = client.replay(first, ["18 degrees"])
    assert client.ask(f"via-{column}", ask, mode).text == "The tools said: 18 degrees."


@pytest.mark.parametrize("column", ["anthropic-strict", "bedrock-claude"], indirect=True)
def test_thinking_that_the_client_stripped(gateway, column, mode):
    """Equal dialects: Claude refuses such a loop with thinking on, so it is off for this call, and that is said."""
    client = gateway.messages()
    ask = Ask(f"[tool] [thinking] {nonce()}", tools=[WEATHER], thinking=True)
    ask.then = client.replay(client.ask(f"via-{column}", ask, mode), ["18 degrees"])
    ask.then[0]["content"] = [block for block in ask.then[0]["content"] if block["type"] != "thinking"]
    reply = client.ask(f"via-{column}", ask, mode)
    assert reply.text == "The tools said: 18 degrees."
    assert "thinking" in reply.headers["x-tollgate-dropped"]


def test_structured_output(client, column, mode, sent):
    word = nonce()
    reply = client.ask(f"via-{column}", Ask(f"[json] {word}", schema=REPORT), mode)
    served_by(reply, column)
    assert json.loads(reply.text) == {"city": "Paris", "celsius": 21}
    assert reply.stop == client.STOPS["end"]
    sent(word)


def test_output_cut_at_the_limit(client, column, mode):
    reply = client.ask(f"via-{column}", Ask(f"[max] {nonce()}", max_tokens=16), mode) if client.name == "messages" else None
    if client.name == "chat":
        # The SDK's stream helper raises on "length" only when it was asked to parse; the plain events show the reason.
        if mode == "plain":
            reply = client.plain(f"via-{column}", Ask(f"[max] {nonce()}", max_tokens=16))
        else:
            chunks = list(client.events(f"via-{column}", Ask(f"[max] {nonce()}", max_tokens=16)))
            assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
            return
    assert reply.stop == client.STOPS["max"]


@pytest.mark.parametrize(
    ("marker", "bedrock_marker", "error", "status"),
    [
        ("[error-400]", "[validation]", "BadRequestError", 400),
        ("[error-429]", "[throttle]", "RateLimitError", 429),
        ("[error-500]", "[internal]", "InternalServerError", None),
    ],
    ids=["400", "429", "500"],
)
def test_errors(client, column, mode, marker, bedrock_marker, error, status):
    """An upstream's refusal arrives as the SDK's own exception, as JSON with the right status, streaming asked for or not."""
    prompt = f"{bedrock_marker if column.startswith('bedrock') else marker} {nonce()}"
    with pytest.raises(getattr(client.errors, error)) as caught:
        client.ask(f"faults-of-{column}", Ask(prompt), mode)
    response = caught.value.response
    assert response.status_code == status if status else response.status_code >= 500
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    body = response.json()
    assert body["error"]["message"] and body["error"]["type"]
    if client.name == "messages":
        assert body["type"] == "error"


@pytest.mark.parametrize("form", ["crlf", "nospace", "comments", "dribble", "one-write"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
def test_every_valid_wire_form_gives_the_same_answer(client, form, upstream):
    reply = client.stream(f"wire-{form}-{upstream}", Ask(nonce()))
    assert (reply.text, reply.stop) == (HELLO, client.STOPS["end"])
    assert (reply.input_tokens, reply.output_tokens) == (12, 7)
    plain = client.plain(f"wire-{form}-{upstream}", Ask(nonce()))
    assert plain.text == HELLO


@pytest.mark.parametrize("column", ["bedrock-claude", "bedrock-other"], indirect=True)
def test_frames_split_at_every_byte_give_the_same_answer(client, column):
    assert client.stream(f"via-{column}", Ask(f"[split] {nonce()}")).text == HELLO


@pytest.mark.parametrize("form", BEDROCK_NAMES)
def test_every_form_of_a_bedrock_model_name_stays_one_path_segment(world, client, mode, form):
    word = nonce()
    reply = client.ask(f"bedrock-{form}", Ask(word), mode)
    assert reply.text == HELLO
    path = world.bedrock.last(word)["path"]
    prefix, model, operation = path.removeprefix("/").split("/")
    assert prefix == "model"
    assert model.lower().replace("%3a", ":").replace("%2f", "/") == BEDROCK_NAMES[form].lower()
    assert operation.startswith("invoke" if "claude" in BEDROCK_NAMES[form] else "converse")


def test_cache_counts_are_neither_lost_nor_counted_twice(gateway, mode):
    """Bedrock's 3 + 17 + 32651: OpenAI counts them all as prompt, Anthropic each by itself."""
    for column in ("bedrock-claude", "bedrock-other", "anthropic-strict"):
        usage = gateway.chat().ask(f"via-{column}", Ask(f"[cache] {nonce()}"), mode).raw.usage
        assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (32671, 32651), column
        usage = gateway.messages().ask(f"via-{column}", Ask(f"[cache] {nonce()}"), mode).raw.usage
        parts = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        assert parts == (3, 17, 32651), column


def test_a_chat_stream_shows_usage_only_when_asked(gateway, world):
    for column in COLUMNS:
        word = nonce()
        chunks = list(gateway.chat().events(f"via-{column}", Ask(word)))
        assert not any(chunk.usage for chunk in chunks), column
        assert all(chunk.choices for chunk in chunks), column
        if column == "openai-strict":
            assert world.llm.last(word)["body"]["stream_options"] == {"include_usage": True}, "metered all the same"
        options = {"stream_options": {"include_usage": True}}
        chunks = list(gateway.chat().events(f"via-{column}", Ask(nonce()), **options))
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 19, column


def test_unknown_fields_pass_when_the_dialects_are_equal(gateway, world):
    word = nonce()
    gateway.chat().plain("via-openai-strict", Ask(word), extra_body={"x_house_field": {"deep": [1, 2.50]}})
    assert world.llm.last(word)["body"]["x_house_field"] == {"deep": [1, 2.5]}
    word = nonce()
    gateway.messages().plain("via-anthropic-strict", Ask(word), extra_body={"x_house_field": {"deep": [1, 2.50]}})
    assert world.llm.last(word)["body"]["x_house_field"] == {"deep": [1, 2.5]}


def test_what_cannot_be_carried_is_reported(gateway):
    """`logit_bias` and `seed` are OpenAI's alone."""
    reply = gateway.chat().plain("via-bedrock-claude", Ask(nonce()), seed=7, logit_bias={"50256": -100})
    dropped = reply.headers["x-tollgate-dropped"]
    assert "seed" in dropped and "logit_bias" in dropped


def test_nothing_is_reported_when_nothing_was_dropped(client, column):
    reply = client.plain(f"via-{column}", Ask(nonce()))
    assert "x-tollgate-dropped" not in reply.headers, reply.headers["x-tollgate-dropped"]


def test_strict_refuses_what_it_would_have_to_drop(start_gateway, world):
    config = world.config()
    config["ai"]["strict"] = True
    gateway = start_gateway(ai=config["ai"])
    with pytest.raises(gateway.chat().errors.BadRequestError, match="logit_bias"):
        gateway.chat().plain("via-bedrock-claude", Ask(nonce()), logit_bias={"50256": -100})


def test_beta_flags_that_bedrock_refuses_do_not_reach_it(gateway, world):
    word = nonce()
    flags = "interleaved-thinking-2025-05-14,some-flag-bedrock-never-heard-of-2031-01-01"
    reply = gateway.messages().plain("via-bedrock-claude", Ask(word), extra_headers={"anthropic-beta": flags})
    assert reply.text == HELLO
    assert world.bedrock.last(word)["body"].get("anthropic_beta") in (None, [], ["interleaved-thinking-2025-05-14"])


def test_an_image_by_url_is_refused_clearly_where_only_bytes_are_taken(gateway):
    content = [
        {"type": "text", "text": f"[image] {nonce()}"},
        {"type": "image_url", "image_url": {"url": "https://pictures.invalid/cat.png"}},
    ]
    chat = gateway.chat()
    with pytest.raises(chat.errors.BadRequestError, match="(?i)image|url"):
        chat.sdk.chat.completions.create(model="via-bedrock-other", messages=[{"role": "user", "content": content}])


def test_awkward_histories_are_mended_for_bedrock(gateway, column_of_bedrock, mode):
    """Blank text, empty arguments, turns of one role in a row, a dotted tool name: each was somebody's 400."""
    tool = {"type": "function", "function": {"name": "weather.get v2", "parameters": WEATHER["schema"]}}
    call = {"id": "call:1", "type": "function", "function": {"name": "weather.get v2", "arguments": ""}}
    messages = [
        {"role": "user", "content": nonce()},
        {"role": "user", "content": "Second question in a row."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call:1", "content": "18 degrees"},
        {"role": "user", "content": "  "},
        {"role": "user", "content": "Thanks."},
    ]
    sdk = gateway.chat().sdk
    answer = sdk.chat.completions.create(
        model=f"via-{column_of_bedrock}", messages=messages, tools=[tool], stream=mode == "stream"
    )
    if mode == "stream":
        list(answer)
    else:
        assert answer.choices[0].message.content


@pytest.fixture(params=["bedrock-claude", "bedrock-other"])
def column_of_bedrock(request):
    return request.param


def test_a_renamed_tool_comes_back_under_the_clients_name(gateway, column_of_bedrock, mode):
    tool = WEATHER | {"name": "weather.get v2"}
    reply = gateway.chat().ask(f"via-{column_of_bedrock}", Ask(f"[tool] {nonce()}", tools=[tool]), mode)
    assert [call.name for call in reply.tools] == ["weather.get v2"]


def test_no_credential_of_the_client_goes_upstream(gateway, world, client):
    for column, header in [("openai-strict", "authorization"), ("anthropic-strict", "x-api-key"), ("bedrock-claude", "authorization")]:
        word = nonce()
        client.plain(f"via-{column}", Ask(word))
        journal = world.bedrock if column.startswith("bedrock") else world.llm
        headers = journal.last(word)["headers"]
        assert "(jwt)" not in " ".join(headers.values()), column
        assert headers[header] in ("Bearer (key)", "(key)", "AWS4-HMAC-SHA256 (signature)")


def test_a_custom_server_needs_no_key(gateway, world, client, mode):
    word = nonce()
    assert client.ask("custom-server", Ask(word), mode).text == HELLO
    entry = world.llm.last(word)
    assert entry["path"] == "/ok/v1/chat/completions"
    assert "authorization" not in entry["headers"]
    assert entry["body"]["model"] == "house-model"
