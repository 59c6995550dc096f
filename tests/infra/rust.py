"""What the code says of itself: its variables, its calls of AWS, its metrics and log fields."""

import pathlib
import re
import tomllib

import botocore.session
from botocore import xform_name

from cfn import ROOT

# The services of the SDK crates that a Cargo.toml names; `events` is what IAM calls EventBridge.
SERVICES = {
    "aws-sdk-bedrockruntime": ("bedrock-runtime", "bedrock"),
    "aws-sdk-dynamodb": ("dynamodb", "dynamodb"),
    "aws-sdk-eventbridge": ("events", "events"),
    "aws-sdk-secretsmanager": ("secretsmanager", "secretsmanager"),
}
# What IAM asks for where that is not the operation's own name.
ACTIONS = {
    # A transaction needs the permission of each of its parts, which are updates: `TransactWriteItem::builder().update(..)`.
    "dynamodb:TransactWriteItems": {"dynamodb:UpdateItem"},
    # Decision 7: the SDK is asked for InvokeModel, and the interceptor makes the others of it. Converse has no actions of its own.
    "bedrock:InvokeModel": {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "bedrock:ApplyGuardrail"},
}
# Calls that are signed by hand instead of made by an SDK: the service that is signed for, and what the code calls there.
SIGNED = {
    "lambda": {"lambda:InvokeFunction"},
    "s3": {"s3:GetObject"},
    # OpenAI's and Anthropic's dialects at Bedrock's own endpoint, and at the one called Mantle: see AWS's "Making inference requests".
    "bedrock": {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"},
    "bedrock-mantle": {"bedrock-mantle:CreateInference"},
    # GetCallerIdentity, as a proof for Google's token service, needs no permission; a token for Microsoft's does.
    "sts": {"sts:GetWebIdentityToken"},
}
# Calls that no function makes.
NOT_ON_LAMBDA = {"dynamodb:CreateTable"}


def manifest(folder):
    return tomllib.loads((folder / "Cargo.toml").read_text())


def crates():
    """Each crate of ours and its folder."""
    folders = [path.parent for path in ROOT.glob("*/*/Cargo.toml") if path.parts[-3] in ("functions", "shared")]
    return {manifest(folder)["package"]["name"]: folder for folder in folders}


def closure(crate):
    """The crate and what it is made of."""
    all_crates, found, todo = crates(), set(), [crate]
    while todo:
        name = todo.pop()
        if name in all_crates and name not in found:
            found.add(name)
            todo += manifest(all_crates[name]).get("dependencies", {})
    return {name: all_crates[name] for name in found}


def sources(folder):
    """Its files without what is only compiled for tests."""
    for path in sorted((folder / "src").rglob("*.rs")):
        if path.name in ("tests.rs", "documentation.rs") or "tests" in path.relative_to(folder).parts:
            continue
        yield path, re.split(r"\n#\[cfg\(test\)\]\n(?=mod )", path.read_text())[0]


def operations(service):
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def signed(text):
    """Services for which a file signs requests by hand: `Call { service: "s3", .. }`, or `let service = match ..`."""
    if not re.search(r"\b(signer|Signer|aws_sigv4)\b", text):
        return set()
    services = set(re.findall(r'\bservice:\s*"([a-z0-9-]+)"|\.name\(\s*"([a-z0-9-]+)"\s*\)', text))
    chosen = "".join(re.findall(r"\blet service = (.*?);", text, re.S))
    return {name for pair in services for name in pair if name} | set(re.findall(r'"([a-z0-9-]+)"', chosen))


def actions(crate):
    """What IAM has to allow a binary, by the calls in its sources."""
    needed = set()
    for folder in closure(crate).values():
        sdks = [name for name in manifest(folder).get("dependencies", {}) if name.startswith("aws-sdk-")]
        for path, text in sources(folder):
            for sdk in sdks:
                if sdk.replace("-", "_") not in text:
                    continue
                service, prefix = SERVICES[sdk]
                for method, operation in operations(service).items():
                    if re.search(rf"\.{method}\(\)", text):
                        action = f"{prefix}:{operation}"
                        needed |= ACTIONS.get(action, {action})
            for service in signed(text):
                needed |= SIGNED[service]
    return needed - NOT_ON_LAMBDA


def variables():
    """Environment variables of ours that any binary reads."""
    names = set()
    for folder in crates().values():
        for _, text in sources(folder):
            names |= set(re.findall(r'"(TOLLGATE_[A-Z0-9_]+)"', text))
            names |= set(re.findall(r'\bvar(?:_os)?\("([A-Z0-9_]+)"\)', text))
            # Those of Azure's SDKs, which are looked up by name.
            names |= set(re.findall(r'"(AZURE_(?:TENANT|CLIENT|FEDERATED|AUTHORITY)_[A-Z_]+|(?:IDENTITY|MSI)_[A-Z_]+)"', text))
            for constant in re.findall(r"\bvar(?:_os)?\(([A-Z0-9_]+)\)", text):
                names.add(re.search(rf'const {constant}: &str = "(\w+)"', text)[1])
    return names


def table(mark):
    """The names in the first column of a table of docs/telemetry.md. A test in shared/telemetry compares that table with the code."""
    document = (ROOT / "docs/telemetry.md").read_text()
    rows = document.split(f"<!-- {mark} -->")[1].split("<!-- end -->")[0].strip().splitlines()[2:]
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def fields():
    return set(table("access")) | {f"tollgate.attempts.{n}.{name}" for n in range(10) for name in table("attempt")}


def metrics():
    """Each metric, and the dimensions that it has beside none."""
    return {name: set(re.findall(r"`([^`]+)`", row.split("|")[3])) for name, row in table("metrics").items()}


def binary(name):
    import os

    path = pathlib.Path(os.environ.get(f"TOLLGATE_{name.upper().replace('-', '_')}_BIN") or ROOT / "target/debug" / name)
    assert path.exists(), f"{path} is not there: cargo build -p tollgate-{name}, or set TOLLGATE_{name.upper().replace('-', '_')}_BIN"
    return path
