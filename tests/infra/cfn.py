"""A reader of the templates: what CloudFormation would make of them with some parameters, as far as that is known before a deployment.

What only AWS knows (an ARN, a generated name) is a made-up text of the right shape.
"""

import contextlib
import functools
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "tollgate",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()
# What a reference to a resource gives, where its shape matters.
IDS = {
    "AWS::Cognito::UserPoolClient": lambda name: ("4h57m3k2p9q1z8x7c6v5b4" + name.lower().removeprefix("client").rjust(4, "n"))[:26],
    "AWS::ElasticLoadBalancingV2::Listener": lambda name: f"arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/{name}",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": lambda name: f"arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/{name}",
    "AWS::ElasticLoadBalancingV2::TargetGroup": lambda name: f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/73e2d6bc24d8a067",
    "AWS::IAM::ManagedPolicy": lambda name: f"arn:aws:iam::123456789012:policy/{name}",
    "AWS::Cognito::UserPool": lambda name: "us-east-1_EXAMPLE01",
    "AWS::SNS::Topic": lambda name: f"arn:aws:sns:us-east-1:123456789012:{name}",
    "AWS::SQS::Queue": lambda name: f"https://sqs.us-east-1.amazonaws.com/123456789012/{name}",
    "AWS::EC2::SecurityGroup": lambda name: "sg-0123456789abcdef0",
    "AWS::EC2::Subnet": lambda name: "subnet-0123456789abcdef" + name[-1].lower(),
    "AWS::EC2::VPC": lambda name: "vpc-0123456789abcdef0",
    "AWS::SecretsManager::Secret": lambda name: f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-lqhg0sSMFqSG-AbCdEf",
}
ATTRIBUTES = {
    ("AWS::Cognito::UserPool", "ProviderURL"): "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE01",
}


class NotMade(AssertionError):
    """A resource that is referred to, and not made with these parameters."""


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", short_form)


@functools.cache
def load(name):
    return yaml.load((INFRA / name).read_text(), Loader)


def templates():
    return {path.name: load(path.name) for path in sorted(INFRA.glob("*.yaml"))}


def walk(node):
    """Every mapping below, itself included."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


class Stack:
    """A template with its parameters."""

    def __init__(self, template="template.yaml", **parameters):
        self.template = load(template)
        declared = self.template.get("Parameters", {})
        unknown = parameters.keys() - declared.keys()
        assert not unknown, f"{template} has no parameters {unknown}"
        self.parameters = {}
        for name, about in declared.items():
            value = parameters.get(name, about.get("Default"))
            assert value is not None, f"{template}: {name} has no default and is not given"
            if about["Type"] == "CommaDelimitedList":
                value = str(value).split(",")
            self.parameters[name] = value
        self.children = {}

    def has(self, name):
        """Is this resource made?"""
        resource = self.template["Resources"][name]
        return "Condition" not in resource or self.condition(resource["Condition"])

    def must_have(self, name):
        if not self.has(name):
            raise NotMade(f"{name} is referred to, and not made with these parameters")

    def resources(self, kind=None):
        return {
            name: resource
            for name, resource in self.template["Resources"].items()
            if self.has(name) and kind in (None, resource["Type"])
        }

    def properties(self, name):
        return self.value(self.template["Resources"][name]["Properties"])

    def condition(self, name):
        return self.truth(self.template["Conditions"][name])

    def child(self, name):
        """A nested stack, with what this one gives it."""
        if name not in self.children:
            self.must_have(name)
            properties = self.template["Resources"][name]["Properties"]
            self.children[name] = Stack(properties["Location"], **self.value(properties.get("Parameters", {})))
        return self.children[name]

    def output(self, name):
        return self.value(self.template["Outputs"][name]["Value"])

    def truth(self, node):
        ((function, of),) = node.items()
        match function:
            case "Condition":
                return self.condition(of)
            case "Fn::Equals":
                left, right = (self.value(side) for side in of)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.truth(of[0])
            case "Fn::And":
                return all(self.truth(each) for each in of)
            case "Fn::Or":
                return any(self.truth(each) for each in of)
        raise AssertionError(f"no condition: {node}")

    def value(self, node):
        if isinstance(node, list):
            values = [self.value(each) for each in node]
            return [value for value in values if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, of),) = node.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self.function(name, of)
        values = {key: self.value(each) for key, each in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def function(self, name, of):
        match name:
            case "Ref":
                return self.reference(of)
            case "Fn::If":
                chosen, other = (of[1], of[2]) if self.condition(of[0]) else (of[2], of[1])
                # CloudFormation does not say that it leaves the other one alone: it has to be computable, too, but for what is not there.
                with contextlib.suppress(NotMade):
                    self.value(other)
                return self.value(chosen)
            case "Fn::Join":
                return of[0].join(str(each) for each in self.value(of[1]))
            case "Fn::Split":
                return self.value(of[1]).split(of[0])
            case "Fn::Select":
                choices = self.value(of[1])
                assert int(of[0]) < len(choices), f"{of}: only {choices}"
                return choices[int(of[0])]
            case "Fn::GetAtt":
                return self.attribute(of[0], of[1])
            case "Fn::GetAZs":
                return ["us-east-1a", "us-east-1b"]
            case "Fn::Sub":
                text, own = (of, {}) if isinstance(of, str) else (of[0], self.value(of[1]))
                return re.sub(r"\$\{([^!}][^}]*)\}", lambda m: str(own[m[1]] if m[1] in own else self.named(m[1])), text)
        raise AssertionError(f"{name}: not known here")

    def named(self, name):
        return self.attribute(*name.split(".", 1)) if "." in name else self.reference(name)

    def reference(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        resource = self.template["Resources"][name]
        self.must_have(name)
        made_up = IDS.get(resource["Type"])
        return made_up(name) if made_up else resource.get("Properties", {}).get("Name") and self.value(resource["Properties"]["Name"]) or f"{name}-id"

    def attribute(self, name, attribute):
        resource = self.template["Resources"][name]
        self.must_have(name)
        if attribute.startswith("Outputs."):
            return self.child(name).output(attribute.removeprefix("Outputs."))
        if resource["Type"] == "AWS::SSM::Parameter" and attribute == "Value":
            return self.value(resource["Properties"]["Value"])
        if attribute == "Arn":
            role = resource["Type"] == "AWS::IAM::Role"
            return f"arn:aws:iam::123456789012:role/{name}" if role else f"arn:aws:made-up:us-east-1:123456789012:{name}"
        return ATTRIBUTES.get((resource["Type"], attribute), f"{name}.{attribute}")
