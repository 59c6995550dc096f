"""`make smoke` against the suite's gateway, behind the suite's front door. What it tells of a gateway that fails is in `tests/infra/test_smoke.py`."""

import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

SMOKE = Path(__file__).resolve().parents[2] / "infra" / "smoke.py"


@pytest.fixture
def token_endpoint(world):
    """A token endpoint as Cognito has it: client and secret in the form, no scope asked for."""
    token, forms = world.issuer.token(), []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            forms.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/oauth2/token", forms
    server.shutdown()


@pytest.mark.parametrize("model", ["via-openai-strict", "via-anthropic-strict"])
def test_a_deployment_behind_this_front_door_passes(gateway, token_endpoint, model):
    url, forms = token_endpoint
    given = {"URL": gateway.url, "TOKEN_URL": url, "CLIENT_ID": "a-client", "CLIENT_SECRET": "its secret", "MODEL": model, "LIMIT_REQUESTS": "0"}
    run = subprocess.run([sys.executable, SMOKE], env=given, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    names = re.findall(r"^ok +([^:]+):", run.stdout, re.M)
    assert names == ["health", "401", "token", "models", "chat completions", "chat completions, stream", "messages", "messages, stream"]
    assert forms == ["grant_type=client_credentials&client_id=a-client&client_secret=its+secret"]
