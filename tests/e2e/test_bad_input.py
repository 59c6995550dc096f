"""What clients should not send. Always: a clear 4xx in the client's dialect, and the process stays up.

That no key, token or prompt is in a log line is `test_leaks.py`, over everything that the whole session wrote.
"""

import gzip
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import httpx
import pytest

from conftest import Gateway
from harness import patient
from harness.clients import HELLO, Ask
from harness.world import FRONT, nonce

MODELS = ["via-openai-strict", "via-anthropic-strict", "via-bedrock-claude", "via-bedrock-other"]
APIS = ["chat", "messages", "responses", "gemini"]


def path_of(api: str, model: str = "via-openai-strict", stream: bool = False) -> str:
    """Gemini's model and streaming stand in it."""
    match api:
        case "gemini":
            return f"/v1beta/models/{quote(model, safe='')}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"
        case "responses":
            return "/v1/responses"
        case "messages":
            return "/v1/messages"
    return "/v1/chat/completions"


def models_of(api: str) -> list[str]:
    """Responses pass as they are to OpenAI, which is aimock then: the scripted server has no such API."""
    return ["via-openai", *MODELS[1:]] if api == "responses" else MODELS


# The member that holds the conversation.
TURNS = {"chat": "messages", "messages": "messages", "responses": "input", "gemini": "contents"}


@pytest.fixture(params=APIS)
def api(request):
    return request.param


@pytest.fixture(params=["chat", "messages", "responses"])
def client(request, gateway):
    return gateway.client(request.param)


@pytest.fixture(autouse=True)
def still_up(gateway):
    """After each test the gateway still answers."""
    yield
    assert gateway.server.alive
    assert gateway.chat().plain("via-openai-strict", Ask(nonce())).text == HELLO


@pytest.fixture
def post(gateway, api):
    """Sends a body; of an object Gemini's model and streaming go into the path."""

    def send(body: bytes | str | dict, headers: dict | None = None, model: str = "via-openai-strict"):
        stream = False
        if isinstance(body, dict) and api == "gemini":
            body = dict(body)
            model, stream = body.pop("model", ""), body.pop("stream", False)
        content = json.dumps(body) if isinstance(body, dict) else body
        given = {"authorization": f"Bearer {gateway.token}", "content-type": "application/json"} | (headers or {})
        return patient.post(gateway.url + path_of(api, model, stream), content=content, headers=given)

    return send


def good(api: str = "chat", say: str | None = None, **changes) -> dict:
    text = nonce() if say is None else say
    body: dict = {"model": models_of(api)[0]}
    match api:
        case "gemini":
            body |= {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"maxOutputTokens": 64}}
        case "responses":
            body |= {"max_output_tokens": 64, "input": [{"role": "user", "content": text}]}
        case _:
            body |= {"max_tokens": 64, "messages": [{"role": "user", "content": text}]}
    return {name: value for name, value in (body | changes).items() if value is not ...}


def is_clear(answer: httpx.Response, api: str, *statuses: int) -> str:
    """An error of ours, in the dialect; gives its message."""
    assert answer.status_code in (statuses or (400,)), f"{answer.status_code}: {answer.text[:300]}"
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-request-id"]
    body = answer.json()
    error = body["error"]
    assert isinstance(error["message"], str) and len(error["message"]) > 8
    assert len(error["message"]) < 2_000, "an error message does not repeat the body"
    if api == "gemini":
        assert error["code"] == answer.status_code
        assert error["status"].isupper()
    elif api == "messages":
        assert body["type"] == "error"
        assert error["type"].endswith("_error") or (answer.status_code, error["type"]) == (413, "request_too_large")
    else:
        assert set(error) >= {"message", "type", "code", "param"}
    return error["message"]


NOT_JSON = {
    "empty": b"",
    "white space": b"  \n ",
    "text": b"hello",
    "half of an object": b'{"model": "via-openai-strict", "messages": [',
    "trailing text": b'{"model": "via-openai-strict", "messages": []} and more',
    "single quotes": b"{'model': 'x'}",
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "a number": b"1e400",
    # By a load balancer it would come as text, with other characters in place of these bytes.
    "invalid UTF-8": b'{"model": "via-openai-strict", "messages": [{"role": "user", "content": "\xff\xfe\x80"}]}',
    "a lone surrogate": b'{"model": "via-openai-strict", "max_tokens": 9, "messages": [{"role": "user", "content": "\\ud800"}]}',
    "a NUL byte": b'{"model": "via-openai-strict"\x00}',
    "a byte order mark only": b"\xef\xbb\xbf",
}


@pytest.mark.parametrize("kind", [kind for kind in NOT_JSON if FRONT == "native" or kind != "invalid UTF-8"])
def test_a_body_that_is_no_json_object(post, api, kind):
    body = NOT_JSON[kind].replace(b'"messages"', f'"{TURNS[api]}"'.encode())
    if api == "responses":
        # It must not pass as it is: what is in the text would be the upstream's to judge.
        body = body.replace(b"via-openai-strict", b"via-bedrock-other")
    if api == "gemini":
        body = body.replace(b'"content": ', b'"parts": ')
    is_clear(post(body), api)


_FLAT = '{"model": "%s", "MAX": 16, "TURNS": [{"role": "user", "content": %s}]%s}'
# A content, a body around model, content and more members, and a tool around its schema.
NESTED = {
    "chat": ('"x"', _FLAT.replace("MAX", "max_tokens").replace("TURNS", "messages"), '{"type": "function", "function": {"name": "t", "parameters": %s}}'),
    "messages": ('"x"', _FLAT.replace("MAX", "max_tokens").replace("TURNS", "messages"), '{"name": "t", "input_schema": %s}'),
    "responses": ('"x"', _FLAT.replace("MAX", "max_output_tokens").replace("TURNS", "input"), '{"type": "function", "name": "t", "strict": false, "parameters": %s}'),
    "gemini": (
        '[{"text": "x"}]',
        '{"labels": {"model": "%s"}, "contents": [{"role": "user", "parts": %s}]%s}',
        '{"functionDeclarations": [{"name": "t", "parametersJsonSchema": %s}]}',
    ),
}


@pytest.mark.parametrize("opener", ["[", '{"a":'])
@pytest.mark.parametrize("place", ["whole body", "unknown field", "message content", "tool schema"])
def test_nesting_10000_deep(post, api, opener, place):
    deep = opener * 10_000 + "1" + {"[": "]", '{"a":': "}"}[opener] * 10_000
    text, start, tool = NESTED[api]
    bodies = {
        "whole body": lambda model: deep,
        "unknown field": lambda model: start % (model, text, f', "house": {deep}'),
        "message content": lambda model: start % (model, deep, ""),
        "tool schema": lambda model: start % (model, text, f', "tools": [{tool % deep}]'),
    }
    for model in models_of(api):
        is_clear(post(bodies[place](model), model=model), api)


def told(ask) -> httpx.Response:
    """The answer to what is not read to its end: where that was closed while the client still wrote, it may see a broken pipe instead, but not every time."""
    for _ in range(9):
        try:
            return ask()
        except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
            pass
    return ask()


@pytest.mark.native("Lambda's front doors refuse it themselves")
def test_a_body_of_33_mb(post, api):
    body = good(api, say="x" * (33 << 20))
    message = is_clear(told(lambda: post(body)), api, 413)
    assert "32" in message or "33554432" in message.replace(",", ""), "the message names the limit"


@pytest.mark.native("Lambda's front doors refuse it themselves")
def test_a_body_of_33_mb_in_chunks_without_a_length(gateway, api):
    def chunks():
        yield f'{{"model": "via-openai-strict", "{TURNS[api]}": [{{"role": "user", "content": "'.encode()
        for _ in range(33 << 4):
            yield b"x" * (64 << 10)

    headers = {"authorization": f"Bearer {gateway.token}", "content-type": "application/json"}
    is_clear(told(lambda: patient.post(gateway.url + path_of(api), content=chunks(), headers=headers)), api, 413)


@pytest.mark.native("Lambda's front doors refuse it themselves")
def test_a_big_body_without_a_token_is_not_read_to_its_end(gateway, api):
    """A 401 costs no 30 MB of memory: the head alone decides."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=patient.TIMEOUT_S) as sock:
        head = f"POST {path_of(api)} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: 33000000\r\n\r\n"
        sock.sendall(head.encode() + b'{"model"')
        assert b" 401 " in sock.recv(4096).split(b"\r\n")[0]


_CHAT = {
    "model a number": {"model": 7},
    "model missing": {"model": ...},
    "model null": {"model": None},
    "model empty": {"model": ""},
    "turns missing": {"messages": ...},
    "turns empty": {"messages": []},
    "turns a string": {"messages": "hello"},
    "turns of strings": {"messages": ["hello"]},
    "a turn without a role": {"messages": [{"content": "x"}]},
    "a role that nobody knows": {"messages": [{"role": "wizard", "content": "x"}]},
    "content a number": {"messages": [{"role": "user", "content": 7}]},
    "content missing": {"messages": [{"role": "user"}]},
    "a part without a type": {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
    "a part of a type that nobody knows": {"messages": [{"role": "user", "content": [{"type": "smell", "smell": "x"}]}]},
    "stream a string": {"stream": "yes"},
    "stream a number": {"stream": 1},
    "tools an object": {"tools": {"name": "x"}},
    "tools of strings": {"tools": ["x"]},
    "output cap a string": {"max_tokens": "many"},
    "output cap negative": {"max_tokens": -1},
    "output cap zero": {"max_tokens": 0},
    "temperature a string": {"temperature": "hot"},
}
# In Responses' own members. A string is a turn there.
_RESPONSES = {
    kind: {{"messages": "input", "max_tokens": "max_output_tokens"}.get(name, name): value for name, value in change.items()}
    for kind, change in _CHAT.items()
} | {
    "turns a string": {"input": 7},
    "an item of a type that nobody knows": {"input": [{"type": "smell", "smell": "x"}]},
    "a call's output without its call": {"input": [{"type": "function_call_output", "output": "x"}]},
    "a call without a name": {"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]},
    "instructions a number": {"instructions": 7},
    "reasoning a string": {"reasoning": "much"},
    "text a string": {"text": "json"},
}
# In Gemini's. Its role may be left out, and so may its parts (the model's own empty turns come back so); the model stands in the path, where it
# can only be empty.
_GEMINI = {
    "model empty": {"model": ""},
    "turns missing": {"contents": ...},
    "turns empty": {"contents": []},
    "turns a string": {"contents": "hello"},
    "turns of strings": {"contents": ["hello"]},
    "a role that nobody knows": {"contents": [{"role": "wizard", "parts": [{"text": "x"}]}]},
    "content a number": {"contents": [{"role": "user", "parts": 7}]},
    "a text that is a number": {"contents": [{"role": "user", "parts": [{"text": 7}]}]},
    "a part of nothing": {"contents": [{"role": "user", "parts": [{}]}]},
    "a part of a type that nobody knows": {"contents": [{"role": "user", "parts": [{"smell": "x"}]}]},
    "a call without a name": {"contents": [{"role": "model", "parts": [{"functionCall": {"args": {}}}]}]},
    "tools an object": {"tools": {"name": "x"}},
    "tools of strings": {"tools": ["x"]},
    "output cap a string": {"generationConfig": {"maxOutputTokens": "many"}},
    "output cap negative": {"generationConfig": {"maxOutputTokens": -1}},
    "output cap zero": {"generationConfig": {"maxOutputTokens": 0}},
    "temperature a string": {"generationConfig": {"temperature": "hot"}},
    "generationConfig a string": {"generationConfig": "x"},
    "systemInstruction a number": {"systemInstruction": 7},
}
WRONG_TYPES = {"chat": _CHAT, "messages": _CHAT, "responses": _RESPONSES, "gemini": _GEMINI}
SAME_DIALECT = {
    ("chat", "via-openai-strict"),
    ("messages", "via-anthropic-strict"),
    ("messages", "via-bedrock-claude"),
    ("responses", "via-openai"),
}


@pytest.mark.parametrize(
    ("api", "kind", "model"),
    [(api, kind, model) for api in APIS for kind in WRONG_TYPES[api] for model in models_of(api)],
    indirect=["api"],
)
def test_wrong_types(post, api, kind, model):
    body = good(api, **({"model": model} | WRONG_TYPES[api][kind]))
    answer = post(body)
    # Only the upstream can judge the rest when the dialects are equal, because the bytes pass as they are.
    own = kind.startswith(("model", "stream"))
    if (api, model) in SAME_DIALECT and not own:
        assert answer.status_code == 200 or answer.json()["error"]["message"]
        return
    is_clear(answer, api, *((400, 404) if kind.startswith("model") else (400, 422)))


@pytest.mark.parametrize("value", ["yes", "true", 1, [], {}])
@pytest.mark.parametrize("api", ["chat", "messages", "responses"], indirect=True)
def test_stream_must_be_a_boolean(post, api, value):
    for model in models_of(api):
        message = is_clear(post(good(api, model=model, stream=value)), api)
        assert "stream" in message


def test_an_unknown_model(post, api):
    answer = post(good(api, model="no-such-model-anywhere"))
    message = is_clear(answer, api, 404)
    assert "no-such-model-anywhere" in message, "the message names the model"
    if api in ("chat", "responses"):
        assert answer.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("model", ["../../admin", "a/b/c", "x?y=z", "x#y", "x%2fy", "x\ny", "x" * 10_000, "\u202e"])
def test_a_model_name_cannot_steer_the_path(gateway, world, post, api, model):
    """`free-*` pins no model: the client's name goes upstream, in the body."""
    word = nonce()
    answer = post(good(api, say=word, model=f"free-{model}"))
    assert answer.status_code in (200, 400, 404)
    for entry in world.llm.requests(word):
        assert entry["path"] == ("/ok/v1/responses" if api == "responses" else "/ok/v1/chat/completions")


@pytest.mark.parametrize(
    ("api", "model"), [(api, model) for api in ("chat", "messages", "responses") for model in models_of(api)], indirect=["api"]
)
def test_duplicate_keys_mean_one_thing_only(gateway, world, post, api, model):
    """Whatever is made of them, routing and upstream must agree: a second `model` must not slip past the first."""
    word = nonce()
    start = NESTED[api][1] % (model, json.dumps(word), ', "model": "via-openai"')
    answer = post(start)
    if answer.status_code != 200:
        is_clear(answer, api)
        return
    seen = world.llm.requests(word) + world.bedrock.requests(word) + world.aimock.requests(word)
    assert len(seen) == 1
    served = answer.headers["x-tollgate-provider"]
    assert served in (model.removeprefix("via-"), "openai")
    if served == "openai-strict":
        assert seen[0]["body"]["model"] == "gpt-4o", "the pinned model, not the client's second one"


@pytest.mark.parametrize("api", ["gemini"], indirect=True)
def test_duplicate_turns(gateway, world, post):
    """Gemini's body has neither model nor stream; its turns can stand in it twice."""
    word = nonce()
    turns = '"contents": [{"role": "user", "parts": [{"text": "%s"}]}]'
    answer = post(f'{{{turns % word}, {turns % "second"}}}', model="via-bedrock-other")
    is_clear(answer, "gemini") if answer.status_code != 200 else answer.json()


@pytest.mark.parametrize("api", ["chat", "messages", "responses"], indirect=True)
def test_duplicate_stream_keys(post, api):
    answer = post(NESTED[api][1] % (models_of(api)[0], json.dumps(nonce()), ', "stream": false, "stream": true'))
    if answer.status_code != 200:
        is_clear(answer, api)
    elif answer.headers["content-type"].startswith("text/event-stream"):
        assert "data:" in answer.text
    else:
        assert answer.json()


@pytest.mark.parametrize(("count", "size"), [(2_000, 10), (3, 200_000)])
def test_header_floods(gateway, api, count, size):
    headers = {f"x-flood-{number}": "v" * size for number in range(count)}
    headers |= {"authorization": f"Bearer {gateway.token}", "content-type": "application/json"}
    try:
        answer = patient.post(gateway.url + path_of(api), headers=headers, json=good(api))
    except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        return  # refused by closing while the client still wrote
    assert 400 <= answer.status_code < 500


def test_connections_that_say_nothing(gateway):
    """Slow clients hold their own connection and nobody else's."""
    address = urlsplit(gateway.url)
    held = []
    try:
        for _ in range(300):
            sock = socket.create_connection((address.hostname, address.port), timeout=patient.TIMEOUT_S)
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n")
            held.append(sock)
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: gateway.chat().plain("via-openai-strict", Ask(nonce())).text, range(16)))
        assert set(replies) == {HELLO}
    finally:
        for sock in held:
            sock.close()


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "x-unknown"])
def test_a_compressed_request_is_refused_by_name(post, api, coding):
    """So that a bomb is never opened."""
    bomb = gzip.compress(b" " * (50 << 20))
    message = is_clear(post(bomb, {"content-encoding": coding}), api, 415, 400)
    assert "encoding" in message.lower() or coding in message


def test_a_bomb_without_its_label_is_just_not_json(post, api):
    is_clear(post(gzip.compress(b" " * (50 << 20))), api)


@pytest.fixture(scope="module")
def bombed(world):
    """A gateway whose memory tells of nothing but bombs."""
    server = world.start_gateway(world.config())
    yield Gateway(world, server)
    server.stop()


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("name", ["chat", "messages", "responses"])
def test_an_upstream_gzip_bomb_is_bounded(bombed, world, name, mode, upstream):
    """A small compressed answer that would be 1 GB: an error, and memory that stays in bounds."""
    compressor = gzip.compress(b'{"id": "' + b"x" * (64 << 20), mtime=0)
    # Sixteen members in a row are one gzip stream.
    bomb = compressor * 16
    kind = "text/event-stream" if mode == "stream" else "application/json"
    world.can("bomb", bomb, kind, "content-encoding: gzip")
    client = bombed.client(name)
    with pytest.raises(client.errors.APIError):
        client.ask(f"alone-canned-bomb-{upstream}", Ask(nonce()), mode)
    assert bombed.server.peak_kb < 300_000


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_gzip_bomb_is_bounded_for_gemini_clients(bombed, world, stream):
    bomb = gzip.compress(b'{"id": "' + b"x" * (64 << 20), mtime=0) * 4
    kind = "text/event-stream" if stream else "application/json"
    world.can("bomb", bomb, kind, "content-encoding: gzip")
    headers = {"x-goog-api-key": bombed.token}
    answer = patient.post(bombed.url + path_of("gemini", "alone-canned-bomb-openai", stream), json=good("gemini", model=...), headers=headers)
    is_clear(answer, "gemini", 502)
    assert bombed.server.peak_kb < 300_000


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""])
def test_an_odd_content_type_is_taken_or_refused_clearly(post, api, content_type):
    answer = post(good(api), {"content-type": content_type})
    if answer.status_code != 200:
        is_clear(answer, api, 400, 415)


class TestRoutes:
    @pytest.fixture
    def headers(self, gateway):
        return {"authorization": f"Bearer {gateway.token}"}

    def test_an_unknown_path(self, gateway, headers):
        answer = patient.post(f"{gateway.url}/v1/nothing-here", headers=headers, json={})
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    def test_a_wrong_method(self, gateway, headers, api, method):
        answer = patient.request(method, gateway.url + path_of(api), headers=headers)
        assert answer.status_code == 405
        assert "POST" in answer.headers["allow"]
        assert answer.json()["error"]["message"]
        assert (answer.json().get("type") == "error") == (api == "messages")

    @pytest.mark.parametrize("path", ["//v1//messages", "/v1/messages/../chat/completions", "/%2e%2e/v1/messages", "/v1/messages%00"])
    def test_odd_paths_do_not_crash(self, gateway, headers, path):
        address = urlsplit(gateway.url)
        with socket.create_connection((address.hostname, address.port), timeout=patient.TIMEOUT_S) as sock:
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.token}\r\ncontent-length: 2\r\n\r\n{{}}"
            sock.sendall(head.encode())
            assert sock.recv(64).startswith(b"HTTP/1.1 4")

    def test_the_prefix_before_the_suffix_is_free(self, gateway, headers):
        answer = patient.post(f"{gateway.url}/team-a/v1/chat/completions", headers=headers, json=good())
        assert answer.status_code == 200

    def test_models_in_both_shapes(self, gateway):
        chat, messages = gateway.chat().sdk, gateway.messages().sdk
        openai_ids = [model.id for model in chat.models.list()]
        anthropic_ids = [model.id for model in messages.models.list()]
        assert "via-openai" in openai_ids
        assert set(openai_ids) == set(anthropic_ids)
        assert chat.models.retrieve("via-openai").id == "via-openai"
        assert messages.models.retrieve("via-openai").type == "model"
        with pytest.raises(gateway.chat().errors.NotFoundError):
            chat.models.retrieve("no-such-model-anywhere")

    def test_aliases(self, gateway):
        ask = gateway.chat().plain
        assert ask("gpt-4o", Ask(nonce())).headers["x-tollgate-provider"] == "openai-strict"
        assert ask("gpt-4o-mini-2024-07-18", Ask(nonce())).headers["x-tollgate-provider"] == "bedrock-claude"
        assert ask("claude-whatever-next", Ask(nonce())).headers["x-tollgate-provider"] == "anthropic-strict"
