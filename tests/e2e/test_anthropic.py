"""Anthropic's SDK beyond `messages.create`: its beta methods, its tool runner, and the threads that the runner works on.

The runner asks Anthropic to keep the conversation (`thread`) and sends each turn alone. Elsewhere it has to be told that nobody keeps it, and sends everything.
"""

import anthropic
import pytest
from anthropic.types import ThreadUnsupportedRequestError

from harness.clients import HELLO
from harness.config import COLUMNS, Providers, rule
from harness.world import nonce

UPSTREAMS = [*COLUMNS, "gemini"]


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    return "18 degrees" if city == "Paris" else "unknown"


@pytest.fixture(scope="module")
def sdk(gateway):
    return anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, max_retries=0)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_the_beta_methods(sdk, upstream, mode):
    ask = {"model": f"via-{upstream}", "max_tokens": 50, "messages": [{"role": "user", "content": nonce()}], "betas": ["context-1m-2025-08-07"]}
    if mode == "plain":
        message = sdk.beta.messages.create(**ask)
    else:
        with sdk.beta.messages.stream(**ask) as stream:
            message = stream.get_final_message()
    assert [block.text for block in message.content] == [HELLO]


# aimock's Anthropic does not look at `thread`, and answers a part of a conversation as if it were all.
@pytest.mark.parametrize("upstream", [upstream for upstream in UPSTREAMS if not upstream.startswith("anthropic")])
def test_the_tool_runner(world, sdk, upstream, mode):
    word = nonce()
    ask = {"model": f"via-{upstream}", "max_tokens": 500, "messages": [{"role": "user", "content": f"[tool] {word}"}], "tools": [get_weather]}
    last = sdk.beta.messages.tool_runner(**ask, stream=mode == "stream").until_done()
    assert [block.text for block in last.content] == ["The tools said: 18 degrees."]
    if upstream.startswith("bedrock"):
        bodies = [str(call["body"]) for call in world.bedrock.requests(word)]
        assert len(bodies) == 2 and not any("thread" in body for body in bodies), "the first answer said that there is no thread"


def test_a_thread_goes_to_anthropic_as_it_is(world, sdk):
    word = nonce()
    message = {"role": "user", "content": word}
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    betas = ["message-threads-2026-08-12"]
    sdk.beta.messages.create(model="via-anthropic-strict", max_tokens=50, messages=[message], thread=thread, betas=betas)
    call = world.llm.last(word)
    assert call["body"]["thread"] == thread
    assert "message-threads-2026-08-12" in call["headers"]["anthropic-beta"]


@pytest.mark.parametrize("upstream", ["openai-strict", "bedrock-claude", "bedrock-other", "gemini", "custom"])
def test_a_thread_that_nobody_keeps_is_refused_in_the_sdks_own_words(world, start_gateway, upstream):
    providers = Providers(world.at)
    entry = providers.column("anthropic-strict" if upstream == "custom" else upstream, upstream)
    if upstream == "custom":
        entry |= {"provider": {"custom": {"formats": [{"type": "messages"}]}}}
    gateway = start_gateway(ai={"models": [rule("m", entry)]})
    sdk = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, max_retries=0)
    with pytest.raises(ThreadUnsupportedRequestError, match="send the whole conversation") as refused:
        sdk.beta.messages.thread(model="m", max_tokens=50).send(nonce())
    assert refused.value.error_code == "thread_unsupported_request"


def test_a_thread_whose_keeper_is_down_goes_on_elsewhere(world, start_gateway):
    """The runner hears that nobody keeps the conversation, and not that its keeper is down."""
    providers = Providers(world.at)
    chain = rule("m", providers.anthropic("down", world.at.refused), providers.column("bedrock-claude", "up"))
    gateway = start_gateway(ai={"models": [chain]})
    sdk = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, max_retries=0)
    ask = {"max_tokens": 500, "messages": [{"role": "user", "content": f"[tool] {nonce()}"}], "tools": [get_weather]}
    last = sdk.beta.messages.tool_runner(model="m", **ask).until_done()
    assert last.content[0].text == "The tools said: 18 degrees."
