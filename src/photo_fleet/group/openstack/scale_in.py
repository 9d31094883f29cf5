"""One instance fewer, without losing a request, where deleting a server is a hard kill.

Choose, take the member out of the pool, stop the server, wait until the registry says that the
instance has stopped, remove. Where it stands is in the cloud alone: a pool member that is down and
tagged is unfinished, and whoever comes next, on whatever machine, finishes that one first. Each
step looks before it acts and acts until a look shows that it is done; an answer that does not come
says nothing.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from photo_fleet.group.choice import Candidate, first_to_leave
from photo_fleet.group.openstack.cloud import NoAnswer, Refused
from photo_fleet.group.openstack.registry import Receipt, Registry, Row
from photo_fleet.group.openstack.stack import Member, Seen, StackGroup
from photo_fleet.spec.fleet import Fleet

Found = TypeVar("Found")
Rows = Mapping[tuple[str, int], Row]

LOOK_WITHIN = 60.0
"""Seconds for the first look at everything."""
OUT_WITHIN = 120.0
"""For Octavia to take a member out: an amphora's new configuration, after a change under way."""
MARGIN = 30.0
"""Beyond the grace and the kill delay, until the registry has said that an instance stopped."""
REMOVED_WITHIN = 900.0
"""For Heat to remove it, and to end an update that is under way."""
SILENT_FOR = 30.0
"""Beyond the end of a server, for a word of its instance that is still on its way."""
UPDATES = 3
"""Updates of the stack that may come to nothing."""


class Refusal(Exception):
    """Nothing was begun; the text says why. `unknown`: nor is it known how the group stands."""

    def __init__(self, why: str, unknown: bool = False) -> None:
        super().__init__(why)
        self.unknown = unknown


class Unfinished(Exception):
    """A member is out of the pool and not removed; the text says why and how to go on."""


@dataclass(frozen=True, slots=True)
class Order:
    """`instance`: which, by address or address and port; `now`: also within the cooldown; `resume`:
    only what is unfinished; `accept_lost`: remove what is shut off though its instance never said
    that it stopped."""

    instance: str = ""
    now: bool = False
    resume: bool = False
    accept_lost: bool = False


@dataclass(frozen=True, slots=True)
class Removed:
    """Which, how many are left, and what it told of its end."""

    address: str
    left: int
    resumed: bool
    receipt: Receipt | None


@dataclass(slots=True)
class _Leaver:
    """The one that leaves, and what was seen of it."""

    member: Member
    row: Row | None = None
    lived: str = ""
    """The boot that had not stopped yet when it was seen."""
    is_out: bool = False
    off_since: float | None = None
    state: str = "not looked at yet"
    updates: int = 0


class ScaleIn:
    """`say` hears each step. `pace`: seconds between looks."""

    def __init__(
        self,
        fleet: Fleet,
        group: StackGroup,
        registry: Registry,
        say: Callable[[str], None],
        pace: float = 1.0,
    ) -> None:
        self._fleet = fleet
        self._group = group
        self._registry = registry
        self._hear = say
        self._said = ""
        self._pace = pace

    @property
    def stop_within(self) -> float:
        """Seconds from the stop order until the registry has said it, if it ever does."""
        drain = self._fleet.drain
        return drain.grace + drain.kill_delay + MARGIN

    async def run(self, order: Order) -> Removed:
        """Remove one, or finish the one that is unfinished. Raises `Refusal`, `Unfinished`."""
        try:
            return await self._run(order)
        finally:
            self._registry.close()

    async def _run(self, order: Order) -> Removed:
        try:
            member = await self._begin(order)
        except (NoAnswer, Refused) as error:
            raise Refusal(str(error), unknown=True) from None
        if resumed := member.leaving:
            self._say(f"going on with {member.address}, which was begun before")
        leaver = _Leaver(member)
        try:
            left = await self._remove(leaver, order)
        except (NoAnswer, Refused) as error:
            raise Unfinished(f"{error}. {_how_to_go_on(leaver)}") from None
        return Removed(member.address, left, resumed, await self._told(leaver))

    async def _begin(self, order: Order) -> Member:
        """The one that is unfinished, or the choice."""
        if not await self._until("the registry", LOOK_WITHIN, self._registry.lock):
            self._say("another scale-in is under way: waiting for its end")
            await self._until("the lock", self.stop_within + REMOVED_WITHIN, self._lock)
        seen = await self._until("the first look", LOOK_WITHIN, self._group.look)
        if seen.changing:
            self._say(f"the stack is {seen.status}: waiting for its end")
            seen = await self._until("the end of Heat's update", REMOVED_WITHIN, self._settled)
        for one in seen.members:
            if one.leaving:
                return one
        return await self._until("the registry", LOOK_WITHIN, lambda: self._chosen(seen, order))

    def _say(self, line: str) -> None:
        if line != self._said:
            self._hear(line)
        self._said = line

    async def _lock(self) -> bool | None:
        return await self._registry.lock() or None

    async def _settled(self) -> Seen | None:
        seen = await self._group.look()
        return None if seen.changing else seen

    async def _chosen(self, seen: Seen, order: Order) -> Member:
        """Raises `Refusal`."""
        if order.resume:
            raise Refusal("nothing is unfinished")
        named = [
            one
            for one in seen.members
            if order.instance in (one.address, one.place[0], f"[{one.place[0]}]")
        ]
        if order.instance and len(named) != 1:
            known = ", ".join(sorted(one.address for one in seen.members)) or "none"
            raise Refusal(f"{order.instance} is no member of the group (any more); it has {known}")
        rows = await self._registry.rows([one.place for one in seen.members])
        leaver = named[0] if order.instance else None
        if lack := self._lack(seen, rows, leaver):
            raise Refusal(lack)
        wait = self._cooldown - seen.unchanged_for
        if wait > 0 and not order.now:
            raise Refusal(
                f"the group changed {seen.unchanged_for:.0f} s ago, and the policy's cooldown is"
                f" {self._cooldown:g} s: {wait:.0f} s to go (`--now` does not wait)"
            )
        return leaver or self._first_to_leave(seen, rows)

    @property
    def _cooldown(self) -> float:
        rules = self._fleet.group.policies
        return max((rule.cooldown for rule in rules if not rule.is_scale_out), default=0.0)

    def _lack(self, seen: Seen, rows: Rows, leaver: Member | None) -> str:
        """Why the group cannot do without this one, or without any; empty: it can."""
        size, least = len(seen.members), self._fleet.group.min
        if size <= least:
            return f"the group has {size} members, and its minimum is {least}"
        for one in seen.members:
            if one is leaver or (leaver and one.name == leaver.name):
                continue
            row = rows.get(one.place)
            if one.failed:
                why = f"is {one.status} in Heat"
            elif not one.pool_member:
                why = "is not in the pool"
            elif not one.up:
                why = "is taken out of the pool by somebody's hand"
            elif not one.fit:
                why = "gets nothing from Octavia, whose monitor finds it unhealthy"
            elif row is None or not row.ready:
                why = f"is {row.state if row else 'unknown'} in the registry"
                why += f", its last heartbeat {row.age:.0f} s ago" if row else ""
            else:
                continue
            return f"not all others of the {size} members are ready: {one.address} {why}"
        return ""

    def _first_to_leave(self, seen: Seen, rows: Rows) -> Member:
        releases = sorted({rows[one.place].version for one in seen.members}, key=_number)
        name = first_to_leave(
            [
                Candidate(one.name, releases.index(row.version), int(row.started_at * 1000), True)
                for one in seen.members
                for row in (rows[one.place],)
            ]
        )
        return next(one for one in seen.members if one.name == name)

    async def _remove(self, leaver: _Leaver, order: Order) -> int:
        """All steps from the choice on; how many members are left."""
        address = leaver.member.address
        if not leaver.member.leaving:
            self._say(f"{address} leaves: taking it out of the pool")
        await self._until("Octavia's change", OUT_WITHIN, lambda: self._out(leaver))
        leaver.is_out = True
        self._say(f"{address} is out of the pool: stopping its server, which drains")
        await self._until("its end", self.stop_within, lambda: self._stopped(leaver, order), leaver)
        self._say(f"{address} has ended: removing its server")
        await self._until("Heat's mark", OUT_WITHIN, lambda: self._marked(leaver))
        return await self._until("Heat's removal", REMOVED_WITHIN, lambda: self._gone(leaver))

    async def _out(self, leaver: _Leaver) -> bool | None:
        seen = await self._group.look()
        member = _still(seen, leaver)
        if member is None:
            return await self._is_away(leaver) or None
        if member.leaving and not member.pending:
            return True
        if not member.leaving:
            if not await self._registry.holds():
                raise Refusal("the registry's database went away before anything was begun")
            await self._group.take_out(seen, member)
        return None

    async def _stopped(self, leaver: _Leaver, order: Order) -> bool | None:
        """The registry says so of a boot of this server, or the server is not there any more."""
        member = leaver.member
        server = await self._group.server(member)
        row = (await self._registry.rows([member.place])).get(member.place)
        if server is None:  # which Nova may say of one that it does not find for the moment
            leaver.state = f"Nova has no such server, the registry says {row and row.state}"
            return row is None or not row.lives or None
        if row is not None and row.started_at < server.created:
            row = None  # of a server that had the address before
        leaver.row = row
        said = row.state if row else "nothing"
        leaver.state = f"the registry says {said}, Nova says {server.status} {server.task}".rstrip()
        is_off = server.status == "SHUTOFF" and not server.task
        if row is not None and row.state == "stopped":
            # Of a boot that has been seen alive: else the registry may know of an earlier one only,
            # as after a restore.
            if is_off or row.boot_id == leaver.lived:
                return True
        elif row is not None:
            leaver.lived = row.boot_id
        if is_off:
            leaver.off_since = leaver.off_since or time.monotonic()
            if order.accept_lost:
                return True
            if time.monotonic() - leaver.off_since > SILENT_FOR:
                raise Unfinished(_never_said(leaver))
        if server.status == "ACTIVE" and not server.task and await self._may_stop(leaver):
            await self._group.stop(member)
        return None

    async def _may_stop(self, leaver: _Leaver) -> bool:
        """Not while it is in the pool, or nobody knows, or another has the lock. While it serves,
        it can still be put back. Raises `Refusal` when it was."""
        if not await self._registry.lock():
            raise Refused("another scale-in goes on with it")
        seen = await self._group.look()
        member = _still(seen, leaver)
        if member is None:
            return False
        if not member.leaving:  # a request to put it back was obeyed and not answered
            raise Refusal(f"{member.address} is in the pool again, and its server was not stopped")
        if leaver.row is None or not leaver.row.ready:
            return True
        rows = await self._registry.rows([one.place for one in seen.members])
        if lack := self._lack(seen, rows, member):
            await self._group.put_back(seen, member)
            raise Refusal(f"{member.address} is put back into the pool: {lack}")
        return True

    async def _is_away(self, leaver: _Leaver) -> bool:
        """Whether what Heat does not list is not there: a list may lack some of it."""
        return await self._group.server(leaver.member) is None

    async def _marked(self, leaver: _Leaver) -> bool | None:
        seen = await self._group.look()
        member = _still(seen, leaver)
        if member is None:
            return await self._is_away(leaver) or None
        if member.failed or seen.changing:
            return member.failed or None
        await self._group.mark(seen, member)
        return None

    async def _gone(self, leaver: _Leaver) -> int | None:
        seen = await self._group.look()
        if seen.changing:
            return None
        if _still(seen, leaver) is None:
            return len(seen.members) if await self._is_away(leaver) else None
        others = [one.name for one in seen.members if one.failed and one.name != leaver.member.name]
        if others:
            raise Refused(
                f"Heat takes {', '.join(others)} for failed too, and the update would remove them"
                f" all: mend them first (`openstack stack failures list {self._fleet.name}`)"
            )
        if leaver.updates >= UPDATES:
            raise Refused(f"{UPDATES} updates of the stack have not removed it")
        leaver.updates += 1
        await self._group.remove_failed(seen)
        return None

    async def _told(self, leaver: _Leaver) -> Receipt | None:
        try:
            return await self._registry.receipt(leaver.row.boot_id) if leaver.row else None
        except NoAnswer:
            return None

    async def _until(
        self,
        what: str,
        within: float,
        step: Callable[[], Awaitable[Found | None]],
        leaver: _Leaver | None = None,
    ) -> Found:
        """What `step` gives at last. Raises what it raises but `NoAnswer`, which says nothing;
        after `within` seconds `NoAnswer` with the last of them, or `Unfinished` of this leaver."""
        deadline, told = time.monotonic() + within, ""
        while True:
            try:
                result = await step()
                told = ""
            except NoAnswer as error:
                result, told = None, str(error)
            if result is not None:
                return result
            if time.monotonic() >= deadline:
                if leaver is not None:
                    raise Unfinished(_never_said(leaver))
                raise NoAnswer(f"{what} did not come within {within:g} s {told}".rstrip())
            await asyncio.sleep(self._pace)


def _never_said(leaver: _Leaver) -> str:
    return (
        f"{leaver.member.address} has not said that it stopped ({leaver.state}), so its server is"
        f" not removed. {_how_to_go_on(leaver)} Where the server is shut off and nothing"
        " will be said any more, `--resume --accept-lost` removes it"
    )


def _how_to_go_on(leaver: _Leaver) -> str:
    resume = "`photo-fleet group scale-in --resume` goes on with it"
    if leaver.is_out:
        return f"{leaver.member.address} stays out of the pool: {resume}."
    return f"{leaver.member.address} may be out of the pool or not: {resume} if it is."


def _still(seen: Seen, leaver: _Leaver) -> Member | None:
    """The leaver as it is now; None when it is gone, or another server has its name in Heat."""
    member = seen.member(leaver.member.name)
    return member if member is not None and member.server == leaver.member.server else None


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release))
