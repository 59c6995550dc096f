"""What is no conversation, by the official SDKs: embeddings (aimock), token counts."""

import anthropic
import openai
import pytest
from langchain_openai import OpenAIEmbeddings

from harness.world import nonce


@pytest.fixture
def openai_client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0, timeout=60)


def test_embeddings_in_both_encodings_are_the_same_vectors(openai_client, world):
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


def test_embeddings_of_langchain(gateway, world):
    word = nonce()
    model = OpenAIEmbeddings(
        model="via-openai", base_url=f"{gateway.url}/v1", api_key=gateway.token, check_embedding_ctx_length=False
    )
    assert len(model.embed_documents([f"{word} one", f"{word} two"])) == 2
    assert len(model.embed_query(word)) > 0


def test_a_wrong_embedding_request_is_the_sdks_bad_request(openai_client):
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.embeddings.create(model="via-openai", input=[])
    assert refused.value.param == "input"
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.embeddings.create(model="via-anthropic", input=nonce())
    assert refused.value.code == "unsupported_by_upstream"


def test_a_count_without_an_upstream_that_counts_says_that_it_is_an_estimate(gateway):
    client = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, max_retries=0)
    messages = [{"role": "user", "content": f"{nonce()} How is the weather in Paris?"}]
    raw = client.messages.with_raw_response.count_tokens(model="via-openai", messages=messages)
    assert raw.headers["x-tollgate-token-count"] == "estimate"
    assert 8 <= raw.parse().input_tokens <= 40
