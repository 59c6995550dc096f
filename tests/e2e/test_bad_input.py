"""What clients should not send. Always: a clear 4xx in the client's dialect, and the process stays up.

That no key, token or prompt is in a log line is `test_leaks.py`, over everything that the whole session wrote.
"""

import gzip
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from harness.clients import HELLO, Ask
from harness.world import FRONT, nonce

MODELS = ["via-openai-strict", "via-anthropic-strict", "via-bedrock-claude", "via-bedrock-other"]
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}


@pytest.fixture(params=PATHS)
def api(request):
    return request.param


@pytest.fixture(autouse=True)
def still_up(gateway):
    """After each test the gateway still answers."""
    yield
    assert gateway.server.alive
    assert gateway.chat().plain("via-openai-strict", Ask(nonce())).text == HELLO


@pytest.fixture
def post(gateway, api):
    def send(body: bytes | str | dict, headers: dict | None = None):
        content = json.dumps(body) if isinstance(body, dict) else body
        given = {"authorization": f"Bearer {gateway.token}", "content-type": "application/json"} | (headers or {})
        return httpx.post(gateway.url + PATHS[api], content=content, headers=given, timeout=60)

    return send


def good(**changes) -> dict:
    body = {"model": "via-openai-strict", "max_tokens": 64, "messages": [{"role": "user", "content": nonce()}]}
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
    if api == "messages":
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
    is_clear(post(NOT_JSON[kind]), api)


@pytest.mark.parametrize("opener", ["[", '{"a":'])
@pytest.mark.parametrize("place", ["whole body", "unknown field", "message content", "tool schema"])
def test_nesting_10000_deep(post, api, opener, place):
    deep = opener * 10_000 + "1" + {"[": "]", '{"a":': "}"}[opener] * 10_000
    start = '{"model": "%s", "max_tokens": 9, "messages": [{"role": "user", "content": %s}]%s}'
    bodies = {
        "whole body": lambda model: deep,
        "unknown field": lambda model: start % (model, '"x"', f', "house": {deep}'),
        "message content": lambda model: start % (model, deep, ""),
        "tool schema": lambda model: start % (model, '"x"', f', "tools": [{{"name": "t", "input_schema": {deep}, "type": "function", "function": {{"name": "t", "parameters": {deep}}}}}]'),
    }
    for model in MODELS:
        is_clear(post(bodies[place](model)), api)


@pytest.mark.native("Lambda's front doors refuse it themselves")
def test_a_body_of_33_mb(post, api):
    body = good(messages=[{"role": "user", "content": "x" * (33 << 20)}])
    message = is_clear(post(body), api, 413)
    assert "32" in message or "33554432" in message.replace(",", ""), "the message names the limit"


@pytest.mark.native("Lambda's front doors refuse it themselves")
def test_a_body_of_33_mb_in_chunks_without_a_length(gateway, api):
    def chunks():
        yield b'{"model": "via-openai-strict", "messages": [{"role": "user", "content": "'
        for _ in range(33 << 4):
            yield b"x" * (64 << 10)

    headers = {"authorization": f"Bearer {gateway.token}", "content-type": "application/json"}
    try:
        answer = httpx.post(gateway.url + PATHS[api], content=chunks(), headers=headers, timeout=60)
    except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        return  # answered and closed while the client still wrote: the client sees a broken pipe
    is_clear(answer, api, 413)


@pytest.mark.native("Lambda's front doors refuse it themselves")
def test_a_big_body_without_a_token_is_not_read_to_its_end(gateway, api):
    """A 401 costs no 30 MB of memory: the head alone decides."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        head = f"POST {PATHS[api]} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: 33000000\r\n\r\n"
        sock.sendall(head.encode() + b'{"model"')
        assert b" 401 " in sock.recv(4096).split(b"\r\n")[0]


WRONG_TYPES = {
    "model a number": {"model": 7},
    "model missing": {"model": ...},
    "model null": {"model": None},
    "model empty": {"model": ""},
    "messages missing": {"messages": ...},
    "messages empty": {"messages": []},
    "messages a string": {"messages": "hello"},
    "messages of strings": {"messages": ["hello"]},
    "a message without a role": {"messages": [{"content": "x"}]},
    "a role that nobody knows": {"messages": [{"role": "wizard", "content": "x"}]},
    "content a number": {"messages": [{"role": "user", "content": 7}]},
    "content missing": {"messages": [{"role": "user"}]},
    "a part without a type": {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
    "a part of a type that nobody knows": {"messages": [{"role": "user", "content": [{"type": "smell", "smell": "x"}]}]},
    "stream a string": {"stream": "yes"},
    "stream a number": {"stream": 1},
    "tools an object": {"tools": {"name": "x"}},
    "tools of strings": {"tools": ["x"]},
    "max_tokens a string": {"max_tokens": "many"},
    "max_tokens negative": {"max_tokens": -1},
    "max_tokens zero": {"max_tokens": 0},
    "temperature a string": {"temperature": "hot"},
}

# Only the upstream can judge these when the dialects are equal, because the bytes pass as they are.
UPSTREAMS_BUSINESS = {
    "a role that nobody knows", "content a number", "content missing", "a part without a type", "messages empty",
    "a part of a type that nobody knows", "tools an object", "tools of strings", "max_tokens a string", "max_tokens negative",
    "max_tokens zero", "temperature a string", "a message without a role", "messages of strings", "messages a string",
    "messages missing",
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_wrong_types(post, api, kind, model):
    body = good(**({"model": model} | WRONG_TYPES[kind]))
    same = (api, model) in {("chat", "via-openai-strict"), ("messages", "via-anthropic-strict"), ("messages", "via-bedrock-claude")}
    answer = post(body)
    if same and kind in UPSTREAMS_BUSINESS and answer.status_code == 200:
        return
    statuses = (400, 404) if kind.startswith("model") else (400, 422)
    is_clear(answer, api, *statuses)


@pytest.mark.parametrize("value", ["yes", "true", 1, [], {}])
def test_stream_must_be_a_boolean(post, api, value):
    for model in MODELS:
        message = is_clear(post(good(model=model, stream=value)), api)
        assert "stream" in message


def test_an_unknown_model(post, api):
    message = is_clear(post(good(model="no-such-model-anywhere")), api, 404, 400)
    assert "no-such-model-anywhere" in message, "the message names the model"


@pytest.mark.parametrize("model", ["../../admin", "a/b/c", "x?y=z", "x#y", "x%2fy", "x\ny", "x" * 10_000, "\u202e"])
def test_a_model_name_cannot_steer_the_path(gateway, world, post, api, model):
    """`free-*` pins no model: the client's name goes upstream, in the body."""
    word = nonce()
    answer = post(good(model=f"free-{model}", messages=[{"role": "user", "content": word}]))
    assert answer.status_code in (200, 400, 404)
    for entry in world.llm.requests(word):
        assert entry["path"] == "/ok/v1/chat/completions"


@pytest.mark.parametrize("model", MODELS)
def test_duplicate_keys_mean_one_thing_only(gateway, world, post, api, model):
    """Whatever is made of them, routing and upstream must agree: a second `model` must not slip past the first."""
    word = nonce()
    body = f'{{"model": "{model}", "max_tokens": 9, "messages": [{{"role": "user", "content": "{word}"}}], "model": "via-openai"}}'
    answer = post(body)
    if answer.status_code != 200:
        is_clear(answer, api)
        return
    seen = world.llm.requests(word) + world.bedrock.requests(word) + world.aimock.requests(word)
    assert len(seen) == 1
    served = answer.headers["x-tollgate-provider"]
    assert served in (model.removeprefix("via-"), "openai")
    if served == "openai-strict":
        assert seen[0]["body"]["model"] == "gpt-4o", "the pinned model, not the client's second one"


def test_duplicate_stream_keys(post, api):
    word = nonce()
    body = f'{{"stream": false, "model": "via-openai-strict", "max_tokens": 9, "messages": [{{"role": "user", "content": "{word}"}}], "stream": true}}'
    answer = post(body)
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
        answer = httpx.post(gateway.url + PATHS[api], headers=headers, json=good(), timeout=30)
    except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        return  # refused by closing while the client still wrote
    assert 400 <= answer.status_code < 500


def test_connections_that_say_nothing(gateway):
    """Slow clients hold their own connection and nobody else's."""
    address = urlsplit(gateway.url)
    held = []
    try:
        for _ in range(300):
            sock = socket.create_connection((address.hostname, address.port), timeout=10)
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


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
def test_an_upstream_gzip_bomb_is_bounded(gateway, world, client, mode, upstream):
    """A small compressed answer that would be 1 GB: an error, and memory that stays in bounds."""
    compressor = gzip.compress(b'{"id": "' + b"x" * (64 << 20), mtime=0)
    # Sixteen members in a row are one gzip stream.
    bomb = compressor * 16
    kind = "text/event-stream" if mode == "stream" else "application/json"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
    httpx.put(f"{world.at.llm}/canned/bomb", content=head.encode() + bomb).raise_for_status()
    with pytest.raises(client.errors.APIError):
        client.ask(f"alone-canned-bomb-{upstream}", Ask(nonce()), mode)
    assert gateway.server.memory_kb < 300_000


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""])
def test_an_odd_content_type_is_taken_or_refused_clearly(post, api, content_type):
    answer = post(good(), {"content-type": content_type})
    if answer.status_code != 200:
        is_clear(answer, api, 400, 415)


class TestRoutes:
    @pytest.fixture
    def headers(self, gateway):
        return {"authorization": f"Bearer {gateway.token}"}

    def test_an_unknown_path(self, gateway, headers):
        answer = httpx.post(f"{gateway.url}/v1/nothing-here", headers=headers, json={})
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    def test_a_wrong_method(self, gateway, headers, api, method):
        answer = httpx.request(method, gateway.url + PATHS[api], headers=headers)
        assert answer.status_code == 405
        assert "POST" in answer.headers["allow"]
        assert answer.json()["error"]["message"]
        assert (answer.json().get("type") == "error") == (api == "messages")

    @pytest.mark.parametrize("path", ["//v1//messages", "/v1/messages/../chat/completions", "/%2e%2e/v1/messages", "/v1/messages%00"])
    def test_odd_paths_do_not_crash(self, gateway, headers, path):
        address = urlsplit(gateway.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.token}\r\ncontent-length: 2\r\n\r\n{{}}"
            sock.sendall(head.encode())
            assert sock.recv(64).startswith(b"HTTP/1.1 4")

    def test_the_prefix_before_the_suffix_is_free(self, gateway, headers):
        answer = httpx.post(f"{gateway.url}/team-a/v1/chat/completions", headers=headers, json=good())
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
