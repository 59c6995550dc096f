"""What the gateway does not translate passes through: the other endpoints of OpenAI's SDK, against aimock."""

import http.client
import http.server
import io
import json
import threading

import openai
import pytest

from conftest import Gateway
from harness import patient
from harness.config import Providers, rule
from harness.process import eventually, json_line
from harness.world import nonce


@pytest.fixture(scope="module")
def through(world):
    provider = Providers(world.at).openai("through", f"{world.at.aimock}/v1") | {"provider": {"openAI": {}}}
    ai = {
        "modelAliases": {"our-voice": "tts-1", "our-ears": "whisper-1", "our-brush": "gpt-image-1"},
        "groups": [{"providers": [provider]}],
        "models": [
            rule("down", Providers(world.at).openai("down", f"{world.at.refused}/v1")),
            rule("legacy", Providers(world.at).openai("legacy", f"{world.at.llm}/canned-legacy/v1", "gpt-3.5-turbo-instruct")),
            rule("painter", Providers(world.at).openai("painter", f"{world.at.llm}/canned-painter/v1", "gpt-image-1")),
            rule("listener", Providers(world.at).openai("listener", f"{world.at.llm}/canned-listener/v1", "gpt-4o-transcribe")),
            rule("echo", Providers(world.at).openai("echo", f"{world.at.llm}/canned-echo/v1", "echo")),
        ],
        "routes": {"*": "detect", "/v1/audio/speech": "passthrough"},
    }
    return Gateway(world, world.start_gateway(world.config(ai=ai)))


@pytest.fixture(scope="module")
def sdk(through):
    return openai.OpenAI(base_url=f"{through.url}/v1", api_key=through.token, max_retries=0)


def booked(through, request_id: str) -> dict:
    """What the access log says that a request used."""

    def line():
        lines = [json_line(line) for line in through.server.lines if request_id in line]
        return next((line for line in lines if line and line.get("message") == "request"), None)

    return {name.removeprefix("gen_ai.usage."): value for name, value in eventually(line, "its line").items() if name.startswith("gen_ai.usage.")}


def test_speech_comes_as_the_bytes_that_the_provider_sent(sdk):
    answer = sdk.audio.speech.with_raw_response.create(model="our-voice", voice="alloy", input=f"Say {nonce()}")
    assert answer.headers["content-type"].startswith("audio/")
    assert answer.headers["x-tollgate-provider"] == "through"
    assert answer.content.startswith(b"\xff\xfb\x90")


@pytest.mark.native("an ALB has no streams")
def test_speech_is_heard_while_it_is_made(world, start_gateway):
    """The provider makes the second half only when the client has the first."""
    heard = threading.Event()

    class Speaker(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "audio/mpeg")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4\r\n\xff\xfb\x90\x64\r\n")
            assert heard.wait(30)
            self.wfile.write(b"3\r\nend\r\n0\r\n\r\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Speaker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    provider = Providers(world.at).openai("speaker", f"http://127.0.0.1:{server.server_port}/v1", "tts-1")
    gateway = start_gateway(ai={"groups": [{"providers": [provider]}], "routes": {"/v1/audio/speech": "passthrough"}})
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input=nonce()) as answer:
        pieces = answer.iter_bytes()
        first = next(pieces)
        heard.set()
        assert first + b"".join(pieces) == b"\xff\xfb\x90\x64end"
    server.shutdown()


def test_a_recording_goes_up_as_a_form_with_the_providers_name_of_the_model(sdk):
    recording = ("a.wav", io.BytesIO(b"RIFF" + bytes(range(256)) * 8), "audio/wav")
    answer = sdk.audio.transcriptions.create(model="our-ears", file=recording)
    assert answer.text == "The mock heard this."


def test_an_image_is_made(sdk):
    answer = sdk.images.generate(model="our-brush", prompt=f"A tollgate {nonce()}")
    assert answer.data[0].b64_json == "iVBORw0KGgo="


def test_a_moderation_is_asked_for(sdk):
    answer = sdk.moderations.create(model="omni-moderation-latest", input=f"hello {nonce()}")
    assert answer.results[0].flagged is False


def test_files_go_up_are_listed_and_come_back_to_the_byte(sdk):
    lines = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n' * 3
    made = sdk.files.create(file=("batch.jsonl", io.BytesIO(lines), "application/jsonl"), purpose="batch")
    assert (made.filename, made.bytes, made.purpose) == ("batch.jsonl", len(lines), "batch")
    assert made.id in [file.id for file in sdk.files.list()]
    assert sdk.files.retrieve(made.id).id == made.id
    assert sdk.files.content(made.id).read() == lines
    assert sdk.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(made.id)


def test_a_batch_is_made_looked_at_and_cancelled(sdk):
    lines = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'
    file = sdk.files.create(file=("batch.jsonl", io.BytesIO(lines), "application/jsonl"), purpose="batch")
    made = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert made.input_file_id == file.id
    assert sdk.batches.retrieve(made.id).id == made.id
    assert made.id in [batch.id for batch in sdk.batches.list()]
    assert sdk.batches.cancel(made.id).id == made.id


class Shelves(http.server.BaseHTTPRequestHandler):
    """Vector stores, as far as the SDK's types go (aimock has none): each with the ids of its files, kept by the server."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        self._answer({})

    def do_DELETE(self):  # noqa: N802
        self._answer({})

    def do_POST(self):  # noqa: N802
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _answer(self, body: dict):
        stores = self.server.stores
        parts = self.path.partition("?")[0].strip("/").split("/")
        store_id, below = (parts[2], parts[3:]) if len(parts) > 2 else (None, [])
        self.server.seen.append((self.command, self.path, self.headers.get("openai-beta"), self.headers.get("authorization")))
        if store_id is None and self.command == "POST":
            store_id = f"vs_{len(stores) + 1}"
            stores[store_id] = {"name": body["name"], "files": list(body.get("file_ids", []))}
        if store_id is None:
            return self._say({"object": "list", "data": [self._store(known) for known in stores], "has_more": False})
        if store_id not in stores:
            return self._say({"error": {"message": f"No vector store {store_id}", "type": "invalid_request_error", "code": None}}, 404)
        if self.command == "DELETE":
            del stores[store_id]
            return self._say({"id": store_id, "object": "vector_store.deleted", "deleted": True})
        files = stores[store_id]["files"]
        if below == ["files"] and self.command == "POST":
            files.append(body["file_id"])
            return self._say(self._file(store_id, body["file_id"]))
        if below == ["files"]:
            return self._say({"object": "list", "data": [self._file(store_id, file) for file in files], "has_more": False})
        if below == ["search"]:
            found = [{"file_id": file, "filename": "a.txt", "score": 0.5, "content": [{"type": "text", "text": body["query"]}]} for file in files]
            return self._say({"object": "vector_store.search_results.page", "search_query": [body["query"]], "data": found, "has_more": False})
        return self._say(self._store(store_id))

    def _store(self, store_id: str) -> dict:
        store = self.server.stores[store_id]
        counts = {"in_progress": 0, "completed": len(store["files"]), "failed": 0, "cancelled": 0, "total": len(store["files"])}
        return {
            "id": store_id, "object": "vector_store", "created_at": 1, "name": store["name"], "status": "completed", "usage_bytes": 7, "file_counts": counts,
            "metadata": {},
        }  # fmt: skip

    def _file(self, store_id: str, file: str) -> dict:
        return {"id": file, "object": "vector_store.file", "created_at": 1, "usage_bytes": 7, "vector_store_id": store_id, "status": "completed"}

    def _say(self, answer: dict, status: int = 200):
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_vector_stores_are_made_filled_searched_and_deleted(world, start_gateway):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelves)
    server.stores, server.seen = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    provider = Providers(world.at).openai("shelves", f"http://127.0.0.1:{server.server_port}/v1") | {"provider": {"openAI": {}}}
    routes = {"/v1/vector_stores": "passthrough", "/v1/vector_stores/*": "passthrough"}
    gateway = start_gateway(ai={"groups": [{"providers": [provider]}], "routes": routes})
    stores = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0).vector_stores
    made = stores.create(name="papers", file_ids=["file-1"])
    assert (made.name, made.file_counts.total) == ("papers", 1)
    assert stores.files.create(made.id, file_id="file-2").vector_store_id == made.id
    assert [file.id for file in stores.files.list(made.id)] == ["file-1", "file-2"]
    assert stores.retrieve(made.id).file_counts.total == 2
    found = stores.search(made.id, query="tolls").data
    assert [(one.file_id, one.content[0].text) for one in found] == [("file-1", "tolls"), ("file-2", "tolls")]
    assert [store.id for store in stores.list()] == [made.id]
    assert stores.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        stores.retrieve(made.id)
    server.shutdown()
    betas, keys = ({seen[place] for seen in server.seen} for place in (2, 3))
    assert betas == {"assistants=v2"}, "what the SDK sends with these"
    assert gateway.token not in str(keys) and len(keys) == 1


def test_an_image_is_edited_by_a_form_of_two_files(sdk):
    picture = lambda name: (name, io.BytesIO(b"\x89PNG" + bytes(64)), "image/png")  # noqa: E731
    answer = sdk.images.edit(model="our-brush", image=picture("a.png"), mask=picture("b.png"), prompt=f"Green {nonce()}")
    assert answer.data[0].b64_json == "iVBORw0KGgo="


def test_a_legacy_completion_is_not_translated(sdk, world):
    """No mock has it: the answer is the one of OpenAI's documentation."""
    said = {
        "id": "cmpl-uqkvlQyYK7bGYrRHQ0eXlWi7", "object": "text_completion", "created": 1589478378, "model": "gpt-3.5-turbo-instruct",
        "choices": [{"text": "This is indeed a test", "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    world.can("legacy", said)
    word = nonce()
    answer = sdk.completions.create(model="legacy", prompt=word, max_tokens=7, suffix="!", echo=True)
    assert (answer.choices[0].text, answer.usage.total_tokens) == ("This is indeed a test", 12)
    sent = world.llm.only(word)
    assert sent["path"] == "/canned-legacy/v1/completions"
    assert sent["body"] == {"model": "gpt-3.5-turbo-instruct", "prompt": word, "max_tokens": 7, "suffix": "!", "echo": True}


# As OpenAI documents a stream of it: <https://platform.openai.com/docs/api-reference/completions/object>.
LEGACY = {"id": "cmpl-7iA7iJjj8V2zOkCGvWF2hAkDWBQZe", "object": "text_completion", "created": 1690759702, "model": "gpt-3.5-turbo-instruct"}


def test_a_legacy_stream_passes_and_its_usage_is_seen(sdk, world, through):
    chunks = [LEGACY | {"choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": None}]} for text in ("This", " is", " a test")]
    chunks.append(LEGACY | {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    world.can("legacy", body.encode(), "text/event-stream")
    word = nonce()
    stream = sdk.completions.create(
        model="legacy", prompt=word, stream=True, stream_options={"include_usage": True}, extra_headers={"x-request-id": f"id-{word[6:]}"}
    )
    seen = list(stream)
    assert "".join(chunk.choices[0].text for chunk in seen if chunk.choices) == "This is a test"
    assert seen[-1].usage.total_tokens == 8
    assert booked(through, f"id-{word[6:]}") == {"input_tokens": 5, "output_tokens": 3}


def test_detect_finds_what_an_image_and_a_transcription_used(sdk, world, through):
    """As OpenAI documents them: <https://platform.openai.com/docs/api-reference/images/object>, `/audio/json-object`."""
    details = {"text_tokens": 10, "image_tokens": 40}
    usage = {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50, "input_tokens_details": details}
    world.can("painter", {"created": 1713833628, "data": [{"b64_json": "iVBORw0KGgo="}], "usage": usage})
    word = nonce()
    image = sdk.images.generate(model="painter", prompt=word, extra_headers={"x-request-id": f"id-{word[6:]}"})
    assert (image.usage.total_tokens, image.data[0].b64_json) == (100, "iVBORw0KGgo=")
    assert booked(through, f"id-{word[6:]}") == {"input_tokens": 50, "output_tokens": 50}

    usage = {"type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 0, "audio_tokens": 14}, "output_tokens": 45, "total_tokens": 59}
    world.can("listener", {"text": "The words.", "usage": usage})
    word = nonce()
    heard = sdk.audio.transcriptions.create(
        model="listener", file=("a.wav", io.BytesIO(b"RIFF" + word.encode()), "audio/wav"), extra_headers={"x-request-id": f"id-{word[6:]}"}
    )
    assert heard.text == "The words."
    assert booked(through, f"id-{word[6:]}") == {"input_tokens": 14, "output_tokens": 45, "audio.input_tokens": 14}


def test_what_nobody_thought_of_passes_fine_tuning(sdk):
    lines = b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n' * 10
    file = sdk.files.create(file=("train.jsonl", io.BytesIO(lines), "application/jsonl"), purpose="fine-tune")
    job = sdk.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id, suffix="gate")
    assert job.training_file == file.id
    assert sdk.fine_tuning.jobs.retrieve(job.id).id == job.id
    assert job.id in [other.id for other in sdk.fine_tuning.jobs.list()]
    assert list(sdk.fine_tuning.jobs.list_events(job.id))
    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_what_is_of_one_connection_or_of_an_identity_is_not_forwarded(world, through):
    word = nonce()
    world.can("echo", b"{}", "application/json", "set-cookie: s=1", "x-of-the-provider: yes", "keep-alive: timeout=5", "proxy-authenticate: Basic")
    identity = {
        "x-api-key": through.token, "api-key": "k", "x-goog-api-key": "k", "cookie": "session=1", "proxy-authorization": "Basic eDp5",
        "forwarded": "for=10.1.2.3", "x-forwarded-for": "10.1.2.3", "x-forwarded-client-cert": "c", "x-real-ip": "10.1.2.3", "via": "1.1 someone",
        "x-amzn-oidc-data": "jwt", "x-amzn-oidc-identity": "me", "x-amz-security-token": "s", "openai-organization": "org-1", "openai-project": "proj-1", "anthropic-workspace-id": "w-1", "x-goog-user-project": "p-1",
        "x-tollgate-strict": "true",
    }  # fmt: skip
    hops = {"connection": "keep-alive, x-hop", "x-hop": "1", "keep-alive": "timeout=5", "te": "trailers", "proxy-connection": "keep-alive", "trailer": "x-sum"}
    mine = {"openai-beta": "assistants=v2", "x-of-the-client": "yes", "accept-language": "de", "idempotency-key": "i-1"}
    answer = patient.post(
        f"{through.url}/v1/echo", json={"model": "echo", "input": word}, headers={"authorization": f"Bearer {through.token}"} | identity | hops | mine
    )
    assert (answer.status_code, answer.headers["x-of-the-provider"]) == (200, "yes")
    assert not {"set-cookie", "proxy-authenticate"} & set(answer.headers)
    sent = world.llm.only(word)["headers"]
    leaked = [name for name in (identity | hops) if name in sent and name != "connection"]
    assert not leaked, {name: sent[name] for name in leaked}
    assert "x-hop" not in sent.get("connection", "")
    assert {name: sent.get(name) for name in mine} == mine
    assert through.token not in json.dumps(sent)


# Each would be another place of the provider's, for some reader of paths between here and there.
OUTSIDE = [
    "/v1/files/../admin",
    "/v1/files/..",
    "/v1/./files",
    "/v1/files/%2e%2e/admin",
    "/v1/files/%2E%2e/admin",
    "/v1/files/.%2e/admin",
    "/v1/files/..%2fadmin",
    "/v1/files/%2e%2e%2fadmin",
    "/v1/files/%2f..%2fadmin",
    "/v1/files/..\\admin",
    "/v1/files/..%5cadmin",
    "/v1/files/%252e%252e/admin",
    "/v1/files/%25252e%25252e%25252fadmin",
    "/v1/files/..;/admin",
    "/v1/files/..%3b/admin",
    "/v1/files//admin",
    "/v1/%2f%2fevil.example/x",
    "/v1/files/%00",
    "/v1/files/%0d%0ahost:%20evil.example",
    "/v1/files/%ff",
    "/v1@evil.example/files",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leaves_the_provider_is_refused(world, through, path):
    word = nonce()
    host = through.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    # As it is: clients that tidy paths would hide what is tried.
    connection.putrequest("POST", path, skip_host=True)
    body = json.dumps({"model": "echo", "input": word}).encode()
    headers = {"host": host, "authorization": f"Bearer {through.token}", "content-type": "application/json", "content-length": str(len(body))}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    assert answer.status in (400, 404), answer.read()
    assert not world.llm.requests(word)


def test_a_path_with_other_escapes_passes_as_it_is(world, through):
    word = nonce()
    world.can("echo", b"{}")
    for path in ("/v1/things/a%20b", "/v1/things/a%2Fb", "/v1/things/100%25", "/v1/things/a..b/...", "/v1/things/r%C3%A9sum%C3%A9"):
        answer = patient.post(f"{through.url}{path}", json={"model": "echo", "input": word}, headers={"authorization": f"Bearer {through.token}"})
        assert answer.status_code == 200, answer.text
        assert world.llm.last(word)["path"] == f"/canned-echo{path}"


def test_the_providers_own_lists_are_merged_and_kept(world, start_gateway):
    """By OpenAI's SDK; `owned_by` is the kind of the provider. The second look asks nobody."""
    name = f"list-{nonce()[6:]}"
    listed = [{"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}, {"id": "ft:gpt-4o:us::1", "object": "model", "created": 1, "owned_by": "org"}]
    world.can(name, {"object": "list", "data": listed})
    providers = Providers(world.at)
    ai = {
        "modelAliases": {"our-model": "gpt-4o"},
        "groups": [{"providers": [providers.openai("lister", f"{world.at.llm}/canned-{name}/v1") | {"provider": {"openAI": {}}}]}],
        "models": [rule("claude-here", providers.column("anthropic-strict", "claude"))],
        "listUpstreamModels": True,
    }
    gateway = start_gateway(ai=ai)
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0)
    for _ in range(2):
        owners = {model.id: model.owned_by for model in client.models.list()}
        # What the configuration names, the pinned model among it, then what the provider lists itself.
        ours = {"our-model": "openAI", "claude-here": "anthropic", "claude-sonnet-4-20250514": "anthropic"}
        assert owners == ours | {"gpt-4o": "openAI", "ft:gpt-4o:us::1": "openAI"}
    assert client.models.retrieve("ft:gpt-4o:us::1").owned_by == "openAI"
    asked = [request["path"] for request in world.llm.requests(f"canned-{name}")]
    assert asked == [f"/canned-{name}/v1/models"]


def test_the_providers_own_refusal_comes_back_as_the_sdks_exception(sdk):
    with pytest.raises(openai.BadRequestError):
        sdk.audio.speech.create(model="our-voice", voice="alloy", input="")


def test_a_provider_that_is_away_is_an_error_of_ours(sdk):
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.images.generate(model="down", prompt="x")
    assert caught.value.code == "upstream_unreachable"


def test_without_a_token_nothing_passes(through):
    answer = patient.post(f"{through.url}/v1/moderations", json={"input": "x"})
    assert answer.status_code == 401
