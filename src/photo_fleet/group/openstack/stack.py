"""A Heat stack's group, and each member's server and place in Octavia's pool.

Written by the Orchestration, Compute and Load Balancer APIs' references, and for what they leave
open by Heat's sources (27.0). A group's size counts no member that has failed, and what shrinks
drops the failed members first (`heat/common/grouputils.py`, `heat/scaling/template.py`). So one
member is removed by marking it unhealthy and then updating the stack as it stands: the engine
counts the others. docs/decisions/0035-heat-drops-what-is-marked.md has the reasons.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from photo_fleet.group.openstack.cloud import Answer, Cloud, Missing, NoAnswer, Refused
from photo_fleet.render.openstack.names import GROUP, INITIAL_SIZE, POOL

SERVER, POOL_MEMBER = "OS::Nova::Server", "OS::Octavia::PoolMember"

TAG = "photo-fleet-scale-in"
"""Of a pool member whose weight a scale-in has set to 0, in the same request: one with it is the
unfinished one, whoever began, and one without weight and without it is somebody else's."""

REASON = "drained by photo-fleet group scale-in"

DELETED = ("DELETED", "SOFT_DELETED")
"""Nova's word of servers that it still shows for a while."""

UNFIT = ("ERROR", "OFFLINE")
"""Operating statuses of a member that Octavia sends nothing to."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the group. `name` and `status` are Heat's; `pool_member` is empty when Octavia
    has none; `place` is its address and port."""

    name: str
    status: str
    server: str = ""
    pool_member: str = ""
    place: tuple[str, int] = ("", 0)
    up: bool = False
    tags: tuple[str, ...] = ()
    pending: bool = False
    """Whether Octavia is still changing it."""
    fit: bool = False

    @property
    def address(self) -> str:
        """For people."""
        host, port = self.place
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if host else self.name

    @property
    def leaving(self) -> bool:
        """A scale-in has taken it out of the pool."""
        return not self.up and TAG in self.tags

    @property
    def failed(self) -> bool:
        """As Heat sees it."""
        return self.status.endswith("_FAILED")


@dataclass(frozen=True, slots=True)
class Seen:
    """The group at one moment. `path` is the stack's, `nested` that of the group's own stack."""

    path: str
    nested: str
    pool: str
    status: str
    members: tuple[Member, ...]
    unchanged_for: float
    """Seconds since the group was last changed, by Heat's clock."""

    @property
    def changing(self) -> bool:
        """Heat works on it."""
        return self.status.endswith("_IN_PROGRESS")

    def member(self, name: str) -> Member | None:
        """By its name in Heat."""
        return next((one for one in self.members if one.name == name), None)


class StackGroup:
    """The one group of the stack of this name."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self._name = name
        self._paths: dict[str, str] = {}
        """By a stack's name or id; Heat redirects each request that does not have both."""

    async def look(self) -> Seen:
        """Raises `NoAnswer`, and `Refused` for a stack that is none of ours."""
        with _understood():
            return await self._look()

    async def _look(self) -> Seen:
        try:
            root = await self._stack(self._name)
        except Missing:
            raise Refused(f"there is no stack {self._name!a} in this project and region") from None
        if INITIAL_SIZE not in (root.body["stack"].get("parameters") or {}):
            raise Refused(
                f"the stack {self._name!a} has no parameter {INITIAL_SIZE}, so an update of it"
                " would set its size: is it the rendered template's?"
            )
        path = _path(root.body)
        listed = await self._cloud.get("orchestration", f"{path}/resources?nested_depth=2")
        resources = _list(listed, "resources")
        group = self._own(resources, GROUP)
        try:
            nested = await self._stack(str(group["physical_resource_id"]))
        except Missing:
            raise NoAnswer("the group has no members' stack yet") from None
        pool = str(self._own(resources, POOL)["physical_resource_id"])
        answer = await self._cloud.get("load-balancer", _lbaas(f"/pools/{pool}/members"))
        in_pool = {str(one["id"]): one for one in _list(answer, "members")}
        root_status = str(root.body["stack"]["stack_status"])
        own_status = str(nested.body["stack"]["stack_status"])
        return Seen(
            path=path,
            nested=_path(nested.body),
            pool=pool,
            status=own_status if own_status.endswith("_IN_PROGRESS") else root_status,
            members=_members(resources, in_pool),
            unchanged_for=_age(nested),
        )

    async def take_out(self, seen: Seen, member: Member) -> None:
        """Have Octavia send it no new request and end what it has ("Update a Member": weight 0),
        and tag it."""
        await self._set(seen, member, {"weight": 0, "tags": sorted({*member.tags, TAG})})

    async def put_back(self, seen: Seen, member: Member) -> None:
        """The opposite."""
        tags = [one for one in member.tags if one != TAG]
        await self._set(seen, member, {"weight": 1, "tags": tags})

    async def _set(self, seen: Seen, member: Member, change: dict[str, object]) -> None:
        path = _lbaas(f"/pools/{seen.pool}/members/{member.pool_member}")
        await self._cloud.ask("load-balancer", "PUT", path, {"member": change})

    async def server(self, member: Member) -> "Server | None":
        """None: there is none (any more)."""
        try:
            answer = await self._cloud.get("compute", f"/servers/{member.server}")
        except Missing:
            return None
        with _understood():
            found = answer.body["server"]
            if found["status"] in DELETED:
                return None
            task = found.get("OS-EXT-STS:task_state") or ""
            return Server(str(found["status"]), str(task), _time(found["created"]).timestamp())

    async def stop(self, member: Member) -> None:
        """Have Nova press the server's power button: systemd stops the instance, which drains.
        Nova cuts the power after the image's `os_shutdown_timeout`, 60 s by default."""
        await self._cloud.ask(
            "compute", "POST", f"/servers/{member.server}/action", {"os-stop": None}
        )

    async def mark(self, seen: Seen, member: Member) -> None:
        """Have Heat take it for failed, so that it is the first to go."""
        path = f"{seen.nested}/resources/{member.name}"
        body = {"mark_unhealthy": True, "resource_status_reason": REASON}
        await self._cloud.ask("orchestration", "PATCH", path, body)

    async def remove_failed(self, seen: Seen) -> None:
        """Update the stack as it stands, which removes what is marked."""
        body = {"clear_parameters": [INITIAL_SIZE]}
        await self._cloud.ask("orchestration", "PATCH", seen.path, body)

    async def _stack(self, name: str) -> Answer:
        path = self._paths.pop(name, f"/stacks/{name}")
        answer = await self._cloud.get("orchestration", path)
        self._paths[name] = _path(answer.body)
        return answer

    def _own(self, resources: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
        """One of the stack's own, not of those below it."""
        for one in resources:
            if one["resource_name"] == name and not one.get("parent_resource"):
                return one
        raise Refused(f"the stack {self._name!a} has no {name}: is it the rendered template's?")


@dataclass(frozen=True, slots=True)
class Server:
    """Nova's view: `task` is empty while nothing is done to it; `created` in epoch seconds."""

    status: str
    task: str
    created: float


def _members(
    resources: Sequence[Mapping[str, Any]], in_pool: Mapping[str, Mapping[str, Any]]
) -> tuple[Member, ...]:
    parts: dict[str, dict[str, str]] = {}
    for one in resources:
        if one["resource_type"] in (SERVER, POOL_MEMBER):
            of = parts.setdefault(str(one.get("parent_resource") or ""), {})
            of[str(one["resource_type"])] = str(one.get("physical_resource_id") or "")
    return tuple(
        _member(one, parts.get(str(one["resource_name"]), {}), in_pool)
        for one in resources
        if one.get("parent_resource") == GROUP
    )


def _member(
    one: Mapping[str, Any], parts: Mapping[str, str], in_pool: Mapping[str, Mapping[str, Any]]
) -> Member:
    name, status = str(one["resource_name"]), str(one["resource_status"])
    server, pool_member = parts.get(SERVER, ""), parts.get(POOL_MEMBER, "")
    found = in_pool.get(pool_member)
    if found is None:
        return Member(name, status, server)
    return Member(
        name,
        status,
        server,
        pool_member,
        place=(str(found["address"]), int(found["protocol_port"])),
        up=bool(found["admin_state_up"]) and found["weight"] != 0,
        tags=tuple(str(tag) for tag in found.get("tags") or ()),
        pending=found["provisioning_status"] != "ACTIVE",
        fit=found.get("operating_status") not in UNFIT,
    )


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise NoAnswer(f"an answer that is not understood ({type(error).__name__})") from None


def _list(answer: Answer, name: str) -> list[dict[str, Any]]:
    found = answer.body.get(name)
    if not isinstance(found, list):
        raise NoAnswer(f"an answer without {name}")
    return found


def _path(body: Mapping[str, Any]) -> str:
    return f"/stacks/{body['stack']['stack_name']}/{body['stack']['id']}"


def _lbaas(path: str) -> str:
    return f"/v2/lbaas{path}"


def _age(nested: Answer) -> float:
    stack = nested.body["stack"]
    changed = stack.get("updated_time") or stack["creation_time"]
    return max(0.0, (nested.at - _time(changed)).total_seconds())


def _time(value: object) -> datetime:
    return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
