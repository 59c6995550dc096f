"""The gateway's configuration for the suite: one model name per upstream, and per fault, so that a client chooses by model."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import yaml

OPENAI_KEY = "sk-e2e-openai-0123456789abcdefghij"
ANTHROPIC_KEY = "sk-ant-e2e-0123456789abcdefghij"
AWS_SECRET = "e2eSecretAccessKey/0123456789abcdefghijkl"

GATEWAY_ENV = {
    "E2E_OPENAI_KEY": OPENAI_KEY,
    "E2E_ANTHROPIC_KEY": ANTHROPIC_KEY,
    "AWS_ACCESS_KEY_ID": "AKIAE2E0123456789ABC",
    "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Never read a profile of the machine that runs the suite.
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


def lambda_env(runtime: str, config: Path | None = None) -> dict:
    """What Lambda puts into a function's environment."""
    variables = {
        "AWS_LAMBDA_RUNTIME_API": runtime.removeprefix("http://"),
        "AWS_LAMBDA_FUNCTION_NAME": "gateway",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/gateway",
        "AWS_LAMBDA_LOG_STREAM_NAME": "e2e",
        "_HANDLER": "bootstrap",
        "LAMBDA_TASK_ROOT": "/var/task",
    }
    return variables | ({"TOLLGATE_CONFIG": str(config)} if config else {})


CLAUDE_ON_BEDROCK = "anthropic.claude-sonnet-4-20250514-v1:0"
NOVA_ON_BEDROCK = "amazon.nova-pro-v1:0"
# Every identifier form that Bedrock has.
BEDROCK_NAMES = {
    "inference-profile": "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "global-profile": "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "profile-arn": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
    "other-profile": "eu.amazon.nova-lite-v1:0",
    "other-arn": "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
}

# What answers no conversation, by InvokeModel: our name, Bedrock's.
BEDROCK_EMBEDDINGS = {
    "embed-titan-v1": "amazon.titan-embed-text-v1",
    "embed-titan-v2": "amazon.titan-embed-text-v2:0",
    "embed-cohere-v3": "cohere.embed-english-v3",
    "embed-cohere-v4": "us.cohere.embed-v4:0",
    "embed-nova": "amazon.nova-2-multimodal-embeddings-v1:0",
}
BEDROCK_RERANKS = {"rerank-cohere": "cohere.rerank-v3-5:0", "rerank-amazon": "amazon.rerank-v1:0"}

# The matrix's columns: who serves, as which provider type.
COLUMNS = ["openai", "anthropic", "openai-strict", "anthropic-strict", "bedrock-claude", "bedrock-other"]

# Gemini as aimock has it: a column of `test_gemini.py`.
GEMINI_ON_AIMOCK = "gemini"

# Failover: how the first provider fails, in the words of each fake. None: that upstream cannot fail so.
FAULTS = {
    "429": ("429", "429", "throttle"),
    "429-long": ("429-long", "429-long", None),
    "500": ("500", "500", "internal"),
    "503": ("503", "503", "unavailable"),
    "529": (None, "529", None),
    "not-ready": (None, None, "not-ready"),
    "html-502": ("html-502", "html-502", None),
    "hang": ("hang", "hang", "hang"),
    "hang-head": ("hang-head", "hang-head", None),
    "hang-early": ("hang-early", "hang-early", "hang-early"),
    "cut-head": ("cut-head", "cut-head", None),
    "cut-early": ("cut-early", "cut-early", "cut-early"),
    "error-event": ("error-event", "error-event", "error-first"),
    "error-early": ("error-early", "error-early", "throttle-first"),
    "garbage": ("garbage", "garbage", None),
    "refused": ("refused", "refused", "refused"),
    "cut-late": ("cut-late", "cut-late", "cut-late"),
    "end-late": ("end-late", "end-late", "end-late"),
    "error-late": ("error-late", "error-late", "error-late"),
    "hang-late": ("hang-late", "hang-late", "hang-late"),
}
FAULTY_KINDS = ["openai", "anthropic", "bedrock"]
CLIENTS = ["chat", "messages", "responses"]
MODES = ["plain", "stream"]


def failover_model(fault: str, kind: str, client: str, mode: str) -> str:
    """Each case has providers of its own, because the gateway remembers which ones are ill."""
    return f"failover-{fault}-{kind}-{client}-{mode}"


@dataclass
class Addresses:
    """Where everything is."""

    issuer: str
    aimock: str
    bedrock: str
    llm: str
    refused: str


class Providers:
    """Provider entries."""

    def __init__(self, at: Addresses):
        self.at = at

    def openai(self, name: str, base: str, model: str = "gpt-4o", **more) -> dict:
        auth = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
        return {"name": name, "provider": {"openAI": {"model": model}}, "baseUrl": base, "policies": auth} | more

    def anthropic(self, name: str, base: str, model: str = "claude-sonnet-4-20250514", **more) -> dict:
        auth = {"backendAuth": {"key": "env:E2E_ANTHROPIC_KEY"}}
        return {"name": name, "provider": {"anthropic": {"model": model}}, "baseUrl": base, "policies": auth} | more

    def bedrock(self, name: str, model: str, base: str | None = None, **more) -> dict:
        provider = {"bedrock": {"region": "us-east-1", "model": model}}
        auth = {"backendAuth": {"aws": {}}}
        return {"name": name, "provider": provider, "baseUrl": base or self.at.bedrock, "policies": auth} | more

    def rerank(self, name: str, base: str, model: str = "rerank-v3.5", **more) -> dict:
        """Cohere, or a server that copies its rerank."""
        auth = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
        provider = {"custom": {"model": model, "formats": [{"type": "rerank"}]}}
        return {"name": name, "provider": provider, "baseUrl": base, "policies": auth} | more

    def gemini(self, name: str, base: str, model: str = "gemini-3-flash-preview", **more) -> dict:
        auth = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
        return {"name": name, "provider": {"gemini": {"model": model}}, "baseUrl": base, "policies": auth} | more

    def column(self, column: str, name: str) -> dict:
        """The provider behind a column of the matrix."""
        match column:
            case "openai":
                return self.openai(name, f"{self.at.aimock}/v1")
            case "anthropic":
                return self.anthropic(name, self.at.aimock)
            case "openai-strict":
                return self.openai(name, f"{self.at.llm}/ok/v1")
            case "anthropic-strict":
                return self.anthropic(name, f"{self.at.llm}/ok")
            case "gemini":
                return self.gemini(name, f"{self.at.aimock}/v1beta")
            case "bedrock-claude":
                return self.bedrock(name, CLAUDE_ON_BEDROCK)
            case "bedrock-other":
                return self.bedrock(name, NOVA_ON_BEDROCK)
        raise KeyError(column)

    def faulty(self, kind: str, fault: str, name: str, **more) -> dict | None:
        """A provider that fails as it is told."""
        word = FAULTS[fault][FAULTY_KINDS.index(kind)]
        if word is None:
            return None
        base = self.at.refused if word == "refused" else f"{self.at.llm}/{word}"
        match kind:
            case "openai":
                return self.openai(name, f"{base}/v1", **more)
            case "anthropic":
                return self.anthropic(name, base, **more)
            case "bedrock" if word == "refused":
                return self.bedrock(name, CLAUDE_ON_BEDROCK, self.at.refused, **more)
            case "bedrock":
                return self.bedrock(name, CLAUDE_ON_BEDROCK.replace("-v1:0", f"--{word}-v1:0"), **more)
        raise KeyError(kind)

    def healthy(self, faulty_kind: str, client: str, name: str) -> dict:
        """The one that takes over: another dialect than the one that failed, and one that this client is translated to."""
        if faulty_kind != "anthropic":
            return self.column("anthropic-strict", name)
        return self.column("bedrock-other" if client == "responses" else "openai-strict", name)

    @staticmethod
    def chat_only(entry: dict) -> dict:
        """The same server, as one that has no Responses API."""
        provider = {"custom": {"model": "gpt-4o", "formats": [{"type": "completions"}]}}
        return entry | {"provider": provider, "baseUrl": entry["baseUrl"].removesuffix("/v1")}


def rule(model: str, *groups: dict | list) -> dict:
    """A chain for one model; a group of one provider may be given as the provider."""
    lists = [group if isinstance(group, list) else [group] for group in groups]
    return {"match": [model], "groups": [{"providers": group} for group in lists]}


# For providers that hang: whichever ends first, the fault is the same.
QUICK = {"connectMs": 1000, "firstByteMs": 800, "idleMs": 800}


def timeouts_for(fault: str) -> dict:
    """Only a silence needs timeouts; a fault that shows itself must not be mistaken for one on a busy machine."""
    if fault == "hang-late":
        # The silence that is meant comes after the first content, and no other one may be as long.
        return {"timeouts": {"idleMs": 3000}}
    return {"timeouts": QUICK} if fault.startswith("hang") else {}


def failover_rules(providers: Providers) -> list[dict]:
    rules = []
    for fault, kind, client, mode in itertools.product(FAULTS, FAULTY_KINDS, CLIENTS, MODES):
        model = failover_model(fault, kind, client, mode)
        first = providers.faulty(kind, fault, f"ill-{model}", **timeouts_for(fault))
        if first and (kind, client) == ("openai", "responses"):
            first = providers.chat_only(first)
        if first:
            rules.append(rule(model, first, providers.healthy(kind, client, f"well-{model}")))
    return rules


def llm_rules(providers: Providers) -> list[dict]:
    """Streams in odd but valid wire forms, and one provider per fault that has nobody to take over."""
    llm = providers.at.llm
    rules = []
    for form in ["crlf", "nospace", "comments", "dribble", "one-write"]:
        rules.append(rule(f"wire-{form}-openai", providers.openai(f"wire-{form}-openai", f"{llm}/{form}/v1")))
        rules.append(rule(f"wire-{form}-anthropic", providers.anthropic(f"wire-{form}-anthropic", f"{llm}/{form}")))
    rules.append(rule("patient-openai", providers.openai("patient-openai", f"{llm}/hang/v1")))
    rules.append(rule("patient-anthropic", providers.anthropic("patient-anthropic", f"{llm}/hang")))
    alone = ["401", "403", "404", "429-long", "500", "redirect", "hang", "flood", "garbage", "cut-early", "cut-late", "canned-bomb"]
    for fault in alone:
        openai = providers.openai(f"alone-{fault}-openai", f"{llm}/{fault}/v1", **timeouts_for(fault))
        anthropic = providers.anthropic(f"alone-{fault}-anthropic", f"{llm}/{fault}", **timeouts_for(fault))
        rules.append(rule(f"alone-{fault}-openai", openai))
        rules.append(rule(f"alone-{fault}-anthropic", anthropic))
    return rules


class _Dumper(yaml.SafeDumper):
    """No anchors: a person would not write them either."""

    def ignore_aliases(self, data):
        return True


def to_yaml(config: dict) -> str:
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False)


def gateway_config(at: Addresses, **changes) -> dict:
    """The whole file."""
    providers = Providers(at)
    columns = [*COLUMNS, GEMINI_ON_AIMOCK]
    models = [rule(f"via-{column}", providers.column(column, column)) for column in columns]
    models += [rule(f"faults-of-{column}", providers.column(column, f"faults-of-{column}")) for column in columns]
    models += [rule(f"bedrock-{form}", providers.bedrock(f"bedrock-{form}", name)) for form, name in BEDROCK_NAMES.items()]
    unary = BEDROCK_EMBEDDINGS | BEDROCK_RERANKS
    models += [rule(name, providers.bedrock(name, model)) for name, model in unary.items()]
    models += llm_rules(providers) + failover_rules(providers)
    weighted = [
        providers.column("openai-strict", "heavy") | {"weight": 3},
        providers.column("anthropic-strict", "light") | {"weight": 1},
    ]
    models.append(rule("weighted", weighted))
    free_model = providers.column("openai-strict", "unpinned")
    free_model["provider"] = {"openAI": {}}
    models.append(rule("free-*", free_model))
    custom = {
        "name": "custom",
        "provider": {"custom": {"model": "house-model", "formats": [{"type": "completions"}]}},
        "baseUrl": f"{at.llm}/ok",
    }
    models.append(rule("custom-server", custom))
    config = {
        "listen": "127.0.0.1:0",
        "auth": {
            "issuers": [{"issuer": at.issuer, "jwks": {"url": f"{at.issuer}/jwks"}, "audiences": ["tollgate"]}],
            "teams": {"search-team": {"team": "search", "tier": "premium"}},
        },
        "ai": {
            "modelAliases": {"gpt-4o": "via-openai-strict", "claude-*": "via-anthropic-strict", "gpt-4o-mini*": "via-bedrock-claude", "gemini-2.5-flash": "via-openai-strict"},
            "models": models,
        },
    }
    return config | changes
