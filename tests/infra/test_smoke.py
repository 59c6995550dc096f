"""`make smoke` against a gateway that runs here, and against servers with something wrong."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading

import pytest

import rust
from cfn import ROOT, Stack


def smoke(**given):
    environment = {"PATH": os.environ["PATH"]} | given
    return subprocess.run([sys.executable, ROOT / "infra/smoke.py"], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """The local run, with its own issuer and demo provider."""
    environment = {"PATH": os.environ["PATH"], "TOLLGATE_DATA": str(tmp_path_factory.mktemp("data"))}
    process = subprocess.Popen([rust.binary("gateway"), "serve", "--listen", "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, text=True)
    banner = ""
    try:
        for line in process.stdout:
            banner += line
            if "demo-failover" in line and "curl" in line:
                break
        # The rest is its log.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        base = re.search(r"listens on (\S+)", banner)[1]
        yield {"URL": base, "TOKEN_URL": f"{base}/oauth2/token", "CLIENT_ID": re.search(r"client_id=(\S+)", banner)[1],
               "CLIENT_SECRET": re.search(r"client_secret=(\S+)", banner)[1]}
    finally:
        process.terminate()
        process.wait(20)


def test_a_local_gateway_passes(gateway):
    run = smoke(**gateway)
    assert run.returncode == 0, run.stdout + run.stderr
    names = re.findall(r"^ok +([^:]+):", run.stdout, re.M)
    assert names == ["health", "401", "token", "models", "chat completions", "chat completions, stream", "messages", "messages, stream", "429 of demo-budget"]
    assert "all at once" not in run.stdout


def test_a_wrong_secret_is_told(gateway):
    run = smoke(**gateway | {"CLIENT_SECRET": "wrong"})
    assert run.returncode == 1 and "FAILED  token" in run.stdout


def test_a_limit_that_is_not_reached_is_told(gateway):
    run = smoke(**gateway | {"LIMIT_MODEL": "demo", "LIMIT_REQUESTS": "3"})
    assert run.returncode == 1 and "no 429 in 3 requests" in run.stdout
    assert smoke(**gateway | {"LIMIT_REQUESTS": "0"}).returncode == 0


def test_what_is_missing_is_named():
    run = smoke(URL="http://127.0.0.1:1")
    assert run.returncode == 2 and "TOKEN_URL, CLIENT_ID, CLIENT_SECRET" in run.stderr


class Aws(http.server.BaseHTTPRequestHandler):
    """CloudFormation and Cognito, as far as `STACK` asks them: the stack's outputs are those of the template."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if "DescribeUserPoolClient" in self.headers.get("x-amz-target", ""):
            self.server.asked = json.loads(body)
            return self.answer("application/x-amz-json-1.1", json.dumps({"UserPoolClient": {"ClientSecret": self.server.gateway["CLIENT_SECRET"]}}))
        members = "".join(f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>" for key, value in self.server.outputs.items())
        stack = f"<StackName>tollgate</StackName><CreationTime>2026-11-26T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members}</Outputs>"
        self.answer("text/xml", f'<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>{stack}</member>'
                                "</Stacks></DescribeStacksResult></DescribeStacksResponse>")

    def answer(self, kind, text):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def test_a_stack_says_where_everything_is(gateway):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    server.gateway = gateway
    server.outputs = {key: Stack().output(key) for key in ("GatewayUrl", "TokenEndpoint", "ClientIds", "UserPoolId")}
    client = server.outputs["ClientIds"].split()[0].removeprefix("1=")
    server.outputs |= {"GatewayUrl": gateway["URL"], "TokenEndpoint": gateway["TOKEN_URL"]}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = smoke(STACK="tollgate", AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b",
                CLIENT_ID=gateway["CLIENT_ID"], LIMIT_REQUESTS="0")
    server.shutdown()
    assert run.returncode == 0, run.stdout + run.stderr
    assert server.asked == {"UserPoolId": "us-east-1_EXAMPLE01", "ClientId": client}


def test_nobody_listening_is_told():
    run = smoke(URL="http://127.0.0.1:1", TOKEN_URL="http://127.0.0.1:1", CLIENT_ID="a", CLIENT_SECRET="b")
    assert run.returncode == 1 and "could not be reached" in run.stdout


class OpenToAll(http.server.BaseHTTPRequestHandler):
    """Answers everybody, token or not, and never streams."""

    def do_GET(self):
        self.answer({"data": [{"id": "m"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer({"access_token": "t", "choices": [{"message": {"role": "assistant"}}], "usage": {"total_tokens": 1, "output_tokens": 1},
                     "type": "message", "content": ["x"]})

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def test_a_gateway_that_lets_everybody_in_fails():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OpenToAll)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    run = smoke(URL=url, TOKEN_URL=url, CLIENT_ID="a", CLIENT_SECRET="b", LIMIT_REQUESTS="4")
    server.shutdown()
    failed = re.findall(r"^FAILED +([^:]+):", run.stdout, re.M)
    assert failed == ["401", "chat completions, stream", "messages, stream", "429 of m"], run.stdout
