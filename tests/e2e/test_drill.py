"""The fault drill: the real binary as a Lambda function, and what Lambda, AWS and the network do to it. What is promised: docs/drills.md.

Prices, teams and requests are those of test_limits.py: a request costs exactly what it reserves, and a held stream sixteen times as much."""

import json
import threading
import time

import httpx
import pytest

from harness.clients import HELLO, Ask
from harness.config import OPENAI_KEY, Providers, rule
from harness.clock import Clock
from harness.function import Function
from harness.holds import EXPIRED, Relay, Service, Silent, expired
from harness.process import json_line
from harness.world import BUDGET, ROOT, nonce
from test_connections import ANSWER
from test_limits import COST, limits, small, usd, with_id

pytestmark = pytest.mark.native("it has front doors of its own")

YEARS = 10 * 365 * 24 * 3600
HOUR, MINUTE = 3600, 60


@pytest.fixture(scope="module")
def start(world, tmp_path_factory):
    """Starts the function, stops it afterwards. Each has a clock of its own; `dark` things are stopped with it."""
    folder, started = tmp_path_factory.mktemp("clocks"), []

    def function(config: dict, **more) -> Function:
        made = Function(world, config, more.pop("clock", None) or Clock(folder), **more)
        started.append(made)
        return made

    function.clock = lambda: Clock(folder)
    yield function
    for made in started:
        made.server.stop()


@pytest.fixture
def held():
    """Things of one test that have to be stopped."""
    things = []

    def hold(thing):
        things.append(thing)
        return thing

    yield hold
    for thing in things:
        thing.stop()


def token(world, team: str = "search", **changes) -> str:
    """One that hours do not end."""
    return world.issuer.minted(exp=int(time.time()) + YEARS, **{"custom:team": team}, **changes)


def one_chain(*providers, on: list | None = None) -> dict:
    """`ai` with one chain of groups for every model."""
    groups = [{"providers": [provider]} for provider in providers]
    return {"groups": [group | ({"on": on} if on else {}) for group in groups]}


def state(dynamodb, table: str, team: str) -> dict:
    item = dynamodb.client.get_item(TableName=table, Key={"pk": {"S": f"team#{team}"}, "sk": {"S": "state"}}).get("Item", {})
    return {
        "spent": sum(int(value["N"]) for name, value in item.items() if name.startswith("usd#")),
        "open": [name for name in item if name.startswith("o#")],
    }


# Freezes. Lambda stops a sandbox between two events and lets it go on minutes or hours later; what was open then is dead.


@pytest.fixture(scope="module")
def distant(world, dynamodb, start):
    """A function with a limited team; everything that it is connected to is behind relays."""
    relays = [Relay(world.at.llm), Relay(world.at.bedrock), Relay(dynamodb.url), Relay(world.at.issuer)]
    llm, bedrock, ledger, issuer = (relay.url for relay in relays)
    providers = Providers(world.at)
    ai = {
        "models": [
            rule("far-openai", providers.openai("far-openai", f"{llm}/ok/v1")),
            rule("far-anthropic", providers.anthropic("far-anthropic", f"{llm}/ok")),
            rule("far-bedrock", providers.column("bedrock-claude", "far-bedrock") | {"baseUrl": bedrock}),
        ]
    }
    auth = world.config()["auth"] | {"issuers": [{"issuer": world.at.issuer, "jwks": {"url": f"{issuer}/jwks"}, "audiences": ["tollgate"]}]}
    table = dynamodb.table()
    config = world.config(ai=ai, auth=auth, limits=limits({"table": table, "endpoint": ledger}, {"far": {"usdPerMonth": 1}}, failureMode="closed"))
    function = start(config)
    function.relays = relays
    yield function
    for relay in relays:
        relay.stop()


@pytest.mark.parametrize("seconds", [20, 2 * MINUTE, 2 * HOUR, 30 * HOUR], ids=["20s", "2min", "2h", "30h"])
def test_the_first_request_after_a_freeze_is_answered(world, distant, seconds):
    """After 20 seconds the pools still believe in their connections; after two hours the issuer's keys are old, after 30 too old."""
    client = distant.client("alb", "chat", token(world, "far"))
    models = ["far-openai", "far-anthropic", "far-bedrock"]
    for model in models:
        assert client.plain(model, small()).text == HELLO
    for model in models:
        with distant.frozen(seconds):
            for relay in distant.relays:
                relay.cut()
        reply = client.plain(model, small())
        assert reply.text == HELLO
        assert reply.headers["x-tollgate-attempts"] in ("1", "2"), "a dead connection costs an attempt"
    assert not [line for line in distant.server.lines if "DegradedAdmission" in line]


def test_a_fetch_that_a_freeze_interrupts_is_begun_again(world, start, held):
    """The issuer's keys are on their way, from init, when the sandbox is frozen; their sender has given up when it goes on."""
    begun, release = threading.Event(), threading.Event()
    keys = {"keys": [world.key.jwk()]}

    def answer(*_):
        if not begun.is_set():
            begun.set()
            release.wait(60)
        return 200, {}, keys

    issuer = held(Service(answer))
    auth = {"issuers": [{"issuer": world.at.issuer, "jwks": {"url": issuer.url}, "audiences": ["tollgate"]}]}
    function = start(world.config(auth=auth))
    assert begun.wait(30)
    with function.frozen(HOUR):
        pass
    assert function.client("alb", "chat", token(world)).plain("via-openai-strict", small()).text == HELLO
    release.set()
    assert len(issuer.asked) >= 2


def test_keys_that_an_issuer_changed_during_a_freeze(world, start, held):
    keys = [world.key.jwk()]
    issuer = held(Service(lambda *_: (200, {}, {"keys": list(keys)})))
    auth = {"issuers": [{"issuer": world.at.issuer, "jwks": {"url": issuer.url}, "audiences": ["tollgate"]}]}
    function = start(world.config(auth=auth))
    old, new = token(world), token(world, key=world.stranger)
    assert function.client("alb", "chat", old).plain("via-openai-strict", small()).text == HELLO
    with function.frozen(2 * HOUR):
        keys[:] = [world.stranger.jwk()]
    assert function.client("alb", "chat", new).plain("via-openai-strict", small()).text == HELLO
    client = function.client("alb", "chat", old)
    with pytest.raises(client.errors.AuthenticationError):
        client.plain("via-openai-strict", small())


# Secrets.


def with_secret(world, secrets_manager, reference: str) -> dict:
    """Its provider is aimock, which enforces its key."""
    entry = {"name": "openai", "provider": {"openAI": {}}, "baseUrl": f"{world.at.aimock}/v1", "policies": {"backendAuth": {"key": reference}}}
    return {"config": world.config(ai=one_chain(entry)), "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_manager.url}


@pytest.mark.parametrize("how", ["between", "frozen"])
def test_a_key_that_was_rotated_is_fetched_within_the_request(world, secrets_manager, start, how):
    """No client sees it, as long as the key was not fetched in the last ten seconds."""
    name = f"drill/{how}"
    world.secrets.add("sk-drill-of-yesterday-0123456789")
    secrets_manager.create_secret(Name=name, SecretString=OPENAI_KEY)
    function = start(**with_secret(world, secrets_manager, f"secretsmanager:{name}"))
    client = function.client("alb", "chat", token(world))
    assert client.plain("gpt-4o", Ask(nonce())).text == HELLO
    # The function holds another key than the provider takes, as after a rotation.
    secrets_manager.put_secret_value(SecretId=name, SecretString="sk-drill-of-yesterday-0123456789")
    stale = start(**with_secret(world, secrets_manager, f"secretsmanager:{name}"))
    client = stale.client("alb", "chat", token(world))
    with pytest.raises(client.errors.APIStatusError) as refused:
        client.plain("gpt-4o", Ask(nonce()))
    assert refused.value.response.status_code == 502
    if how == "frozen":
        with stale.frozen(HOUR):
            secrets_manager.put_secret_value(SecretId=name, SecretString=OPENAI_KEY)
    else:
        secrets_manager.put_secret_value(SecretId=name, SecretString=OPENAI_KEY)
        stale.clock.forward(11)
    assert client.plain("gpt-4o", Ask(nonce())).text == HELLO


# The ledger.


@pytest.fixture
def books(world, dynamodb, start, held):
    """A streaming function with a limited team, its ledger behind a relay. Its reservations end two minutes after they began."""
    table = dynamodb.table()
    relay = held(Relay(dynamodb.url))
    teams = {"drilled": {"usdPerMonth": 1}}
    prices = {"*": {"input": 1, "output": 10}}

    def function(**env) -> Function:
        ledger = {"table": table, "endpoint": relay.url}
        config = world.config(limits=limits(ledger, teams, timeoutMs=5_000, prices=prices), request={"timeoutMs": 60_000})
        made = start(config, **env)
        made.relay, made.config, made.table = relay, config, table
        return made

    return function


# Twelve tokens of input at a dollar a million. A held answer reports the same usage.
EXACT = COST + 12 * 1_000
SWEPT_AFTER = 5 * MINUTE


@pytest.mark.parametrize("mode", ["plain", "stream"])
@pytest.mark.parametrize("door", ["alb", "url"])
def test_what_is_answered_is_settled_before_the_sandbox_can_go(world, dynamodb, books, door, mode):
    """The sandbox is killed in the moment in which the client has its answer."""
    function = books(**({"TOLLGATE_RESPONSE_MODE": "stream"} if door == "url" else {}))
    client = function.client(door, "chat", token(world, "drilled"))
    assert client.ask("via-openai-strict", small(), mode).output_tokens == 7
    function.kill()
    assert state(dynamodb, function.table, "drilled") == {"spent": EXACT, "open": []}


def unsettled(world, function) -> None:
    """A stream whose settlement the ledger does not take."""
    client, text, word = function.client("url", "chat", token(world, "drilled")), "", nonce()
    for event in client.events("via-openai-strict", Ask(f"[held] {word}", max_tokens=200)):
        text += client.text_of(event)
        if text and not function.relay.dark:
            function.relay.dark = True
            world.llm.release(word)
    assert text == HELLO * 16, "the client has its answer"
    function.server.wait_for(lambda line: "a settlement could not be written" in line)


def test_a_settlement_that_could_not_be_written_is_written_after_a_freeze(world, dynamodb, books):
    function = books(TOLLGATE_RESPONSE_MODE="stream")
    unsettled(world, function)
    assert len(state(dynamodb, function.table, "drilled")["open"]) == 1
    with function.frozen(30):
        function.relay.dark = False
        function.relay.cut()
    client = function.client("url", "chat", token(world, "drilled"))
    client.plain("via-openai-strict", small())
    assert state(dynamodb, function.table, "drilled") == {"spent": 2 * EXACT, "open": []}


def test_a_settlement_after_the_sweep_charges_nothing_twice(world, dynamodb, books, start):
    function = books(TOLLGATE_RESPONSE_MODE="stream")
    unsettled(world, function)
    with function.frozen():
        function.clock.forward(SWEPT_AFTER)
        function.relay.dark = False
        function.relay.cut()
        swept = sweep(world, start, function)
    assert swept["reservations"] == 1
    charged = state(dynamodb, function.table, "drilled")
    assert charged == {"spent": swept["charged_nano_usd"], "open": []}
    assert 0 < charged["spent"] < 200 * 10_000, "the estimate of its prompt"
    client = function.client("url", "chat", token(world, "drilled"))
    client.plain("via-openai-strict", small())
    assert state(dynamodb, function.table, "drilled") == {"spent": charged["spent"] + EXACT, "open": []}
    function.server.wait_for(lambda line: "came after its reservation had expired" in line)


def sweep(world, start, function) -> dict:
    """The budget function, invoked by its schedule, at the function's time."""
    budget = start(function.config, clock=function.clock, program=BUDGET)
    answer = budget.invoke(json.loads((ROOT / "events" / "budget" / "schedule.json").read_text()))
    assert answer.headers["x-function-error"] == "", answer.text
    budget.server.stop()
    return answer.json()


@pytest.mark.parametrize("name", ["chat", "messages"])
def test_a_sandbox_that_dies_in_mid_stream_loses_nothing_for_longer_than_its_expiry(world, dynamodb, books, start, name):
    function = books(TOLLGATE_RESPONSE_MODE="stream")
    model = {"chat": "via-openai-strict", "messages": "via-anthropic-strict"}[name]
    client = function.client("url", name, token(world, "drilled"))
    text = ""
    with pytest.raises(Exception, match="incomplete|onnection"):
        for event in client.events(model, Ask(f"[held] {nonce()}", max_tokens=200)):
            text += client.text_of(event)
            if text and function.server.alive:
                function.kill()
    assert text and HELLO * 16 != text
    reserved = state(dynamodb, function.table, "drilled")
    assert len(reserved["open"]) == 1 and reserved["spent"] >= 200 * 10_000, "it counts until it expires"
    assert sweep(world, start, function)["reservations"] == 0, "it may still be running, for all the ledger knows"
    function.clock.forward(SWEPT_AFTER)
    swept = sweep(world, start, function)
    assert swept["reservations"] == 1
    charged = state(dynamodb, function.table, "drilled")
    assert charged == {"spent": swept["charged_nano_usd"], "open": []}
    assert 0 < charged["spent"] < reserved["spent"], "the estimate of its prompt"
    function.start()
    assert client.plain(model, small()).text == HELLO
    assert state(dynamodb, function.table, "drilled") == {"spent": charged["spent"] + EXACT, "open": []}


def test_a_sandbox_that_dies_behind_the_load_balancer_is_its_502(world, start):
    function = start(world.config(), api_options=["--function-timeout-ms", "3000"])
    client = function.client("alb", "chat", token(world))
    word = nonce()
    killer = threading.Thread(target=lambda: (world.llm.wait_for_outcome(word, "open"), function.kill()))
    killer.start()
    with pytest.raises(client.errors.InternalServerError) as failed:
        client.plain("patient-openai", Ask(word))
    killer.join()
    assert failed.value.response.status_code == 502
    assert failed.value.response.headers["server"] == "awselb/2.0"
    world.llm.wait_for_outcome(word, "aborted")
    function.start()
    assert function.health().status_code == 200


# Init without a network.


@pytest.fixture(params=["silent", "refused"])
def nowhere(request, world, held):
    """An address where nothing answers."""
    return held(Silent()).url if request.param == "silent" else world.at.refused


QUICK = {"connectMs": 500, "firstByteMs": 1_000}


def test_without_an_issuer_the_function_starts_and_says_what_is_missing(world, start, nowhere):
    auth = {"issuers": [{"issuer": world.at.issuer, "jwks": {"url": f"{nowhere}/jwks"}, "audiences": ["tollgate"]}]}
    function = start(world.config(auth=auth))
    for _ in range(2):
        assert function.health().status_code == 200
    client = function.client("alb", "messages", token(world))
    with pytest.raises(client.errors.InternalServerError) as failed:
        client.plain("via-openai-strict", small())
    assert failed.value.response.status_code == 503
    assert "the keys of the issuer" in failed.value.response.json()["error"]["message"]
    function.server.wait_for(lambda line: "the issuer's keys could not be fetched" in line)


def test_without_provider_secret_and_ledger_the_function_starts_and_each_fault_has_its_name(world, start, nowhere):
    providers = Providers(world.at)
    key = {"policies": {"backendAuth": {"key": "secretsmanager:drill/nowhere"}}}
    ai = {
        "models": [
            rule("no-provider", providers.openai("no-provider", f"{nowhere}/v1", timeouts=QUICK)),
            rule("no-bedrock", providers.column("bedrock-claude", "no-bedrock") | {"baseUrl": nowhere, "timeouts": QUICK}),
            rule("no-secret", providers.openai("no-secret", f"{world.at.llm}/ok/v1") | key),
            rule("all-well", providers.column("openai-strict", "all-well")),
        ]
    }
    teams = {"limited": {"usdPerMonth": 1}}
    for mode, status in (("open", 200), ("closed", 503)):
        ledger = limits({"endpoint": nowhere}, teams, timeoutMs=500, failureMode=mode)
        function = start(world.config(ai=ai, limits=ledger), AWS_ENDPOINT_URL_SECRETS_MANAGER=nowhere)
        assert function.health().status_code == 200
        client = function.client("alb", "chat", token(world, "limited"))
        if mode == "open":
            assert client.plain("all-well", small()).text == HELLO
            function.server.wait_for(lambda line: "DegradedAdmission" in line)
        else:
            with pytest.raises(client.errors.InternalServerError) as failed:
                client.plain("all-well", small())
            assert (failed.value.response.status_code, failed.value.code) == (status, "limits_unavailable")
    # A team without limits: the ledger is not asked.
    client = function.client("alb", "chat", token(world, "free", **{"custom:tenant_tier": "enterprise"}))
    # Whole answers have no first-byte timeout of their own unless it is stated: it is, here.
    for model, codes in (
        ("no-provider", ("upstream_unreachable", "upstream_first_byte_timeout")),
        ("no-bedrock", ("upstream_unreachable", "upstream_first_byte_timeout")),
        ("no-secret", ("upstream_credentials",)),
    ):
        with pytest.raises(client.errors.InternalServerError) as failed:
            client.plain(model, small())
        assert failed.value.code in codes, failed.value.response.text
    assert "could not be had" in failed.value.response.json()["error"]["message"], "nobody refused anything"
    function.server.wait_for(lambda line: "secretsmanager:drill/nowhere" in line)
    assert function.health().status_code == 200


def test_without_its_configuration_the_function_starts_and_serves_as_soon_as_it_is_there(world, start, held):
    """The configuration is AppConfig's. Once it was there, a freeze and an agent that is away take nothing from it."""
    there = []
    agent = held(Service(lambda *_: (200, {}, world.config()) if there else (500, {}, {"Message": "not yet"})))
    place = {"TOLLGATE_CONFIG": "appconfig:tollgate/drill/gateway", "AWS_APPCONFIG_EXTENSION_HTTP_PORT": agent.url.rsplit(":", 1)[1]}
    function = start(world.config(), **place)
    assert function.health().status_code == 503, "a load balancer sends it nobody"
    client = function.client("alb", "chat", token(world))
    with pytest.raises(client.errors.InternalServerError) as failed:
        client.plain("via-openai-strict", small())
    assert (failed.value.response.status_code, failed.value.code) == (503, "no_configuration")
    there.append(True)
    assert client.plain("via-openai-strict", small()).text == HELLO
    assert function.health().status_code == 200
    with function.frozen(HOUR):
        there.clear()
    for _ in range(2):
        assert client.plain("via-openai-strict", small()).text == HELLO
    function.server.wait_for(lambda line: "ConfigurationRefused" in line)


# Credentials of AWS that have expired.


def test_expired_credentials_at_bedrock_are_the_gateways_fault_and_fail_over_where_that_is_configured(world, start, held):
    aws = held(Service(expired))
    providers = Providers(world.at)
    ill = providers.column("bedrock-claude", "ill") | {"baseUrl": aws.url}
    well = providers.column("anthropic-strict", "well")
    for on in (None, ["auth"]):
        function = start(world.config(ai=one_chain(ill, well, on=on)))
        client = function.client("alb", "messages", token(world))
        if on:
            reply = client.plain("any", small())
            assert (reply.text, reply.headers["x-tollgate-provider"], reply.headers["x-tollgate-attempts"]) == (HELLO, "well", "2")
        else:
            with pytest.raises(client.errors.InternalServerError) as failed:
                client.plain("any", small())
            assert failed.value.response.status_code == 502
            assert EXPIRED not in failed.value.response.text, "nothing of ours goes to a client"

        def alarm(text: str) -> bool:
            line = json_line(text) or {}
            return line.get("level") == "ERROR" and "ill" in text

        function.server.wait_for(alarm)


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_expired_credentials_at_the_ledger_leave_it_to_the_failure_mode(world, start, held, mode):
    aws = held(Service(expired))
    function = start(world.config(limits=limits({"endpoint": aws.url}, {"limited": {"usdPerMonth": 1}}, failureMode=mode)))
    client = function.client("alb", "chat", token(world, "limited"))
    request_id, options = with_id()
    if mode == "open":
        assert client.plain("via-openai-strict", small(), **options).text == HELLO
    else:
        with pytest.raises(client.errors.InternalServerError) as failed:
            client.plain("via-openai-strict", small(), **options)
        assert (failed.value.response.status_code, failed.value.code) == (503, "limits_unavailable")
    function.server.wait_for(lambda line: EXPIRED in line)
    function.server.wait_for(lambda line: "DegradedAdmission" in line)


def test_expired_credentials_at_secrets_manager_end_when_new_ones_are_there(world, secrets_manager, start, held):
    secrets_manager.create_secret(Name="drill/expired", SecretString=OPENAI_KEY)
    relay_to = httpx.Client(base_url=secrets_manager.url, timeout=60)
    good = []

    def answer(method, path, headers, body):
        if not good:
            return expired(method, path, headers, body)
        kept = {name: value for name, value in headers.items() if name not in ("host", "content-length", "connection")}
        real = relay_to.request(method, path, headers=kept, content=body)
        return real.status_code, {}, real.json()

    aws = held(Service(answer))
    made = with_secret(world, secrets_manager, "secretsmanager:drill/expired") | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.url}
    function = start(**made)
    client = function.client("alb", "chat", token(world))
    with pytest.raises(client.errors.InternalServerError) as failed:
        client.plain("gpt-4o", Ask(nonce()))
    assert failed.value.response.status_code == 502 and EXPIRED not in failed.value.response.text
    function.server.wait_for(lambda line: EXPIRED in line and "drill/expired" in line)
    good.append(True)
    function.clock.forward(2)
    assert client.plain("gpt-4o", Ask(nonce())).text == HELLO


def test_credentials_that_expire_during_a_freeze_are_fetched_anew(world, start, held):
    """As Lambda hands them out to a function with SnapStart, and ECS to a task: by an address, with an expiry."""
    generation, clock = [], start.clock()

    def credentials(*_):
        generation.append(len(generation) + 1)
        ends = time.time() + clock.ahead_s + 15 * MINUTE
        return 200, {}, {
            "AccessKeyId": f"ASIADRILL{generation[-1]:011}",
            "SecretAccessKey": "drillSecretAccessKey/0123456789abcdefghijk",
            "Token": f"session-{generation[-1]}",
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends)),
        }

    aws, bedrock = held(Service(credentials)), held(Service(lambda *_: (200, {}, ANSWER)))
    world.secrets.add("drillSecretAccessKey/0123456789abcdefghijk")
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    chain = one_chain(Providers(world.at).column("bedrock-claude", "bedrock") | {"baseUrl": bedrock.url})
    function = start(world.config(ai=chain), clock=clock, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.url}/creds", **nobody)
    client = function.client("alb", "messages", token(world))
    client.plain("any", small())
    with function.frozen(HOUR):
        pass
    client.plain("any", small())
    before, after = (headers["x-amz-security-token"] for _, headers in bedrock.asked)
    assert before.startswith("session-") and after.startswith("session-") and before != after
