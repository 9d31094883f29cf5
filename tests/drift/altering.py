"""Another value for each that a template says."""

from typing import Any

OTHERS = {
    "EC2": "ELB",
    "HTTP": "HTTPS",
    "HTTPS": "HTTP",
    "instance": "ip",
    "round_robin": "least_outstanding_requests",
    "autoscaling:EC2_INSTANCE_TERMINATING": "autoscaling:EC2_INSTANCE_LAUNCHING",
    "ABANDON": "CONTINUE",
    "ChangeInCapacity": "ExactCapacity",
    "Average": "Maximum",
    "Maximum": "Average",
    "Sum": "Average",
    "GreaterThanThreshold": "LessThanOrEqualToThreshold",
    "LessThanThreshold": "GreaterThanOrEqualToThreshold",
    "GreaterThanOrEqualToThreshold": "LessThanThreshold",
    "missing": "breaching",
    "notBreaching": "breaching",
    "required": "optional",
    "enabled": "disabled",
    "retain": "terminate",
    "internet-facing": "internal",
    "application/json": "text/plain",
    "HTTP_301": "HTTP_302",
    "REGIONAL": "REGIONAL",
    "IP": "FORWARDED_IP",
    "URL_DECODE": "LOWERCASE",
    "NONE": "LOWERCASE",
    "APPLICATION_JSON": "TEXT_PLAIN",
}


def altered(value: Any) -> Any:
    """Not the same, and of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [altered(item) for item in value] or ["Terminate"]
    if value == {}:
        return {"Other": "yes"}
    if value in ("true", "false"):
        return "false" if value == "true" else "true"
    return str(int(value) + 1) if str(value).isdigit() else OTHERS.get(value, f"{value}-x")


def with_another(node: Any, path: str) -> Any:
    """A copy of what AWS has, with another value at one path of `flat`."""
    if not path:
        return altered(node)
    if path == "[]":
        return [*node, dict(node[0])]
    if path.startswith("["):
        name, _, rest = path[1:].partition("]")
        which = [
            str(at) if name.isdigit() else one.get("Key", one.get("Name"))
            for at, one in enumerate(node)
        ]
        chosen, rest = which.index(name), rest.lstrip(".")
        return [with_another(one, rest) if at == chosen else one for at, one in enumerate(node)]
    name, mark, rest = _first(path)
    rest = mark + rest if mark == "[" else rest
    return {**node, name: with_another(node[name], rest)}


def _first(path: str) -> tuple[str, str, str]:
    ends = [at for at in (path.find("."), path.find("[")) if at >= 0]
    end = min(ends, default=len(path))
    return path[:end], path[end : end + 1], path[end + 1 :]


def altered_template(node: Any, names: frozenset[str]) -> Any:
    """Every literal of a resource's properties altered, but for what things are found by: the keys
    and names of items, and these properties."""
    if isinstance(node, dict):
        if len(node) == 1 and next(iter(node)) in ("Ref", "Fn::GetAtt"):
            return node
        return {
            key: value if key in names else altered_template(value, names)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [altered_template(item, names) for item in node]
    return altered(node)
