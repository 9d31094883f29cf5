"""What CloudFormation makes of a template: its intrinsic functions, with parameters filled in."""

import re
from collections.abc import Mapping
from typing import Any

GIVEN: Mapping[str, Any] = {
    "VpcId": "vpc-0a",
    "BalancerSubnets": ["subnet-0a", "subnet-0b"],
    "InstanceSubnets": ["subnet-1a", "subnet-1b"],
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "m7i.large",
    "CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/0a-1b",
}
PSEUDO: Mapping[str, Any] = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
}
ATTRIBUTES: Mapping[str, str] = {
    "LatestVersionNumber": "1",
    "LoadBalancerFullName": "app/photo-api/0123456789abcdef",
    "TargetGroupFullName": "targetgroup/photo-api/0123456789abcdef",
    "GroupId": "sg-0a",
    "Arn": "arn:aws:service:eu-west-1:123456789012:thing/of-a-test",
}
NOTHING = object()


class Stack:
    """A template with `parameters`, and the rest of them by their defaults."""

    def __init__(self, template: Mapping[str, Any], **parameters: Any) -> None:
        known = template["Parameters"]
        defaults = {key: item["Default"] for key, item in known.items() if "Default" in item}
        assert not set(parameters) - set(known), "a parameter that the template does not have"
        self._template = template
        self._values = {**PSEUDO, **defaults, **GIVEN, **parameters}
        assert set(known) <= set(self._values), "a parameter without a value"

    def resources(self) -> dict[str, dict[str, Any]]:
        """Those whose condition holds, by name, without intrinsic functions."""
        found = self._template["Resources"]
        return {
            name: self._filled(item)
            for name, item in found.items()
            if self._holds(item.get("Condition"))
        }

    def _holds(self, name: str | None) -> bool:
        return name is None or bool(self._filled(self._template["Conditions"][name]))

    def _filled(self, node: Any) -> Any:
        if isinstance(node, dict) and len(node) == 1:
            ((key, value),) = node.items()
            if key in ("Ref", "Condition") or key.startswith("Fn::"):
                return self._call(key, value)
        if isinstance(node, dict):
            kept = {key: self._filled(value) for key, value in node.items() if key != "Condition"}
            return {key: value for key, value in kept.items() if value is not NOTHING}
        if isinstance(node, list | tuple):
            return [value for item in node if (value := self._filled(item)) is not NOTHING]
        return node

    def _call(self, key: str, value: Any) -> Any:
        match key:
            case "Ref" if value == "AWS::NoValue":
                return NOTHING
            case "Ref" if value in self._values:
                return self._values[value]
            case "Ref":
                assert value in self._template["Resources"], value
                return ATTRIBUTES["Arn"]
            case "Condition":
                return self._holds(value)
            case "Fn::GetAtt":
                assert value[0] in self._template["Resources"], value
                return ATTRIBUTES[value[1]]
            case "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda found: str(self._values[found[1]]), value)
            case "Fn::If":
                return self._filled(value[1 if self._holds(value[0]) else 2])
            case "Fn::Not":
                return not self._filled(value[0])
            case "Fn::Equals":
                return self._filled(value[0]) == self._filled(value[1])
            case "Fn::Base64":
                return value
        raise AssertionError(f"an unknown function: {key}")
