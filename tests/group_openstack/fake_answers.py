"""What the fake OpenStack answers to each request, and what it does on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from tests.group_openstack.fake_openstack import FakeOpenstack

STACK, STACK_ID = "photo-api", str(uuid4())
NESTED, NESTED_ID = "photo-api-group-x1y2z3", str(uuid4())
POOL = str(uuid4())
PROJECT = "7c1f5a0e9b8d4c6f"


@dataclass
class Machine:
    """One member of the group: Heat's resource, Nova's server, Octavia's member."""

    name: str
    address: str
    port: int
    created: float
    heat: str = "CREATE_COMPLETE"
    server: str = field(default_factory=lambda: str(uuid4()))
    status: str = "ACTIVE"
    task: str | None = None
    pool_member: str = field(default_factory=lambda: str(uuid4()))
    weight: int = 1
    up: bool = True
    tags: list[str] = field(default_factory=list)
    operating: str = "ONLINE"
    in_pool: bool = True
    stops: int = 0
    """Stop orders that were taken."""


Result = tuple[int, Any, dict[str, str]]
STACKS = {STACK: STACK_ID, NESTED: NESTED_ID}


def _find_stack(cloud: "FakeOpenstack", _: Any, which: str) -> Result:
    for name, uid in STACKS.items():
        if which in (name, uid):
            return 302, {}, {"Location": f"{cloud.url}/heat-api/v1/{PROJECT}/stacks/{name}/{uid}"}
    return 404, {"error": {"message": f"The Stack ({which}) could not be found."}}, {}


def _show_stack(cloud: "FakeOpenstack", _: Any, name: str, uid: str) -> Result:
    stack = {
        "id": uid,
        "stack_name": name,
        "stack_status": cloud.stack_status,
        "creation_time": iso(time.time() - 7200),
        "updated_time": iso(cloud.changed_at) if name == NESTED else None,
        "parameters": {"OS::stack_id": uid, **cloud.parameters} if name == STACK else {},
    }
    return 200, {"stack": stack}, {}


def _resources(cloud: "FakeOpenstack", _: Any) -> Result:
    found = [
        _resource("group", "OS::Heat::AutoScalingGroup", NESTED_ID, cloud.stack_status),
        _resource("pool", "OS::Octavia::Pool", POOL, "CREATE_COMPLETE"),
    ]
    for one in cloud.machines:
        found += [
            _resource(one.name, "file:///member-1.yaml", str(uuid4()), one.heat, "group"),
            _resource("server", "OS::Nova::Server", one.server, "CREATE_COMPLETE", one.name),
            _resource(
                *("member", "OS::Octavia::PoolMember", one.pool_member, "CREATE_COMPLETE"),
                parent=one.name,
            ),
        ]
    return 200, {"resources": found}, {}


def _resource(name: str, kind: str, uid: str, status: str, parent: str = "") -> dict[str, Any]:
    found = {
        "resource_name": name,
        "logical_resource_id": name,
        "physical_resource_id": uid,
        "resource_type": kind,
        "resource_status": status,
        "resource_status_reason": "state changed",
        "creation_time": iso(time.time() - 600),
        "updated_time": iso(time.time() - 600),
        "required_by": [],
        "links": [],
    }
    return found | ({"parent_resource": parent} if parent else {})


def _mark(cloud: "FakeOpenstack", body: dict[str, Any], name: str) -> Result:
    if body.keys() - {"mark_unhealthy", "resource_status_reason"}:
        return 400, {"error": {"message": "Invalid keys"}}, {}
    machine = cloud.find(name=name)
    if machine is None:
        return 404, {"error": {"message": f"The Resource ({name}) could not be found."}}, {}
    if cloud.stack_status.endswith("_IN_PROGRESS"):
        return 409, {"error": {"message": "Stack already has an action in progress."}}, {}
    if not machine.heat.startswith("DELETE"):
        machine.heat = "CHECK_FAILED" if body["mark_unhealthy"] else "CHECK_COMPLETE"
    return 200, None, {}


def _patch_stack(cloud: "FakeOpenstack", body: dict[str, Any]) -> Result:
    if cloud.stack_status.endswith("_IN_PROGRESS"):
        return 409, {"error": {"message": "Stack already has an action in progress."}}, {}
    for name in body.get("clear_parameters", []):
        cloud.parameters[name] = 0
    cloud.parameters |= body.get("parameters", {})
    cloud.update()
    return 202, None, {}


def _list_members(cloud: "FakeOpenstack", _: Any) -> Result:
    return 200, {"members": [_pool_member(cloud, one) for one in cloud.machines if one.in_pool]}, {}


def _pool_member(cloud: "FakeOpenstack", one: Machine) -> dict[str, Any]:
    return {
        "id": one.pool_member,
        "name": one.name,
        "address": one.address,
        "protocol_port": one.port,
        "admin_state_up": one.up,
        "weight": one.weight,
        "tags": one.tags,
        "operating_status": one.operating,
        "provisioning_status": "PENDING_UPDATE" if time.time() < cloud.pending_until else "ACTIVE",
    }


def _put_member(cloud: "FakeOpenstack", body: dict[str, Any], uid: str) -> Result:
    machine = cloud.find(pool_member=uid)
    if machine is None or not machine.in_pool:
        return 404, {"faultstring": f"Member {uid} not found."}, {}
    if time.time() < cloud.pending_until:
        told = f"Load Balancer {POOL} is immutable and cannot be updated."
        return 409, {"faultcode": "Client", "faultstring": told}, {}
    change = body["member"]
    if change.keys() - {"weight", "tags", "admin_state_up"}:
        return 400, {"faultstring": "Invalid input"}, {}
    machine.weight = change.get("weight", machine.weight)
    machine.tags = change.get("tags", machine.tags)
    cloud.pending_until = time.time() + cloud.pending
    return 200, {"member": _pool_member(cloud, machine)}, {}


def _show_server(cloud: "FakeOpenstack", _: Any, uid: str) -> Result:
    machine = cloud.find(server=uid)
    if machine is None:
        return 404, {"itemNotFound": {"code": 404, "message": "Instance could not be found."}}, {}
    server = {
        "id": uid,
        "name": machine.name,
        "status": machine.status,
        "created": iso(machine.created),
        "OS-EXT-STS:task_state": machine.task,
        "OS-EXT-STS:power_state": 1 if machine.status == "ACTIVE" else 4,
    }
    return 200, {"server": server}, {}


def _act(cloud: "FakeOpenstack", body: dict[str, Any], uid: str) -> Result:
    machine = cloud.find(server=uid)
    if machine is None or list(body) != ["os-stop"]:
        return 404, {"itemNotFound": {"code": 404, "message": "Instance could not be found."}}, {}
    if machine.status != "ACTIVE" or machine.task:
        told = f"Cannot 'stop' instance {uid} while it is in vm_state {machine.status}"
        return 409, {"conflictingRequest": {"code": 409, "message": told}}, {}
    cloud.stop(machine)
    return 202, None, {}


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_HEAT = f"/heat-api/v1/{PROJECT}/stacks"
_OCTAVIA = f"/load-balancer/v2/lbaas/pools/{POOL}/members"
ROUTES: list[tuple[str, str, Callable[..., Result]]] = [
    ("GET", rf"{_HEAT}/([^/?]+)", _find_stack),
    ("GET", rf"{_HEAT}/([^/]+)/([^/?]+)", _show_stack),
    ("GET", rf"{_HEAT}/{STACK}/{STACK_ID}/resources\?nested_depth=2", _resources),
    ("PATCH", rf"{_HEAT}/{NESTED}/{NESTED_ID}/resources/([^/]+)", _mark),
    ("PATCH", rf"{_HEAT}/{STACK}/{STACK_ID}", _patch_stack),
    ("GET", _OCTAVIA, _list_members),
    ("PUT", rf"{_OCTAVIA}/([^/]+)", _put_member),
    ("GET", r"/compute/v2\.1/servers/([^/]+)", _show_server),
    ("POST", r"/compute/v2\.1/servers/([^/]+)/action", _act),
]
