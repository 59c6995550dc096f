"""The Responses API: OpenAI's SDK against every upstream (OpenAI's own agent: `test_agents.py`).

`openai` is aimock's own `/v1/responses`, where the gateway edits the model and nothing else; the other columns are translated.
"""

import json

import pydantic
import pytest

from harness.clients import HELLO, PNG, PNG_BASE64, REPORT, SIGNATURE, THOUGHT, WEATHER, Ask
from harness.config import Providers, rule
from harness.world import nonce

COLUMNS = ["openai", "anthropic", "anthropic-strict", "bedrock-claude", "bedrock-other"]
TRANSLATED = COLUMNS[1:]


@pytest.fixture(params=COLUMNS)
def column(request):
    return request.param


@pytest.fixture
def client(gateway):
    return gateway.client("responses")


def served_by(reply, column: str) -> None:
    assert reply.headers["x-tollgate-provider"] == column
    # aimock's ids are not OpenAI's, and pass as they are.
    assert reply.raw.id.startswith("resp-" if column == "openai" else "resp_") and reply.raw.object == "response"


def test_text(client, column, mode):
    reply = client.ask(f"via-{column}", Ask(nonce()), mode)
    served_by(reply, column)
    assert (reply.text, reply.stop) == (HELLO, "completed")
    assert (reply.input_tokens, reply.output_tokens) == (12, 7)
    assert reply.raw.usage.total_tokens == 19


def test_instructions(client, column, mode):
    reply = client.ask(f"via-{column}", Ask(f"[system] {nonce()}", system="Speak like a gatekeeper."), mode)
    assert reply.text == "The system prompt says: Speak like a gatekeeper."


def test_image(client, world, column, mode):
    word = nonce()
    reply = client.ask(f"via-{column}", Ask(f"[image] {word}", image=True), mode)
    assert reply.text == f"I see image/png of {len(PNG)} bytes."
    if column.startswith("bedrock"):
        assert PNG_BASE64 in json.dumps(world.bedrock.last(word)["body"])


@pytest.mark.parametrize(("marker", "results"), [("[tool]", ["18 degrees"]), ("[parallel]", ["18 degrees", "21 degrees"])])
def test_a_tool_loop(client, column, mode, marker, results):
    ask = Ask(f"{marker} {nonce()}", tools=[WEATHER])
    first = client.ask(f"via-{column}", ask, mode)
    served_by(first, column)
    assert [call.name for call in first.tools] == ["get_weather"] * len(results)
    assert len({call.id for call in first.tools}) == len(results)
    assert first.tools[0].input == {"city": "Paris"}
    ask.then = client.replay(first, results)
    second = client.ask(f"via-{column}", ask, mode)
    assert (second.text, second.stop) == (f"The tools said: {'; '.join(results)}.", "completed")


@pytest.mark.parametrize("column", ["anthropic-strict", "bedrock-claude"])
def test_reasoning_comes_as_a_summary_with_its_proof(client, column, mode):
    reply = client.ask(f"via-{column}", Ask(f"[thinking] {nonce()}", thinking=True), mode)
    assert reply.text == HELLO
    assert reply.thinking == [(THOUGHT, f"tollgate.1.signature.{SIGNATURE}")]
    (item,) = [item for item in reply.raw.output if item.type == "reasoning"]
    assert [part.text for part in item.summary] == [THOUGHT] and not item.content


@pytest.mark.parametrize("column", ["anthropic-strict", "bedrock-claude"])
def test_a_tool_loop_of_ten_turns_keeps_the_signatures_of_claudes_thinking(client, world, column, mode):
    word = nonce()
    ask = Ask(f"[tool] [thinking] {word}", tools=[WEATHER], thinking=True)
    first = client.ask(f"via-{column}", ask, mode)
    assert [call.input for call in first.tools] == [{"city": "Paris"}]
    for _ in range(10):
        ask.then += client.replay(first, ["18 degrees"])
        assert client.ask(f"via-{column}", ask, mode).text == "The tools said: 18 degrees."
    body = (world.bedrock if column.startswith("bedrock") else world.llm).last(word)["body"]
    thinking = [b for m in body["messages"] for b in m["content"] if m["role"] == "assistant" and b["type"] == "thinking"]
    assert [block["signature"] for block in thinking] == [SIGNATURE] * 10


def test_structured_output_is_parsed(client, column, mode):
    class Report(pydantic.BaseModel):
        city: str
        celsius: int

    if mode == "plain":
        parsed = client.sdk.responses.parse(model=f"via-{column}", input=f"[json] {nonce()}", text_format=Report).output_parsed
    else:
        with client.sdk.responses.stream(model=f"via-{column}", input=f"[json] {nonce()}", text_format=Report) as stream:
            parsed = stream.get_final_response().output_parsed
    assert parsed == Report(city="Paris", celsius=21)
    assert json.loads(client.ask(f"via-{column}", Ask(f"[json] {nonce()}", schema=REPORT), mode).text) == parsed.model_dump()


@pytest.mark.parametrize("column", TRANSLATED)
def test_an_answer_that_was_cut_off_is_incomplete(client, column, mode):
    ask = Ask(f"[max] {nonce()}", max_tokens=16)
    if mode == "plain":
        assert client.plain(f"via-{column}", ask).stop == "max_output_tokens"
        return
    last = list(client.events(f"via-{column}", ask))[-1]
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")


@pytest.mark.parametrize("column", TRANSLATED)
def test_every_event_has_the_fields_that_the_sdk_says_it_has(client, column):
    """Strictly: the SDK itself reads events without checking them."""
    asks = [Ask(nonce()), Ask(f"[tool] {nonce()}", tools=[WEATHER]), Ask(f"[thinking] {nonce()}", thinking=True)]
    kinds = set()
    for ask in asks:
        for event in client.events(f"via-{column}", ask):
            type(event).model_validate(event.to_dict(), strict=False)
            kinds.add(event.type)
    assert {"response.created", "response.in_progress", "response.output_item.added", "response.output_text.done"} <= kinds


def test_state_is_refused_clearly_where_the_upstream_keeps_none(client, mode):
    for column, more in [("bedrock-claude", {"previous_response_id": "resp_1"}), ("anthropic-strict", {"conversation": "conv_1"})]:
        with pytest.raises(client.errors.BadRequestError, match="keeps no conversations"):
            client.ask(f"via-{column}", Ask(nonce()), mode, **more)


def test_what_cannot_be_carried_is_reported(client):
    tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}, "strict": False}]
    answer = client.sdk.responses.with_raw_response.create(
        model="via-bedrock-claude", input=nonce(), tools=tools, truncation="auto", prompt_cache_key="k"
    )
    for path in ["tools[0]", "truncation", "prompt_cache_key"]:
        assert path in answer.headers["x-tollgate-dropped"]


def test_a_free_form_tool_is_called_with_its_text(client, world, mode):
    """Claude gets a function with one text; the client gets its `custom_tool_call` back, and so on around the loop."""
    word = nonce()
    tool = {"type": "custom", "name": "get_weather", "description": "Takes a city."}
    body = {"model": "via-anthropic-strict", "input": f"[tool] {word}", "tools": [tool]}
    if mode == "plain":
        response = client.sdk.responses.create(**body)
    else:
        events = list(client.sdk.responses.create(**body, stream=True))
        response = events[-1].response
        assert "response.custom_tool_call_input.done" in {event.type for event in events}
    (call,) = [item for item in response.output if item.type == "custom_tool_call"]
    assert call.name == "get_weather" and call.input
    assert world.llm.last(word)["body"]["tools"][0]["input_schema"]["required"] == ["input"]
    turns = [{"role": "user", "content": body["input"]}] + [item.to_dict() for item in response.output]
    turns.append({"type": "custom_tool_call_output", "call_id": call.call_id, "output": "18 degrees"})
    assert client.sdk.responses.create(**(body | {"input": turns})).output_text == "The tools said: 18 degrees."


def test_an_error_in_the_middle_of_a_stream_is_raised_by_the_sdk(client):
    seen = ""
    with pytest.raises(client.errors.APIError):
        for event in client.events("alone-cut-late-anthropic", Ask(nonce())):
            seen += client.text_of(event)
    assert seen and HELLO.startswith(seen)


def test_an_answer_in_the_background_is_begun_fetched_and_cancelled(world, start_gateway):
    """What OpenAI's guide to background answers shows, by its SDK; the provider is named by a model rule alone."""
    queued = {
        "id": "resp_123", "object": "response", "created_at": 1760000000, "status": "queued", "background": True, "error": None, "incomplete_details": None,
        "instructions": None, "max_output_tokens": None, "model": "o3", "output": [], "parallel_tool_calls": True, "previous_response_id": None,
        "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": None, "user": None, "metadata": {},
    }  # fmt: skip
    providers = Providers(world.at)
    models = [
        rule("o3", providers.openai("background", f"{world.can('background', queued)}/v1", "o3")),
        rule("claude", providers.column("anthropic-strict", "claude")),
    ]
    client = start_gateway(ai={"models": models}).client("responses")
    word = nonce()
    begun = client.sdk.responses.create(model="o3", input=word, background=True)
    assert (begun.id, begun.status) == ("resp_123", "queued")
    assert world.llm.last(word)["body"]["background"] is True
    assert client.sdk.responses.retrieve("resp_123").background is True
    assert client.sdk.responses.cancel("resp_123").id == "resp_123"
    with pytest.raises(client.errors.BadRequestError, match="leave background out"):
        client.sdk.responses.create(model="claude", input=word, background=True)
