"""OpenStack: the Heat template of the group, its balancer and alarms."""

from math import ceil

from photo_fleet.render.openstack import alarms, balancer, completion, group, instance
from photo_fleet.render.openstack.instance import VERSION
from photo_fleet.render.openstack.names import (
    ADDRESSES,
    GROUP,
    INITIAL_SIZE,
    LISTENER,
    MEMBERS,
    MONITOR,
    POOL,
    POOL_MEMBERS,
    SCALE_IN_URL,
    TEMPLATE,
)
from photo_fleet.render.yaml_text import Node, dump
from photo_fleet.spec.fleet import Fleet


def files(fleet: Fleet) -> dict[str, str]:
    """Text by path: the stack's template, that of an instance, the parameter of its creation, and
    what is to be done once it stands."""
    member = instance.files(fleet)
    return {
        **member,
        TEMPLATE: dump(_stack(fleet, *member)),
        "create.yaml": dump({"parameters": {INITIAL_SIZE: fleet.group.desired}}),
        "complete.sh": completion.script(fleet),
    }


def notes(fleet: Fleet) -> list[str]:
    """What the files cannot do by themselves, a sentence each."""
    return [
        f"create the stack as {fleet.name} with -e openstack/create.yaml, then run"
        " openstack/complete.sh: Heat has no properties for Octavia's timeouts, forwarded addresses"
        " and the failures after which a member is out",
        "Nova waits for a server that it stops as long as its image says: openstack image set"
        f" --property os_shutdown_timeout={ceil(fleet.drain.kill_delay)} IMAGE (60 s without it)",
        "alarms ask the Prometheus that the cloud's Aodh is configured for, which must scrape these"
        " instances; where it does not, --parameter alarms=gnocchi lets them go by CPU alone",
        f"without {SCALE_IN_URL} the group only grows: photo-fleet group scale-in, which listens"
        " there, drains an instance before Heat removes it",
        "Heat replaces no sick instance, the balancer only sends it nothing: group.replace_on says"
        " nothing here",
        "Octavia limits neither a client's rate nor an upload's size: balancer.rate_limits and"
        " balancer.upload_limit say nothing here",
    ]


def _stack(fleet: Fleet, member: str) -> dict[str, Node]:
    return {
        "heat_template_version": VERSION,
        "description": f"The group {fleet.name}; rendered from its spec, change it there",
        "parameters": _parameters(fleet),
        "conditions": CONDITIONS,
        "resources": {
            **balancer.resources(fleet),
            **group.resources(fleet, member),
            **alarms.resources(fleet),
        },
        "outputs": OUTPUTS,
    }


def _parameters(fleet: Fleet) -> dict[str, Node]:
    found: dict[str, Node] = {
        **{name: _text(text) for name, text in instance.TEXTS.items()},
        "vcpus": {
            "type": "number",
            "description": "Virtual processors of the flavor, of which a rule's percents are",
            "default": fleet.service.workers,
            "constraints": [{"range": {"min": 1}}],
        },
        "balancer_subnet": _text("Subnet of the balancer's address"),
        "public_network": _text("Network of a floating address for it; empty: none", ""),
        "certificate": _text("Reference of the Barbican container with certificate and key"),
        "prometheus_cidr": _text("Network from which Prometheus asks instances; empty: none", ""),
        "alarms": {
            **_text("Whom the alarms ask", "prometheus"),
            "constraints": [{"allowed_values": ["prometheus", "gnocchi"]}],
        },
        SCALE_IN_URL: {
            **_text("Where photo-fleet group scale-in listens, with its token; empty: nobody", ""),
            "hidden": True,
        },
        INITIAL_SIZE: {
            "type": "number",
            "description": "Instances at creation (create.yaml); 0 leaves the size as it is",
            "default": 0,
            "constraints": [{"range": {"min": 0, "max": fleet.group.max}}],
        },
    }
    found["key_name"] = _text(instance.TEXTS["key_name"], "")
    if not fleet.balancer.networks:
        found["balancer_cidr"] = _text("Network of the balancer's own servers: that of its subnet")
    return found


def _text(description: str, default: str | None = None) -> dict[str, Node]:
    told: dict[str, Node] = {"type": "string", "description": description}
    return told if default is None else {**told, "default": default}


def _is_given(parameter: str, nothing: str | int = "") -> Node:
    return {"not": {"equals": [{"get_param": parameter}, nothing]}}


def _is(source: str) -> Node:
    return {"equals": [{"get_param": "alarms"}, source]}


CONDITIONS: dict[str, Node] = {
    "is_new": _is_given(INITIAL_SIZE, 0),
    "is_public": _is_given("public_network"),
    "is_scraped": _is_given("prometheus_cidr"),
    "by_prometheus": _is("prometheus"),
    "by_gnocchi": _is("gnocchi"),
    "by_prometheus_and_shrinks": {"and": ["by_prometheus", _is_given(SCALE_IN_URL)]},
    "by_gnocchi_and_shrinks": {"and": ["by_gnocchi", _is_given(SCALE_IN_URL)]},
}

OUTPUTS: dict[str, Node] = {
    "address": {"value": {"get_attr": ["balancer", "vip_address"]}},
    POOL: {"value": {"get_resource": POOL}},
    LISTENER: {"value": {"get_resource": LISTENER}},
    MONITOR: {"value": {"get_resource": MONITOR}},
    MEMBERS: {"value": {"get_attr": [GROUP, "refs_map"]}},
    ADDRESSES: {"value": {"get_attr": [GROUP, "outputs", "address"]}},
    POOL_MEMBERS: {"value": {"get_attr": [GROUP, "outputs", "pool_member"]}},
}
