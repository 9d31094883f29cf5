"""What AWS has of each thing that the template makes, in the template's shapes."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from photo_fleet.drift.asking import Aws, Unread
from photo_fleet.drift.template import resolved

GROUP = "AWS::AutoScaling::AutoScalingGroup"
HOOK = "AWS::AutoScaling::LifecycleHook"
POLICY = "AWS::AutoScaling::ScalingPolicy"
SCHEDULE = "AWS::AutoScaling::ScheduledAction"
LAUNCH_TEMPLATE = "AWS::EC2::LaunchTemplate"
ALARM = "AWS::CloudWatch::Alarm"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
FIREWALL = "AWS::WAFv2::WebACL"
ASSOCIATION = "AWS::WAFv2::WebACLAssociation"

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Thing:
    """A resource of the template. `live` has its properties; None: there is none. `handle` is what
    commands know it by, `of` what it belongs to."""

    type: str
    name: str
    wanted: Properties
    live: Properties | Unread | None
    handle: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class Extra:
    """What is there and not in the template. `unread`: of these nothing could be read."""

    type: str
    name: str
    handle: str = ""
    of: str = ""
    unread: Unread | None = None


class Reading:
    """A template's resources, and what was read so far of things that AWS has."""

    def __init__(self, aws: Aws, template: Mapping[str, Any], name: str) -> None:
        self.aws = aws
        self.name = name
        self.known: dict[str, str] = {}
        """What references of the template mean."""
        self.extras: list[Extra] = []
        self._resources: Mapping[str, Any] = template["Resources"]
        self._others: Set[str] = set()
        self._live: list[tuple[str, str, Properties, Any, str, str]] = []

    def of(self, kind: str) -> Iterator[tuple[str, Properties]]:
        """Logical ids and properties of the template's resources of a type, without those of
        alternatives that were not chosen."""
        for key, resource in self._resources.items():
            if resource["Type"] == kind and resource.get("Condition") not in self._others:
                yield key, resource.get("Properties", {})

    def choose(self, policies: list[str]) -> None:
        """Of the template's alternative ways to scale, which a parameter chooses, take the one of
        which there are policies of these names; without any the first."""
        ways: dict[str, bool] = {}
        for key, resource in self._resources.items():
            if resource["Type"] == POLICY and (way := resource.get("Condition")):
                ways[way] = ways.get(way, False) or any(f"-{key}-" in one for one in policies)
        chosen = next((way for way, are_there in ways.items() if are_there), next(iter(ways), ""))
        self._others = ways.keys() - {chosen}

    def name_in(self, properties: Properties, key: str) -> str:
        """The name that the template gives; empty where AWS makes one up."""
        name = resolved(properties.get(key, ""), self.known)
        return name if isinstance(name, str) else ""

    def add(
        self, kind: str, name: str, wanted: Properties, live: Any, handle: str = "", of: str = ""
    ) -> None:
        """One thing that was looked for."""
        self._live.append((kind, name, wanted, live, handle, of))

    def things(self) -> list[Thing]:
        """All, with what the template says of them as far as it can be known now."""
        return [
            Thing(kind, name, resolved(wanted, self.known), live, handle, of)
            for kind, name, wanted, live, handle, of in self._live
        ]
