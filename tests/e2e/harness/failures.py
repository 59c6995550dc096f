"""Errors as providers write them, and what the SDKs make of what the gateway says instead. The bodies are data that the Rust tests read, too."""

import json
from dataclasses import dataclass
from pathlib import Path


from . import patient
from .clouds import TokenServer
from .config import CLAUDE_ON_BEDROCK, NOVA_ON_BEDROCK, Providers

TABLE = Path(__file__).parents[3] / "shared" / "wire" / "tests" / "fidelity" / "errors.json"


@dataclass(frozen=True)
class Expected:
    """Of one kind of fault."""

    status: int
    # The exception class, which OpenAI's and Anthropic's SDK call the same.
    exception: str
    # OpenAI's `code`; None: it has none.
    code: str | None
    # Anthropic's `type`, Google's `status`.
    anthropic: str
    google: str
    # Cohere's exception.
    cohere: str
    # Is the next provider asked?
    moves_on: bool = False
    # Do the SDKs hear that it is no use to try again?
    final: bool = False


OURS = Expected(502, "InternalServerError", "upstream_credentials", "api_error", "INTERNAL", "InternalServerError", final=True)
EXPECTED = {
    "rate_limited": Expected(429, "RateLimitError", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "TooManyRequestsError", moves_on=True),
    "quota_exhausted": Expected(
        429, "RateLimitError", "insufficient_quota", "billing_error", "RESOURCE_EXHAUSTED", "TooManyRequestsError", moves_on=True, final=True
    ),
    "overloaded": Expected(503, "InternalServerError", "server_is_overloaded", "overloaded_error", "UNAVAILABLE", "ServiceUnavailableError", moves_on=True),
    "upstream_error": Expected(502, "InternalServerError", None, "api_error", "INTERNAL", "InternalServerError", moves_on=True),
    "timeout": Expected(504, "InternalServerError", "timeout", "timeout_error", "DEADLINE_EXCEEDED", "GatewayTimeoutError", moves_on=True),
    # A refused key is the gateway's, and no business of the client's token.
    "authentication": OURS,
    "permission": OURS,
    "not_found": Expected(404, "NotFoundError", None, "not_found_error", "NOT_FOUND", "NotFoundError"),
    "context_length": Expected(400, "BadRequestError", "context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT", "BadRequestError"),
    "content_filter": Expected(400, "BadRequestError", "content_policy_violation", "invalid_request_error", "INVALID_ARGUMENT", "BadRequestError"),
    "too_large": Expected(413, "APIStatusError", None, "request_too_large", "INVALID_ARGUMENT", "ApiError"),
    "invalid_request": Expected(400, "BadRequestError", None, "invalid_request_error", "INVALID_ARGUMENT", "BadRequestError"),
}
UNPROCESSABLE = Expected(422, "UnprocessableEntityError", None, "invalid_request_error", "INVALID_ARGUMENT", "UnprocessableEntityError")


@dataclass(frozen=True)
class Failure:
    """What a provider says."""

    provider: str
    name: str
    status: int
    headers: dict
    body: object
    kind: str
    code: str | None = None
    retry_after: int | None = None
    should_retry: str | None = None
    says: str | None = None

    @property
    def model(self) -> str:
        return f"{self.provider}-{self.name}".replace(" ", "-").replace(",", "").replace("'", "")

    @property
    def expected(self) -> Expected:
        return UNPROCESSABLE if (self.kind, self.status) == ("invalid_request", 422) else EXPECTED[self.kind]

    @property
    def http(self) -> bytes:
        """On the wire."""
        body = self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()
        kind = "text/plain" if isinstance(self.body, str) else "application/json"
        # The server closes, and must say so: the connection would be used again.
        headers = self.headers | {"content-type": kind, "content-length": str(len(body)), "connection": "close"}
        return f"HTTP/1.1 {self.status} X\r\n".encode() + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + body


def failures() -> dict[str, list[Failure]]:
    """Of each provider."""
    found = {}
    for group in json.loads(TABLE.read_text()):
        for provider in group["providers"]:
            for row in group["rows"]:
                row = {name: value for name, value in row.items() if name != "source"}
                found.setdefault(provider, []).append(Failure(provider=provider, kind=row.pop("is"), headers=row.pop("headers", {}), **row))
    return found


@dataclass
class Canned:
    """Provider entries whose server says one thing only."""

    providers: Providers
    tokens: TokenServer

    def put(self, name: str, said: bytes) -> str:
        """Leaves an answer with the server, and gives the address where it is said."""
        llm = self.providers.at.llm
        patient.put(f"{llm}/canned/{name}", content=said).raise_for_status()
        return f"{llm}/canned-{name}"

    def entry(self, provider: str, name: str, base: str) -> dict:
        key = {"backendAuth": {"key": "env:E2E_OPENAI_KEY"}}
        google = {"backendAuth": {"gcp": {"credential": "env:E2E_GOOGLE"}}}
        vertex = {"projectId": "e2e", "region": "europe-west4"}

        def of(kind: str, settings: dict, policies: dict = key, base: str = base) -> dict:
            return {"name": name, "provider": {kind: settings}, "baseUrl": base, "policies": policies}

        match provider:
            case "openai":
                return self.providers.openai(name, f"{base}/v1")
            case "openai-responses":
                return of("custom", {"model": "gpt-4o", "formats": [{"type": "responses"}]})
            case "anthropic":
                return self.providers.anthropic(name, base)
            case "azure":
                return of("azure", {"apiVersion": "2024-10-21", "model": "gpt-4o"})
            case "foundry-claude":
                return of("azure", {"resourceType": "foundry", "model": "claude-sonnet-4-5"})
            case "bedrock-claude" | "bedrock-other":
                return self.providers.bedrock(name, CLAUDE_ON_BEDROCK if provider == "bedrock-claude" else NOVA_ON_BEDROCK, base)
            case "bedrock-runtime" | "bedrock-mantle":
                settings = {"region": "us-east-1", "model": "openai.gpt-oss-120b-1:0", "openAIEndpoint": provider.removeprefix("bedrock-")}
                return of("bedrock", settings, {"backendAuth": {"aws": {}}})
            case "gemini":
                return self.providers.gemini(name, f"{base}/v1beta")
            case "vertex-gemini":
                return of("vertex", vertex | {"model": "gemini-2.5-flash"}, google)
            case "vertex-claude":
                return of("vertex", vertex | {"model": "claude-sonnet-4-5@20250929"}, google)
            case "copilot":
                return of("copilot", {"model": "gpt-4.1", "tokenUrl": f"{self.tokens.url}/copilot"})
            case "cohere-rerank":
                return self.providers.rerank(name, base)
            case preset:
                return of("custom", {"preset": preset, "model": "gpt-4o"}, base=f"{base}/v1")
