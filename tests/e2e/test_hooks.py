"""The webhook functions as native servers: the contract to the letter, the native form, usage reports; and our own gateway asking our own
budget. Both share one table of moto's. Prices are as in `test_limits.py`: what a request may cost is what it will cost."""

import http.client
import json
import os
import re
import socket
import subprocess
import time
import uuid
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest

from harness import patient
from harness.clients import CLIENTS, Ask
from harness.config import GATEWAY_ENV
from harness.process import eventually, json_line, listen_address
from harness.world import BUDGET, RATE_LIMITER, nonce

SECRET = "e2e-hook-secret-0123456789abcdef"
ENV = {"E2E_HOOK_SECRET": SECRET, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
ENV |= {name: value for name, value in GATEWAY_ENV.items() if name.startswith("E2E_")}
OUT = 7
# Nano-dollars of a token of output.
RATE = 10_000
DOLLAR = 1_000_000_000
PRICES = {name: {"input": 0, "output": 10} for name in ("gpt-4o", "via-*")}
TRUSTED = {"x-tollgate-secret": SECRET}
HTTP = httpx.Client(timeout=patient.TIMEOUT_S, trust_env=False)
PASS = {"action": {"reason": "within limits"}}


@pytest.fixture(scope="module")
def hooks(world, dynamodb):
    """Both functions, and the file that they read: a whole gateway's."""
    if not dynamodb.refused_conditions_show_the_item():
        pytest.skip("this moto does not know ReturnValuesOnConditionCheckFailure")
    world.secrets.add(SECRET)
    teams = {team: {"usdPerMonth": 1} for team in ("settler", "reporter", "checker", "asker", "scoped")}
    teams |= {name: {"requestsPerMinute": 2} for name in ("rpm-token", "rpm-secret", "rpm-check")}
    teams |= {f"guarded-{name}": {"usdPerMonth": f"{OUT * RATE / 1e9:.9f}"} for name in CLIENTS}
    limits = {
        "ledger": dynamodb.ledger(dynamodb.table()),
        "timeoutMs": 20_000,
        "prices": PRICES,
        "tiers": {"standard": {}},
        "teams": teams,
    }
    config = world.config(limits=limits, webhooks={"sharedSecret": "env:E2E_HOOK_SECRET"})
    env = ENV | world.standing_clock()
    servers = [world.start_hook(program, config, env) for program in (RATE_LIMITER, BUDGET)]
    rate, budget = (server.wait_for(listen_address) for server in servers)
    yield SimpleNamespace(rate=rate, budget=budget, both=(rate, budget), servers=servers, config=config, env=env)
    for server in servers:
        server.stop()


def conversation() -> dict:
    return {"body": {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": nonce()}]}}


def ask(url: str, headers: dict | None = None, path: str = "/request", body=None) -> httpx.Response:
    """As agentgateway does."""
    return HTTP.post(f"{url}{path}", json=conversation() if body is None else body, headers=headers or {})


def rejected(answer: httpx.Response, status: int, within: int = 200) -> dict:
    """A reject that no reader of the contract can take for anything else; gives what the client would get."""
    assert answer.status_code == within
    assert answer.headers["content-type"].startswith("application/json")
    action = answer.json()["action"]
    assert set(action) == {"body", "status_code", "reason"}
    assert type(action["body"]) is str and type(action["status_code"]) is int and type(action["reason"]) is str
    assert action["status_code"] == status, action["reason"]
    assert action["body"] and action["reason"]
    body = json.loads(action["body"])
    assert body["allowed"] is False and body["reason"] == action["reason"] == body["error"]["message"]
    assert body["type"] == "error" and body["error"]["type"]
    return body


def bearer(world, team: str, **changes) -> dict:
    return {"authorization": f"Bearer {world.issuer.minted(**{'custom:team': team}, **changes)}"}


def about(**more) -> dict:
    """What a budget wants to know."""
    return {"x-model": "gpt-4o", "x-max-tokens": "100", "x-request-id": f"r-{uuid.uuid4().hex}"} | more


def test_nobody_gets_no_pass(world, hooks):
    for url in hooks.both:
        rejected(ask(url, about()), 401)
        rejected(ask(url, about(**{"x-tollgate-team": "asker"})), 401)
        rejected(ask(url, about(**{"x-tollgate-team": "asker", "x-tollgate-secret": SECRET[:-1]})), 403)
        rejected(ask(url, about(**TRUSTED)), 401)
        for token in (world.issuer.tampered(), world.issuer.unsigned(), world.issuer.minted(key=world.stranger)):
            # A bad token is not made good by a secret beside it.
            rejected(ask(url, about(authorization=f"Bearer {token}")), 401)
            rejected(ask(url, about(authorization=f"Bearer {token}", **TRUSTED, **{"x-tollgate-team": "asker"})), 401)
        rejected(ask(url, about(**bearer(world, "asker", scope="other"))), 403)


def test_somebody_gets_exactly_the_pass_of_the_contract(world, hooks):
    for url in hooks.both:
        for headers in (bearer(world, "asker"), TRUSTED | {"x-tollgate-team": "asker"}):
            for path in ("/request", "/v1/guardrails/any/request"):
                answer = ask(url, about(**headers), path)
                assert (answer.status_code, answer.json()) == (200, PASS)


def test_answers_are_passed_because_they_say_nothing(hooks):
    body = {"body": {"choices": [{"message": {"role": "assistant", "content": nonce()}}]}}
    for url in hooks.both:
        answer = ask(url, path="/response", body=body)
        assert answer.status_code == 200
        assert set(answer.json()) == {"action"} and set(answer.json()["action"]) == {"reason"}


def test_what_is_not_of_the_contract_is_a_reject_too(world, hooks):
    known = bearer(world, "asker")
    for url in hooks.both:
        for body in ({}, {"body": {}}, {"body": {"messages": "hi"}}, [], "hi", None):
            rejected(HTTP.post(f"{url}/request", content=json.dumps(body), headers=about(**known)), 400)
        rejected(HTTP.post(f"{url}/request", content=b"\xff{", headers=about(**known)), 400)
        rejected(ask(url, about(**known) | {"x-max-tokens": "many"}), 400)
        for path in ("/", "/nowhere", "/request/", "/requests"):
            # Answered before the body has been read, which may cost the connection.
            answer = ask(url, about(**known) | {"connection": "close"}, path)
            assert answer.status_code in (404, 405)
            rejected(answer, answer.status_code, within=answer.status_code)
        rejected(HTTP.get(f"{url}/request", headers=known), 405, within=405)
        assert HTTP.get(f"{url}/healthz").text == "ok\n"


def twice_on_one_connection(url: str, token: str) -> list[int]:
    """Posts to a path that is not there, head and body apart; a proxy keeps its connections, and shares them between its clients."""
    address = urlsplit(url)
    head = f"POST /nowhere HTTP/1.1\r\nhost: hooks\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    answers = []
    with socket.create_connection((address.hostname, address.port), timeout=patient.TIMEOUT_S) as sock:
        for _ in range(2):
            sock.sendall(head.encode())
            # A server may answer by now, or wait for the body: both are right.
            time.sleep(0.1)
            sock.sendall(b"{}")
            answer = http.client.HTTPResponse(sock, method="POST")
            answer.begin()
            # To its end: what is left would be taken for the next one's.
            answer.read()
            answers.append(answer.status)
    return answers


def test_a_wrong_path_costs_no_connection(world, hooks):
    assert twice_on_one_connection(hooks.rate, world.issuer.minted()) == [404] * 2


def test_a_wrong_path_of_the_gateway_costs_no_connection(gateway):
    assert twice_on_one_connection(gateway.url, gateway.token) == [404] * 2


@pytest.mark.parametrize("how", ["token", "secret"])
def test_the_rate_limiter_counts(world, hooks, how):
    team = f"rpm-{how}"
    headers = bearer(world, team) if how == "token" else TRUSTED | {"x-tollgate-team": team}
    for _ in range(2):
        assert ask(hooks.rate, headers).json() == PASS
    body = rejected(ask(hooks.rate, headers), 429)
    assert body["reason"] == "RPM limit exceeded (3/2 requests per minute)"
    assert 1 <= body["retry_after_seconds"] <= 60
    assert body["error"]["type"] == "rate_limit_error" and body["error"]["code"] == "rate_limit_exceeded"


def test_a_budget_wants_a_model_and_knows_the_price(world, hooks):
    headers = about(**bearer(world, "asker"))
    del headers["x-model"]
    assert "x-tollgate-model" in rejected(ask(hooks.budget, headers), 403)["reason"]
    too_much = about(**bearer(world, "asker")) | {"x-max-tokens": str(2 * DOLLAR // RATE)}
    body = rejected(ask(hooks.budget, too_much), 429)
    assert "budget exceeded" in body["reason"] and body["error"]["code"] == "budget_exceeded"


def test_a_price_for_every_name_is_none_for_no_name(world, dynamodb):
    """A gateway whose expression fails leaves the header out. With the price list that `docs/prices.md` shows for models of one's own."""
    budget = {"tiers": {"standard": {"usdPerMonth": 1}}, "prices": {"custom/*": {"input": 0, "output": 0}}}
    limits = budget | {"ledger": dynamodb.ledger(dynamodb.table()), "timeoutMs": 20_000}
    server = world.start_hook(BUDGET, world.config(limits=limits, webhooks={"sharedSecret": "env:E2E_HOOK_SECRET"}), ENV)
    url = server.wait_for(listen_address)
    rejected(ask(url, TRUSTED | {"x-tollgate-team": "nameless", "x-max-tokens": "100"}), 403)
    server.stop()


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_a_ledger_that_is_away(world, mode):
    limits = {"ledger": {"endpoint": world.at.refused}, "failureMode": mode, "prices": PRICES}
    config = world.config(limits=limits, webhooks={"sharedSecret": "env:E2E_HOOK_SECRET"})
    server = world.start_hook(BUDGET, config, ENV)
    url = server.wait_for(listen_address)
    rejected(ask(url, about()), 401)
    answer = ask(url, about(**bearer(world, "asker")))
    if mode == "closed":
        assert rejected(answer, 503)["error"]["type"] == "overloaded_error"
    else:
        assert answer.json() == {"action": {"reason": "the ledger does not answer, and failureMode is open"}}
        server.wait_for(lambda line: (json_line(line) or {}).get("DegradedAdmission") == 1)
    usage = {"request_id": "r-away", "team": "asker", "model": "gpt-4o", "output_tokens": 9}
    unbooked = ask(url, TRUSTED, "/settle", {"settlements": [usage]})
    assert (unbooked.status_code, unbooked.json()["failed"]) == (503, ["r-away"]), "send it again"
    server.stop()


def test_the_native_form(world, hooks):
    for allowed in (True, True, False):
        answer = ask(hooks.rate, TRUSTED, "/check", {"team": "rpm-check", "model": "gpt-4o", "request_id": "r-1"})
        assert answer.status_code == (200 if allowed else answer.status_code)
        said = answer.json()
        assert said["allowed"] is allowed
        if not allowed:
            # A decision comes with HTTP 200, yes or no.
            assert answer.status_code == 200
            assert said["reason"] == "RPM limit exceeded (3/2 requests per minute)"
            assert (said["limit"], said["remaining"], said["code"]) == (2, 0, "rate_limit_exceeded")
            assert 1 <= said["retry_after_seconds"] <= 60
            rejected(answer, 429)
        else:
            assert said["action"] == PASS["action"]
    for body, headers, status in [
        ({"team": "checker", "model": "gpt-4o"}, {}, 401),
        ({"team": "checker", "model": "gpt-4o", "estimated_tokens": 1}, {"x-tollgate-secret": "wrong"}, 403),
        ({"team": "checker", "model": "gpt-4o"}, TRUSTED, 400),
        ({"team": "checker", "modle": "gpt-4o", "estimated_tokens": 1}, TRUSTED, 400),
        ({"team": "checker", "model": "gpt-4o", "estimated_tokens": 1}, bearer(world, "asker"), 403),
    ]:
        answer = ask(hooks.budget, headers, "/check", body)
        assert answer.json()["allowed"] is False, body
        rejected(answer, status, within=status)


def left(hooks, team: str) -> int:
    """Nano-dollars that the team has left, as a check says that wants nothing."""
    body = {"team": team, "model": "gpt-4o", "estimated_tokens": 0, "max_tokens": 0}
    said = ask(hooks.budget, TRUSTED, "/check", body).json()
    assert said["allowed"], said
    (limit,) = [limit for limit in said["limits"] if limit["counter"] == "usd_per_month"]
    assert (limit["scope"], limit["unit"], limit["limit"]) == ("team", "nano_usd", DOLLAR)
    return limit["remaining"]


def test_usage_replaces_the_reservation_once(world, hooks):
    headers = about(**bearer(world, "settler"))
    assert ask(hooks.budget, headers).json() == PASS
    assert left(hooks, "settler") == DOLLAR - 100 * RATE, "what it may cost is reserved"
    usage = {"request_id": headers["x-request-id"], "team": "settler", "model": "gpt-4o", "input_tokens": 50, "output_tokens": 30}
    for settled, duplicates in ((1, 0), (0, 1), (0, 1)):
        answer = ask(hooks.budget, TRUSTED, "/settle", {"settlements": [usage]})
        expected = {"settled": settled, "duplicates": duplicates, "unpriced": 0, "rejected": [], "failed": []}
        assert (answer.status_code, answer.json()) == (200, expected)
        assert left(hooks, "settler") == DOLLAR - 30 * RATE
    # Without a reservation it is added, and what cannot be booked is said.
    batch = [usage | {"request_id": f"r-{uuid.uuid4().hex}"}, usage | {"request_id": "r-bad", "team": ""}, {"request_id": "r-odd", "tokens": 3}]
    said = ask(hooks.budget, TRUSTED, "/settle", {"settlements": batch}).json()
    assert (said["settled"], [row["request_id"] for row in said["rejected"]]) == (1, ["r-bad", "r-odd"])
    assert left(hooks, "settler") == DOLLAR - 60 * RATE


def otlp(attributes: dict) -> dict:
    """One record, as OpenTelemetry's JSON has it."""
    kinds = {int: lambda value: {"intValue": str(value)}, str: lambda value: {"stringValue": value}}
    listed = [{"key": key, "value": kinds[type(value)](value)} for key, value in attributes.items()]
    record = {"timeUnixNano": "1763817345123000000", "body": {"stringValue": "request"}, "attributes": listed}
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [record]}]}]}


def test_usage_by_opentelemetry(world, hooks):
    headers = about(**bearer(world, "reporter"))
    assert ask(hooks.budget, headers).json() == PASS
    record = {
        "team": "reporter",
        "request.id": headers["x-request-id"],
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": OUT,
    }
    by_secret = {"authorization": f"Bearer {SECRET}"}
    for _ in range(2):
        answer = ask(hooks.budget, by_secret, "/v1/usage", otlp(record))
        assert (answer.status_code, answer.json()) == (200, {})
        assert left(hooks, "reporter") == DOLLAR - OUT * RATE
    # The same request by the other way is still the same request.
    usage = {"request_id": headers["x-request-id"], "team": "reporter", "model": "gpt-4o", "output_tokens": 50}
    assert ask(hooks.budget, TRUSTED, "/settle", {"settlements": [usage]}).json()["duplicates"] == 1
    unbookable = ask(hooks.budget, by_secret, "/v1/logs", otlp({key: value for key, value in record.items() if key != "team"}))
    assert unbookable.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert ask(hooks.budget, by_secret, "/v1/usage", otlp({"http.status": 200})).json() == {}
    assert left(hooks, "reporter") == DOLLAR - OUT * RATE


def test_usage_is_not_taken_from_anybody(world, hooks):
    usage = {"settlements": [{"request_id": "r-x", "team": "scoped", "model": "gpt-4o", "output_tokens": 9}]}
    record = otlp({"team": "scoped", "request.id": "r-y", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.output_tokens": 9})
    for headers, status in [({}, 401), ({"x-tollgate-secret": "no"}, 403), (bearer(world, "scoped"), 403)]:
        answer = ask(hooks.budget, headers, "/settle", usage)
        rejected(answer, status, within=status)
        answer = ask(hooks.budget, headers, "/v1/usage", record)
        assert answer.status_code == status and answer.json()["message"]
    assert left(hooks, "scoped") == DOLLAR
    scope = "https://gateway.internal/invoke https://gateway.internal/settle"
    assert ask(hooks.budget, bearer(world, "scoped", scope=scope), "/settle", usage).json()["settled"] == 1
    assert left(hooks, "scoped") == DOLLAR - 9 * RATE
    # The rate limiter has no such paths.
    assert ask(hooks.rate, TRUSTED, "/settle", usage).status_code == 404


@pytest.fixture(scope="module")
def guarded(world, hooks):
    """A gateway without limits of its own, that asks the budget function."""
    from conftest import Gateway

    webhook = {
        "target": {"url": f"{hooks.budget}/v1/guardrails/budget"},
        "headers": {
            "authorization": "Bearer {token}",
            "x-model": "{model}",
            "x-max-tokens": "{max_tokens?}",
            "x-request-id": "{request_id}",
        },
    }
    config = world.config()
    config["ai"]["promptGuard"] = {"request": [{"webhook": webhook}]}
    return Gateway(world, world.start_gateway(config))


@pytest.mark.parametrize("name", CLIENTS)
def test_our_gateway_asks_our_budget(world, hooks, guarded, name):
    client = guarded.client(name, world.issuer.minted(**{"custom:team": f"guarded-{name}"}))
    model = "via-openai-strict" if name == "chat" else "via-anthropic-strict"
    request_id = f"e2e-guard-{uuid.uuid4().hex[:12]}"
    request = Ask(nonce(), max_tokens=OUT)
    assert client.plain(model, request, extra_headers={"x-request-id": request_id}).output_tokens == OUT

    word = nonce()
    with pytest.raises(client.errors.RateLimitError) as refused:
        client.plain(model, Ask(word, max_tokens=OUT), extra_headers={"x-request-id": f"{request_id}-2"})
    response = refused.value.response
    assert response.headers["content-type"].startswith("application/json")
    body = response.json()
    assert set(body) == {"type", "error", "allowed", "reason", "retry_after_seconds"}, "the hook's body, and nothing else"
    assert body["allowed"] is False and body["reason"].startswith("budget exceeded ($")
    assert refused.value.body, "the SDK shows it"
    assert not world.llm.requests(word), "no provider was asked"

    def line(text: str):
        return json_line(text) if f"{request_id}-2" in text and '"message":"request"' in text else None

    entry = guarded.server.wait_for(line)
    assert entry["error.type"] == "guard_rejected" and entry["tollgate.guard.reason"] == body["reason"]

    # Its usage is reported, as less than it might have been: there is room again.
    usage = {"request_id": request_id, "team": f"guarded-{name}", "model": model, "output_tokens": 0}
    assert ask(hooks.budget, TRUSTED, "/settle", {"settlements": [usage]}).json()["settled"] == 1
    assert client.plain(model, request).output_tokens == OUT


def test_the_sweep_runs_by_hand(world, hooks):
    file = world.write_config(hooks.config)
    env = {"PATH": os.environ["PATH"]} | hooks.env
    done = subprocess.run([BUDGET, "sweep", "--config", file], capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json_line(done.stdout.strip().splitlines()[-1]) is not None, done.stdout


def test_check_reads_the_same_file(world, hooks):
    done = subprocess.run([RATE_LIMITER, "check", world.write_config(hooks.config)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    server = world.start_hook(BUDGET, {name: value for name, value in hooks.config.items() if name != "limits"}, ENV)
    assert server.ended() != 0 and re.search("limits", server.output), "without limits there is nothing to ask"


def test_nothing_of_this_is_in_the_logs(world, hooks, guarded):
    decided = lambda: [line for server in hooks.servers for line in server.lines if '"decided"' in line]  # noqa: E731
    assert all(json_line(line) for line in eventually(decided, "they do write")), "whole lines"
    assert not world.leaks(world.gateways)
    assert not [line for server in hooks.servers for line in server.lines if "panicked at" in line]
