"""docs/operations.md: its alarms are those of the template, its sums are sums."""

import re

import pytest

from cfn import ROOT, load, walk

DOCUMENT = (ROOT / "docs/operations.md").read_text()
HOURS = 730
OWN_INSTRUCTIONS = 2.84e6
WHOLE_CPU_MB = 1769


def table(mark):
    rows = DOCUMENT.split(f"<!-- {mark} -->")[1].split("<!-- end -->")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


PRICES = {row[0]: float(row[1]) for row in table("prices")}


def gb_seconds(memory_mb, seconds):
    return memory_mb / 1024 * seconds * 1e6


def test_every_alarm_is_explained():
    alarms = {name for name, resource in load("operations.yaml")["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"}
    assert [row[0].strip("`") for row in table("alarms")] == sorted(alarms, key=list(load("operations.yaml")["Resources"]).index)


def test_queries_are_called_by_their_names():
    names = {resource["Properties"]["Name"]["Fn::Sub"].split("/")[1] for resource in load("operations.yaml")["Resources"].values()
             if resource["Type"] == "AWS::Logs::QueryDefinition"}
    called = set(re.findall(r"[Qq]uery `([^`]+)`|`<stack>/([^`]+)`", DOCUMENT))
    assert {name for pair in called for name in pair if name} <= names


def test_parameters_are_called_by_their_names():
    parameters = load("template.yaml")["Parameters"].keys() | load("template.yaml")["Outputs"].keys()
    for name in re.findall(r"`([A-Z][A-Za-z]+(?:Arn|Url|Id|Ids|Pattern|Arns|Seconds|Memory|Image|Paths|Tasks|Minutes|Concurrency|Email|Http|Listener|Auth|Mode))(?:=\S+)?`", DOCUMENT):
        assert name in parameters, name


@pytest.mark.parametrize("row", table("lambda"), ids=lambda row: row[0])
def test_lambda_is_memory_times_seconds(row):
    memory = int(row[0].replace(",", ""))
    own_ms = OWN_INSTRUCTIONS / 3e9 * 1e3 * WHOLE_CPU_MB / memory
    assert round(own_ms) == int(row[1])
    for seconds, said in zip((2, 5, 20), row[2:], strict=True):
        assert f"{gb_seconds(memory, seconds) * PRICES['Lambda, x86-64'] + PRICES['Lambda, requests']:.2f}" == said


def test_the_rest_of_a_million_requests():
    said = {row[0]: row[1] for row in table("rest")}
    assert said["DynamoDB"] == f"{4 * PRICES['DynamoDB, on demand']:.2f}"
    assert said["logs"] == f"{(2.1 + 0.4) * PRICES['CloudWatch Logs']:.2f}"
    assert said["load balancer's LCUs"] == f"{8 / 0.4 * PRICES['LCU']:.2f}"
    assert said["WAF"] == f"{PRICES['WAF, requests']:.2f}" and said["API Gateway"] == f"{PRICES['API Gateway, REST']:.2f}"


def test_the_container_and_where_both_cost_the_same():
    task = (0.25 * PRICES["Fargate, CPU"] + 0.5 * PRICES["Fargate, memory"]) * HOURS
    rows = {row[0]: float(row[1]) for row in table("container")}
    assert rows["CPU and memory"] == round(2 * task, 2)
    assert rows["two public addresses"] == round(2 * PRICES["public IPv4 address"] * HOURS, 2)
    assert rows["sum"] == round(rows["CPU and memory"] + rows["two public addresses"], 2)
    for memory, *millions in table("even"):
        for seconds, said in zip((2, 5, 20), millions, strict=True):
            per_million = gb_seconds(int(memory), seconds) * PRICES["Lambda, x86-64"] + PRICES["Lambda, requests"]
            assert f"{rows['sum'] / per_million:.1f} million" == said
    assert "23.73" in DOCUMENT and round(PRICES["ALB"] * HOURS + 2 * PRICES["public IPv4 address"] * HOURS, 3) == 23.725


def test_alarms_have_as_many_metrics_as_the_bill_says():
    resources = load("operations.yaml")["Resources"].values()
    metrics = sum("MetricName" in node for resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in resource for node in walk(resource))
    assert f"the alarms' {metrics} metrics {metrics * PRICES['alarm']:.2f}" in DOCUMENT
