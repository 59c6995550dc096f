"""The real binary as a Lambda function: the Runtime API and the front doors are `tests/servers`, everything else is real.

Buffered is the default (behind an ALB), streaming is `TOLLGATE_RESPONSE_MODE=stream` (function URL).
"""

import base64
import json
import re

import httpx
import pytest

from harness import patient
from harness.clients import CLIENTS, HELLO, WEATHER, Ask
from harness.config import GATEWAY_ENV, lambda_env
from harness.function import Function
from harness.process import eventually
from harness.world import ROOT, nonce

pytestmark = pytest.mark.native("it has front doors of its own")

EVENTS = sorted((ROOT / "events").glob("*.json"))
LIMIT = 1 << 20
SEPARATOR = b"\0" * 8
DEADLINE_MS = 4_000


@pytest.fixture(scope="module")
def buffered(world):
    return Function(world)


@pytest.fixture(scope="module")
def streaming(world):
    return Function(world, TOLLGATE_RESPONSE_MODE="stream")


def event_of(file, token: str) -> dict:
    return json.loads(file.read_text().replace("{{token}}", token))


def body_of(event: dict) -> dict:
    text = event.get("body") or "{}"
    return json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)


def check_answer(file, event: dict, status: int, headers: dict, body: bytes) -> None:
    """What every event must give, whichever front door it came through."""
    assert status == 200, body[:500]
    if "health" in file.name:
        return
    assert headers["x-request-id"]
    if "models" in file.name:
        assert json.loads(body)["object"] == "list"
    elif "gemini-array" in file.name:
        assert headers["content-type"] == "application/json"
        chunks = json.loads(body)
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])]
        assert "".join(part["text"] for part in parts) == HELLO
        assert len(chunks) > 1 and chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    elif "gemini-count" in file.name:
        assert headers["x-tollgate-token-count"] == "estimate"
        assert json.loads(body)["totalTokens"] > 0
    elif body_of(event).get("stream"):
        assert headers["content-type"].startswith("text/event-stream")
        check_sse(body.decode(), "messages" if "messages" in file.name else "chat")
    elif "messages" in file.name:
        assert json.loads(body)["content"] == [{"type": "text", "text": HELLO}]
    else:
        assert json.loads(body)["choices"][0]["message"]["content"] == HELLO


def check_sse(text: str, api: str) -> None:
    """A whole stream, from its first event to its last."""
    assert text.endswith("\n\n")
    datas = re.findall(r"^data: ?(.*)$", text, re.MULTILINE)
    if api == "chat":
        assert datas[-1] == "[DONE]"
        chunks = [json.loads(data) for data in datas[:-1]]
        assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == HELLO
    else:
        events = [json.loads(data) for data in datas]
        assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
        assert "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta") == HELLO


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_every_event_goes_through_as_lambda_delivers_it(buffered, file):
    event = event_of(file, buffered.token)
    answer = buffered.invoke(event)
    assert answer.headers["x-mode"] == "buffered"
    assert answer.headers["x-function-error"] == ""
    response = answer.json()
    body = response["body"].encode()
    if response.get("isBase64Encoded"):
        body = base64.b64decode(body)
    headers = {name: values[0] for name, values in (response.get("multiValueHeaders") or {}).items()}
    headers |= response.get("headers") or {}
    check_answer(file, event, response["statusCode"], {name.lower(): value for name, value in headers.items()}, body)
    if file.name.startswith("alb-multi-value"):
        assert response["multiValueHeaders"], "an ALB in this mode reads nothing else"
    if not response.get("isBase64Encoded") and "health" not in file.name:
        assert "Hello" in response["body"] or "models" in file.name or "count" in file.name, "text is sent as text: base64 would cost a third of the 1 MB"


@pytest.mark.parametrize("file", [f for f in EVENTS if f.name.startswith("function-url")], ids=lambda file: file.stem)
def test_every_function_url_event_streams(streaming, file):
    event = event_of(file, streaming.token)
    answer = streaming.invoke(event)
    assert answer.headers["x-mode"] == "streaming"
    prelude, body = answer.content.split(SEPARATOR, 1)
    prelude = json.loads(prelude)
    check_answer(file, event, prelude["statusCode"], prelude["headers"], body)


@pytest.mark.parametrize("door", ["alb", "albMulti"])
@pytest.mark.parametrize("name", ["chat", "messages"])
class TestBehindAnAlb:
    """The SDKs speak to the load balancer."""

    def test_text_plain_and_streamed(self, buffered, door, name, mode):
        client = buffered.client(door, name)
        for column in ("openai", "anthropic", "bedrock-claude", "bedrock-other"):
            reply = client.ask(f"via-{column}", Ask(nonce()), mode)
            assert (reply.text, reply.stop) == (HELLO, client.STOPS["end"])
            assert reply.headers["x-tollgate-provider"] == column

    def test_tools(self, buffered, door, name, mode):
        ask = Ask(f"[parallel] {nonce()}", tools=[WEATHER])
        reply = buffered.client(door, name).ask("via-bedrock-claude", ask, mode)
        assert [call.input for call in reply.tools] == [{"city": "Paris"}, {"city": "Rome"}]

    def test_errors_keep_their_status_and_dialect(self, buffered, world, door, name, mode):
        client = CLIENTS[name](buffered.at[door], world.issuer.tampered())
        with pytest.raises(client.errors.AuthenticationError) as caught:
            client.ask("via-openai", Ask(nonce()), mode)
        assert caught.value.response.headers["www-authenticate"]
        client = buffered.client(door, name)
        with pytest.raises(client.errors.BadRequestError):
            client.ask("faults-of-bedrock-claude", Ask(f"[validation] {nonce()}"), mode)

    def test_an_error_after_the_first_content_is_in_the_whole_answer(self, buffered, door, name):
        client = buffered.client(door, name)
        with pytest.raises(client.errors.APIError):
            for _ in client.events(f"failover-error-late-openai-{name}-stream", Ask(nonce())):
                pass

    def test_an_answer_over_one_megabyte_is_an_error_that_names_the_limit(self, buffered, door, name, mode):
        client = buffered.client(door, name)
        with pytest.raises(client.errors.APIStatusError) as caught:
            client.ask("via-openai-strict", Ask(f"[big] {nonce()}"), mode)
        response = caught.value.response
        assert "awselb" not in response.headers.get("server", ""), "our answer, not the load balancer's 502"
        assert response.status_code in (413, 500, 507, 508) or 400 <= response.status_code < 600
        assert response.status_code != 502
        text = response.json()["error"]["message"]
        assert re.search(r"1 ?M(i?B|B)|1,?048,?576|1 megabyte", text), text

    def test_a_request_over_one_megabyte_never_reaches_the_function(self, buffered, door, name):
        client = buffered.client(door, name)
        with pytest.raises(client.errors.APIStatusError) as caught:
            client.plain("via-openai-strict", Ask(nonce() + "x" * LIMIT))
        assert caught.value.response.status_code == 413


def test_a_realtime_session_is_refused_by_json_that_names_who_serves_it(streaming):
    """By a function URL. An ALB refuses the upgrade itself: `test_alb.py`."""
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    answer = patient.get(
        f"{streaming.at['url']}/v1/realtime?model=via-openai", headers=upgrade | {"authorization": f"Bearer {streaming.token}"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (501, "application/json")
    error = answer.json()["error"]
    assert error["code"] == "websocket_not_supported"
    assert "native server" in error["message"]


@pytest.mark.parametrize("name", ["chat", "messages"])
class TestFunctionUrl:
    """The SDKs speak to a function URL with response streaming."""

    @pytest.mark.parametrize("column", ["openai", "anthropic", "bedrock-claude", "bedrock-other"])
    def test_text(self, streaming, name, mode, column):
        client = streaming.client("url", name)
        reply = client.ask(f"via-{column}", Ask(nonce()), mode)
        assert (reply.text, reply.headers["x-tollgate-provider"]) == (HELLO, column)

    @pytest.mark.parametrize("column", ["openai-strict", "anthropic-strict", "bedrock-claude", "bedrock-other"])
    def test_the_first_content_comes_long_before_the_last(self, streaming, world, name, column):
        word = nonce()
        client = streaming.client("url", name)
        journal = world.bedrock if column.startswith("bedrock") else world.llm
        text, open_at_first = "", None
        for event in client.events(f"via-{column}", Ask(f"[held] {word}")):
            text += client.text_of(event)
            if text and open_at_first is None:
                open_at_first = journal.last(word)["outcome"] == "open"
                journal.release(word)
        assert open_at_first, "the upstream was still talking when the first words arrived"
        assert text == HELLO * 16

    def test_more_than_one_megabyte_is_no_problem(self, streaming, name, mode):
        reply = streaming.client("url", name).ask("via-openai-strict", Ask(f"[big] {nonce()}"), mode)
        assert len(reply.text) > LIMIT

    def test_an_error_before_the_first_byte_is_json_with_its_status(self, streaming, world, name, mode):
        client = CLIENTS[name](streaming.at["url"], world.issuer.tampered())
        with pytest.raises(client.errors.AuthenticationError):
            client.ask("via-openai", Ask(nonce()), mode)

    def test_an_error_after_the_first_content_is_an_event(self, streaming, name):
        """Never a broken body: the runtime would write its own error text into it."""
        client = streaming.client("url", name)
        seen = ""
        with pytest.raises(client.errors.APIError):
            for event in client.events(f"failover-cut-late-anthropic-{name}-stream", Ask(nonce())):
                seen += client.text_of(event)
        assert seen and HELLO.startswith(seen)


ARRAY = "/v1beta/models/{}:streamGenerateContent"


def array_of(address: str, token: str, model: str, prompt: str) -> httpx.Response:
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    return patient.post(address + ARRAY.format(model), json=body, headers={"x-goog-api-key": token}, timeout=90)


@pytest.mark.parametrize("door", ["alb", "albMulti", "url"])
class TestGeminisArray:
    """`:streamGenerateContent` without `alt=sse`, buffered and streaming."""

    def answer(self, request, door: str, model: str, prompt: str) -> httpx.Response:
        function = request.getfixturevalue("streaming" if door == "url" else "buffered")
        return array_of(function.at[door], function.token, model, prompt)

    @pytest.mark.parametrize("column", ["openai", "anthropic", "gemini", "bedrock-claude", "bedrock-other"])
    def test_text(self, request, door, column):
        answer = self.answer(request, door, f"via-{column}", nonce())
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        chunks = answer.json()
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])]
        assert "".join(part.get("text", "") for part in parts) == HELLO
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"

    def test_an_error_before_the_first_content_has_its_status(self, request, door):
        answer = self.answer(request, door, "faults-of-openai", f"[error-429] {nonce()}")
        assert (answer.status_code, answer.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")

    def test_an_error_after_it_is_the_last_element(self, request, door):
        """Whatever happens, it is one array."""
        answer = self.answer(request, door, "failover-error-late-openai-chat-stream", nonce())
        assert answer.status_code == 200
        *chunks, last = answer.json()
        assert chunks[0]["candidates"] and last["error"]["code"] >= 500 and last["error"]["message"]

    def test_what_is_too_large_for_an_alb_is_one_error(self, request, door):
        answer = self.answer(request, door, "via-openai-strict", f"[big] {nonce()}")
        if door == "url":
            assert answer.status_code == 200 and len(answer.content) > LIMIT and answer.json()
        else:
            assert answer.status_code == 413 and answer.json()["error"]["code"] == 413

    def test_a_count(self, request, door):
        function = request.getfixturevalue("streaming" if door == "url" else "buffered")
        url = f"{function.at[door]}/v1beta/models/via-openai:countTokens"
        body = {"contents": [{"role": "user", "parts": [{"text": nonce()}]}]}
        answer = patient.post(url, json=body, headers={"x-goog-api-key": function.token}, timeout=90)
        assert answer.status_code == 200 and answer.json()["totalTokens"] > 0
        assert answer.headers["x-tollgate-token-count"] == "estimate"


def test_geminis_array_comes_while_the_model_speaks(streaming, world):
    word = nonce()
    body = {"contents": [{"role": "user", "parts": [{"text": f"[held] {word}"}]}]}
    headers = {"x-goog-api-key": streaming.token}
    with patient.stream("POST", streaming.at["url"] + ARRAY.format("via-openai-strict"), json=body, headers=headers, timeout=90) as answer:
        pieces = answer.iter_bytes()
        text = next(piece for piece in pieces if b'"text"' in piece)
        assert world.llm.last(word)["outcome"] == "open", "the upstream was still talking when the first words arrived"
        world.llm.release(word)
        text += b"".join(pieces)
    assert json.loads(text)[-1]["candidates"][0]["finishReason"] == "STOP"


def test_the_functions_own_deadline_bounds_a_request(buffered):
    """The upstream hangs and nobody else is there: an answer of ours before Lambda kills the sandbox. A busy machine may be late once; a gateway that waits for
    its deadline always is."""
    body = {"model": "patient-openai", "messages": [{"role": "user", "content": nonce()}]}
    event = event_of(ROOT / "events" / "alb-chat.json", buffered.token) | {"body": json.dumps(body)}
    took_ms = []
    while len(took_ms) < 5 and min(took_ms, default=DEADLINE_MS) >= DEADLINE_MS:
        answer = buffered.invoke(event, deadline_ms=DEADLINE_MS)
        assert answer.json()["statusCode"] == 504
        took_ms.append(int(answer.headers["x-head-ms"]))
    assert min(took_ms) < DEADLINE_MS
    assert buffered.server.alive


def test_the_local_issuer_cannot_be_had_on_lambda(world):
    """No configuration on Lambda: a clear failure at the start, not the laptop's embedded default."""
    at = world.start_test_server("runtime-api")
    env = GATEWAY_ENV | lambda_env(at["runtime"])
    server = world.start_gateway(env=env)

    def gave_up_or_polls():
        return not server.alive or patient.get(f"{at['invoke']}/stats").json()["polls"]

    eventually(gave_up_or_polls, "it stops, or asks for an event")
    if server.alive:
        event = {
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/1"}},
            "httpMethod": "POST", "path": "/oauth2/token", "queryStringParameters": {},
            "headers": {"content-type": "application/x-www-form-urlencoded"}, "body": "grant_type=client_credentials", "isBase64Encoded": False,
        }
        answer = patient.post(f"{at['invoke']}/invoke", json=event).json()
        assert answer["statusCode"] in (404, 500, 503)
    assert "client_secret" not in server.output and "secret:" not in server.output.lower()
    server.stop()
