"""Realtime with OpenAI's SDK: conversations against aimock; addresses, bills and goodbyes against a provider that does as it is told; client secrets and calls."""

import asyncio
import json
import time
from urllib.parse import parse_qsl, urlsplit

import openai
import pytest
import websockets

from conftest import Gateway
from harness import patient
from harness.clients import Ask
from harness.config import OPENAI_KEY, Providers, rule
from harness.process import PATIENCE_S, eventually, json_line
from harness.talker import USAGE, Talker
from harness.world import nonce
from test_limits import limits

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
        async with websockets.connect(address, subprotocols=protocols, open_timeout=PATIENCE_S) as socket:
            assert socket.subprotocol == "realtime"
            return await asyncio.wait_for(socket.recv(), PATIENCE_S)

    assert "session.created" in asyncio.run(run())


@pytest.mark.parametrize(("token", "model", "status"), [("no.good.token", "our-talker", 401), (None, "down", 503)])
def test_what_fails_before_the_session_is_an_answer_of_http(talking, token, model, status):
    async def run():
        address = talking.url.replace("http", "ws", 1) + f"/v1/realtime?model={model}"
        headers = {"Authorization": f"Bearer {token or talking.token}"}
        async with websockets.connect(address, additional_headers=headers, open_timeout=PATIENCE_S):
            pass

    with pytest.raises(websockets.InvalidStatus) as caught:
        asyncio.run(run())
    assert caught.value.response.status_code == status


@pytest.fixture(scope="module")
def talker():
    talker = Talker()
    yield talker
    talker.stop()


def entry(talker, name: str, path: str = "", provider: dict | None = None) -> dict:
    """The talker as a provider."""
    auth = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
    return {"name": name, "provider": provider or {"openAI": {}}, "baseUrl": f"http://{talker.address}{path}", "policies": auth}


def told(world, start_gateway, talker, **more):
    """A gateway in front of the talker: its models are `talk-...`; `chat` is a conversation's."""
    ai = {
        "groups": [{"providers": [entry(talker, "talk", "/v1")]}],
        "models": [
            rule("chat", Providers(world.at).column("openai-strict", "chat")),
            rule("azure-v1", entry(talker, "azure-v1", provider={"azure": {}})),
            rule("azure-preview", entry(talker, "azure-preview", provider={"azure": {"apiVersion": "preview"}})),
            rule("azure-dated", entry(talker, "azure-dated", provider={"azure": {"apiVersion": "2025-04-01-preview"}})),
        ],
    }
    return start_gateway(ai=ai, **more)


async def raw(gateway, model: str, protocols=None, token=None):
    """A WebSocket without an SDK, opened."""
    address = gateway.url.replace("http", "ws", 1) + f"/v1/realtime?model={model}"
    headers = {} if protocols else {"Authorization": f"Bearer {token or gateway.token}"}
    socket = await websockets.connect(address, additional_headers=headers, subprotocols=protocols, open_timeout=PATIENCE_S)
    assert json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))["type"] == "session.created"
    return socket


async def goodbye(socket) -> int:
    """Reads to the end, and gives its code."""
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), PATIENCE_S)
    return socket.close_code


def test_a_browser_of_the_beta_asks_for_it_by_a_subprotocol(world, start_gateway, talker):
    gateway = told(world, start_gateway, talker)
    protocols = ["realtime", f"openai-insecure-api-key.{gateway.token}", "openai-beta.realtime-v1"]

    async def run():
        socket = await raw(gateway, "talk", protocols)
        assert socket.subprotocol == "realtime"
        await socket.close()

    asyncio.run(run())
    headers = talker.headers[-1]
    assert (headers["openai-beta"], headers["authorization"]) == ("realtime=v1", f"Bearer {OPENAI_KEY}")
    assert gateway.token not in str(headers.raw_items()) + talker.paths[-1]


def test_a_server_joins_a_call_beside_its_browser(world, start_gateway, talker):
    gateway = told(world, start_gateway, talker)

    async def run():
        async with sdk(gateway).realtime.connect(call_id="rtc_u1_77") as session:
            assert (await session.recv()).type == "session.created"
            await session.response.create()
            kinds = [(await session.recv()).type, (await session.recv()).type]
            assert kinds == ["response.created", "response.done"]

    asyncio.run(run())
    assert talker.paths[-1] == "/v1/realtime?call_id=rtc_u1_77"


def seen(talker) -> tuple:
    """Path, query and key of the last session."""
    url = urlsplit(talker.paths[-1])
    return url.path, sorted(parse_qsl(url.query)), talker.headers[-1].get("api-key")


@pytest.mark.parametrize("version", ["v1", "dated"])
def test_azure_is_asked_as_its_own_sdk_asks_it(world, start_gateway, talker, version):
    """The v1 API names a model, a dated one a deployment. (Without a version in the query, v1 of the SDK is plain OpenAI.)"""

    async def directly():
        if version == "v1":
            client = openai.AsyncOpenAI(base_url=f"http://{talker.address}/openai/v1", api_key=OPENAI_KEY)
            session = client.realtime.connect(model="azure-v1", extra_headers={"api-key": OPENAI_KEY})
        else:
            client = openai.AsyncAzureOpenAI(
                azure_endpoint=f"http://{talker.address}",
                websocket_base_url=f"ws://{talker.address}/openai",
                api_version="2025-04-01-preview",
                api_key=OPENAI_KEY,
            )
            session = client.realtime.connect(model="azure-dated")
        async with session as opened:
            await opened.recv()

    asyncio.run(directly())
    expected = seen(talker)
    gateway = told(world, start_gateway, talker)

    async def through():
        socket = await raw(gateway, f"azure-{version}")
        await socket.close()

    asyncio.run(through())
    assert seen(talker) == expected
    assert expected[0] == ("/openai/v1/realtime" if version == "v1" else "/openai/realtime")


def test_azures_preview_has_its_version_in_the_query(world, start_gateway, talker):
    gateway = told(world, start_gateway, talker)

    async def run():
        await (await raw(gateway, "azure-preview")).close()

    asyncio.run(run())
    assert seen(talker) == ("/openai/v1/realtime", [("api-version", "preview"), ("model", "azure-preview")], OPENAI_KEY)


class TestLimits:
    TOKENS = 100_000

    @pytest.fixture
    def limited(self, world, start_gateway, talker, new_ledger):
        teams = {
            "opens": {"requestsPerMinute": 1},
            "answers": {"requestsPerMinute": 2},
            "bills": {"tokensPerDay": self.TOKENS},
        }
        return told(world, start_gateway, talker, env=world.standing_clock(), limits=limits(new_ledger(), teams))

    def sdk(self, world, limited, team: str):
        return sdk(limited, world.issuer.minted(**{"custom:team": team}))

    def test_they_are_checked_when_a_session_opens(self, world, limited):
        client = self.sdk(world, limited, "opens")

        async def run():
            async with client.realtime.connect(model="talk") as session:
                assert (await session.recv()).type == "session.created"
            async with client.realtime.connect(model="talk"):
                pass

        with pytest.raises(websockets.InvalidStatus) as refused:
            asyncio.run(run())
        response = refused.value.response
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        assert json.loads(response.body)["allowed"] is False

    def test_they_are_checked_at_every_response_and_the_session_goes_on(self, world, limited, talker):
        client = self.sdk(world, limited, "answers")
        before = talker.events.count("response.create")

        async def run():
            async with client.realtime.connect(model="talk") as session:
                await session.recv()
                await session.response.create()
                assert [(await session.recv()).type for _ in range(2)] == ["response.created", "response.done"]
                await session.response.create(event_id="mine")
                event = await session.recv()
                assert (event.type, event.error.code, event.error.event_id) == ("error", "rate_limit_exceeded", "mine")
                await session.send({"type": "session.update", "session": {"type": "realtime"}})

        asyncio.run(run())
        eventually(lambda: talker.events[-1] == "session.update", "what is no response passes")
        assert talker.events.count("response.create") - before == 1

    def test_usage_is_settled_while_the_session_is_open(self, world, limited):
        token = world.issuer.minted(**{"custom:team": "bills"})
        client, chat = sdk(limited, token), limited.client("chat", token)

        asked = 0

        def left() -> int:
            """What the team has left, in the eyes of one more chat; those before it are booked at what they used."""
            nonlocal asked
            reply = chat.plain("chat", Ask(nonce(), max_tokens=7))
            of_chats, asked = asked * (reply.input_tokens + reply.output_tokens), asked + 1
            return int(reply.headers["x-ratelimit-remaining-tokens"]) + of_chats

        async def run():
            async with client.realtime.connect(model="talk") as session:
                await session.recv()
                before = await asyncio.to_thread(left)
                await session.response.create()
                while (await session.recv()).type != "response.done":
                    pass
                await asyncio.to_thread(lambda: eventually(lambda: settled(before), "the response is booked at what it used"))

        def settled(before: int) -> bool:
            # First the headers still count what was reserved for the response, then what it used.
            return before - left() == USAGE["total_tokens"]

        asyncio.run(run())


class TestGoodbyes:
    def test_the_providers_own_code_reaches_the_client(self, world, start_gateway, talker):
        gateway = told(world, start_gateway, talker)

        async def run(event: str) -> tuple:
            socket = await raw(gateway, "talk")
            await socket.send(json.dumps({"type": event}))
            return await goodbye(socket), socket.close_reason

        assert asyncio.run(run("test.close")) == (4001, "enough")
        assert asyncio.run(run("test.break"))[0] == 1011

    def test_the_clients_goodbye_reaches_the_provider(self, world, start_gateway, talker):
        gateway = told(world, start_gateway, talker)
        before = len(talker.goodbyes)

        async def run():
            async with sdk(gateway).realtime.connect(model="talk") as session:
                await session.recv()

        asyncio.run(run())
        assert eventually(lambda: talker.goodbyes[before:], "the provider is told") == [1000]

    def test_a_token_that_expires_ends_its_session(self, world, start_gateway, talker):
        gateway = told(world, start_gateway, talker)

        async def run():
            # So short a life may be over before the session begins: then a longer one.
            for life_s in (4, 8, 16, 24):
                try:
                    socket = await raw(gateway, "talk", token=world.issuer.minted(exp=int(time.time()) + life_s))
                except websockets.InvalidStatus as refused:
                    assert refused.response.status_code == 401
                else:
                    return await goodbye(socket), socket.close_reason

        assert asyncio.run(run()) == (1008, "the token has expired")

    def test_a_gateway_that_shuts_down_says_so(self, world, start_gateway, talker):
        gateway = told(world, start_gateway, talker)

        async def run():
            socket = await raw(gateway, "talk")
            gateway.server.process.terminate()
            return await goodbye(socket), socket.close_reason

        assert asyncio.run(run()) == (1001, "the gateway is shutting down")


# An offer as a browser makes it, and the answer of OpenAI's reference: <https://platform.openai.com/docs/api-reference/realtime/create-call>.
OFFER = "v=0\r\no=- 4227147428 1719357865 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\na=mid:0\r\n"
ANSWER = OFFER.replace("a=mid:0", "a=setup:active")
CALL = "rtc_u1_9c6574da8b8a41a18da9308f4ad974ce"


def caller(world, start_gateway, name: str, **more):
    provider = Providers(world.at).openai("caller", f"{world.at.llm}/canned-{name}/v1") | {"provider": {"openAI": {}}}
    routes = more.pop("routes", {})
    ai = {"modelAliases": {"our-talker": "gpt-realtime"}, "groups": [{"providers": [provider]}], "routes": routes}
    gateway = start_gateway(ai=ai, **more)
    return gateway, openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)


class TestSecretsAndCalls:
    def test_a_client_secret_is_the_providers(self, world, start_gateway):
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime", "output_modalities": ["audio"]}
        said = {"value": "ek_68af296e8e408191a1120ab6383263c2", "expires_at": 1756310470, "session": session}
        world.can("secret", said)
        _, client = caller(world, start_gateway, "secret")
        word = nonce()
        asked = {"type": "realtime", "model": "our-talker", "instructions": word}
        secret = client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 600}, session=asked)
        assert (secret.value, secret.session.model) == (said["value"], "gpt-realtime")
        sent = world.llm.only(word)
        assert sent["path"] == "/canned-secret/v1/realtime/client_secrets"
        assert sent["body"] == {"expires_after": {"anchor": "created_at", "seconds": 600}, "session": asked | {"model": "gpt-realtime"}}

    def test_a_call_is_made_in_each_form_and_ended(self, world, start_gateway):
        world.can("call", ANSWER.encode(), "application/sdp", f"location: /v1/realtime/calls/{CALL}", status="201 Created")
        gateway, client = caller(world, start_gateway, "call")
        word = nonce()
        offer = OFFER + f"a=x-test:{word}\r\n"

        made = client.realtime.calls.with_raw_response.create(sdp=offer, session={"type": "realtime", "model": "our-talker"})
        assert (made.status_code, made.headers["location"], made.content.decode()) == (201, f"/v1/realtime/calls/{CALL}", ANSWER)
        assert made.headers["content-type"] == "application/sdp"

        # As a browser sends it, and as a server does.
        url, auth = f"{gateway.url}/v1/realtime/calls", {"authorization": f"Bearer {gateway.token}"}
        plain = patient.post(f"{url}?model=our-talker", content=offer, headers=auth | {"content-type": "application/sdp"})
        form = {"sdp": (None, offer, "application/sdp"), "session": (None, json.dumps({"type": "realtime", "model": "our-talker"}), "application/json")}
        posted = patient.post(url, files=form, headers=auth)
        for answer in (plain, posted):
            assert (answer.status_code, answer.headers["location"], answer.text) == (201, f"/v1/realtime/calls/{CALL}", ANSWER)

        by_sdk, by_browser, by_server = world.llm.requests(word)
        assert (by_browser["path"], by_browser["body"]["notJson"]) == ("/canned-call/v1/realtime/calls?model=gpt-realtime", offer)
        assert by_browser["headers"]["content-type"] == "application/sdp"
        for sent in (by_sdk, by_server):
            assert sent["headers"]["content-type"].startswith("multipart/form-data")
            body = sent["body"]["notJson"]
            assert offer in body and "our-talker" not in body
            assert '"gpt-realtime"' in body.split('name="session"')[1]

        client.realtime.calls.hangup(CALL)
        client.realtime.calls.refer(CALL, target_uri=f"tel:{word}")
        assert world.llm.last(word)["path"] == f"/canned-call/v1/realtime/calls/{CALL}/refer"

    @pytest.mark.parametrize("named", [False, True])
    def test_where_limits_are_on_the_operator_says_whether_they_are_open(self, world, start_gateway, new_ledger, named):
        world.can("limited", ANSWER.encode(), "application/sdp", f"location: /v1/realtime/calls/{CALL}", status="201 Created")
        routes = {"/v1/realtime/calls": "passthrough", "/v1/realtime/calls/*": "passthrough"} if named else {}
        _, client = caller(world, start_gateway, "limited", routes=routes, limits=limits(new_ledger(), {}))
        asks = [
            lambda: client.realtime.calls.create(sdp=OFFER, session={"type": "realtime", "model": "our-talker"}),
            lambda: client.realtime.calls.hangup(CALL),
            lambda: client.realtime.client_secrets.create(session={"type": "realtime", "model": "our-talker"}),
        ]
        for number, ask in enumerate(asks):
            if named and number < 2:
                ask()
                continue
            with pytest.raises(openai.PermissionDeniedError) as refused:
                ask()
            assert refused.value.code == "route_not_allowed"
            assert "/v1/realtime" in refused.value.message
