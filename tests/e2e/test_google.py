"""Token counts and ranking as Google serves them. What the gateway asks is compared with what the providers' own SDKs ask for the same thing: both speak to a
server that only writes down what arrives."""

import functools
import json

import anthropic
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google import genai
from google.genai import types
from google.genai.errors import ClientError, ServerError
from google.oauth2.credentials import Credentials

from harness import patient
from harness.clients import HELLO
from harness.config import Providers, rule
from harness.serving import serve, url_of
from harness.world import nonce

GEMINI, CLAUDE, PROJECT, REGION = "gemini-3-flash-preview", "claude-sonnet-4-5@20250929", "e2e-project", "us-east5"
TOTAL = 12
DETAILS = [{"modality": "TEXT", "tokenCount": TOTAL}]
TOOL = {"name": "get_weather", "description": "Weather by city"}


class Recorder:
    """A server that writes down what it is asked. `say` answers: path, body -> status, body."""

    def __init__(self, say):
        self.asked = []
        self._say = say
        self._server = serve(self._answer)
        self.url = url_of(self._server)

    def _answer(self, path, _headers, raw):
        text = raw.decode()
        body = json.loads(text) if text.startswith("{") else text
        self.asked.append((path, body))
        status, answer = self._say(path, body)
        return status, [("content-type", "application/json")], json.dumps(answer).encode()

    def with_word(self, word: str) -> list:
        """Paths and bodies of the requests that hold this word."""
        return [asked for asked in self.asked if word in json.dumps(asked[1])]

    def stop(self):
        self._server.shutdown()


def say(path: str, body):
    """As Google and Anthropic document their answers."""
    if path == "/token":
        return 200, {"access_token": "ya29.e2e", "expires_in": 3599, "token_type": "Bearer"}
    if path.startswith("/busy/"):
        return 503, {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    if path.startswith("/refusing/"):
        return 400, {"error": {"code": 400, "message": "Unable to process input image.", "status": "INVALID_ARGUMENT"}}
    if path.startswith("/elsewhere/"):
        return 404, {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}}
    if path.endswith(":countTokens"):
        return 200, {"totalTokens": TOTAL, "promptTokensDetails": DETAILS}
    if path.endswith(":rank"):
        records = body["records"][::-1]
        return 200, {"records": [{"id": record["id"], "score": 0.5} for record in records]}
    return 200, {"input_tokens": TOTAL}


@pytest.fixture(scope="module")
def upstream():
    recorder = Recorder(say)
    yield recorder
    recorder.stop()


@pytest.fixture(scope="module")
def counting(world, upstream):
    """A gateway before Google and Anthropic, both played by the recorder."""
    from conftest import Gateway

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = world.new_folder("google") / "key.json"
    account = {
        "type": "service_account", "project_id": PROJECT, "private_key_id": "k1", "private_key": pem.decode(),
        "client_email": f"gateway@{PROJECT}.iam.gserviceaccount.com", "token_uri": f"{upstream.url}/token",
    }
    file.write_text(json.dumps(account))
    providers = Providers(world.at)

    def vertex(name: str, model: str | None, base: str = upstream.url) -> dict:
        provider = {"vertex": {"projectId": PROJECT, "region": REGION} | ({"model": model} if model else {})}
        return {"name": name, "provider": provider, "baseUrl": base, "policies": {"backendAuth": {"gcp": {"credential": f"file:{file}"}}}}

    models = [
        rule("on-google", providers.gemini("google", upstream.url, GEMINI)),
        rule("on-vertex", vertex("vertex", GEMINI)),
        rule("on-vertex-claude", vertex("vertex-claude", CLAUDE)),
        rule("on-vertex-elsewhere", vertex("vertex-elsewhere", CLAUDE, f"{upstream.url}/elsewhere")),
        rule("on-anthropic", providers.anthropic("anthropic", upstream.url, "claude-sonnet-4-5")),
        rule("on-openai", providers.column("openai-strict", "openai")),
        rule("refusing", providers.gemini("refusing", f"{upstream.url}/refusing", GEMINI)),
        rule("busy", providers.gemini("busy", f"{upstream.url}/busy", GEMINI), providers.column("openai-strict", "well")),
        rule("semantic-ranker-*", vertex("ranking", None)),
    ]
    server = world.start_gateway(world.config(ai={"models": models}))
    yield Gateway(world, server)
    server.stop()


@functools.cache
def google(url: str, token: str) -> genai.Client:
    """A client that nobody keeps closes its connections."""
    return genai.Client(api_key=token, http_options=types.HttpOptions(base_url=url, api_version="v1beta", timeout=60_000))


@functools.cache
def vertex(url: str, token: str) -> genai.Client:
    options = types.HttpOptions(base_url=url, api_version="v1", timeout=60_000)
    return genai.Client(vertexai=True, project=PROJECT, location=REGION, credentials=Credentials(token), http_options=options)


def same(upstream, word: str):
    """Both requests with this word, which have to be one and the same; gives it. The version of Anthropic's API is each one's own: Vertex's here, and the SDK's."""
    (path, ours), theirs = upstream.with_word(word)
    if ours.pop("anthropic_version", None):
        assert theirs[1].pop("anthropic_version")
    assert (path, ours) == theirs
    return theirs


def test_google_is_asked_as_its_own_sdk_asks(counting, upstream):
    word = nonce()
    contents = [word, types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")]
    answer = google(counting.url, counting.token).models.count_tokens(model="on-google", contents=contents)
    google(upstream.url, "key").models.count_tokens(model=GEMINI, contents=contents)
    path, body = same(upstream, word)
    assert path == f"/v1beta/models/{GEMINI}:countTokens" and set(body) == {"contents"}
    assert answer.total_tokens == TOTAL
    assert json.loads(answer.sdk_http_response.body or "{}").get("promptTokensDetails", DETAILS) == DETAILS
    assert "x-tollgate-token-count" not in answer.sdk_http_response.headers


def test_vertex_is_asked_as_its_own_sdk_asks(counting, upstream):
    word = nonce()
    config = types.CountTokensConfig(
        system_instruction="Be brief.",
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(**TOOL)])],
        generation_config=types.GenerationConfig(temperature=0.5),
    )
    answer = vertex(counting.url, counting.token).models.count_tokens(model="on-vertex", contents=word, config=config)
    vertex(upstream.url, "key").models.count_tokens(model=GEMINI, contents=word, config=config)
    path, body = same(upstream, word)
    assert path == f"/v1/projects/{PROJECT}/locations/{REGION}/publishers/google/models/{GEMINI}:countTokens"
    assert set(body) == {"contents", "systemInstruction", "tools", "generationConfig"}
    assert answer.total_tokens == TOTAL


def test_claude_on_vertex_is_asked_as_anthropics_sdk_asks(counting, upstream):
    word = nonce()
    request = {
        "messages": [{"role": "user", "content": word}],
        "system": "Be brief.",
        "tools": [TOOL | {"input_schema": {"type": "object"}}],
    }
    own = anthropic.Anthropic(base_url=counting.url, api_key=counting.token, max_retries=0)
    raw = own.messages.with_raw_response.count_tokens(model="on-vertex-claude", **request)
    sdk = anthropic.AnthropicVertex(base_url=f"{upstream.url}/v1", region=REGION, project_id=PROJECT, access_token="key", max_retries=0)
    sdk.messages.count_tokens(model=CLAUDE, **request)
    path, _ = same(upstream, word)
    assert path == f"/v1/projects/{PROJECT}/locations/{REGION}/publishers/anthropic/models/count-tokens:rawPredict"
    assert raw.parse().input_tokens == TOTAL
    assert "x-tollgate-token-count" not in raw.headers


@pytest.mark.parametrize(
    ("model", "estimate"),
    [("on-google", None), ("on-vertex", None), ("on-vertex-claude", None), ("on-anthropic", None), ("on-openai", "estimate"), ("on-vertex-elsewhere", "estimate")],
)
def test_every_client_counts_at_every_upstream(counting, upstream, model, estimate):
    """Google's SDK, in both of its modes, a whole request as REST, and Anthropic's SDK."""
    contents = f"{nonce()} How is the weather in Paris?"
    whole = {"generateContentRequest": {
        "model": f"models/{model}", "systemInstruction": {"parts": [{"text": "Be brief."}]}, "tools": [{"functionDeclarations": [TOOL]}],
        "contents": [{"role": "user", "parts": [{"text": contents}]}], "safetySettings": [],
    }}
    counts = []
    for client in (google(counting.url, counting.token), vertex(counting.url, counting.token)):
        answer = client.models.count_tokens(model=model, contents=contents)
        counts.append((answer.total_tokens, answer.sdk_http_response.headers))
    answer = patient.post(f"{counting.url}/v1beta/models/{model}:countTokens", json=whole, headers={"x-goog-api-key": counting.token})
    counts.append((answer.json()["totalTokens"], answer.headers))
    messages = [{"role": "user", "content": contents}]
    sdk = anthropic.Anthropic(base_url=counting.url, api_key=counting.token, max_retries=0)
    raw = sdk.messages.with_raw_response.count_tokens(model=model, messages=messages)
    counts.append((raw.parse().input_tokens, raw.headers))
    for tokens, headers in counts:
        assert headers.get("x-tollgate-token-count") == estimate
        assert tokens == TOTAL if estimate is None else 8 <= tokens <= 60
    sent = [body for _, body in upstream.with_word(contents)]
    if model == "on-google":
        assert [body["generateContentRequest"]["model"] for body in sent if "generateContentRequest" in body] == [f"models/{GEMINI}"] * 2
    if "claude" in model:
        assert {body["model"] for body in sent} == {CLAUDE}
        assert not any("max_tokens" in body for body in sent)


@pytest.mark.parametrize(("model", "estimate"), [("via-bedrock-claude", None), ("via-bedrock-other", "estimate")])
def test_a_gemini_client_counts_at_bedrock(gateway, world, model, estimate):
    """Whose fake is proved by boto3 (`test_unary.py`): it counts Claude's tokens, and refuses to count Nova's."""
    answer = google(gateway.url, gateway.token).models.count_tokens(model=model, contents=f"{nonce()} Hello")
    assert answer.sdk_http_response.headers.get("x-tollgate-token-count") == estimate
    assert answer.total_tokens > 0
    assert "/count-tokens" in world.bedrock.requests("count-tokens")[-1]["path"]


def test_a_count_fails_over_to_an_estimate(counting):
    answer = google(counting.url, counting.token).models.count_tokens(model="busy", contents=f"{nonce()} Hello")
    headers = answer.sdk_http_response.headers
    assert headers["x-tollgate-token-count"] == "estimate" and answer.total_tokens > 0


def test_errors_of_counts_are_the_sdks_own(counting, world):
    client = google(counting.url, counting.token)
    for ask, status, name in [
        (lambda: client.models.count_tokens(model="refusing", contents=nonce()), 400, "INVALID_ARGUMENT"),
        (lambda: client.models.count_tokens(model="nowhere", contents=nonce()), 404, "NOT_FOUND"),
        (lambda: google(counting.url, world.issuer.tampered()).models.count_tokens(model="on-google", contents="Hi"), 401, "UNAUTHENTICATED"),
    ]:
        with pytest.raises(ClientError) as caught:
            ask()
        assert (caught.value.code, caught.value.status) == (status, name)
        assert caught.value.message
    url, headers = f"{counting.url}/v1beta/models/on-google:countTokens", {"x-goog-api-key": counting.token}
    both = {"contents": [{"parts": [{"text": "a"}]}], "generateContentRequest": {"contents": [{"parts": [{"text": "b"}]}]}}
    for body, said in [({}, "contents: required"), ({"contents": []}, "at least one content"), (both, "not both"), ([], "not valid JSON")]:
        answer = patient.post(url, json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert said in answer.json()["error"]["message"]
    assert patient.get(url, headers=headers).json()["error"]["code"] == 405


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_documents_are_ranked_by_google(counting, upstream, version):
    word = nonce()
    body = {"model": "semantic-ranker-default-004", "query": word, "documents": ["Carson City", {"text": "Paris"}], "top_n": 1, "return_documents": True}
    answer = patient.post(f"{counting.url}/{version}/rerank", json=body, headers={"authorization": f"Bearer {counting.token}"})
    assert answer.headers["x-tollgate-provider"] == "ranking"
    assert answer.json()["results"] == [{"index": 1, "relevance_score": 0.5, "document": {"text": "Paris"}}]
    assert answer.json()["meta"]["billed_units"] == {"search_units": 1}
    ((path, sent),) = upstream.with_word(word)
    assert path == f"/v1/projects/{PROJECT}/locations/us/rankingConfigs/default_ranking_config:rank"
    assert sent["records"] == [{"id": "0", "content": "Carson City"}, {"id": "1", "content": "Paris"}]


@pytest.fixture(scope="module")
def hook():
    """Stops what says [stop], masks the word SECRET, in requests and in answers."""

    def decide(path: str, body):
        body = body["body"]
        if "[stop]" in json.dumps(body) or "[no-answer]" in json.dumps(body):
            error = {"error": {"code": 403, "message": "Not with us.", "status": "PERMISSION_DENIED"}}
            return 200, {"action": {"body": json.dumps(error), "status_code": 403, "reason": "policy"}}
        masked = json.loads(json.dumps(body, ensure_ascii=False).replace("SECRET", "***").replace(HELLO, "*** ***"))
        return 200, {"action": {"reason": "ok"} if masked == body else {"body": masked, "reason": "masked"}}

    recorder = Recorder(decide)
    yield recorder
    recorder.stop()


@pytest.fixture(scope="module")
def guarded(world, upstream, hook):
    """A gateway whose hook sees requests (`request`), and one whose hook sees answers."""
    from conftest import Gateway

    providers = Providers(world.at)
    models = [rule("on-google", providers.gemini("google", upstream.url, GEMINI))]
    models += [rule(f"via-{column}", providers.column(column, column)) for column in ["openai-strict", "gemini"]]
    webhook = {"webhook": {"target": {"url": hook.url}}}
    gateways = {phase: Gateway(world, world.start_gateway(world.config(ai={"models": models, "promptGuard": {phase: [webhook]}}))) for phase in ["request", "response"]}
    yield gateways
    for each in gateways.values():
        each.server.stop()


def ask(client, model: str, contents, mode: str) -> str:
    """The text of an answer."""
    if mode == "plain":
        return client.models.generate_content(model=model, contents=contents).text
    return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model=model, contents=contents))


@pytest.mark.parametrize("model", ["via-openai-strict", "via-gemini"])
def test_guards_see_what_gemini_clients_ask(guarded, hook, world, model, mode):
    client = google(guarded["request"].url, guarded["request"].token)
    word = nonce()
    assert ask(client, model, f"{word} SECRET", mode) == HELLO
    assert hook.with_word(word) == [("/request", {"body": {"messages": [{"role": "user", "content": f"{word} SECRET"}]}})]
    journal = world.aimock if model == "via-gemini" else world.llm
    arrived = json.dumps(journal.last(word)["body"])
    assert "***" in arrived and "SECRET" not in arrived
    stopped = nonce()
    with pytest.raises(ClientError) as refused:
        ask(client, model, f"{stopped} [stop]", mode)
    assert (refused.value.code, refused.value.status, refused.value.message) == (403, "PERMISSION_DENIED", "Not with us.")
    assert not journal.requests(stopped)


def test_guards_see_what_gemini_clients_count(guarded, hook, upstream):
    client = google(guarded["request"].url, guarded["request"].token)
    word, stopped = nonce(), nonce()
    assert client.models.count_tokens(model="on-google", contents=f"{word} SECRET").total_tokens == TOTAL
    assert [path for path, _ in hook.with_word(word)] == ["/request"]
    ((_, sent),) = upstream.with_word(word)
    assert sent == {"contents": [{"role": "user", "parts": [{"text": f"{word} ***"}]}]}
    with pytest.raises(ClientError) as refused:
        client.models.count_tokens(model="on-google", contents=f"{stopped} [stop]")
    assert refused.value.code == 403 and not upstream.with_word(stopped)


@pytest.mark.parametrize("model", ["via-openai-strict", "via-gemini"])
def test_guards_see_what_gemini_clients_are_answered(guarded, model, mode):
    gateway = guarded["response"]
    assert ask(google(gateway.url, gateway.token), model, nonce(), mode) == "*** ***"
    url = f"{gateway.url}/v1beta/models/{model}:streamGenerateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": nonce()}]}]}
    answer = patient.post(url, json=body, headers={"x-goog-api-key": gateway.token})
    parts = [part for chunk in answer.json() for part in chunk["candidates"][0]["content"].get("parts", [])]
    assert answer.headers["content-type"] == "application/json" and "".join(part.get("text", "") for part in parts) == "*** ***"


def test_a_count_asks_no_guard_of_answers(guarded, hook):
    gateway, word = guarded["response"], nonce()
    assert google(gateway.url, gateway.token).models.count_tokens(model="on-google", contents=word).total_tokens == TOTAL
    assert not hook.with_word(word)


def test_a_hook_that_is_down_stops_counts_too(world, upstream, start_gateway):
    providers = Providers(world.at)
    webhook = {"webhook": {"target": {"url": world.at.refused}}}
    models = [rule("on-google", providers.gemini("google", upstream.url, GEMINI))]
    gateway, word = start_gateway(ai={"models": models, "promptGuard": {"request": [webhook]}}), nonce()
    with pytest.raises(ServerError) as failed:
        google(gateway.url, gateway.token).models.count_tokens(model="on-google", contents=word)
    assert (failed.value.code, failed.value.status) == (503, "UNAVAILABLE")
    assert not upstream.with_word(word)
