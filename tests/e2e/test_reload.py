"""Another configuration under a running gateway, from an S3 by somebody else (moto) and from an agent of AWS AppConfig; and what a Lambda function logs."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from harness import moto, patient
from harness.clients import HELLO, Ask, Chat
from harness.config import GATEWAY_ENV, to_yaml
from harness.process import Server, eventually, json_line, listen_address
from harness.world import nonce
from test_lambda import Function, event_of
from harness.world import ROOT

BUCKET = "e2e-configuration"


def text_of(world, model: str, **more) -> str:
    """A configuration with one model, which aimock serves."""
    config = world.config()
    entry = {
        "name": "openai",
        "provider": {"openAI": {"model": "gpt-4o"}},
        "baseUrl": f"{world.at.aimock}/v1",
        "policies": {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}},
    }
    config["ai"] = {"models": [{"match": [model], "groups": [{"providers": [entry]}]}]}
    return to_yaml(config | {"reload": {"everySeconds": 1}} | more)


def version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def serves(chat, model: str, request_id: str | None = None) -> bool:
    headers = {"x-request-id": request_id} if request_id else None
    try:
        return chat.plain(model, Ask(nonce()), extra_headers=headers).text == HELLO
    except chat.errors.NotFoundError:
        return False


def counted(server: Server, metric: str) -> int:
    return sum(1 for line in server.lines if metric in (json_line(line) or {}))


@pytest.fixture(scope="module")
def s3():
    server, url = moto.start()
    client = boto3.client("s3", endpoint_url=url, **moto.AWS)
    client.create_bucket(Bucket=BUCKET)
    client.url = url
    yield client
    server.stop()


def test_an_object_in_s3_is_the_configuration_and_another_one_is_taken_while_it_serves(world, s3):
    first, second = text_of(world, "first"), text_of(world, "second")
    put = lambda text: s3.put_object(Bucket=BUCKET, Key="gate way/config.yaml", Body=text.encode())
    put(first)
    env = GATEWAY_ENV | {"AWS_ENDPOINT_URL": s3.url}
    server = world.start_gateway(env=env, arguments=["serve", "--config", f"s3://{BUCKET}/gate way/config.yaml", "--listen", "127.0.0.1:0"])
    url = server.wait_for(listen_address)
    chat = Chat(url, world.issuer.token())
    health = lambda: patient.get(f"{url}/healthz").json()["config"]
    assert health() == version(first) and serves(chat, "first") and not serves(chat, "second")

    put(second)
    eventually(lambda: health() == version(second), "the second one serves")
    assert serves(chat, "second") and not serves(chat, "first")

    put("ai: {groups: 7}")
    eventually(lambda: counted(server, "ConfigurationRefused") >= 2, "it is counted at every look")
    reasons = [line for line in server.lines if "a new configuration was refused" in line]
    assert len(reasons) == 1 and "ai.groups" in reasons[0], "said once, with the reason"
    assert health() == version(second) and serves(chat, "second", "e2e-served"), "the last good one stays"

    put(first)
    eventually(lambda: health() == version(first), "a good one is taken after it")

    def line(text: str):
        return json_line(text) if "e2e-served" in text and '"request"' in text else None

    assert server.wait_for(line)["tollgate.config"] == version(second), "the line has the version that served"
    server.stop()


def test_without_an_object_the_gateway_says_so_and_a_named_base_serves_meanwhile(world, s3):
    place = f"s3://{BUCKET}/none.yaml"
    env = GATEWAY_ENV | {"AWS_ENDPOINT_URL": s3.url}
    server = world.start_gateway(env=env, arguments=["serve", "--config", place, "--listen", "127.0.0.1:0"])
    assert server.ended() != 0
    assert place in server.output and "404" in server.output

    base = world.folder / "base.yaml"
    base.write_text(text_of(world, "base"))
    env |= {"TOLLGATE_CONFIG_BASE": str(base)}
    server = world.start_gateway(env=env, arguments=["serve", "--config", place, "--listen", "127.0.0.1:0"])
    chat = Chat(server.wait_for(listen_address), world.issuer.token())
    assert serves(chat, "base")
    s3.put_object(Bucket=BUCKET, Key="none.yaml", Body=text_of(world, "first").encode())
    eventually(lambda: serves(chat, "first"), "the object is taken when it is there")
    server.stop()


class Agent:
    """AWS AppConfig's extension: one profile on localhost."""

    def __init__(self):
        self.text, self.number, self.asked = None, 0, 0
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                agent.asked += 1
                known = self.path == "/applications/tollgate/environments/e2e/configurations/gateway" and agent.text
                body = agent.text.encode() if known else b'{"message":"no such profile"}'
                self.send_response(200 if known else 404)
                self.send_header("configuration-version", str(agent.number))
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, text: str) -> None:
        self.text, self.number = text, self.number + 1


def test_on_lambda_the_first_request_waits_for_appconfig_and_later_ones_find_its_changes(world):
    agent = Agent()
    origin = {"TOLLGATE_CONFIG": "appconfig:tollgate/e2e/gateway", "AWS_APPCONFIG_EXTENSION_HTTP_PORT": str(agent.port)}
    function = Function(world, **origin)
    event = event_of(ROOT / "events" / "alb-chat.json", function.token)

    def ask(model: str) -> dict:
        body = {"model": model, "messages": [{"role": "user", "content": nonce()}]}
        return function.invoke(event | {"body": json.dumps(body)}).json()

    none = ask("first")
    assert none["statusCode"] == 503 and json.loads(none["body"])["error"]["code"] == "no_configuration"
    agent.says(text_of(world, "first"))
    assert ask("first")["statusCode"] == 200, "the next request asks again"
    agent.says(text_of(world, "second"))
    eventually(lambda: ask("second")["statusCode"] == 200, "a change is found")
    assert ask("first")["statusCode"] == 404
    agent.says("nonsense: [")
    before = counted(function.server, "ConfigurationRefused")

    def refused() -> bool:
        assert ask("second")["statusCode"] == 200, "the last good one stays"
        time.sleep(0.2)
        return counted(function.server, "ConfigurationRefused") > before

    eventually(refused, "what is no configuration is refused")
    named = event | {"body": json.dumps({"model": "second", "messages": [{"role": "user", "content": nonce()}]})}
    named["headers"] = named["headers"] | {"x-request-id": "e2e-second"}
    assert function.invoke(named).json()["statusCode"] == 200
    line = function.server.wait_for(lambda text: json_line(text) if "e2e-second" in text and '"tollgate.config"' in text else None)
    assert line["tollgate.config"] == version(text_of(world, "second"))
    metrics = {metric["Name"] for directive in line["_aws"]["CloudWatchMetrics"] for metric in directive["Metrics"]}
    assert {"Requests", "GatewayOverhead", "FirstContent", "InputTokens"} <= metrics, "on Lambda a line is a document of metrics, too"
    assert all(name in line for name in metrics)
