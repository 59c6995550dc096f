"""Realtime sessions with OpenAI's SDK, against aimock."""

import asyncio

import openai
import pytest
import websockets

from conftest import Gateway
from harness.config import Providers, rule
from harness.process import eventually, json_line
from harness.world import nonce

pytestmark = pytest.mark.native("a WebSocket needs a connection of its own")


@pytest.fixture(scope="module")
def talking(world):
    provider = Providers(world.at).openai("talker", f"{world.at.aimock}/v1") | {"provider": {"openAI": {}}}
    down = Providers(world.at).openai("down", f"{world.at.refused}/v1")
    ai = {
        "modelAliases": {"our-talker": "gpt-realtime"},
        "groups": [{"providers": [provider]}],
        "models": [rule("down", down)],
    }
    return Gateway(world, world.start_gateway(world.config(ai=ai)))


def sdk(talking, token=None):
    return openai.AsyncOpenAI(base_url=f"{talking.url}/v1", api_key=token or talking.token, max_retries=0)


async def conversation(client, prompts: list[str]) -> list[str]:
    answers = []
    async with client.realtime.connect(model="our-talker") as session:
        await session.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        for prompt in prompts:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}
            await session.conversation.item.create(item=item)
            await session.response.create()
            text = ""
            async for event in session:
                if event.type in ("response.output_text.delta", "response.text.delta"):
                    text += event.delta
                elif event.type == "response.done":
                    break
                elif event.type == "error":
                    raise AssertionError(event)
            answers.append(text)
    return answers


def test_a_conversation_of_two_turns(talking):
    prompts = [f"Hello {nonce()}", f"And again {nonce()}"]
    answers = asyncio.run(conversation(sdk(talking), prompts))
    assert len(answers) == 2 and all(answers), answers

    def session_line():
        lines = map(json_line, talking.server.output.splitlines())
        return next((line for line in lines if line and line.get("tollgate.route") == "realtime"), None)

    line = eventually(session_line, "the session's line")
    assert line["http.response.status_code"] == 101
    assert line["gen_ai.request.model"] == "our-talker"


def test_a_browser_brings_its_token_as_a_subprotocol(talking):
    async def run():
        address = talking.url.replace("http", "ws", 1) + "/v1/realtime?model=our-talker"
        protocols = ["realtime", f"openai-insecure-api-key.{talking.token}"]
        async with websockets.connect(address, subprotocols=protocols) as socket:
            assert socket.subprotocol == "realtime"
            return await asyncio.wait_for(socket.recv(), 20)

    assert "session.created" in asyncio.run(run())


@pytest.mark.parametrize(("token", "model", "status"), [("no.good.token", "our-talker", 401), (None, "down", 503)])
def test_what_fails_before_the_session_is_an_answer_of_http(talking, token, model, status):
    async def run():
        address = talking.url.replace("http", "ws", 1) + f"/v1/realtime?model={model}"
        headers = {"Authorization": f"Bearer {token or talking.token}"}
        async with websockets.connect(address, additional_headers=headers):
            pass

    with pytest.raises(websockets.InvalidStatus) as caught:
        asyncio.run(run())
    assert caught.value.response.status_code == status
