"""Rerank by Cohere's SDK, both versions of its API: to Cohere (aimock's rerank), to Cohere and Amazon on Bedrock. Cohere's own errors: `test_errors.py`."""

import json
import subprocess
from pathlib import Path

import cohere
import pytest
from cohere import errors

from conftest import Gateway
from harness.config import BEDROCK_RERANKS, Providers, rule
from harness.process import listen_address
from harness.world import ROOT, nonce

DOCUMENTS = ["the weather in Rome", "the weather in Paris", "trains"]
NO_RETRY = {"max_retries": 0}

# Bedrock's exceptions, by the marker that `tests/servers` knows.
BEDROCKS_ERRORS = [
    ("throttle", errors.TooManyRequestsError),
    ("unavailable", errors.ServiceUnavailableError),
    ("internal", errors.InternalServerError),
    ("denied", errors.InternalServerError),
    ("not-found", errors.NotFoundError),
    ("validation", errors.BadRequestError),
]


def embedded() -> dict:
    """Two vectors, as Cohere documents them: <https://docs.cohere.com/v1/reference/embed>."""
    meta = {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 2}}
    return {"id": "da6e531f", "texts": ["a", "b"], "embeddings": {"float": [[0.25, -0.5], [0.125, 1.0]]}, "meta": meta, "response_type": "embeddings_by_type"}


@pytest.fixture(scope="module")
def reranking(world):
    """A gateway of its own, for the providers of this file."""
    aimock = world.start_script("rerank").wait_for(listen_address)
    providers = Providers(world.at)
    models = [rule("cohere", providers.rerank("cohere", aimock))]
    models += [rule(name, providers.bedrock(name, model)) for name, model in BEDROCK_RERANKS.items()]
    models += [rule(f"bedrock-{word}", providers.bedrock(f"bedrock-{word}", f"cohere.rerank-v3-5--{word}-v1:0")) for word, _ in BEDROCKS_ERRORS]
    models.append(rule("cohere-embed", providers.openai("cohere-embed", world.can("cohere-embed", embedded()), "embed-english-v3.0")))
    models.append(rule("no-rerank", providers.column("anthropic-strict", "no-rerank")))
    server = world.start_gateway(world.config(ai={"models": models, "routes": {"/v1/embed": "passthrough"}}))
    yield Gateway(world, server)
    server.stop()


@pytest.fixture
def v2(reranking):
    return cohere.ClientV2(api_key=reranking.token, base_url=reranking.url)


@pytest.fixture
def v1(reranking):
    return cohere.Client(api_key=reranking.token, base_url=reranking.url)


def places(answer) -> list[tuple[int, float]]:
    return [(result.index, result.relevance_score) for result in answer.results]


def test_v2_by_cohere(v2):
    answer = v2.rerank(model="cohere", query=f"Paris {nonce()}", documents=DOCUMENTS)
    assert places(answer) == [(1, 0.9375), (0, 0.125)]
    assert answer.id.startswith("rerank"), "Cohere's own answer, as it is"


def test_v1_by_cohere(v1):
    """The upstream is asked by v2; the client gets v1's answer, its documents among it."""
    documents = [{"text": text, "page": page} for page, text in enumerate(DOCUMENTS)]
    answer = v1.rerank(model="cohere", query=f"Paris {nonce()}", documents=documents, return_documents=True)
    assert places(answer) == [(1, 0.9375), (0, 0.125)]
    assert [result.document.text for result in answer.results] == [DOCUMENTS[1], DOCUMENTS[0]]
    assert answer.results[0].document.page == 1
    assert answer.meta.api_version.version == "1"


@pytest.mark.parametrize("model", BEDROCK_RERANKS)
def test_v2_by_bedrock(v2, world, model):
    word = nonce()
    raw = v2.with_raw_response.rerank(model=model, query=f"weather Paris {word}", documents=DOCUMENTS, top_n=2, max_tokens_per_doc=99)
    answer = raw.data
    assert [index for index, _ in places(answer)] == [1, 0]
    scores = [score for _, score in places(answer)]
    assert scores == sorted(scores, reverse=True)
    assert answer.meta.billed_units.search_units == 1
    # The rerank models of Bedrock have no such field.
    assert "max_tokens_per_doc" in raw.headers["x-tollgate-dropped"]
    sent = world.bedrock.only(word)
    assert sent["path"].endswith("/invoke")
    assert sent["body"]["top_n"] == 2
    assert sent["body"].get("api_version") == (2 if model == "rerank-cohere" else None)


@pytest.mark.parametrize("model", BEDROCK_RERANKS)
def test_v1_by_bedrock(v1, model):
    answer = v1.rerank(model=model, query=f"Paris {nonce()}", documents=DOCUMENTS, return_documents=True)
    assert answer.results[0].document.text == "the weather in Paris"
    assert len(answer.results) == 3


@pytest.mark.parametrize(("word", "expected"), BEDROCKS_ERRORS)
def test_bedrocks_errors(v2, v1, word, expected):
    for client in (v2, v1):
        with pytest.raises(expected) as refused:
            client.rerank(model=f"bedrock-{word}", query=nonce(), documents=DOCUMENTS, request_options=NO_RETRY)
        assert refused.value.body["message"]


class TestRefused:
    def ask(self, client, **changes):
        client.rerank(**{"model": "cohere", "query": nonce(), "documents": DOCUMENTS, "request_options": NO_RETRY} | changes)

    def test_without_a_token(self, reranking):
        with pytest.raises(errors.UnauthorizedError):
            self.ask(cohere.ClientV2(api_key="nonsense", base_url=reranking.url))

    def test_an_unknown_model(self, v2):
        with pytest.raises(errors.NotFoundError, match="no-such-model"):
            self.ask(v2, model="no-such-model")

    @pytest.mark.parametrize(
        "change", [{"query": ""}, {"query": 7}, {"documents": []}, {"documents": "text"}, {"documents": [7]}, {"top_n": 0}, {"top_n": "many"}]
    )
    @pytest.mark.parametrize("model", ["cohere", "rerank-amazon"])
    def test_a_wrong_request(self, v2, change, model):
        with pytest.raises(errors.BadRequestError) as refused:
            self.ask(v2, model=model, **change)
        assert next(iter(change)) in refused.value.body["message"]

    def test_an_upstream_without_rerank(self, v2):
        with pytest.raises(errors.BadRequestError):
            self.ask(v2, model="no-rerank")


def test_langchain_ranks_and_embeds(reranking, world):
    """LangChain's client of Cohere: its rerank is a route here, its embeddings (Cohere's own shape) pass through. Its chat is Cohere's `/v2/chat`, which is none here."""
    python, word = ROOT / ".tools" / "langchain-cohere" / "bin" / "python", nonce()
    program = Path(__file__).with_name("langchain_cohere_client.py")
    run = subprocess.run([python, program, reranking.url, reranking.token, f"Paris {word}"], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    answer = json.loads(run.stdout)
    assert answer["ranks"] == [{"index": 1, "relevance_score": 0.9375}, {"index": 0, "relevance_score": 0.125}]
    assert answer["vectors"] == [[0.25, -0.5], [0.125, 1.0]]
    sent = world.llm.only(word)
    assert (sent["path"], sent["body"]["model"]) == ("/canned-cohere-embed/v1/embed", "embed-english-v3.0")
    assert sent["body"]["texts"] == [f"Paris {word}", "another"]
