"""Responses that the gateway keeps for providers that keep none: OpenAI's SDK, with `previous_response_id` and ids instead of conversations.

The table is moto's DynamoDB, and natively a file, too.
"""

import json

import pytest

from harness.clients import HELLO, SIGNATURE, THOUGHT, WEATHER
from harness.process import json_line
from harness.world import FRONT, nonce

# Claude in both ways, Converse, and a server that knows chat only.
MODELS = ["via-bedrock-claude", "via-anthropic-strict", "via-bedrock-other", "custom-server"]
TOOLS = [{"type": "function", "name": WEATHER["name"], "description": WEATHER["description"], "parameters": WEATHER["schema"], "strict": False}]


@pytest.fixture(scope="module", params=["moto", "file"] if FRONT == "native" else ["moto"])
def state(request, world):
    """`responses.state` of a gateway that begins with nothing."""
    if request.param == "file":
        return {"file": str(world.new_folder("state") / "new" / "responses.sqlite")}
    dynamodb = request.getfixturevalue("dynamodb")
    return dynamodb.ledger(dynamodb.table())


@pytest.fixture(scope="module")
def keeper(world, state):
    from conftest import Gateway

    config = world.config(responses={"state": state, "timeoutMs": 20_000})
    # A response is looked for at every provider: one that answers whatever another test has left there would have them all.
    config["ai"]["models"] = [rule for rule in config["ai"]["models"] if "canned" not in str(rule["match"])]
    server = world.start_gateway(config)
    yield Gateway(world, server)
    server.stop()


@pytest.fixture
def sdk(keeper):
    return keeper.client("responses").sdk


def create(sdk, mode, **body):
    """A response; of a stream, the last one."""
    if mode == "plain":
        return sdk.responses.create(**body)
    return list(sdk.responses.create(**body, stream=True))[-1].response


@pytest.mark.parametrize("column", ["bedrock-claude", "anthropic-strict"])
def test_a_tool_loop_by_the_id_alone_keeps_the_signatures_of_claudes_thinking(sdk, world, column, mode):
    word = nonce()
    body = {"model": f"via-{column}", "tools": TOOLS, "reasoning": {"effort": "low", "summary": "auto"}}
    first = create(sdk, mode, **body, input=f"[tool] [thinking] {word}", instructions="Ask a tool.")
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert first.id.startswith("resp_tollgate_") and first.store is True
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
    second = create(sdk, mode, **body, previous_response_id=first.id, input=[result])
    assert second.output_text == "The tools said: 18 degrees." and second.previous_response_id == first.id
    journal = world.bedrock if column.startswith("bedrock") else world.llm
    sent = journal.last(word)["body"]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    thinking = sent["messages"][1]["content"][0]
    assert (thinking["type"], thinking["thinking"], thinking["signature"]) == ("thinking", THOUGHT, SIGNATURE)
    assert "Ask a tool." not in json.dumps(sent), "instructions are not carried over"


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_goes_on_through_any_provider(sdk, world, model, mode):
    word, response = nonce(), None
    for number in range(3):
        previous = {"previous_response_id": response.id} if response else {}
        response = create(sdk, mode, model=model, input=f"{word} {number}", **previous)
        assert response.output_text == HELLO
    # The last turn moves to another provider, and takes the conversation along.
    create(sdk, mode, model="via-anthropic-strict", input="and now?", previous_response_id=response.id)
    messages = world.llm.last(word)["body"]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 3 + ["user"]


def test_a_response_is_retrieved_listed_and_deleted(keeper, sdk, mode):
    errors = keeper.client("responses").errors
    words = [nonce() for _ in range(5)]
    response = create(sdk, mode, model="via-bedrock-claude", input=[{"role": "user", "content": word} for word in words])
    kept = sdk.responses.retrieve(response.id)
    assert kept.to_dict() == response.to_dict() and kept.output_text == HELLO
    pages = sdk.responses.input_items.list(response.id, limit=2, order="asc")
    assert [item.content[0].text for item in pages] == words, "the SDK turns the pages"
    assert [item.content[0].text for item in sdk.responses.input_items.list(response.id)] == words[::-1]
    with pytest.raises(errors.BadRequestError, match="Cannot cancel a synchronous response"):
        sdk.responses.cancel(response.id)
    sdk.responses.delete(response.id)
    for ask in [sdk.responses.retrieve, sdk.responses.input_items.list, sdk.responses.delete, sdk.responses.cancel]:
        with pytest.raises(errors.NotFoundError, match=response.id):
            ask(response.id)
    with pytest.raises(errors.BadRequestError) as refused:
        sdk.responses.create(model="via-bedrock-claude", input=nonce(), previous_response_id=response.id)
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


def test_another_team_sees_nothing_of_it(keeper, world, sdk):
    errors = keeper.client("responses").errors
    mine = sdk.responses.create(model="via-bedrock-claude", input=nonce())
    unknown = f"resp_tollgate_{'0' * 40}"
    other = keeper.client("responses", world.issuer.token("other-team")).sdk

    def said(ask, response_id) -> str:
        with pytest.raises((errors.NotFoundError, errors.BadRequestError)) as refused:
            ask(response_id)
        return f"{refused.value.status_code} {refused.value.body}".replace(response_id, "ID")

    go_on = lambda response_id: other.responses.create(model="via-bedrock-claude", input=nonce(), previous_response_id=response_id)  # noqa: E731
    for ask in [other.responses.retrieve, other.responses.delete, other.responses.cancel, other.responses.input_items.list, go_on]:
        assert said(ask, mine.id) == said(ask, unknown)
    assert sdk.responses.retrieve(mine.id).id == mine.id


def test_items_may_be_named(sdk, world):
    """As the AI SDK does, whose default is to store."""
    word = nonce()
    first = sdk.responses.create(model="via-bedrock-claude", input=f"[tool] {word}", tools=TOOLS)
    (call,) = [item for item in first.output if item.type == "function_call"]
    turns = [{"role": "user", "content": f"[tool] {word}"}] + [{"type": "item_reference", "id": item.id} for item in first.output]
    turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"})
    assert sdk.responses.create(model="via-bedrock-claude", input=turns, tools=TOOLS).output_text == "The tools said: 18 degrees."


def test_what_says_so_is_not_kept(keeper, sdk):
    response = sdk.responses.create(model="via-bedrock-claude", input=nonce(), store=False)
    assert response.store is False and not response.id.startswith("resp_tollgate_")
    with pytest.raises(keeper.client("responses").errors.APIStatusError):
        sdk.responses.retrieve(response.id)


def test_the_gateway_is_started_again(world, state, keeper, sdk, start_gateway):
    """With another process; a file has one at a time."""
    word = nonce()
    first = sdk.responses.create(model="via-bedrock-claude", input=word)
    keeper.server.stop()
    again = start_gateway(responses={"state": state, "timeoutMs": 20_000})
    sdk = again.client("responses").sdk
    assert sdk.responses.retrieve(first.id).output_text == HELLO
    second = sdk.responses.create(model="via-bedrock-claude", input="go on", previous_response_id=first.id, extra_headers={"x-request-id": "e2e-go-on"})
    assert len(world.bedrock.last(word)["body"]["messages"]) == 3

    def line(text: str):
        return json_line(text) if "e2e-go-on" in text and '"request"' in text else None

    assert again.server.wait_for(line)["tollgate.state"] == "kept" and second.store is True


def test_nothing_of_this_is_in_the_logs(world):
    assert not world.leaks(world.gateways)
