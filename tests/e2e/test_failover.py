"""A provider fails; what the client sees is as if it had not, for as long as no content has reached the client.

Every case has an ill provider in the first group and a well one, of another dialect, in the second.
"""

import itertools
import time
import uuid

import pytest

from harness import patient
from harness.clients import HELLO, WEATHER, Ask
from harness.config import CLIENTS, FAULTS, FAULTY_KINDS, MODES, QUICK, Providers, failover_model, rule
from harness.process import json_line
from harness.world import nonce

# Faults that strike after the first content. A plain answer has shown nothing by then, so it can still move on.
LATE = {"cut-late", "end-late", "error-late", "hang-late"}
# Faults that only a stream has.
STREAM_ONLY = {"hang-early", "error-event", "error-early", "end-late", "error-late", "hang-late"}


def case(fault: str, kind: str, client: str, mode: str):
    reason = None
    if FAULTS[fault][FAULTY_KINDS.index(kind)] is None:
        reason = f"{kind} has no such fault of its own, or it is the same as another row's"
    elif fault in STREAM_ONLY and mode == "plain":
        reason = "a plain answer has no events"
    marks = [pytest.mark.skip(reason=reason)] if reason else []
    return pytest.param(fault, kind, client, mode, marks=marks, id=f"{fault}-{kind}-{client}-{mode}")


CASES = [case(*parts) for parts in itertools.product(FAULTS, FAULTY_KINDS, CLIENTS, MODES)]
EARLY_CASES = [c for c in CASES if c.values[0] not in LATE or c.values[3] == "plain"]
LATE_CASES = [c for c in CASES if c.values[0] in LATE and c.values[3] == "stream"]


@pytest.mark.parametrize(("fault", "kind", "client_name", "mode"), EARLY_CASES)
def test_before_the_first_content_a_failover_is_invisible(gateway, world, fault, kind, client_name, mode):
    model = failover_model(fault, kind, client_name, mode)
    client = gateway.client(client_name)
    word = nonce()
    reply = client.ask(model, Ask(word), mode)
    assert (reply.text, reply.stop) == (HELLO, client.STOPS["end"])
    assert (reply.input_tokens, reply.output_tokens) == (12, 7), "what the failed attempt said is not counted"
    assert reply.headers["x-tollgate-provider"] == f"well-{model}"
    assert reply.headers["x-tollgate-attempts"] == "2"
    calls = len(world.llm.requests(word)) + len(world.bedrock.requests(word))
    assert calls == (1 if fault == "refused" else 2), "no library retries behind the gateway's back"


@pytest.mark.parametrize(("fault", "kind", "client_name", "mode"), LATE_CASES)
def test_after_the_first_content_the_client_gets_an_error_and_nothing_starts_again(
    gateway, world, fault, kind, client_name, mode
):
    model = failover_model(fault, kind, client_name, mode)
    client = gateway.client(client_name)
    word = nonce()
    seen = ""
    with pytest.raises(client.errors.APIError) as caught:
        events = client.events(model, Ask(word))
        assert events.response.headers["x-tollgate-provider"] == f"ill-{model}"
        assert events.response.headers["x-tollgate-attempts"] == "1"
        for event in events:
            seen += client.text_of(event)
    assert HELLO.startswith(seen) and 0 < len(seen) < len(HELLO)
    assert str(caught.value), "the error event says something"
    upstream = world.bedrock if kind == "bedrock" else world.llm
    assert len(upstream.requests(word)) == 1
    assert not (world.llm if kind == "bedrock" else world.bedrock).requests(word)


def test_tools_survive_a_failover_between_dialects(gateway):
    """Asked through one API, failed on a second dialect, answered by a third: still a tool call."""
    model = failover_model("refused", "bedrock", "chat", "stream")
    reply = gateway.chat().ask(model, Ask(f"[parallel] {nonce()}", tools=[WEATHER]), "stream")
    assert [call.input for call in reply.tools] == [{"city": "Paris"}, {"city": "Rome"}]


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
class TestNobodyTakesOver:
    """One provider, and it fails: a clear error in the client's dialect with the right status."""

    @pytest.mark.parametrize(
        ("fault", "statuses"),
        [
            ("429-long", {429}),
            ("500", {500, 502, 503}),
            ("hang", {504}),
            ("garbage", {502}),
            ("cut-early", {502}),
            ("404", {404, 502}),
            ("401", {500, 502, 503}),
            ("403", {500, 502, 503}),
            ("redirect", {502}),
        ],
    )
    def test_the_status_tells_why(self, gateway, client, mode, upstream, fault, statuses):
        with pytest.raises(client.errors.APIStatusError) as caught:
            client.ask(f"alone-{fault}-{upstream}", Ask(nonce()), mode)
        response = caught.value.response
        assert response.status_code in statuses
        assert response.headers["content-type"].startswith("application/json")
        assert response.json()["error"]["message"]
        if fault == "429-long":
            assert int(response.headers["retry-after"]) > 60, "the provider's own word about when to come again"

    def test_a_providers_refusal_of_our_key_is_not_the_clients_fault(self, gateway, client, mode, upstream):
        with pytest.raises(client.errors.InternalServerError) as caught:
            client.ask(f"alone-401-{upstream}", Ask(nonce()), mode)
        assert "www-authenticate" not in caught.value.response.headers

    def test_a_redirect_is_not_followed(self, gateway, world, client, mode, upstream):
        word = nonce()
        with pytest.raises(client.errors.APIStatusError):
            client.ask(f"alone-redirect-{upstream}", Ask(word), mode)
        assert not [entry for entry in world.llm.requests(word) if "stolen" in entry["path"]]


class TestHealth:
    """A history of its own for each test, so a gateway of its own too."""

    @pytest.fixture
    def chain(self, start_gateway, world):
        def start(first: dict, second: dict):
            config = world.config()
            config["ai"]["models"] = [rule("chain", first, second)]
            return start_gateway(ai=config["ai"])

        return start

    def test_an_ill_provider_is_left_alone_for_a_while(self, chain, world):
        providers = Providers(world.at)
        ill = providers.openai("ill", f"{world.at.llm}/429-long/v1")
        gateway = chain(ill, providers.column("anthropic-strict", "well"))
        attempts = [gateway.chat().plain("chain", Ask(nonce())).headers["x-tollgate-attempts"] for _ in range(5)]
        assert attempts == ["2", "1", "1", "1", "1"], "retry-after: 600 counts from the first answer on"

    def test_after_its_retry_after_it_is_asked_again(self, chain, world):
        providers = Providers(world.at)
        gateway = chain(providers.openai("ill", f"{world.at.llm}/429/v1"), providers.column("anthropic-strict", "well"))
        word = nonce()
        assert gateway.chat().plain("chain", Ask(word)).headers["x-tollgate-attempts"] == "2"
        deadline = time.monotonic() + 30
        while len([e for e in world.llm.requests(word) if e["path"].startswith("/429/")]) < 2:
            assert time.monotonic() < deadline, "never asked again"
            gateway.chat().plain("chain", Ask(word))
            time.sleep(0.25)

    def test_weights_share_the_traffic(self, gateway):
        served = [gateway.chat().plain("weighted", Ask(nonce())).headers["x-tollgate-provider"] for _ in range(120)]
        # Thrown like dice: beyond this in one of a billion runs.
        assert 60 <= served.count("heavy") <= 114, "three to one"
        assert set(served) == {"heavy", "light"}

    def test_connect_timeouts_count_as_faults(self, chain, world):
        import socket

        # A listener whose queue is full: the kernel drops further SYNs, so that connecting hangs.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                fillers.append(filler)
            providers = Providers(world.at)
            slow = providers.openai("slow", f"http://127.0.0.1:{address[1]}/v1", timeouts=QUICK | {"connectMs": 300})
            gateway = chain(slow, providers.column("anthropic-strict", "well"))
            reply = gateway.chat().plain("chain", Ask(nonce()))
            assert (reply.text, reply.headers["x-tollgate-attempts"]) == (HELLO, "2")
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("name", ["chat", "messages"])
def test_an_endless_answer_is_bounded(start_gateway, name, mode):
    """A body, or one line of a stream, that never ends: an error, and memory that stays in bounds: 64 of 512 MB are held. The gateway is this test's own, because an
    allocator keeps some of what earlier calls had."""
    gateway = start_gateway()
    client = gateway.client(name)
    with pytest.raises(client.errors.APIError):
        client.ask("alone-flood-openai", Ask(nonce()), mode)
    assert gateway.server.alive
    assert gateway.server.peak_kb < 300_000


def test_every_attempt_is_in_the_access_log(gateway):
    model = failover_model("503", "openai", "messages", "plain")
    request_id = f"e2e-{uuid.uuid4()}"
    gateway.messages().plain(model, Ask(nonce()), extra_headers={"x-request-id": request_id})

    def line(text: str):
        return json_line(text) if request_id in text and '"request"' in text else None

    entry = gateway.server.wait_for(line)
    assert entry["message"] == "request"
    text = str(entry)
    assert f"well-{model}" in text


def test_the_clients_request_id_is_kept_and_one_is_made_otherwise(gateway):
    headers = {"authorization": f"Bearer {gateway.token}", "x-request-id": "my-own-id-1"}
    assert patient.get(f"{gateway.url}/v1/models", headers=headers).headers["x-request-id"] == "my-own-id-1"
    made = {patient.get(f"{gateway.url}/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
