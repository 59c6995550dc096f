"""The stacks fit together: parameters, outputs, options; and what section by section was asked of them."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from cfn import ROOT, Stack, load, templates, walk

OPTIONS = {
    "as it comes": {},
    "load balancer": dict(CertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/a", DomainName="g.example.com", HostedZoneId="Z1"),
    "load balancer without TLS": dict(AllowHttp="true"),
    "own network": dict(AllowHttp="true", VpcId="vpc-1", SubnetIds="subnet-1,subnet-2"),
    "API Gateway": dict(RestApi="true", StreamingUrl="false"),
    "no streaming": dict(AllowHttp="true", StreamingUrl="false"),
    "configured by AppConfig": dict(ConfigSource="appconfig:abc123/env4567/prof890", AppConfigExtensionArn="arn:aws:lambda:us-east-1:027255383542:layer:AWS-AppConfig-Extension:207"),
    "everything": dict(ConfigSource="s3://bucket/tollgate.yaml", SecretArns="arn:aws:secretsmanager:us-east-1:123456789012:secret:s-AbCdEf",
                       CertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/a", RestApi="true", ContainerImage="image", WebhookAuth="NONE",
                       KmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/k", Tracing="Active", JwtAtListener="true", AlbAccessLogsBucket="logs", KeepResponsesDays="30",
                       GatewayConcurrency="50", StreamConcurrency="50", WebhookConcurrency="5", AlarmEmail="a@example.com", Protect="true"),
}


def evaluate(stack, seen):
    for name, resource in stack.resources().items():
        stack.value(resource.get("Properties", {}))
        seen.add(resource["Type"])
        if resource["Type"] == "AWS::Serverless::Application":
            evaluate(stack.child(name), seen)
    for output in stack.template.get("Outputs", {}).values():
        if "Condition" not in output or stack.condition(output["Condition"]):
            stack.value(output["Value"])


@pytest.mark.parametrize("parameters", OPTIONS.values(), ids=OPTIONS.keys())
def test_with_these_options_nothing_refers_to_what_is_not_there(parameters):
    seen = set()
    evaluate(Stack(**parameters), seen)
    assert ("AWS::ElasticLoadBalancingV2::LoadBalancer" in seen) == bool({"CertificateArn", "AllowHttp"} & parameters.keys())
    assert ("AWS::ECS::Service" in seen) == ("ContainerImage" in parameters)
    assert ("AWS::WAFv2::WebACL" in seen) == bool({"CertificateArn", "AllowHttp", "RestApi"} & parameters.keys())


def resolved(stack, name="root"):
    """Every stack below, with nothing left to be filled in."""
    resources = {
        each: {"Type": resource["Type"], "Properties": stack.value(resource.get("Properties", {}))}
        for each, resource in stack.resources().items()
        if not resource["Type"].startswith("AWS::Serverless::")
    }
    yield name, {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    for each in stack.resources("AWS::Serverless::Application"):
        yield from resolved(stack.child(each), each)


@pytest.mark.parametrize("parameters", [OPTIONS["as it comes"], OPTIONS["everything"]], ids=["as it comes", "everything"])
def test_what_the_functions_make_of_the_parameters_has_the_form_that_aws_wants(tmp_path, parameters):
    """cfn-lint knows the patterns of properties, and passes over those that are still to be computed: here they are computed."""
    for name, template in resolved(Stack(**parameters)):
        (tmp_path / f"{name}.json").write_text(json.dumps(template))
    lint = [pathlib.Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W", "I", "--", *sorted(tmp_path.glob("*.json"))]
    linted = subprocess.run(lint, capture_output=True, text=True, timeout=120)
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stdout + linted.stderr


def test_what_costs_money_while_nobody_asks_is_asked_for():
    seen = set()
    evaluate(Stack(), seen)
    costly = {"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ECS::Service", "AWS::WAFv2::WebACL", "AWS::EC2::NatGateway", "AWS::ApiGateway::RestApi"}
    assert not seen & costly


def test_every_parameter_and_every_output_of_a_nested_stack_is_used():
    documents = templates()
    root = documents["template.yaml"]
    for name, resource in root["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Application":
            continue
        nested = documents[resource["Properties"]["Location"]]
        required = {key for key, about in nested.get("Parameters", {}).items() if "Default" not in about}
        given = resource["Properties"].get("Parameters", {}).keys()
        assert required <= given <= nested.get("Parameters", {}).keys(), name
        used = set(re.findall(rf"{name}\.Outputs\.(\w+)", str(root).replace("', '", ".")))
        assert used <= nested.get("Outputs", {}).keys(), name


def test_the_gateway_has_an_address_with_every_front_door():
    assert Stack().output("GatewayUrl") == "StreamUrl.FunctionUrl"
    assert Stack(**OPTIONS["load balancer"]).output("GatewayUrl") == "https://g.example.com"
    assert Stack(AllowHttp="true").output("GatewayUrl").startswith("http://")
    assert Stack(**OPTIONS["API Gateway"]).output("GatewayUrl").startswith("https://")


def test_there_is_no_plain_http_unless_it_was_asked_for():
    edge = Stack(**OPTIONS["load balancer"]).child("Edge")
    assert edge.has("HttpsListener") and edge.has("Redirect") and not edge.has("HttpListener")
    assert edge.properties("HttpsListener")["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    assert edge.properties("Redirect")["DefaultActions"][0]["Type"] == "redirect"
    assert not Stack().has("Edge")


def test_the_load_balancer_waits_as_long_as_the_function_works():
    parameters = load("template.yaml")["Parameters"]
    assert parameters["AlbIdleTimeoutSeconds"]["Default"] >= parameters["TimeoutSeconds"]["MaxValue"]


def test_the_function_is_a_target_with_multi_value_headers_and_a_health_check():
    edge = Stack(AllowHttp="true").child("Edge")
    target = edge.properties("Functions")
    assert (target["TargetType"], target["HealthCheckPath"]) == ("lambda", "/")
    assert {"Key": "lambda.multi_value_headers.enabled", "Value": "true"} in target["TargetGroupAttributes"]


def test_the_listener_checks_tokens_when_asked_and_lets_health_pass():
    edge = Stack(**OPTIONS["everything"]).child("Edge")
    check, forward = edge.properties("HttpsListener")["DefaultActions"]
    assert (check["Type"], forward["Type"]) == ("jwt-validation", "forward")
    assert check["JwtValidationConfig"]["JwksEndpoint"] == check["JwtValidationConfig"]["Issuer"] + "/.well-known/jwks.json"
    assert edge.has("Health")
    assert [action["Type"] for action in Stack(**OPTIONS["load balancer"]).child("Edge").properties("HttpsListener")["DefaultActions"]] == ["forward"]


def test_realtime_goes_to_the_container():
    container = Stack(**OPTIONS["everything"]).child("Container")
    assert container.properties("Rule")["Conditions"][0]["PathPatternConfig"]["Values"] == ["/v1/realtime", "/v1/realtime/*"]
    (definition,) = container.properties("Task")["ContainerDefinitions"]
    assert definition["ReadonlyRootFilesystem"] is True and definition["User"] == "65532:65532"


def test_the_table_is_the_one_that_the_code_makes():
    source = (ROOT / "shared/limits/src/table.rs").read_text()
    table = load("data.yaml")["Resources"]["Ledger"]["Properties"]
    kinds = dict(re.findall(r'column\("(\w+)", ScalarAttributeType::(\w)\)', source))
    assert {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]} == kinds
    keys = re.findall(r'element\("(\w+)", KeyType::(\w+)\)', source)
    (index,) = table["GlobalSecondaryIndexes"]
    ours = [(each["AttributeName"], each["KeyType"].capitalize()) for each in index["KeySchema"] + table["KeySchema"]]
    assert ours == keys
    assert index["IndexName"] == re.search(r'const DUE: &str = "(\w+)"', source)[1]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"} and "ProjectionType::KeysOnly" in source
    assert table["TimeToLiveSpecification"]["AttributeName"] == "expires"
    written = [path for path in (ROOT / "shared/limits/src").rglob("*.rs") if re.search(r'"expires"', path.read_text())]
    assert written, "nothing writes what the table expires by"


def test_kept_responses_have_a_table_of_their_own_if_they_are_asked_for():
    assert not Stack().child("Data").has("Responses")
    (name, table), = [(n, r) for n, r in load("data.yaml")["Resources"].items() if n == "Responses"]
    assert Stack(KeepResponsesDays="30").child("Data").has(name)
    keys = [(each["AttributeName"], each["KeyType"]) for each in table["Properties"]["KeySchema"]]
    assert keys == [("pk", "HASH"), ("sk", "RANGE")]
    assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert 'set("expires"' in (ROOT / "shared/limits/src/kept.rs").read_text()
    # What people said goes when it is deleted: nothing else has a copy.
    assert table["DeletionPolicy"] == "Delete" and "PointInTimeRecoverySpecification" not in table["Properties"]


def test_the_ledger_outlives_the_stack():
    ledger = load("data.yaml")["Resources"]["Ledger"]
    assert ledger["DeletionPolicy"] == ledger["UpdateReplacePolicy"] == "Retain"
    assert ledger["Properties"]["DeletionProtectionEnabled"] and ledger["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_secrets_hold_nothing():
    for name, resource in load("data.yaml")["Resources"].items():
        if resource["Type"] == "AWS::SecretsManager::Secret":
            assert "SecretString" not in resource["Properties"], name


def test_prompts_are_counted_and_not_blocked():
    rules = {rule["Name"]: rule for rule in load("waf.yaml")["Resources"]["WebAcl"]["Properties"]["Rules"]}
    overrides = rules["common"]["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    actions = {each["Name"]: list(each["ActionToUse"]) for each in overrides}
    assert len(actions) == len(overrides) == 22
    for name, action in actions.items():
        assert action == (["Count"] if name.endswith("_BODY") or name == "NoUserAgent_HEADER" else ["Block"]), name
    assert Stack(AllowHttp="true").child("Waf").properties("WebAcl")["Rules"][0]["Statement"]["RateBasedStatement"]["Limit"] == 2000


def test_what_is_blocked_says_so():
    blocks = [node["Block"] for node in walk(load("waf.yaml")) if "Block" in node]
    assert len(blocks) == 1 + 2 + 16
    for block in blocks:
        response = block["CustomResponse"]
        assert response["ResponseCode"] == 403 and response["ResponseHeaders"][0]["Name"] == "x-amzn-waf-action"


def test_every_suppression_has_a_reason():
    for name, template in templates().items():
        for skip in (skip for node in walk(template) for skip in (node.get("skip") or [] if isinstance(node.get("skip"), list) else [])):
            assert len(skip.get("comment", "")) > 20, (name, skip)


def test_every_log_group_is_kept_for_a_while_and_each_function_has_one():
    root = Stack(**OPTIONS["everything"])
    stacks = [root, root.child("Webhooks")]
    for stack in stacks:
        groups = {name: stack.properties(name) for name in stack.resources("AWS::Logs::LogGroup")}
        assert all(group["RetentionInDays"] == 30 for group in groups.values())
        for name in stack.resources("AWS::Serverless::Function"):
            function = stack.properties(name)
            group = groups[function["LoggingConfig"]["LogGroup"].removesuffix("-id")]
            assert group["LogGroupName"] == f"/aws/lambda/{function['FunctionName']}"


def test_the_sweep_runs_every_minute_and_its_failures_are_kept():
    webhooks = Stack().child("Webhooks")
    rule = webhooks.properties("EveryMinute")
    assert rule["ScheduleExpression"] == "rate(1 minute)" and "DeadLetterConfig" in rule["Targets"][0]
    assert "DeadLetterQueue" in webhooks.properties("Sweep")


def test_zips_have_the_names_that_make_build_gives_them():
    built = re.search(r"\bfunctions=\(([a-z -]+)\)$", (ROOT / "infra/build.sh").read_text(), re.M)[1].split()
    used = [node["CodeUri"] for template in ("template.yaml", "webhooks.yaml") for node in walk(load(template)) if "CodeUri" in node]
    assert set(used) == {f"../target/lambda/{name}/bootstrap.zip" for name in built}


def test_samconfig_names_parameters_that_there_are():
    from samcli.cli.types import CfnParameterOverridesType

    written = tomllib.loads((ROOT / "infra/samconfig.toml").read_text())["default"]["deploy"]["parameters"]["parameter_overrides"]
    read = CfnParameterOverridesType().convert(written, None, None)
    parameters = load("template.yaml")["Parameters"]
    assert read.keys() <= parameters.keys() and re.fullmatch(parameters["Teams"]["AllowedPattern"], read["Teams"])
