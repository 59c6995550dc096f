"""IAM: what the roles allow is what the code calls."""

import re

import pytest

import rust
from cfn import Stack, templates, walk

# Every option that brings a permission along.
ALL = dict(CertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/a", RestApi="true", ContainerImage="image", Tracing="Active",
           KmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/k", WebhookAuth="NONE",
           GuardrailArns="arn:aws:bedrock:us-east-1:123456789012:guardrail/g", GuardFunctionArns="arn:aws:lambda:us-east-1:123456789012:function:f",
           AzureTokenAudience="api://AzureADTokenExchange",
           MantleProjectArns="arn:aws:bedrock-mantle:us-east-1:123456789012:project/p", ConfigSource="s3://bucket/tollgate.yaml", KeepResponsesDays="30")
# What a role needs for what AWS does in its name, not for a call of ours.
ON_BEHALF = {
    "kms:Decrypt": "DynamoDB and Secrets Manager, with a key of one's own",
    "kms:GenerateDataKey": "the queue of failed sweeps, with a key of one's own",
    "logs:CreateLogStream": "Lambda and Fargate write the log",
    "logs:PutLogEvents": "Lambda and Fargate write the log",
    "sqs:SendMessage": "Lambda puts failed sweeps into the queue",
    "xray:PutTelemetryRecords": "Lambda traces",
    "xray:PutTraceSegments": "Lambda traces",
}
# Calls that are in what a binary is made of, and that the function does not make.
DUE = {"dynamodb:Query": "only the sweep asks what is due"}
MODELS = dict.fromkeys(["bedrock-mantle:CreateInference", "bedrock:ApplyGuardrail", "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
                       "tollgate-hooks takes the AWS configuration and the HTTP client from tollgate-upstream, and asks no model")
AZURE = {"sts:GetWebIdentityToken": "for a workload identity at Azure: tollgate-hooks has it by tollgate-upstream, and asks no model"}
NOT_NEEDED = {
    "gateway": DUE,
    "gateway-stream": DUE,
    "container": DUE,
    "rate-limiter": DUE | MODELS | AZURE,
    "budget": DUE | MODELS | AZURE | {"events:PutEvents": "only the sweep sends warnings"},
    "sweep": MODELS | AZURE | {"secretsmanager:GetSecretValue": "the shared secret is for callers, and a schedule sends none"},
}
BINARY = {"gateway": "gateway", "gateway-stream": "gateway", "container": "gateway", "rate-limiter": "rate-limiter", "budget": "budget", "sweep": "budget"}


def statements(stack, role):
    properties = stack.properties(role)
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    return [statement for document in documents for statement in document["Statement"]]


def allowed(statements):
    actions = set()
    for statement in statements:
        assert statement["Effect"] == "Allow"
        actions |= set([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    return actions


@pytest.fixture(scope="module")
def roles():
    root = Stack(**ALL)
    policy = root.properties("GatewayPolicy")["PolicyDocument"]["Statement"]
    webhooks, container = root.child("Webhooks"), root.child("Container")
    assert root.properties("GatewayRole")["ManagedPolicyArns"] == root.properties("StreamRole")["ManagedPolicyArns"] == ["arn:aws:iam::123456789012:policy/GatewayPolicy"]
    assert container.properties("TaskRole")["ManagedPolicyArns"] == ["arn:aws:iam::123456789012:policy/GatewayPolicy"]
    return {
        "gateway": policy + statements(root, "GatewayRole"),
        "gateway-stream": policy + statements(root, "StreamRole"),
        "container": policy + statements(container, "TaskRole"),
        "rate-limiter": statements(webhooks, "RateLimiterRole"),
        "budget": statements(webhooks, "BudgetRole"),
        "sweep": statements(webhooks, "SweepRole"),
    }


@pytest.mark.parametrize("function", BINARY)
def test_a_role_allows_what_its_binary_calls_and_nothing_else(roles, function):
    calls = rust.actions(f"tollgate-{BINARY[function]}")
    not_needed = NOT_NEEDED[function].keys()
    assert not_needed <= calls, "a reason for something that the code does not call"
    assert allowed(roles[function]) - ON_BEHALF.keys() == calls - not_needed


def test_every_sdk_in_the_workspace_is_known_here():
    sdks = {name for folder in rust.crates().values() for name in rust.manifest(folder).get("dependencies", {}) if name.startswith("aws-sdk-")}
    assert sdks == rust.SERVICES.keys()
    signed = {service for folder in rust.crates().values() for _, text in rust.sources(folder) for service in rust.signed(text)}
    assert signed == rust.SIGNED.keys()


def test_the_code_calls_something():
    assert {"dynamodb:UpdateItem", "dynamodb:GetItem", "bedrock:InvokeModel", "secretsmanager:GetSecretValue", "lambda:InvokeFunction"} <= rust.actions("tollgate-gateway")
    assert {"dynamodb:Query", "events:PutEvents"} <= rust.actions("tollgate-budget")


def test_no_table_is_made_by_a_function():
    calls = [path.name for folder in rust.crates().values() for path, text in rust.sources(folder) if re.search(r"\.create_table\(\)", text)]
    # Where an emulator is: the embedded ledger, the functions' native server, and the call itself.
    assert sorted(calls) == ["local.rs", "run.rs", "table.rs"]


def test_only_the_sweep_asks_what_is_due():
    calls = [path.name for folder in rust.crates().values() for path, text in rust.sources(folder) if re.search(r"\.due\(", text)]
    assert set(calls) <= {"sweep.rs", "ledger.rs"}, calls


def test_the_webhook_functions_ask_no_model():
    used = set()
    for name in ("tollgate-hooks", "tollgate-rate-limiter", "tollgate-budget"):
        for _, text in rust.sources(rust.crates()[name]):
            used |= set(re.findall(r"tollgate_upstream::(\w+)", text))
    assert used == {"Aws"}


def test_a_star_is_a_resource_only_where_the_service_knows_no_other():
    starred = set()
    for name, template in templates().items():
        for statement in (node for node in walk(template) if node.get("Effect") == "Allow" and "Resource" in node):
            if statement["Resource"] == "*":
                starred |= allowed([statement])
            assert not any("*" in action for action in allowed([statement])), (name, statement)
    assert starred == {"xray:PutTelemetryRecords", "xray:PutTraceSegments", "ecr:GetAuthorizationToken", "sts:GetWebIdentityToken"}


def test_tokens_for_azure_are_for_its_audience_alone_and_as_short_as_the_code_asks_for():
    get = lambda **given: [s for s in Stack(**given).properties("GatewayPolicy")["PolicyDocument"]["Statement"] if s["Sid"] == "Azure"]
    assert get() == []
    (azure,) = get(AzureTokenAudience="api://AzureADTokenExchange")
    code = (rust.crates()["tollgate-upstream"] / "src/token/aws_identity.rs").read_text()
    assert azure["Condition"] == {
        "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": re.search(r'const AUDIENCE: &str = "(.+)"', code)[1]},
        "NumericLessThanEquals": {"sts:DurationSeconds": int(re.search(r'const LIFETIME_S: &str = "(\d+)"', code)[1])},
    }


def test_a_configuration_elsewhere_may_be_read_and_nothing_beside_it():
    read = lambda **given: [s for s in Stack(**given).properties("GatewayPolicy")["PolicyDocument"]["Statement"] if s["Sid"] == "Configuration"]
    assert read() == []
    (s3,) = read(ConfigSource="s3://bucket/path/tollgate.yaml")
    assert (s3["Action"], s3["Resource"]) == ("s3:GetObject", "arn:aws:s3:::bucket/path/tollgate.yaml")
    # The extension's calls, by the function's role.
    (agent,) = read(ConfigSource="appconfig:abc123/env4567/prof890", AppConfigExtensionArn="arn:aws:lambda:us-east-1:027255383542:layer:AWS-AppConfig-Extension:207")
    assert agent["Action"] == ["appconfig:GetLatestConfiguration", "appconfig:StartConfigurationSession"]
    assert agent["Resource"] == "arn:aws:appconfig:us-east-1:123456789012:application/abc123/environment/env4567/configuration/prof890"


def test_only_the_gateway_may_read_kept_responses_and_only_where_there_are_any():
    root = Stack(KeepResponsesDays="30")
    table = root.child("Data").output("ResponsesArn")
    of = lambda statements: [s for s in statements if s["Resource"] == table]
    (kept,) = of(root.properties("GatewayPolicy")["PolicyDocument"]["Statement"])
    assert kept["Action"] == ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    assert not any(of(statements(root.child("Webhooks"), role)) for role in ("RateLimiterRole", "BudgetRole", "SweepRole"))
    assert not [s for s in Stack().properties("GatewayPolicy")["PolicyDocument"]["Statement"] if s["Sid"] == "Responses"]


def test_models_are_named_by_pattern_or_by_arn():
    models = lambda **given: Stack(**given).properties("GatewayPolicy")["PolicyDocument"]["Statement"][0]["Resource"]
    assert models() == ["arn:aws:bedrock:*::foundation-model/anthropic.claude-*", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/*.anthropic.claude-*"]
    assert models(BedrockModelArns="arn:a,arn:b") == ["arn:a", "arn:b"]
