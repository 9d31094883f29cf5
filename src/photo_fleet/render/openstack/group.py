"""The group, the policies by which it grows, and who may reach its instances."""

from math import ceil

from photo_fleet.render.openstack import instance
from photo_fleet.render.openstack.names import GROUP, INITIAL_SIZE, MONITOR, POOL
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet, Policy

BOOT = 120.0
"""Seconds in which a new server installs the service and starts it."""


def resources(fleet: Fleet, member: str) -> dict[str, Node]:
    """By name; `member` is the file of one instance."""
    return {
        "security_group": {"type": "OS::Neutron::SecurityGroup", "properties": _reach(fleet)},
        "server_group": {
            "type": "OS::Nova::ServerGroup",
            "properties": {"name": fleet.name, "policies": ["soft-anti-affinity"]},
        },
        GROUP: {
            "type": "OS::Heat::AutoScalingGroup",
            # A pool without a monitor takes every member for a healthy one.
            "depends_on": MONITOR,
            "properties": {
                "min_size": fleet.group.min,
                "max_size": fleet.group.max,
                "desired_capacity": {"if": ["is_new", {"get_param": INITIAL_SIZE}]},
                "cooldown": ceil(min((rule.cooldown for rule in growing(fleet)), default=0)),
                "rolling_updates": {
                    # Fewer than there are: with all of them Heat would add one first and in the end
                    # drop the oldest, which it has renewed, and keep one that it has not.
                    "min_in_service": fleet.group.min - 1,
                    "max_batch_size": 1,
                    "pause_time": pause(fleet),
                },
                "resource": {"type": member, "properties": _given()},
            },
        },
        **{
            f"grow_{number}": {
                "type": "OS::Heat::ScalingPolicy",
                "properties": {
                    "auto_scaling_group_id": {"get_resource": GROUP},
                    "adjustment_type": "change_in_capacity",
                    "scaling_adjustment": rule.step,
                    "cooldown": ceil(rule.cooldown),
                },
            }
            for number, rule in enumerate(fleet.group.policies)
            if rule.is_scale_out
        },
    }


def growing(fleet: Fleet) -> list[Policy]:
    """The rules that add."""
    return [rule for rule in fleet.group.policies if rule.is_scale_out]


def pause(fleet: Fleet) -> int:
    """Seconds between two members of a rolling update: until a new one serves and is warm. Heat
    itself waits for a server only, and the removed one's requests in flight are waited for by
    `instance.wait_seconds`."""
    probes = fleet.health_check
    return ceil(BOOT + probes.healthy * probes.interval + fleet.group.warm_up)


def _given() -> dict[str, Node]:
    return {
        **{name: {"get_param": name} for name in instance.TEXTS},
        "security_group": {"get_resource": "security_group"},
        "server_group": {"get_resource": "server_group"},
        POOL: {"get_resource": POOL},
        "stack": {"get_param": "OS::stack_id"},
    }


def _reach(fleet: Fleet) -> dict[str, Node]:
    """Balancers, the other instances (who otherwise hold a silent one for lost), Prometheus."""
    port = fleet.service.port
    to_service: dict[str, Node] = {
        "protocol": "tcp",
        "port_range_min": port,
        "port_range_max": port,
    }
    networks: list[Node] = list(fleet.balancer.networks) or [{"get_param": "balancer_cidr"}]
    return {
        "name": f"{fleet.name}-instances",
        "description": f"Who reaches port {port}: balancers, other instances, Prometheus",
        "rules": [
            *(
                {**to_service, **_ethertype(network), "remote_ip_prefix": network}
                for network in networks
            ),
            {**to_service, "remote_mode": "remote_group_id"},
            {
                "if": [
                    "is_scraped",
                    {**to_service, "remote_ip_prefix": {"get_param": "prometheus_cidr"}},
                ]
            },
        ],
    }


def _ethertype(network: Node) -> dict[str, Node]:
    return {"ethertype": "IPv6"} if isinstance(network, str) and ":" in network else {}
