"""What is no conversation, by the official SDKs: embeddings (aimock, Bedrock), token counts. Reranks: `test_rerank.py`."""

import base64
import json
import re

import anthropic
import openai
import pytest
import tiktoken
from botocore.exceptions import ClientError
from langchain_openai import OpenAIEmbeddings

from harness.clients import PNG_BASE64, WEATHER
from harness.config import BEDROCK_EMBEDDINGS, Providers, rule
from harness.world import nonce

# Default size, and one that may be asked for.
SIZES = {
    "embed-titan-v1": (1536, None),
    "embed-titan-v2": (1024, 256),
    "embed-cohere-v3": (1024, None),
    "embed-cohere-v4": (1536, 512),
    "embed-nova": (3072, 384),
}


@pytest.fixture
def openai_client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0, timeout=60)


@pytest.fixture
def anthropic_client(gateway):
    return anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, max_retries=0)


@pytest.fixture
def byte_tokens(monkeypatch):
    """tiktoken loads its vocabularies from the network; here every byte is a token. What LangChain does with them is its own code."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding("cl100k_base", pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={})
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "cl100k_base", encoding)
    return encoding


class TestEmbeddings:
    def test_in_both_encodings_are_the_same_vectors(self, openai_client, world):
        word = nonce()
        ask = openai_client.embeddings.create
        # The SDK asks for base64 unless it is told otherwise, and decodes what it gets.
        default = ask(model="via-openai", input=[word, f"{word} two"])
        floats = ask(model="via-openai", input=[word, f"{word} two"], encoding_format="float")
        assert [item.index for item in default.data] == [0, 1]
        assert len(default.data[0].embedding) == len(floats.data[0].embedding) > 0
        for ours, theirs in zip(default.data, floats.data):
            assert ours.embedding == pytest.approx(theirs.embedding, rel=1e-6, abs=1e-7)
        assert len(world.aimock.requests(word)) == 2

    def test_a_wrong_request_is_the_sdks_bad_request(self, openai_client):
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.embeddings.create(model="via-openai", input=[])
        assert refused.value.param == "input"
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.embeddings.create(model="via-anthropic", input=nonce())
        assert refused.value.code == "unsupported_by_upstream"


class TestLangChainsEmbeddings:
    def model(self, gateway, model: str, **more) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(model=model, base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0, **more)

    def test_as_texts(self, gateway):
        model = self.model(gateway, "via-openai", check_embedding_ctx_length=False)
        word = nonce()
        assert len(model.embed_documents([f"{word} one", f"{word} two"])) == 2
        assert len(model.embed_query(word)) > 0

    def test_as_token_arrays_which_is_its_default(self, gateway, byte_tokens):
        model = self.model(gateway, "via-openai")
        one, two = model.embed_documents(["one", "two"])
        assert len(one) == len(two) > 0

    def test_token_arrays_belong_to_openais_tokenizer(self, gateway, byte_tokens):
        with pytest.raises(openai.BadRequestError, match="token") as refused:
            self.model(gateway, "embed-titan-v2").embed_documents(["one"])
        assert refused.value.code == "unsupported_by_upstream"

    @pytest.mark.parametrize("name", BEDROCK_EMBEDDINGS)
    def test_by_bedrock(self, gateway, name):
        word = nonce()
        vectors = self.model(gateway, name, check_embedding_ctx_length=False).embed_documents([word, f"{word} 2"])
        assert [len(vector) for vector in vectors] == [SIZES[name][0]] * 2


@pytest.fixture(params=BEDROCK_EMBEDDINGS)
def name(request):
    return request.param


class TestEmbeddingsByBedrock:
    """Each number that the fake gives first is the length of the text: so the order can be seen."""

    def bodies(self, world, word: str, name: str) -> list[dict]:
        sent = world.bedrock.requests(word)
        assert all(re.sub("%3[aA]", ":", entry["path"]) == f"/model/{BEDROCK_EMBEDDINGS[name]}/invoke" for entry in sent)
        return [entry["body"] for entry in sent]

    def test_one_text(self, openai_client, world, name):
        word = nonce()
        answer = openai_client.embeddings.create(model=name, input=f"{word} and more words")
        (item,) = answer.data
        assert (item.index, len(item.embedding)) == (0, SIZES[name][0])
        assert item.embedding[0] == len(f"{word} and more words")
        assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 4)
        assert len(self.bodies(world, word, name)) == 1

    def test_both_encodings_and_dimensions(self, openai_client, name):
        text, (default, other) = nonce(), SIZES[name]
        wanted = {"dimensions": other} if other else {}
        ask = openai_client.embeddings.create
        floats = ask(model=name, input=text, encoding_format="float", **wanted).data[0].embedding
        decoded = ask(model=name, input=text, **wanted).data[0].embedding
        assert len(floats) == len(decoded) == (other or default)
        assert decoded == pytest.approx(floats, rel=1e-6, abs=1e-7)
        raw = openai_client.embeddings.with_raw_response.create(model=name, input=text, encoding_format="base64", **wanted)
        assert len(base64.b64decode(json.loads(raw.text)["data"][0]["embedding"])) == 4 * len(floats)

    def test_dimensions_that_a_model_does_not_have(self, openai_client, name):
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.embeddings.create(model=name, input=nonce(), dimensions=100)
        assert refused.value.code == "unsupported_by_upstream"
        assert "100" in refused.value.message and str(SIZES[name][0]) in refused.value.message

    def test_a_batch_is_split_and_comes_back_in_order(self, openai_client, world, name):
        # Few enough for what a load balancer carries.
        word, count = nonce(), 100 if "cohere" in name else 20
        texts = [f"{word} {'x' * number}" for number in range(count)]
        answer = openai_client.embeddings.create(model=name, input=texts)
        assert [item.index for item in answer.data] == list(range(count))
        assert [item.embedding[0] for item in answer.data] == [len(text) for text in texts]
        assert answer.usage.prompt_tokens == 2 * count - 1
        sizes = sorted(len(body.get("texts", [1])) for body in self.bodies(world, word, name))
        assert sizes == ([4, 96] if "cohere" in name else [1] * count)

    def test_tokens_are_refused(self, openai_client, name):
        for tokens in ([1, 2, 3], [[1, 2], [3]]):
            with pytest.raises(openai.BadRequestError) as refused:
                openai_client.embeddings.create(model=name, input=tokens)
            assert refused.value.code == "unsupported_by_upstream"

    def test_what_is_meant_for_cohere_and_nova_gets_there(self, openai_client, world):
        word = nonce()
        more = {"input_type": "search_query", "truncate": "END"}
        for name in ("embed-cohere-v3", "embed-cohere-v4", "embed-nova"):
            openai_client.embeddings.create(model=name, input=word, extra_body=more)
        v3, v4, nova = (entry["body"] for entry in world.bedrock.requests(word))
        assert (v3["input_type"], v3["truncate"]) == ("search_query", "END")
        assert (v4["input_type"], v4["truncate"]) == ("search_query", "RIGHT")
        params = nova["singleEmbeddingParams"]
        assert (params["embeddingPurpose"], params["text"]["truncationMode"]) == ("TEXT_RETRIEVAL", "END")

    @pytest.mark.parametrize(
        ("marker", "expected"),
        [
            ("throttle", openai.RateLimitError),
            ("validation", openai.BadRequestError),
            ("not-found", openai.NotFoundError),
            ("unavailable", openai.InternalServerError),
            ("denied", openai.InternalServerError),
        ],
    )
    def test_errors(self, start_gateway, world, marker, expected):
        """Each of a provider of its own, because the gateway remembers which ones are ill."""
        ill = Providers(world.at).bedrock("ill", f"amazon.titan-embed-text-v2--{marker}-v1:0")
        gateway = start_gateway(ai={"models": [rule("ill", ill)]})
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0, timeout=60)
        with pytest.raises(expected) as refused:
            client.embeddings.create(model="ill", input=["one", "two", "three"])
        if marker == "not-found":
            assert refused.value.code == "model_not_found"


COUNTED = {
    "plain": {"messages": [{"role": "user", "content": "%s How is the weather in Paris?"}]},
    "rich": {
        "system": "Be brief.",
        "tools": [{"name": WEATHER["name"], "description": WEATHER["description"], "input_schema": WEATHER["schema"]}],
        "tool_choice": {"type": "auto"},
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}},
                {"type": "text", "text": "%s How is the weather in Paris?", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 degrees"}]},
        ],
    },
}


def counted(kind: str, word: str) -> dict:
    return json.loads(json.dumps(COUNTED[kind]).replace("%s", word))


class TestCounts:
    def test_without_an_upstream_that_counts_it_is_an_estimate_and_says_so(self, anthropic_client):
        # Bedrock's CountTokens knows Claude, and says of other models that it does not.
        for model in ("via-openai", "via-bedrock-other"):
            messages = [{"role": "user", "content": f"{nonce()} How is the weather in Paris?"}]
            raw = anthropic_client.messages.with_raw_response.count_tokens(model=model, messages=messages)
            assert raw.headers["x-tollgate-token-count"] == "estimate"
            assert 8 <= raw.parse().input_tokens <= 40

    @pytest.mark.parametrize("model", ["via-bedrock-claude", "bedrock-inference-profile"])
    def test_by_bedrock(self, anthropic_client, world, model):
        """An inference profile has no count of its own: the model behind it counts."""
        word = nonce()
        raw = anthropic_client.messages.with_raw_response.count_tokens(model=model, **counted("plain", word))
        assert "x-tollgate-token-count" not in raw.headers
        # The fake counts words, and 7 more.
        assert raw.parse().input_tokens == 7 + 7
        sent = world.bedrock.requests("count-tokens")[-1]
        assert re.sub("%3[aA]", ":", sent["path"]) == "/model/anthropic.claude-sonnet-4-20250514-v1:0/count-tokens"

    def test_openais_sdk_counts_too(self, openai_client):
        raw = openai_client.responses.input_tokens.with_raw_response.count(model="via-bedrock-claude", input=f"{nonce()} How is the weather in Paris?")
        assert "x-tollgate-token-count" not in raw.headers
        assert (raw.parse().object, raw.parse().input_tokens) == ("response.input_tokens", 7 + 7)
        raw = openai_client.responses.input_tokens.with_raw_response.count(model="custom-server", input="How is the weather in Paris?")
        assert raw.headers["x-tollgate-token-count"] == "estimate"

    @pytest.mark.parametrize("kind", COUNTED)
    def test_what_is_sent_is_what_boto3_sends(self, anthropic_client, bedrock, world, kind):
        """AWS's own client takes our input for valid, and writes the same bytes of it."""
        word = nonce()
        anthropic_client.messages.count_tokens(model="via-bedrock-claude", **counted(kind, word))
        ours = world.bedrock.requests("count-tokens")[-1]
        given = ours["body"]["input"]
        assert word in base64.b64decode(given["invokeModel"]["body"]).decode()
        body = base64.b64decode(given["invokeModel"]["body"])
        answer = bedrock.count_tokens(modelId="anthropic.claude-sonnet-4-20250514-v1:0", input={"invokeModel": {"body": body}})
        assert answer["inputTokens"] > 7
        theirs = world.bedrock.requests("count-tokens")[-1]
        assert theirs["number"] > ours["number"]
        assert (theirs["path"], theirs["body"]) == (ours["path"], ours["body"])

    def test_the_fake_refuses_what_aws_refuses(self, bedrock):
        converse = {"messages": [{"role": "user", "content": [{"text": "one two"}]}]}
        claude = "anthropic.claude-sonnet-4-20250514-v1:0"
        assert bedrock.count_tokens(modelId=claude, input={"converse": converse})["inputTokens"] == 9
        with pytest.raises(ClientError, match="doesn't support counting tokens"):
            bedrock.count_tokens(modelId="amazon.nova-pro-v1:0", input={"converse": converse})
        with pytest.raises(ClientError, match="ValidationException"):
            bedrock.count_tokens(modelId=claude, input={"converse": {"messages": []}})

    def test_wrong_requests(self, anthropic_client):
        for changes in ({"messages": []}, {"messages": "hello"}, {"messages": [{"role": "user", "content": 7}]}):
            with pytest.raises(anthropic.BadRequestError):
                anthropic_client.messages.count_tokens(**{"model": "via-bedrock-claude"} | changes)
        with pytest.raises(anthropic.NotFoundError):
            anthropic_client.messages.count_tokens(model="no-such-model", messages=[{"role": "user", "content": nonce()}])
