"""The functions' variables: what the templates set the code reads, and what the code reads is set or told of."""

import re

import rust
from cfn import ROOT, Stack, load, walk


def set_by_templates():
    names = set()
    for template in ("template.yaml", "webhooks.yaml"):
        document = load(template)
        names |= document["Globals"]["Function"]["Environment"]["Variables"].keys()
        for resource in document["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                names |= resource["Properties"].get("Environment", {}).get("Variables", {}).keys()
    (container,) = load("container.yaml")["Resources"]["Task"]["Properties"]["ContainerDefinitions"]
    return names | {node["Name"] for node in walk(container["Environment"]) if "Name" in node}


def test_every_variable_that_a_template_sets_is_read():
    assert set_by_templates() <= rust.variables()


def test_every_variable_that_the_code_reads_is_set_or_explained():
    document = (ROOT / "infra/README.md").read_text().split("<!-- variables -->")[1].split("<!-- end -->")[0]
    explained = {name for row in document.splitlines() for name in re.findall(r"`([A-Z0-9_]+)`", row.split("|")[1] if "|" in row else "")}
    assert rust.variables() - set_by_templates() == explained


def test_each_function_has_what_its_front_door_needs():
    root = Stack()
    mode = lambda name: root.properties(name).get("Environment", {}).get("Variables", {}).get("TOLLGATE_RESPONSE_MODE")
    assert (mode("Gateway"), mode("GatewayStream")) == (None, "stream")
    assert root.child("Webhooks").properties("Sweep")["Environment"]["Variables"] == {"TOLLGATE_EVENT_BUS": "default"}


def test_the_variables_fit_into_a_function():
    """Lambda takes 4 KB of them together; sixteen teams with long names are the most that there can be."""
    teams = ",".join(f"{n}={'team-with-a-name-' + str(n)}:enterprise" for n in range(1, 17))
    root = Stack(Teams=teams)
    configuration = root.properties("Configuration")["Value"]
    others = {"TOLLGATE_LOG": "debug", "TOLLGATE_RESPONSE_MODE": "stream", "TOLLGATE_EVENT_BUS": "x" * 100}
    assert len("TOLLGATE_CONFIG" + configuration) + sum(len(name + value) for name, value in others.items()) < 4096


def test_a_configuration_elsewhere_is_named_and_found_by_the_same_variable():
    root = Stack(ConfigSource="s3://bucket/tollgate.yaml", AllowHttp="true", ContainerImage="image")
    assert root.value(root.template["Globals"]["Function"]["Environment"]["Variables"])["TOLLGATE_CONFIG"] == "s3://bucket/tollgate.yaml"
    (container,) = root.child("Container").properties("Task")["ContainerDefinitions"]
    assert {"Name": "TOLLGATE_CONFIG", "Value": "s3://bucket/tollgate.yaml"} in container["Environment"]
