"""CloudFormation's intrinsic functions, as data."""

from photo_fleet.render.yaml_text import Node

Resource = dict[str, Node]


def ref(name: str) -> Resource:
    """A parameter's value, or the resource's name."""
    return {"Ref": name}


def attribute(resource: str, name: str) -> Resource:
    """An attribute of a resource."""
    return {"Fn::GetAtt": [resource, name]}


def filled(text: str) -> Resource:
    """The text with each `${…}` filled in."""
    return {"Fn::Sub": text}


def where(condition: str, value: Node) -> Resource:
    """The value where the condition holds, and otherwise nothing."""
    return {"Fn::If": [condition, value, ref("AWS::NoValue")]}
