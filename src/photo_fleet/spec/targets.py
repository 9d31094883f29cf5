"""One spec for several clouds: what of it a cloud determines."""

from dataclasses import replace
from typing import Final, Literal

from photo_fleet.spec.fleet import Fleet

Target = Literal["aws", "openstack", "nhn"]
TARGETS: Final[tuple[Target, ...]] = ("aws", "openstack", "nhn")

_LISTS: Final[dict[Target, Literal["ec2", "openstack"]]] = {"aws": "ec2", "openstack": "openstack"}


def for_target(fleet: Fleet, target: Target) -> Fleet:
    """The spec of a group of this cloud, behind the cloud's balancer. Where the spec
    names a region for it, Prometheus asks the cloud for its targets."""
    metrics = fleet.metrics
    if metrics.cloud == "none" and metrics.cloud_region and target in _LISTS:
        metrics = replace(metrics, cloud=_LISTS[target])
    return replace(
        fleet,
        balancer=replace(fleet.balancer, kind="cloud"),
        group=replace(fleet.group, cloud=target),
        metrics=metrics,
    )
