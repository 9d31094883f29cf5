"""One member of the group: a server, its member in the balancer's pool, and the time between the
removal of the one and of the other."""

from hashlib import sha256

from photo_fleet.render import cloud_init
from photo_fleet.render.prometheus import TAG
from photo_fleet.render.yaml_text import Node, dump
from photo_fleet.spec.fleet import Fleet

VERSION = "2021-04-16"
"""Heat's release Wallaby, whose `if` may leave a property out."""

NOTICED = 10.0
"""Seconds in which the balancer is without a member of which it was told."""

TEXTS = {
    "image": "Image: Debian or Ubuntu with what cloud-init/user-data.yaml needs",
    "flavor": "Flavor of an instance",
    "key_name": "Key pair for SSH; empty: none",
    "network": "Network of the instances",
    "subnet": "Subnet of the instances in it",
}
"""Parameters of the stack that each instance is given."""

LINKS = ("security_group", "server_group", "pool", "stack")
"""And what each is given of the stack's own."""


def files(fleet: Fleet) -> dict[str, str]:
    """One file, named by its content. A changed content under the same name would be changed in all
    members at once: Heat's group compares what its `resource` says, not the files that it names."""
    generation = sha256(dump(_template(fleet, "")).encode()).hexdigest()[:8]
    return {f"instance-{generation}.yaml": dump(_template(fleet, generation))}


def _template(fleet: Fleet, generation: str) -> dict[str, Node]:
    """The names of resources hold the generation too, so that an update makes new ones and removes
    the old in the order in which a whole instance is removed."""
    server, wait, member = (f"{part}_{generation}" for part in ("server", "wait", "member"))
    address: Node = {"get_attr": [server, "networks", {"get_param": "network"}, 0]}
    return {
        "heat_template_version": VERSION,
        "description": f"An instance of {fleet.name}; rendered from its spec, change it there",
        "parameters": {
            **{name: {"type": "string", "description": text} for name, text in TEXTS.items()},
            **{name: {"type": "string"} for name in LINKS},
        },
        "conditions": {"has_key": {"not": {"equals": [{"get_param": "key_name"}, ""]}}},
        "resources": {
            server: {"type": "OS::Nova::Server", "properties": _server(fleet)},
            # A member goes before what it depends on: so it, then the requests in flight, then
            # the server, which gets no SIGTERM.
            wait: {
                "type": "OS::Heat::Delay",
                "depends_on": server,
                "properties": {"min_wait": wait_seconds(fleet), "actions": ["DELETE"]},
            },
            member: {
                "type": "OS::Octavia::PoolMember",
                "depends_on": wait,
                "properties": {
                    "pool": {"get_param": "pool"},
                    "address": address,
                    "subnet": {"get_param": "subnet"},
                    "protocol_port": fleet.service.port,
                },
            },
        },
        "outputs": {
            "OS::stack_id": {"value": {"get_resource": server}},
            "address": {"value": address},
            "pool_member": {"value": {"get_resource": member}},
        },
    }


def _server(fleet: Fleet) -> dict[str, Node]:
    return {
        "image": {"get_param": "image"},
        "flavor": {"get_param": "flavor"},
        "key_name": {"if": ["has_key", {"get_param": "key_name"}]},
        "networks": [{"network": {"get_param": "network"}, "subnet": {"get_param": "subnet"}}],
        "security_groups": [{"get_param": "security_group"}],
        "scheduler_hints": {"group": {"get_param": "server_group"}},
        # The first is for Prometheus, the second for Gnocchi.
        "metadata": {TAG: fleet.name, "metering.server_group": {"get_param": "stack"}},
        "user_data_format": "RAW",
        "user_data": cloud_init.files(fleet)["user-data.yaml"],
    }


def wait_seconds(fleet: Fleet) -> float:
    """Between the removal of a member and that of its server: until the balancer sends nothing more
    and what is in flight has ended."""
    return NOTICED + fleet.drain.in_flight_wait
