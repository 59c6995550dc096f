"""Dashboard, alarms and queries name metrics and log fields that the code writes."""

import json
import re

import pytest

import rust
from cfn import Stack, load, walk

# Metrics of AWS's own that are used here, as their services document them.
AWS = {
    "AWS/ApplicationELB": {"HTTPCode_ELB_5XX_Count"},
    "AWS/DynamoDB": {"ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"},
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
}
KEYWORDS = set("filter fields stats sort limit by as and or not desc asc sum count pct latest ispresent".split())


def operations():
    root = Stack(CertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/a", ContainerImage="image")
    return root.child("Operations")


def rows(metrics):
    """A widget's metrics with the short forms written out."""
    before = []
    for row in metrics:
        names = [cell for cell in row if isinstance(cell, str)]
        if names and names[0] == "...":
            names = before[: len(before) - len(names) + 1] + names[1:]
        names = [before[at] if name == "." else name for at, name in enumerate(names)]
        if names:
            yield names
            before = names
        yield from ([match[2], match[3], match[1]] for cell in row if isinstance(cell, dict) and "expression" in cell
                    for match in [re.match(r"""SEARCH\('\{(?P<set>(\w+),"[\w.]+")\} MetricName="(\w+)"'""", cell["expression"])])


def named():
    """Every metric that is named: where, namespace, name, dimensions."""
    stack = operations()
    for name, resource in stack.resources("AWS::CloudWatch::Alarm").items():
        for node in walk(stack.value(resource["Properties"])):
            if "MetricName" in node:
                yield name, node["Namespace"], node["MetricName"], {each["Name"] for each in node.get("Dimensions", [])}
    for widget in json.loads(stack.properties("Dashboard")["DashboardBody"])["widgets"]:
        for namespace, metric, *dimensions in rows(widget["properties"]["metrics"]):
            if len(dimensions) == 1 and "," in dimensions[0]:
                dimensions = [dimensions[0].split('"')[1], ""]
            yield widget["properties"]["title"], namespace, metric, set(dimensions[::2])


@pytest.mark.parametrize("where, namespace, metric, dimensions", [pytest.param(*each, id=f"{each[0]}-{each[2]}") for each in named()])
def test_a_metric_that_is_named_is_emitted(where, namespace, metric, dimensions):
    if namespace != "Tollgate":
        assert metric in AWS[namespace]
        return
    ours = rust.metrics()
    assert metric in ours, f"{where}: no such metric in docs/telemetry.md"
    assert not dimensions or dimensions <= ours[metric], f"{where}: {metric} has no dimension {dimensions}"


def test_every_metric_of_an_event_has_an_alarm_or_a_place_on_the_dashboard():
    seen = {metric for _, namespace, metric, _ in named() if namespace == "Tollgate"}
    assert rust.metrics().keys() - seen == set()


def test_what_must_wake_somebody_has_an_alarm():
    alarmed = {node["MetricName"] for node in walk(load("operations.yaml")["Resources"]) if "MetricName" in node}
    assert {"Errors5xx", "HTTPCode_ELB_5XX_Count", "GatewayOverhead", "Throttles", "DegradedAdmission", "UnpricedRequests", "UnpricedUsage", "BudgetThreshold",
            "ConfigurationRefused", "ResponsesLost", "ApproximateNumberOfMessagesVisible", "WriteThrottleEvents"} <= alarmed


def queries():
    stack = operations()
    return {name: stack.properties(name)["QueryString"] for name in stack.resources("AWS::Logs::QueryDefinition")}


def fields(query):
    query = re.sub(r'"[^"]*"', "", query)
    made = set(re.findall(r"\bas (\w+)", query))
    quoted = set(re.findall(r"`([^`]+)`", query))
    bare = set(re.findall(r"(?<![\w@.])[a-zA-Z_]\w*", re.sub(r"`[^`]+`", "", query)))
    return quoted | (bare - KEYWORDS - made)


@pytest.mark.parametrize("name, query", queries().items())
def test_a_field_that_is_queried_is_logged(name, query):
    dropped = {f"tollgate.dropped.{n}" for n in range(10)} if "tollgate.dropped" in rust.fields() else set()
    assert fields(query), "the query names no field"
    assert fields(query) - rust.fields() - dropped == set()


def test_a_field_that_is_not_logged_is_found():
    assert fields('filter message = "request" | stats sum(`a.b`) as x, pct(c_ms, 99) by `d` | sort x desc | limit 20') == {"message", "a.b", "c_ms", "d"}


def test_the_dashboard_is_a_dashboard():
    body = json.loads(operations().properties("Dashboard")["DashboardBody"])
    places = [(w["x"], w["y"]) for w in body["widgets"]]
    assert len(places) == len(set(places)) and all(w["x"] + w["width"] <= 24 for w in body["widgets"])
    assert "${" not in json.dumps(body)
