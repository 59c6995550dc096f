"""Limits as the SDKs see them: the real binary with its ledger in a file, and two gateways on one table of somebody else's DynamoDB.

Prices are chosen so that a request reserves exactly what it will use: input is free, and the mocks use 12 tokens of input and 7 of
output, which is what the requests allow. Each case has a team of its own, so that most of them share one gateway."""

import json
import operator
import os
import re
import subprocess
import threading
import time
import uuid

import pytest

from harness.clients import CLIENTS, Ask
from harness.config import GATEWAY_ENV
from harness.process import Server, eventually, json_line, listen_address
from harness.world import GATEWAY, nonce
from test_local import found

IN, OUT = 12, 7
# Nano-dollars of one request, at 10 dollars a million tokens of output.
COST = OUT * 10_000
PRICES = {"*": {"input": 0, "output": 10}}
MODELS = {"chat": "via-openai-strict", "messages": "via-anthropic-strict", "responses": "via-anthropic-strict"}


def usd(nano: int) -> str:
    return f"{nano / 1e9:.9f}"


def limits(ledger: dict, teams: dict, **more) -> dict:
    # A debug build on a busy machine: the default of a quarter of a second is for DynamoDB.
    return {"ledger": ledger, "timeoutMs": 20_000, "prices": PRICES, "tiers": {"standard": {}}, "teams": teams} | more


def of_team(world, gateway, name: str, team: str):
    """An SDK's client whose token names this team."""
    return gateway.client(name, world.issuer.minted(**{"custom:team": team}))


def small(text: str = "") -> Ask:
    return Ask(f"{text} {nonce()}", max_tokens=OUT)


def access_lines(gateway, request_id: str) -> list[dict]:
    lines = [json_line(line) for line in gateway.server.lines if request_id in line]
    return [line for line in lines if line and line.get("message") == "request"]


def with_id() -> tuple[str, dict]:
    request_id = f"e2e-limits-{uuid.uuid4().hex[:12]}"
    return request_id, {"extra_headers": {"x-request-id": request_id}}


@pytest.fixture(scope="module")
def limited(world, new_ledger):
    """The gateway that most of these tests share."""
    from conftest import Gateway

    teams = {}
    for name in CLIENTS:
        teams[f"rpm-{name}"] = {"requestsPerMinute": 2}
        teams[f"seen-{name}"] = {"requestsPerMinute": 5, "tokensPerDay": 10_000}
        teams[f"day-{name}"] = {"tokensPerDay": 100}
        teams[f"leaver-{name}"] = {"usdPerMonth": usd(10_000_000)}
        for mode in ("plain", "stream"):
            teams[f"month-{name}-{mode}"] = {"usdPerMonth": usd(2 * COST)}
    server = world.start_gateway(world.config(limits=limits(new_ledger(), teams)), env=GATEWAY_ENV | world.standing_clock())
    return Gateway(world, server)


def refusal(error) -> dict:
    """The body of a 429, read as a program reads it."""
    assert error.response.status_code == 429
    body = error.response.json()
    assert body["allowed"] is False
    assert body["reason"] and body["error"]["message"] == body["reason"]
    assert body["error"]["type"] in ("rate_limit_error", "insufficient_quota", "billing_error")
    assert isinstance(body["retry_after_seconds"], int) and body["retry_after_seconds"] > 0
    assert error.response.headers["retry-after"] == str(body["retry_after_seconds"])
    assert error.response.headers["content-type"].startswith("application/json")
    return body


@pytest.mark.parametrize("name", CLIENTS)
def test_requests_per_minute(world, limited, name, monkeypatch):
    """The SDK raises its RateLimitError, and tries again when it may: the gateway tells it when."""
    client = of_team(world, limited, name, f"rpm-{name}")
    for _ in range(2):
        client.plain(MODELS[name], small())
    with pytest.raises(client.errors.RateLimitError) as refused:
        client.plain(MODELS[name], small())
    body = refusal(refused.value)
    assert body["reason"] == "RPM limit exceeded (3/2 requests per minute)"
    assert body["retry_after_seconds"] <= 60
    assert "x-should-retry" not in refused.value.response.headers

    request_id, options = with_id()
    slept = []
    again = client.sdk.with_options(max_retries=2)
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", slept.append)
        with pytest.raises(client.errors.RateLimitError):
            create = {"chat": "chat.completions", "messages": "messages", "responses": "responses"}[name]
            create = operator.attrgetter(f"{create}.create")(again)
            create(**client.body(MODELS[name], small()), **options)
    waits = [seconds for seconds in slept if seconds > 1]
    assert len(waits) == 2 and all(seconds <= 60 for seconds in waits), "as long as retry-after says"
    lines = eventually(lambda: len(access_lines(limited, request_id)) == 3 and access_lines(limited, request_id), "three requests")
    assert [line["http.response.status_code"] for line in lines] == [429] * 3
    assert all(line["tollgate.limits"] == "refused" and "RPM limit" in line["tollgate.limits.reason"] for line in lines)
    assert all(not line.get("tollgate.attempts") for line in lines), "no provider was asked"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_spent_month_is_charged_to_the_token_and_never_tried_again(world, limited, name, mode):
    """Two requests are the whole budget, streamed or not: so a stream is charged, exactly, before it ends."""
    client = of_team(world, limited, name, f"month-{name}-{mode}")
    for _ in range(2):
        request_id, options = with_id()
        assert client.ask(MODELS[name], small(), mode, **options).output_tokens == OUT
        (line,) = eventually(lambda request_id=request_id: access_lines(limited, request_id), "its line")
        assert (line["tollgate.cost_nano_usd"], line["tollgate.billed_tokens"]) == (COST, IN + OUT)
        assert "tollgate.usage_estimated" not in line
    request_id, options = with_id()
    client.sdk, sdk = client.sdk.with_options(max_retries=2), client.sdk
    try:
        with pytest.raises(client.errors.RateLimitError) as refused:
            client.ask(MODELS[name], small(), mode, **options)
    finally:
        client.sdk = sdk
    body = refusal(refused.value)
    assert "budget exceeded" in body["reason"]
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0", "the SDK did not ask again"
    (line,) = eventually(lambda: access_lines(limited, request_id), "its line")
    assert line["tollgate.limits"] == "refused"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_day_of_tokens(world, limited, name):
    client = of_team(world, limited, name, f"day-{name}")
    with pytest.raises(client.errors.RateLimitError) as refused:
        client.plain(MODELS[name], Ask(nonce(), max_tokens=1_000))
    assert "TPD limit exceeded" in refusal(refused.value)["reason"]
    client.plain(MODELS[name], small())


def test_headers_of_the_openai_sdk(world, limited):
    client = of_team(world, limited, "chat", "seen-chat")
    answer = client.sdk.chat.completions.with_raw_response.create(**client.body(MODELS["chat"], small()))
    headers = answer.headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("5", "4")
    assert headers["x-ratelimit-limit-tokens"] == "10000"
    assert 9_000 < int(headers["x-ratelimit-remaining-tokens"]) < 10_000
    for what in ("requests", "tokens"):
        assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s", headers[f"x-ratelimit-reset-{what}"])
    assert not [header for header in headers if header.startswith("anthropic-ratelimit")]


def test_headers_of_the_anthropic_sdk(world, limited):
    client = of_team(world, limited, "messages", "seen-messages")
    answer = client.sdk.messages.with_raw_response.create(**client.body(MODELS["messages"], small()))
    headers = answer.headers
    assert (headers["anthropic-ratelimit-requests-limit"], headers["anthropic-ratelimit-requests-remaining"]) == ("5", "4")
    assert headers["anthropic-ratelimit-tokens-limit"] == "10000"
    assert 9_000 < int(headers["anthropic-ratelimit-tokens-remaining"]) < 10_000
    for what in ("requests", "tokens"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", headers[f"anthropic-ratelimit-{what}-reset"])
    assert not [header for header in headers if header.startswith("x-ratelimit")]


@pytest.mark.native("a load balancer does not tell a function that its client has left")
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_hangs_up_pays_for_what_it_got_and_no_more(world, limited, name):
    """Its request holds the whole budget while it runs."""
    client = of_team(world, limited, name, f"leaver-{name}")
    request_id, options = with_id()
    events = client.events(MODELS[name], Ask(f"[held] {nonce()}", max_tokens=1_000), **options)
    pieces = 0
    for event in events:
        pieces += bool(client.text_of(event))
        if pieces == 8:
            break
    nearly_all = Ask(nonce(), max_tokens=900)
    with pytest.raises(client.errors.RateLimitError) as refused:
        client.plain(MODELS[name], nearly_all)
    assert "reserved by requests under way" in refusal(refused.value)["reason"]
    assert "x-should-retry" not in refused.value.response.headers, "what is reserved may come back in a moment"
    events.close()

    def passes() -> bool:
        try:
            return client.plain(MODELS[name], nearly_all).output_tokens == OUT
        except client.errors.RateLimitError:
            return False

    eventually(passes, "the rest of the reservation is free again")
    (line,) = eventually(lambda: access_lines(limited, request_id), "its line")
    assert line["tollgate.client_gone"] and line["tollgate.usage_estimated"]
    assert 0 < line["tollgate.cost_nano_usd"] < 1_000_000, "less than 100 tokens of output"
    assert line["tollgate.billed_tokens"] > 0


def test_a_budget_survives_a_restart_and_a_crash(world, new_ledger):
    teams = {"patient": {"usdPerMonth": usd(2 * COST)}}
    config = world.config(limits=limits(new_ledger(), teams))
    token, env = world.issuer.minted(**{"custom:team": "patient"}), GATEWAY_ENV | world.standing_clock()
    for end in ("terminate", "kill"):
        server = world.start_gateway(config, env=env)
        client = CLIENTS["chat"](server.wait_for(listen_address), token)
        client.plain(MODELS["chat"], small())
        getattr(server.process, end)()
        server.ended()
    server = world.start_gateway(config, env=env)
    client = CLIENTS["chat"](server.wait_for(listen_address), token)
    with pytest.raises(client.errors.RateLimitError) as refused:
        client.plain(MODELS["chat"], small())
    assert refused.value.response.headers["x-should-retry"] == "false"
    server.stop()


def test_two_gateways_share_one_limit_to_the_request(world, dynamodb, start_gateway):
    """The table is made by boto3, as the documentation says, in a DynamoDB that nobody of us wrote."""
    if not dynamodb.refused_conditions_show_the_item():
        pytest.skip("this moto does not know ReturnValuesOnConditionCheckFailure")
    teams = {"both": {"requestsPerMinute": 10}, "purse": {"usdPerMonth": usd(10 * COST)}}
    table = dynamodb.table()
    clock = world.standing_clock()
    gateways = [start_gateway(clock, limits=limits(dynamodb.ledger(table), teams)) for _ in range(2)]
    for team, reason in (("both", "RPM limit exceeded"), ("purse", "budget exceeded")):
        clients = [of_team(world, gateway, "chat", team) for gateway in gateways]
        started = threading.Barrier(40)
        outcomes: list[str] = []

        def ask(client, started=started, outcomes=outcomes):
            started.wait()
            try:
                client.plain(MODELS["chat"], small())
                outcomes.append("passed")
            except client.errors.RateLimitError as error:
                outcomes.append(refusal(error)["reason"])
            except Exception as error:  # noqa: BLE001
                outcomes.append(repr(error))

        threads = [threading.Thread(target=ask, args=(clients[index % 2],)) for index in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [outcome for outcome in outcomes if outcome != "passed"]
        assert all(reason in outcome for outcome in refused), set(refused)
        assert len(refused) == 30, f"{40 - len(refused)} of 40 passed a limit of 10"
    degraded = [line for gateway in gateways for line in gateway.server.lines if "DegradedAdmission" in line]
    assert not degraded, "the ledger answered every time"


def test_quota_off_is_as_if_there_were_no_limits(world, start_gateway):
    ledger = {"endpoint": world.at.refused}
    gateway = start_gateway(limits=limits(ledger, {}, quota="off", failureMode="closed", gateway={"usdPerMonth": usd(1)}))
    request_id, options = with_id()
    headers = gateway.chat().plain(MODELS["chat"], small(), **options).headers
    assert not [header for header in headers if "ratelimit" in header]
    (line,) = eventually(lambda: access_lines(gateway, request_id), "its line")
    assert "tollgate.cost_nano_usd" not in line and "tollgate.limits" not in line


def test_a_ledger_that_is_away_closes(world, start_gateway):
    gateway = start_gateway(limits=limits({"endpoint": world.at.refused}, {}, failureMode="closed", tiers={"premium": {"usdPerMonth": 5}}))
    for name in CLIENTS:
        client = gateway.client(name)
        with pytest.raises(client.errors.InternalServerError) as refused:
            client.plain(MODELS[name], small())
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        body = response.json()
        assert body["error"]["message"]
        if name in ("chat", "responses"):
            assert body["error"]["code"] == "limits_unavailable"
        else:
            assert (body["type"], body["error"]["type"]) == ("error", "overloaded_error")


def test_a_ledger_that_is_away_opens_and_is_counted(world, start_gateway):
    gateway = start_gateway(limits=limits({"endpoint": world.at.refused}, {}, failureMode="open", tiers={"premium": {"usdPerMonth": 5}}))
    for name in CLIENTS:
        request_id, options = with_id()
        assert gateway.client(name).plain(MODELS[name], small(), **options).text
        (line,) = eventually(lambda request_id=request_id: access_lines(gateway, request_id), "its line")
        assert line["tollgate.limits"] == "degraded"

    def counted(text: str) -> bool:
        line = json_line(text) or {}
        return line.get("DegradedAdmission") == 1 and "_aws" in line

    gateway.server.wait_for(counted)


LITELLM = {
    "sample_spec": {"input_cost_per_token": 0, "output_cost_per_token": 0, "litellm_provider": "one of them", "mode": "chat"},
    "e2e-model": {"input_cost_per_token": 3e-07, "output_cost_per_token": 1.5e-06, "litellm_provider": "openai", "mode": "chat"},
    "e2e-claude": {
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_read_input_token_cost": 3e-07,
        "litellm_provider": "anthropic",
        "max_output_tokens": 64000,
    },
    "e2e-painter": {"input_cost_per_pixel": 1e-08, "output_cost_per_pixel": 0.0, "litellm_provider": "openai"},
}


def prices(*arguments):
    return subprocess.run([GATEWAY, "prices", *arguments], capture_output=True, text=True, timeout=60)


def test_a_price_list_of_others_is_imported_and_used(world):
    folder = world.new_folder("prices")
    source, out = folder / "list.json", folder / "prices.json"
    source.write_text(json.dumps(LITELLM))
    done = prices("import", source, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "e2e-painter" in done.stdout + done.stderr, "what was skipped is named"
    imported = json.loads(out.read_text())
    assert set(imported) == {"openAI/e2e-model", "anthropic/e2e-claude"}
    assert float(imported["openAI/e2e-model"]["input"]) == 0.3
    assert float(imported["anthropic/e2e-claude"]["cacheRead"]) == 0.3
    # What comes out stands in a configuration as it is.
    config = world.config(limits={"prices": imported})
    shown = prices("show", "openAI/e2e-model", "--config", world.write_config(config))
    assert shown.returncode == 0 and "1.5" in shown.stdout, shown.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "<html>not found</html>",
        json.dumps(LITELLM)[:200],
        json.dumps(LITELLM | {"wrong": {"input_cost_per_token": -1, "output_cost_per_token": 1e-6, "litellm_provider": "openai"}}),
        json.dumps(LITELLM | {"wrong": {"input_cost_per_token": 1, "output_cost_per_token": 1, "litellm_provider": "openai"}}),
    ],
    ids=["empty", "nothing", "html", "cut", "negative", "per-million"],
)
def test_a_bad_price_list_changes_nothing(world, text):
    folder = world.new_folder("prices")
    source, out = folder / "list.json", folder / "prices.json"
    source.write_text(text)
    out.write_text("as it was")
    done = prices("import", source, "--out", out)
    assert done.returncode == 1
    assert done.stdout == "" and str(source) in done.stderr
    assert out.read_text() == "as it was"
    assert prices("import", source, "--out", folder / "new.json").returncode == 1
    assert not (folder / "new.json").exists()


@pytest.mark.native("a laptop's banner")
def test_the_banners_lines_show_a_budget(world):
    """`gateway` with nothing, and its own lines pasted into a shell: two pass, the third does not."""
    for _ in range(5):
        server, folder, shell = pasted(world)
        # A disk that took seconds says nothing of the banner: without its ledger's word a request is let through.
        if "degraded" not in server.output:
            break
        server.stop()
    assert re.findall(r"HTTP/1.1 (\d+) ", shell.stdout) == ["200", "200", "429"], shell.stdout + shell.stderr
    refused = shell.stdout[shell.stdout.rindex("HTTP/1.1 429") :]
    assert "x-should-retry: false" in refused.lower() and "budget for demo-budget exceeded" in refused
    assert (folder / "ledger.sqlite").exists()
    # The banner prints the secret for its user, and nothing else does.
    secret = server.wait_for(lambda line: found(line, "client_secret"))
    assert all(secret not in line for line in server.lines if json_line(line))
    server.stop()


def pasted(world):
    """A gateway that begins with nothing, its folder, and what a shell says to its lines."""
    folder = world.new_folder("data")
    env = {"TOLLGATE_LISTEN": "127.0.0.1:0", "TOLLGATE_DATA": str(folder), "AWS_EC2_METADATA_DISABLED": "true"} | world.standing_clock()
    server: Server = world.start_gateway(env=env)
    server.wait_for(listen_address)
    token = server.wait_for(lambda line: line.strip() if line.strip().startswith("TOKEN=$(curl") else None)
    loop = server.wait_for(lambda line: line.strip() if "demo-budget" in line and "curl" in line else None)
    shell = subprocess.run(
        ["bash", "-c", f"{token}\n{loop}"], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], "no_proxy": "*"}
    )
    return server, folder, shell


def test_nothing_of_this_is_in_the_logs(world, limited):
    assert not world.leaks(world.gateways)
