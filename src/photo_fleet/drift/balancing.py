"""What AWS has of the load balancer: its target group, listeners, rules and firewall."""

from typing import Any

from photo_fleet.drift.asking import Unread
from photo_fleet.drift.reading import (
    ASSOCIATION,
    BALANCER,
    FIREWALL,
    LISTENER,
    RULE,
    TARGET_GROUP,
    Extra,
    Properties,
    Reading,
)
from photo_fleet.drift.template import resolved

ELB = "elbv2"


def read_target_group(reading: Reading, group: Properties) -> Any:
    """The target group of the template's name, or that of the group where AWS made up the name."""
    live: Any = None
    for key, wanted in reading.of(TARGET_GROUP):
        name, arns = reading.name_in(wanted, "Name"), group.get("TargetGroupARNs") or []
        live = _one(
            reading,
            "describe_target_groups",
            "TargetGroups",
            "TargetGroupNotFound",
            **({"Names": [name]} if name else {"TargetGroupArns": arns[:1]}),
        )
        arn = ""
        if isinstance(live, dict):
            arn = live["TargetGroupArn"]
            attributes = _attributes(reading, "target_group", TargetGroupArn=arn)
            live = {**live, "TargetGroupAttributes": attributes}
            reading.known[key] = reading.known[f"{key}.TargetGroupArn"] = arn
            reading.known[f"{key}.TargetGroupFullName"] = arn.rpartition(":")[2]
        said = {part: value for part, value in wanted.items() if part not in ("Name", "Tags")}
        reading.add(TARGET_GROUP, name or key, said, live, arn)
    return live


def read_balancer(reading: Reading, target_group: Any) -> None:
    """The load balancer of the template's name, or that of the target group, with its listeners,
    their rules and its firewall."""
    for key, wanted in reading.of(BALANCER):
        name = reading.name_in(wanted, "Name")
        live = target_group
        if not isinstance(target_group, Unread):
            arns = target_group["LoadBalancerArns"] if target_group else []
            live = _one(
                reading,
                "describe_load_balancers",
                "LoadBalancers",
                "LoadBalancerNotFound",
                **({"Names": [name]} if name else {"LoadBalancerArns": arns[:1]}),
            )
        arn, listeners = "", live
        if isinstance(live, dict):
            arn = live["LoadBalancerArn"]
            attributes = _attributes(reading, "load_balancer", LoadBalancerArn=arn)
            live = {**live, "LoadBalancerAttributes": attributes}
            reading.known[key] = reading.known[f"{key}.LoadBalancerArn"] = arn
            reading.known[f"{key}.LoadBalancerFullName"] = arn.partition(":loadbalancer/")[2]
            listeners = reading.aws.all(ELB, "describe_listeners", "Listeners", LoadBalancerArn=arn)
        said = {part: value for part, value in wanted.items() if part not in ("Name", "Tags")}
        reading.add(BALANCER, name or key, said, live, arn)
        _read_listeners(reading, listeners, arn)
        _read_firewall(reading, live, arn)


def _read_listeners(reading: Reading, found: Any, balancer: str) -> None:
    """By their ports."""
    by_port = {str(one["Port"]): one for one in found} if isinstance(found, list) else {}
    for key, wanted in reading.of(LISTENER):
        port = str(resolved(wanted.get("Port"), reading.known))
        live = found if isinstance(found, Unread) else by_port.get(port)
        arn = live["ListenerArn"] if isinstance(live, dict) else ""
        if arn:
            reading.known[key] = reading.known[f"{key}.ListenerArn"] = arn
        said = {part: value for part, value in wanted.items() if part != "LoadBalancerArn"}
        reading.add(LISTENER, f"port {port}", said, live, arn, balancer)
        _read_rules(reading, key, live, arn)


def _read_rules(reading: Reading, listener: str, live: Any, arn: str) -> None:
    """By their priorities."""
    found = live
    if isinstance(live, dict):
        found = reading.aws.all(ELB, "describe_rules", "Rules", ListenerArn=arn)
    rules = found if isinstance(found, list) else []
    left = {str(one["Priority"]): one for one in rules if not one["IsDefault"]}
    for _, wanted in reading.of(RULE):
        if wanted.get("ListenerArn") != {"Ref": listener}:
            continue
        priority = str(wanted["Priority"])
        rule = found if isinstance(found, Unread) else left.pop(priority, None)
        handle = rule["RuleArn"] if isinstance(rule, dict) else ""
        said = {part: value for part, value in wanted.items() if part != "ListenerArn"}
        reading.add(RULE, f"{priority} of {listener}", said, rule, handle, arn)
    if isinstance(found, Unread):
        reading.extras.append(Extra(RULE, "", unread=found))
    reading.extras += [
        Extra(RULE, f"{priority} of {listener}", one["RuleArn"]) for priority, one in left.items()
    ]


def _read_firewall(reading: Reading, balancer: Any, arn: str) -> None:
    """Whether requests pass a firewall, and which rules that has."""
    found: Any = balancer
    if isinstance(balancer, dict):
        answer = reading.aws.one("wafv2", "get_web_acl_for_resource", ResourceArn=arn)
        found = answer if isinstance(answer, Unread) else answer.get("WebACL")
    for _, wanted in reading.of(ASSOCIATION):
        live = found
        if isinstance(found, dict):
            live = {"ResourceArn": arn, "WebACLArn": found["ARN"]}
        reading.add(ASSOCIATION, reading.name, wanted, live, arn)
    for key, wanted in reading.of(FIREWALL):
        is_another = isinstance(found, dict) and key not in found["Name"]
        if isinstance(found, dict) and not is_another:
            reading.known[f"{key}.Arn"] = found["ARN"]
        live = None if is_another else found
        reading.add(FIREWALL, found["Name"] if isinstance(live, dict) else key, wanted, live)


def _one(reading: Reading, operation: str, key: str, absent: str, **parameters: Any) -> Any:
    """None also where there is nothing to ask for: an empty list would mean all."""
    if not all(parameters.values()):
        return None
    found = reading.aws.all(ELB, operation, key, absent, **parameters)
    return found if isinstance(found, Unread) else next(iter(found), None)


def _attributes(reading: Reading, of: str, **which: str) -> Any:
    answer = reading.aws.one(ELB, f"describe_{of}_attributes", **which)
    return answer if isinstance(answer, Unread) else answer.get("Attributes", [])
