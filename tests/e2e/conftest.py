"""Fixtures: the world around the gateway, and the gateway."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import moto  # noqa: E402
from harness.clients import CLIENTS  # noqa: E402
from harness.config import GATEWAY_ENV  # noqa: E402
from harness.process import listen_address  # noqa: E402
from harness.world import FRONT, GATEWAY, NODE_MODULES, TEST_SERVERS, World  # noqa: E402


def pytest_collection_modifyitems(items):
    """The scan of the logs comes last, whatever was asked for. Behind a front door of Lambda's, what only the native server has is left out."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
    for item in items:
        mark = item.get_closest_marker("native")
        if mark and FRONT != "native":
            item.add_marker(pytest.mark.skip(reason=f"native server only: {mark.args[0]}"))


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    assert TEST_SERVERS.exists(), f"{TEST_SERVERS} is missing: cargo build -p tollgate-test-servers"
    assert NODE_MODULES.exists(), f"{NODE_MODULES} is missing: tests/e2e/setup.sh"
    assert shutil.which("node"), "node is needed"
    world = World(tmp_path_factory.mktemp("e2e"))
    yield world
    world.stop()


class Gateway:
    """A gateway that listens, and clients for it."""

    def __init__(self, world: World, server):
        self.world = world
        self.server = server
        self.url = server.wait_for(listen_address)
        self.token = world.issuer.token()
        self._clients = {}

    def client(self, name: str, token: str | None = None):
        """An SDK's client; the same one for the same token, as an application has it."""
        token = self.token if token is None else token
        if (name, token) not in self._clients:
            self._clients[name, token] = CLIENTS[name](self.url, token)
        return self._clients[name, token]

    def chat(self):
        return self.client("chat")

    def messages(self):
        return self.client("messages")


@pytest.fixture(scope="session")
def gateway(world):
    """The gateway that most tests share: `gateway serve --config FILE`."""
    assert GATEWAY.exists(), f"{GATEWAY} is missing: cargo build -p tollgate-gateway"
    return Gateway(world, world.start_gateway(world.config()))


@pytest.fixture
def start_gateway(world):
    """Starts another gateway, for a test that needs a configuration or a history of its own; stops it afterwards. `env` is added to its environment."""
    started = []

    def start(env: dict | None = None, **changes) -> Gateway:
        server = world.start_gateway(world.config(**changes), env=GATEWAY_ENV | (env or {}))
        started.append(server)
        return Gateway(world, server)

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def dynamodb():
    """DynamoDB by somebody else (moto), for processes that share a ledger."""
    from harness.dynamodb import DynamoDb

    database = DynamoDb()
    yield database
    database.stop()


@pytest.fixture(scope="session")
def new_ledger(request, world):
    """Makes the `limits.ledger` of a gateway that begins with nothing: a file, or on Lambda, which has none, a table."""
    if FRONT == "native":
        return lambda: {"file": str(world.new_folder("ledger") / "new" / "ledger.sqlite")}
    dynamodb = request.getfixturevalue("dynamodb")
    return lambda: dynamodb.ledger(dynamodb.table())


@pytest.fixture(scope="module")
def bedrock(world):
    """boto3's client of the fake Bedrock."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=world.at.bedrock,
        aws_access_key_id="AKIAE2E",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def secrets_manager():
    """Secrets Manager by somebody else (moto): boto3's client of it, with its `url`."""
    import boto3

    server, url = moto.start()
    client = boto3.client("secretsmanager", endpoint_url=url, **moto.AWS)
    client.url = url
    yield client
    server.stop()


@pytest.fixture(params=["chat", "messages"])
def client(request, gateway):
    """Both SDKs, one after the other."""
    return gateway.client(request.param)


@pytest.fixture(params=["plain", "stream"])
def mode(request):
    return request.param
