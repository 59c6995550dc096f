"""Everything that a test needs around the gateway, started once per session on free ports."""

import json
import os
import socket
import uuid
from pathlib import Path


from . import clock, patient
from .config import ANTHROPIC_KEY, AWS_SECRET, GATEWAY_ENV, OPENAI_KEY, Addresses, gateway_config, lambda_env, to_yaml
from .process import Server, listen_address
from .tokens import Issuer, SigningKey
from .upstreams import AimockJournal, Journal

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
NODE_MODULES = ROOT / ".tools" / "npm" / "node_modules"
CANARY = "KNARZ"


def binary(variable: str, name: str) -> Path:
    return Path(os.environ.get(variable) or ROOT / "target" / "debug" / name).absolute()


GATEWAY = binary("TOLLGATE_GATEWAY_BIN", "gateway")
TEST_SERVERS = binary("TOLLGATE_TEST_SERVERS_BIN", "test-servers")
RATE_LIMITER = binary("TOLLGATE_RATE_LIMITER_BIN", "rate-limiter")
BUDGET = binary("TOLLGATE_BUDGET_BIN", "budget")


# Where the suite's gateways run: natively, or as Lambda functions behind one of the front doors of `tests/servers`.
FRONT = os.environ.get("TOLLGATE_E2E_FRONT") or "native"
DOORS = {"native": None, "alb": "albMulti", "alb-single": "alb", "url": "url"}


def nonce() -> str:
    """A word for one prompt: journals are searched for it, and no log line may have it."""
    return f"{CANARY}-{uuid.uuid4().hex[:12]}"


class World:
    """The servers around the gateway, and every gateway that was started."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.servers: list[Server] = []
        self.gateways: list[Server] = []
        self.secrets: set[str] = {OPENAI_KEY, ANTHROPIC_KEY, AWS_SECRET}
        self.key = SigningKey("e2e-key-1")
        self.stranger = SigningKey("e2e-stranger")
        # Bound but not listening: connections to it are refused for as long as the suite runs.
        self._closed_door = socket.socket()
        self._closed_door.bind(("127.0.0.1", 0))

        self.aimock_url = self._start_aimock()
        self.issuer = self._start_issuer()
        bedrock = self.start_test_server("fake-bedrock")["listen"]
        llm = self.start_test_server("fake-llm")["listen"]
        refused = f"http://127.0.0.1:{self._closed_door.getsockname()[1]}"
        self.at = Addresses(issuer=self.issuer.url, aimock=self.aimock_url, bedrock=bedrock, llm=llm, refused=refused)
        self.bedrock = Journal(bedrock)
        self.llm = Journal(llm)
        self.aimock = AimockJournal(self.aimock_url, OPENAI_KEY)

    def _server(self, name: str, command: list, env: dict | None = None) -> Server:
        server = Server(name, [str(part) for part in command], env)
        self.servers.append(server)
        return server

    def _start_aimock(self) -> str:
        program = NODE_MODULES / "@copilotkit" / "aimock" / "dist" / "cli.js"
        options = ["-p", 0, "-f", HERE / "aimock", "--validate-on-load", "--journal-max", 5000, "--log-level", "info"]
        server = self._server("aimock", ["node", program, *options], {"AIMOCK_API_KEYS": f"{OPENAI_KEY},{ANTHROPIC_KEY}"})
        return server.wait_for(lambda line: line.split("listening on ")[1].strip() if "listening on " in line else None)

    def _start_issuer(self) -> Issuer:
        from jwt.algorithms import RSAAlgorithm

        private = RSAAlgorithm.to_jwk(self.key.key, as_dict=True) | {"kid": self.key.kid, "use": "sig", "alg": "RS256"}
        private.pop("key_ops", None)
        server = self.start_script("oidc", {"E2E_JWKS": json.dumps({"keys": [private]})})
        return Issuer(server.wait_for(listen_address), self.key)

    def start_script(self, name: str, env: dict | None = None) -> Server:
        """Starts `NAME.mjs` of this suite."""
        return self._server(name, ["node", HERE / f"{name}.mjs"], {"E2E_NODE_MODULES": str(NODE_MODULES)} | (env or {}))

    def start_test_server(self, kind: str, options: list | None = None, env: dict | None = None) -> dict:
        """Starts one of `tests/servers` and gives its addresses."""
        server = self._server(kind, [TEST_SERVERS, kind, *(options or [])], env)
        return server.wait_for(lambda line: json.loads(line) if line.startswith("{") else None)

    def can(self, name: str, body: bytes | dict, kind: str = "application/json", *headers: str, status: str = "200 OK") -> str:
        """Leaves an answer with fake-llm: whatever it is asked below the address that this gives, it says that."""
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        head = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
        patient.put(f"{self.at.llm}/canned/{name}", content="\r\n".join(head).encode() + body).raise_for_status()
        return f"{self.at.llm}/canned-{name}"

    def start_gateway(
        self, config: dict | None = None, env: dict | None = None, arguments: list | None = None, program: Path = GATEWAY
    ) -> Server:
        """Starts the gateway; with a configuration, as `serve --config FILE` or behind the suite's front door. Waiting is the caller's business."""
        if config is not None and not arguments and DOORS[FRONT]:
            return self._start_function(config, env if env is not None else GATEWAY_ENV)
        command = [str(program)]
        if config is not None:
            file = self.write_config(config)
            command += ["serve", "--config", str(file)]
        env = env if env is not None else GATEWAY_ENV
        # The embedded configuration keeps a ledger: each gateway has its own, so that no test spends another one's budget.
        env = {"TOLLGATE_DATA": str(self.new_folder("data"))} | env
        server = Server(program.name, command + (arguments or []), env, cwd=self.folder)
        self.gateways.append(server)
        return server

    def _start_function(self, config: dict, env: dict) -> Server:
        """As a function; the address in its log is the front door's. It may take events before it asks for the first."""
        at = self.start_test_server("runtime-api", env=clock.of(env))
        env = env | lambda_env(at["runtime"], self.write_config(config)) | ({"TOLLGATE_RESPONSE_MODE": "stream"} if FRONT == "url" else {})
        server = Server("gateway", [str(GATEWAY)], env, cwd=self.folder)
        server.lines.append(json.dumps({"listen": at[DOORS[FRONT]]}))
        self.gateways.append(server)
        return server

    def start_hook(self, program: Path, config: dict, env: dict) -> Server:
        """Starts a webhook function natively, `serve --config FILE`; its log is searched like a gateway's."""
        assert program.exists(), f"{program} is missing: cargo build -p tollgate-rate-limiter -p tollgate-budget"
        command = [str(program), "serve", "--config", str(self.write_config(config)), "--listen", "127.0.0.1:0"]
        server = Server(program.name, command, env, cwd=self.folder)
        self.gateways.append(server)
        return server

    def standing_clock(self) -> dict:
        """The environment of processes whose windows of limits do not roll over; those that share a ledger share it, too."""
        return clock.standing(self.new_folder("clock"))

    def new_folder(self, name: str) -> Path:
        """An empty folder of this session."""
        folder = self.folder / f"{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        return folder

    def write_config(self, config: dict) -> Path:
        file = self.folder / f"config-{uuid.uuid4().hex[:8]}.yaml"
        file.write_text(to_yaml(config))
        return file

    def config(self, **changes) -> dict:
        return gateway_config(self.at, **changes)

    def forbidden_in_logs(self) -> set[str]:
        """Texts that no log line may hold: keys, tokens (their signatures), prompts, answers."""
        signatures = {token.rsplit(".", 1)[1] for token in self.issuer.issued}
        return self.secrets | {part for part in signatures if part} | {CANARY, "Grüße, 世界", "All work and no play", "Speak like a gatekeeper"}

    def leaks(self, servers: list[Server]) -> list[str]:
        """The lines of these servers that hold what must be in no log."""
        forbidden = self.forbidden_in_logs()
        return [
            f"{server.name}: {secret[:12]}... in: {line[:200]}"
            for server in servers
            for line in server.lines
            for secret in forbidden
            if secret in line
        ]

    def dead_servers(self) -> list[str]:
        """Servers around the gateway that ended by themselves: then the suite is to blame, not the gateway."""
        return [f"{server.name} ended with {server.process.returncode}: {server.output[-500:]}" for server in self.servers if not server.alive]

    def stop(self) -> None:
        for server in reversed(self.gateways + self.servers):
            server.stop()
        self._closed_door.close()
