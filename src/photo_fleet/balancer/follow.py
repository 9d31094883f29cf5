"""A balancer beside one nginx: it follows the registry, probes the instances, tells nginx who its
members are, and tells the registry when one that drains is out."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from photo_api.contract import ALIVE
from photo_base.postgres import FAILURES
from photo_base.tasks import first
from photo_fleet.balancer.membership import Decision, Member, Membership, Registered
from photo_fleet.balancer.nginx_members import Nginx, NginxUnavailable
from photo_fleet.balancer.probes import probe
from photo_fleet.balancer.registry_link import RegistryLink
from photo_fleet.balancer.state import StateFile, open_state
from photo_fleet.spec.fleet import HealthCheck

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds after which the registry and nginx are asked again when nothing calls."""

TICK = 0.1


class Balance:
    """One balancer. `state` is a folder of its own, `name` what people call it; `probe_scale`
    divides the interval between probes."""

    def __init__(
        self,
        database_url: Callable[[], str],
        nginx: Nginx,
        *,
        state: Path,
        name: str,
        check: HealthCheck,
        probe_scale: float = 1.0,
    ) -> None:
        self._database_url = database_url
        self._nginx = nginx
        self._directory = state
        self._name = name
        self._check = check
        self._membership = Membership(check, probe_scale)
        self._look = asyncio.Event()
        self._decide = asyncio.Event()
        self._ending = asyncio.Event()
        self._file: StateFile | None = None
        self._database_ok: bool | None = None
        self._nginx_ok: bool | None = None
        self._decided = Decision((), False)
        self._told: Decision | None = None
        self._confirmed: frozenset[str] | None = None
        self._checked_at = float("-inf")
        self.alive: list[Registered] | None = None
        """Boots that may run, as the registry was read last; None before that."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The members that nginx confirmed last; () before that."""
        return self._told.members if self._told else ()

    @property
    def settled(self) -> bool:
        """Whether the registry was read, nobody is on the way in, and nginx has the result."""
        decided = self._membership.decide() == self._told and self._confirmed is not None
        return bool(self._database_ok) and self._membership.settled and decided

    def state(self) -> dict[str, Any]:
        """How it stands, as JSON: `database` and `nginx` say whether they answer, None before they
        were asked."""
        return {
            "database": self._database_ok,
            "nginx": self._nginx_ok,
            "panic": self._decided.panic,
            "members": [
                {"id": one.id, "instance": one.instance, "address": one.address}
                for one in self._decided.members
            ],
        }

    def stop(self) -> None:
        """End `run`: nginx keeps its members, and nobody waits for this balancer any more."""
        self._ending.set()

    async def run(self) -> None:
        """Until `stop`. Raises StateInUse or OSError when the folder cannot be used."""
        with open_state(self._directory, self._name) as self._file:
            link = RegistryLink(self._database_url, self._file, self._look.set)
            log.info("balancer started", extra={"fields": {"balancer": self._file.me.id}})
            try:
                await self._until_stopped(self._work(link))
            finally:
                with suppress(*FAILURES):
                    await link.leave()
                link.drop()
                log.info("balancer stopped")

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        for ended in await first(work, self._ending.wait()):
            ended.result()

    async def _work(self, link: RegistryLink) -> None:
        await self._adopt()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_registry(link))
            tasks.create_task(self._keep_probing())
            tasks.create_task(self._keep_nginx())

    async def _adopt(self) -> None:
        """Begin with nginx's own members: a restart of this process changes nothing there."""
        while True:
            try:
                held = await self._nginx.held()
            except NginxUnavailable as error:
                self._note_nginx(str(error))
                await asyncio.sleep(POLL)
            else:
                self._note_nginx(None)
                self._membership.adopt(held.members, time.monotonic())
                self._decided = self._membership.decide()
                return

    async def _follow_registry(self, link: RegistryLink) -> None:
        while True:
            self._look.clear()
            try:
                rows = await link.read(self._membership.known)
                self.alive = [row for row in rows if row.state in ALIVE]
                self._membership.registered(rows, time.monotonic())
                self._decide.set()
                await self._acknowledge(link)
                self._note_database(None)
            except FAILURES as error:
                self._membership.cut_off(time.monotonic())
                self._note_database(f"{type(error).__name__}: {error}".rstrip(": "))
                self._decide.set()
            await _wait(self._look, POLL)

    async def _acknowledge(self, link: RegistryLink) -> None:
        """Tell the registry which draining instances are not among the confirmed members."""
        if self._confirmed is None:
            return
        out = await link.acknowledge(self._membership.draining - self._confirmed)
        for boot in sorted(out):
            log.info("removal acknowledged", extra={"fields": {"boot_id": boot}})

    async def _keep_probing(self) -> None:
        async with asyncio.TaskGroup() as probes:
            while True:
                for member in self._membership.due(time.monotonic()):
                    probes.create_task(self._probe(member))
                await asyncio.sleep(TICK)

    async def _probe(self, member: Member) -> None:
        seen = await probe(member.address, self._check.path, self._check.timeout)
        self._membership.probed(member, seen, time.monotonic())
        self._decide.set()

    async def _keep_nginx(self) -> None:
        # Not before the registry was asked: what nginx had is all that is known until then.
        await self._decide.wait()
        while True:
            self._decide.clear()
            decision = self._membership.decide()
            self._report(decision)
            try:
                await self._tell(decision)
                self._note_nginx(None)
            except NginxUnavailable as error:
                self._told = self._confirmed = None
                self._note_nginx(str(error))
                await asyncio.sleep(POLL)
            else:
                await _wait(self._decide, POLL)

    async def _tell(self, decision: Decision) -> None:
        """Have nginx take the decision, unless it has; now and then ask whether it still does."""
        now = time.monotonic()
        if decision == self._told and self._confirmed is not None:
            if now - self._checked_at < POLL:
                return
            self._checked_at = now
            held = await self._nginx.held()
            if held.members == frozenset(decision.members):
                return
            log.warning("nginx has other members than it was given; giving them again")
        # While this is under way nginx may have either set, and nothing is known to be out.
        self._confirmed = None
        held = await self._nginx.put(decision)
        self._told, self._checked_at = decision, now
        if not held.old_workers:
            self._confirmed = frozenset(member.id for member in decision.members)
            if self._membership.draining:
                self._look.set()

    def _report(self, decision: Decision) -> None:
        """Log which members came, which went, and why."""
        before, self._decided = self._decided, decision
        if decision == before:
            return
        cause = self._membership.cause
        for member in set(before.members) - set(decision.members):
            self._say("member left", member, cause(member.id))
        for member in set(decision.members) - set(before.members):
            kept = f"panic, although {cause(member.id)}"
            well = self._membership.is_healthy(member.id)
            self._say("member entered", member, cause(member.id) if well else kept)
        self._membership.forget_departed()
        if decision.panic != before.panic:
            healthy = sum(self._membership.is_healthy(one.id) for one in decision.members)
            fields = {"healthy": healthy, "members": len(decision.members)}
            if decision.panic:
                text = "panic: fewer than half are healthy, so all are kept"
                log.warning(text, extra={"fields": fields})
            else:
                log.info("panic is over", extra={"fields": fields})
        self._save()

    def _say(self, what: str, member: Member, cause: str) -> None:
        fields = {
            "boot_id": member.id,
            "member": member.instance,
            "address": member.address,
            "cause": cause,
            "members": len(self._decided.members),
        }
        log.info(what, extra={"fields": fields})

    def _note_database(self, failure: str | None) -> None:
        before, self._database_ok = self._database_ok, failure is None
        kept = "; the last members are kept and probed directly"
        self._note("the registry", before, failure, kept)

    def _note_nginx(self, failure: str | None) -> None:
        before, self._nginx_ok = self._nginx_ok, failure is None
        self._note("nginx", before, failure)

    def _note(self, what: str, before: bool | None, failure: str | None, kept: str = "") -> None:
        """Say and keep what has changed."""
        if before == (failure is None):
            return
        if failure is None:
            log.info("%s answers", what)
        else:
            log.warning("%s does not answer%s", what, kept, extra={"fields": {"error": failure}})
        self._save()

    def _save(self) -> None:
        if self._file is not None:
            self._file.write(self.state())


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
