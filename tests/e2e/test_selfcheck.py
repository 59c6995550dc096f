"""The mocks, proved by other people's SDKs: no gateway in between. When one of these fails, no other result means much."""

import json
import subprocess
import sys
import textwrap
import threading

import anthropic
import httpx
import jwt
import openai
import pytest
from botocore.exceptions import ClientError, EventStreamError

from harness import patient
from harness.clients import HELLO, PNG, REPORT, SIGNATURE, THOUGHT, WEATHER, Ask, Chat, Messages
from harness.config import ANTHROPIC_KEY, CLAUDE_ON_BEDROCK, NOVA_ON_BEDROCK, OPENAI_KEY
from harness.process import Server
from harness.tokens import AUDIENCE, SCOPE
from harness.world import nonce

pytestmark = pytest.mark.native("no gateway runs")


def converse(bedrock, prompt: str, stream: bool = False, **more):
    call = bedrock.converse_stream if stream else bedrock.converse
    messages = [{"role": "user", "content": [{"text": prompt}]}]
    return call(**{"modelId": NOVA_ON_BEDROCK, "messages": messages} | more)


TOOL_CONFIG = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": WEATHER["schema"]}}}]}


def test_boto3_reads_a_converse_answer(bedrock):
    answer = converse(bedrock, "hello")
    assert answer["output"]["message"]["content"] == [{"text": HELLO}]
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"]["inputTokens"] == 12


@pytest.mark.parametrize("marker", ["", "[split]"])
def test_boto3_reads_converse_stream_frames(bedrock, marker):
    events = list(converse(bedrock, f"hello {marker}", stream=True)["stream"])
    assert "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e) == HELLO
    assert [next(iter(e)) for e in events][-2:] == ["messageStop", "metadata"]
    assert not any("contentBlockStart" in e for e in events), "text blocks have no start event at the real service"


def test_boto3_reads_streamed_tool_calls(bedrock):
    events = list(converse(bedrock, "[parallel]", stream=True, toolConfig=TOOL_CONFIG)["stream"])
    inputs = {}
    for event in events:
        if delta := event.get("contentBlockDelta"):
            index = delta["contentBlockIndex"]
            inputs[index] = inputs.get(index, "") + delta["delta"]["toolUse"]["input"]
    assert [json.loads(text) for text in inputs.values()] == [{"city": "Paris"}, {"city": "Rome"}]


def test_boto3_reads_a_streamed_exception(bedrock):
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        list(converse(bedrock, "[error-late]", stream=True)["stream"])


@pytest.mark.parametrize(
    ("marker", "code"),
    [("[throttle]", "ThrottlingException"), ("[unavailable]", "ServiceUnavailableException"), ("[denied]", "AccessDeniedException")],
)
def test_boto3_knows_the_exceptions(bedrock, marker, code):
    with pytest.raises(ClientError) as caught:
        converse(bedrock, marker)
    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"role": "assistant", "content": [{"text": "x"}]}], id="starts with the assistant"),
        pytest.param([{"role": "user", "content": [{"text": "x"}]}] * 2, id="roles do not alternate"),
        pytest.param([{"role": "user", "content": [{"text": "  "}]}], id="blank text"),
        pytest.param(
            [
                {"role": "user", "content": [{"text": "x"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "t", "input": {}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "y"}]}}]},
            ],
            id="tool blocks without a tool config",
        ),
    ],
)
def test_converse_refuses_what_the_service_refuses(bedrock, messages):
    with pytest.raises(ClientError, match="ValidationException"):
        bedrock.converse(modelId=NOVA_ON_BEDROCK, messages=messages)


def test_bedrock_wants_a_signature(world):
    answer = patient.post(f"{world.at.bedrock}/model/{NOVA_ON_BEDROCK}/converse", json={})
    assert answer.status_code == 403
    assert answer.headers["x-amzn-errortype"].startswith("MissingAuthenticationTokenException")


def invoke_body(prompt: str, **more) -> str:
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 2048, "messages": messages} | more)


def test_boto3_reads_an_invoke_answer_and_its_stream(bedrock):
    answer = json.loads(bedrock.invoke_model(modelId=CLAUDE_ON_BEDROCK, body=invoke_body("hello"))["body"].read())
    assert answer["content"][0]["text"] == HELLO
    frames = bedrock.invoke_model_with_response_stream(modelId=CLAUDE_ON_BEDROCK, body=invoke_body("hello"))["body"]
    events = [json.loads(frame["chunk"]["bytes"]) for frame in frames]
    assert "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta") == HELLO
    assert events[-1]["amazon-bedrock-invocationMetrics"]["inputTokenCount"] == 12


@pytest.mark.parametrize(
    "change",
    [{"model": "x"}, {"stream": True}, {"anthropic_beta": ["no-such-flag"]}, {"anthropic_beta": "x"}, {"max_tokens": None}, {"anthropic_version": None}],
    ids=lambda change: next(iter(change)) + "=" + str(next(iter(change.values()))),
)
def test_invoke_refuses_what_the_service_refuses(bedrock, change):
    with pytest.raises(ClientError, match="ValidationException"):
        bedrock.invoke_model(modelId=CLAUDE_ON_BEDROCK, body=invoke_body("hello", **change))


def test_the_anthropic_sdk_reads_bedrock(world):
    sdk = anthropic.AnthropicBedrock(
        aws_access_key="AKIAE2E", aws_secret_key="x", aws_region="us-east-1", base_url=world.at.bedrock, max_retries=0
    )
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with sdk.messages.stream(
        model=CLAUDE_ON_BEDROCK, max_tokens=2048, thinking=thinking, messages=[{"role": "user", "content": "[thinking]"}]
    ) as stream:
        message = stream.get_final_message()
    assert (message.content[0].thinking, message.content[0].signature) == (THOUGHT, SIGNATURE)
    assert message.content[1].text == HELLO


@pytest.mark.parametrize("upstream", ["aimock", "fake-llm"])
@pytest.mark.parametrize("name", ["chat", "messages"])
@pytest.mark.parametrize("mode", ["plain", "stream"])
class TestUpstreamsThroughTheirSdks:
    """What the matrix expects of the columns that are not Bedrock."""

    @pytest.fixture
    def client(self, world, upstream, name):
        base = world.aimock_url if upstream == "aimock" else f"{world.at.llm}/ok"
        return Chat(base, OPENAI_KEY) if name == "chat" else Messages(base, ANTHROPIC_KEY)

    def test_text(self, client, mode):
        reply = client.ask("claude-sonnet-4-20250514", Ask(nonce()), mode)
        assert (reply.text, reply.stop) == (HELLO, client.STOPS["end"])
        assert (reply.input_tokens, reply.output_tokens) == (12, 7)

    def test_tools(self, client, mode):
        first = Ask(f"[parallel] {nonce()}", tools=[WEATHER])
        reply = client.ask("claude-sonnet-4-20250514", first, mode)
        assert [call.input for call in reply.tools] == [{"city": "Paris"}, {"city": "Rome"}]
        first.then = client.replay(reply, ["18 degrees", "21 degrees"])
        assert client.ask("claude-sonnet-4-20250514", first, mode).text == "The tools said: 18 degrees; 21 degrees."

    def test_image_and_schema(self, client, mode):
        reply = client.ask("claude-sonnet-4-20250514", Ask(f"[image] {nonce()}", image=True), mode)
        assert reply.text == f"I see image/png of {len(PNG)} bytes."
        reply = client.ask("claude-sonnet-4-20250514", Ask(f"[json] {nonce()}", schema=REPORT), mode)
        assert json.loads(reply.text) == {"city": "Paris", "celsius": 21}


@pytest.mark.parametrize("form", ["crlf", "nospace", "comments", "dribble", "one-write"])
def test_odd_wire_forms_are_valid_for_the_sdks(world, form):
    assert Chat(f"{world.at.llm}/{form}", OPENAI_KEY).stream("gpt-4o", Ask(nonce())).text == HELLO
    assert Messages(f"{world.at.llm}/{form}", ANTHROPIC_KEY).stream("claude", Ask(nonce())).text == HELLO


def test_faults_reach_the_sdks_as_faults(world):
    def ask(fault, **options):
        return Chat(f"{world.at.llm}/{fault}", OPENAI_KEY, **options)

    with pytest.raises(openai.RateLimitError):
        ask("429").plain("gpt-4o", Ask(nonce()))
    with pytest.raises(openai.APITimeoutError):
        ask("hang", timeout_s=2).plain("gpt-4o", Ask(nonce()))
    with pytest.raises(openai.APIConnectionError):
        ask("cut-head").plain("gpt-4o", Ask(nonce()))
    with pytest.raises(Exception, match="(?i)peer closed|incomplete"):
        ask("cut-late").stream("gpt-4o", Ask(nonce()))
    with pytest.raises(openai.APIError, match="overloaded"):
        ask("error-late").stream("gpt-4o", Ask(nonce()))


def test_the_journal_knows_when_a_client_went_away(world):
    word = nonce()
    events = Chat(f"{world.at.llm}/ok", OPENAI_KEY).events("gpt-4o", Ask(f"[held] {word}"))
    next(iter(events))
    events.close()
    entry = world.llm.wait_for_outcome(word, "aborted")
    assert entry["headers"]["authorization"] == "Bearer (key)"


def test_the_oauth_server_issues_tokens_that_its_keys_verify(world):
    token = world.issuer.token()
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    keys = jwt.PyJWKClient(f"{world.issuer.url}/jwks")
    claims = jwt.decode(
        token, keys.get_signing_key_from_jwt(token).key, algorithms=["RS256"], audience=AUDIENCE, issuer=world.issuer.url
    )
    assert (claims["client_id"], claims["scope"]) == ("search-team", SCOPE)
    assert "scope" not in jwt.decode(world.issuer.token(scope=None), options={"verify_signature": False})
    with pytest.raises(httpx.HTTPStatusError):
        world.issuer.token(client_id="nobody")


def test_minted_tokens_are_like_issued_ones(world):
    issued, minted = (jwt.decode(t, options={"verify_signature": False}) for t in (world.issuer.token(), world.issuer.minted()))
    assert {k: issued[k] for k in ("iss", "aud", "client_id", "scope")} == {k: minted[k] for k in ("iss", "aud", "client_id", "scope")}


FUNCTION = """
    import json, os, time, urllib.request
    api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(api + "/next") as answer:
            id, event = answer.headers["lambda-runtime-aws-request-id"], json.load(answer)
        if event.get("path") == "/fail":
            request = urllib.request.Request(api + f"/{id}/error", b"{}", {"lambda-runtime-function-error-type": "Broken"})
        else:
            body = "x" * 1_200_000 if event.get("path") == "/big" else json.dumps(event)
            headers = {"content-type": "application/json"}
            multi = {name: [value] for name, value in headers.items()}
            answer = {"statusCode": 200, "headers": headers, "multiValueHeaders": multi, "body": body, "isBase64Encoded": False}
            request = urllib.request.Request(api + f"/{id}/response", json.dumps(answer).encode())
        urllib.request.urlopen(request).read()
"""


@pytest.fixture(scope="module")
def lambda_world(world):
    addresses = world.start_test_server("runtime-api")
    env = {"AWS_LAMBDA_RUNTIME_API": addresses["runtime"].removeprefix("http://")}
    functions = [Server("function", [sys.executable, "-c", textwrap.dedent(FUNCTION)], env) for _ in range(2)]
    yield addresses
    for function in functions:
        function.stop()


def test_the_runtime_api_delivers_an_event(lambda_world):
    answer = patient.post(f"{lambda_world['invoke']}/invoke", json={"path": "/x"})
    assert json.loads(answer.json()["body"]) == {"path": "/x"}
    assert answer.headers["x-mode"] == "buffered"
    assert int(answer.headers["x-head-ms"]) >= 0
    failed = patient.post(f"{lambda_world['invoke']}/invoke", json={"path": "/fail"})
    assert failed.headers["x-function-error"] == "Broken"


def test_the_runtime_api_serves_several_environments(lambda_world):
    results = []

    def call(number):
        answer = patient.post(f"{lambda_world['invoke']}/invoke", json={"number": number})
        results.append(json.loads(answer.json()["body"])["number"])

    threads = [threading.Thread(target=call, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(20))


def test_the_alb_makes_events_in_both_header_modes(lambda_world):
    headers = [("x-twice", "a"), ("x-twice", "b")]
    single = patient.post(f"{lambda_world['alb']}/p/q?a=1%202&a=3", headers=headers, json={"k": 1}).json()
    assert single["requestContext"]["elb"]["targetGroupArn"].startswith("arn:aws:elasticloadbalancing:")
    assert single["queryStringParameters"] == {"a": "3"}
    assert (single["headers"]["x-twice"], single["isBase64Encoded"], single["body"]) == ("b", False, '{"k":1}')
    multi = patient.post(f"{lambda_world['albMulti']}/p/q?a=1%202&a=3", headers=headers, content=b"\x00\xff").json()
    assert multi["multiValueQueryStringParameters"] == {"a": ["1%202", "3"]}
    assert multi["multiValueHeaders"]["x-twice"] == ["a", "b"]
    binary = {"content-type": "application/octet-stream"}
    assert patient.post(f"{lambda_world['alb']}/", headers=binary, content=b"\x00\xff").json()["body"] == "AP8="


def test_the_alb_has_the_limits_of_the_real_one(lambda_world):
    assert patient.post(f"{lambda_world['alb']}/", content=b"x" * 1_100_000).status_code == 413
    assert patient.post(f"{lambda_world['alb']}/big").status_code == 502
    assert patient.post(f"{lambda_world['alb']}/fail").status_code == 502
    assert patient.get(f"{lambda_world['alb']}/", headers={"upgrade": "websocket"}).status_code == 400


def test_the_function_url_front_makes_payload_v2(lambda_world):
    event = patient.post(f"{lambda_world['url']}/p?q=1", json={"k": 1}).json()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/p", "q=1")


TITAN_V1, TITAN_V2 = "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"
COHERE_V3, COHERE_V4, NOVA = "cohere.embed-english-v3", "cohere.embed-v4:0", "amazon.nova-2-multimodal-embeddings-v1:0"


def nova(**params) -> dict:
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}


def invoke(bedrock, model: str, body: dict) -> dict:
    return json.loads(bedrock.invoke_model(modelId=model, body=json.dumps(body))["body"].read())


def test_the_embedding_models_take_what_their_documentation_says(bedrock):
    assert len(invoke(bedrock, TITAN_V1, {"inputText": "x"})["embedding"]) == 1536
    v2 = invoke(bedrock, TITAN_V2, {"inputText": "x y", "dimensions": 256, "normalize": True})
    assert (len(v2["embedding"]), v2["inputTextTokenCount"], v2["embeddingsByType"]["float"]) == (256, 2, v2["embedding"])
    plain = invoke(bedrock, COHERE_V3, {"texts": ["x", "y"], "input_type": "search_query"})
    assert [len(vector) for vector in plain["embeddings"]] == [1024, 1024]
    typed = {"texts": ["x"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256, "truncate": "LEFT"}
    assert len(invoke(bedrock, COHERE_V4, typed)["embeddings"]["float"][0]) == 256
    text = {"truncationMode": "END", "value": "x"}
    (one,) = invoke(bedrock, NOVA, nova(embeddingPurpose="GENERIC_INDEX", text=text))["embeddings"]
    assert (one["embeddingType"], len(one["embedding"])) == ("TEXT", 3072)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        pytest.param(TITAN_V1, {"inputText": "x", "dimensions": 256}, id="Titan v1 has one size"),
        pytest.param(TITAN_V2, {"inputText": ""}, id="no text"),
        pytest.param(TITAN_V2, {"inputText": "x", "dimensions": 300}, id="no such size"),
        pytest.param(COHERE_V3, {"texts": ["x"]}, id="Cohere wants an input type"),
        pytest.param(COHERE_V3, {"texts": ["x"] * 97, "input_type": "search_query"}, id="97 texts"),
        pytest.param(COHERE_V3, {"texts": ["x"], "input_type": "search_query", "truncate": "LEFT"}, id="a word of v4"),
        pytest.param(COHERE_V4, {"texts": ["x"], "input_type": "search_query", "truncate": "START"}, id="a word of v3"),
        pytest.param(NOVA, nova(text={"truncationMode": "END", "value": "x"}), id="Nova wants a purpose"),
        pytest.param("cohere.rerank-v3-5:0", {"query": "x", "documents": ["y"]}, id="Cohere's rerank wants its version"),
        pytest.param("amazon.rerank-v1:0", {"query": "x", "documents": ["y"], "api_version": 2}, id="Amazon's has none"),
        pytest.param("amazon.rerank-v1:0", {"query": "x", "documents": ["y"], "top_n": 2}, id="more than there are"),
    ],
)
def test_the_other_models_refuse_what_theirs_do_not(bedrock, model, body):
    with pytest.raises(ClientError, match="ValidationException"):
        invoke(bedrock, model, body)


def test_setup_has_nothing_to_do_the_second_time(world):
    from harness.world import HERE

    done = subprocess.run([HERE / "setup.sh"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done
