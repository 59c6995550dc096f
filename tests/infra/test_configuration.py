"""The configuration that the template deploys: every binary takes it, with any teams."""

import re
import subprocess

import pytest
import yaml

import rust
from cfn import Stack, load

TEAMS = {
    "the default": load("template.yaml")["Parameters"]["Teams"]["Default"],
    "several": "1=search:premium,7=ops-team:sandbox,16=123:enterprise,2=search:premium",
    "sixteen": ",".join(f"{n}=team-{n}:standard" for n in range(1, 17)),
}


def configuration(**parameters):
    return Stack(**parameters).properties("Configuration")["Value"]


@pytest.mark.parametrize("teams", TEAMS.values(), ids=TEAMS.keys())
@pytest.mark.parametrize("binary", ["gateway", "rate-limiter", "budget"])
def test_a_binary_takes_the_configuration(tmp_path, teams, binary):
    file = tmp_path / "tollgate.yaml"
    file.write_text(configuration(Teams=teams))
    checked = subprocess.run([rust.binary(binary), "check", file], capture_output=True, text=True, timeout=60, env={"AWS_REGION": "us-east-1"})
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
    assert checked.stdout.strip().endswith(": ok")


def test_kept_responses_are_configured_where_they_are_asked_for(tmp_path):
    assert yaml.safe_load(configuration())["responses"] == {}
    kept = configuration(KeepResponsesDays="7")
    responses = yaml.safe_load(kept)["responses"]
    assert responses == {"state": {"table": Stack(KeepResponsesDays="7").child("Data").output("ResponsesName")}, "keepDays": 7}
    file = tmp_path / "tollgate.yaml"
    file.write_text(kept)
    for binary in ("gateway", "rate-limiter", "budget"):
        checked = subprocess.run([rust.binary(binary), "check", file], capture_output=True, text=True, timeout=60, env={"AWS_REGION": "us-east-1"})
        assert checked.returncode == 0, checked.stderr


def test_the_check_finds_what_is_wrong(tmp_path):
    file = tmp_path / "tollgate.yaml"
    file.write_text(configuration() + "surplus: true\n")
    checked = subprocess.run([rust.binary("gateway"), "check", file], capture_output=True, text=True, timeout=60)
    assert checked.returncode != 0 and "surplus" in checked.stderr


def teams(value):
    return yaml.safe_load(configuration(Teams=value))["auth"]["teams"]


def test_each_team_has_a_client_and_its_tier():
    identity = Stack(Teams=TEAMS["several"]).child("Identity")
    ids = dict(each.split("=") for each in identity.output("ClientIds").split())
    assert ids.keys() == {"1", "2", "7", "16"}
    rows = teams(TEAMS["several"])
    assert {number: rows[ids[number]] for number in ids} == {
        "1": {"team": "search", "tier": "premium"},
        "2": {"team": "search", "tier": "premium"},
        "7": {"team": "ops-team", "tier": "sandbox"},
        "16": {"team": "123", "tier": "enterprise"},
    }
    names = {name: identity.properties(name)["ClientName"] for name in identity.resources("AWS::Cognito::UserPoolClient")}
    assert names == {"Client1": "search", "Client2": "search", "Client7": "ops-team", "Client16": "123"}


def test_a_team_that_leaves_takes_its_own_client_along_and_no_other():
    before, after = teams("1=a:standard,2=b:premium,3=c:sandbox"), teams("1=a:standard,3=c:sandbox")
    (gone,) = before.keys() - after.keys()
    assert before[gone]["team"] == "b"
    assert after.items() <= before.items()


def test_clients_may_invoke_and_nothing_else():
    identity = Stack(Teams=TEAMS["sixteen"]).child("Identity")
    for name in identity.resources("AWS::Cognito::UserPoolClient"):
        client = identity.properties(name)
        assert client["AllowedOAuthScopes"] == ["https://gateway.internal/invoke"] and client["AllowedOAuthFlows"] == ["client_credentials"]
        assert client["GenerateSecret"] is True and client["ExplicitAuthFlows"] == []
    scopes = {scope["ScopeName"] for scope in identity.properties("ResourceServer")["Scopes"]}
    assert {"invoke", "admin"} <= scopes


def test_teams_that_cannot_be_meant_are_refused():
    pattern = load("template.yaml")["Parameters"]["Teams"]["AllowedPattern"]
    for good in TEAMS.values():
        assert re.fullmatch(pattern, good), good
    for bad in ["", "search", "search:premium", "0=a:b", "17=a:b", "1=a", "1=a:b,", "1=a:b, 2=c:d", '1=a":b', "1=a:b:c", "1=${x}:y"]:
        assert not re.fullmatch(pattern, bad), bad


def test_every_part_has_the_same_configuration():
    root = Stack(AllowHttp="true", ContainerImage="image")
    made = root.properties("Configuration")["Value"]
    (container,) = root.child("Container").properties("Task")["ContainerDefinitions"]
    assert {"Name": "TOLLGATE_CONFIG", "Value": made} in container["Environment"]
    assert root.child("Webhooks").value(root.child("Webhooks").template["Globals"]["Function"]["Environment"]["Variables"])["TOLLGATE_CONFIG"] == made
    assert root.value(root.template["Globals"]["Function"]["Environment"]["Variables"])["TOLLGATE_CONFIG"] == made


def test_the_parameter_store_takes_it_for_a_text():
    """Two braces would be a reference to another parameter, and be refused."""
    assert not re.search(r"\{\{", configuration(Teams=TEAMS["several"]))
