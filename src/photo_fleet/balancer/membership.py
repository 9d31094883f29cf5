"""The balancer's members, decided from the registry and from its own probes.

Pure: times are passed in (seconds on any clock that only goes forward) and nothing is sent. An
instance comes in after probes of its own; the registry takes it out at once when it drains, stops
or is lost, and failing probes do when enough others remain.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from photo_api.contract import ALIVE
from photo_fleet.spec.fleet import HealthCheck

CANDIDATE_INTERVAL = 1.0
"""Seconds between the probes of one that wants to come in, and of all while nothing but probes
tells which are alive."""


@dataclass(frozen=True, slots=True)
class Member:
    """One boot of an instance; `address` is `host:port` with an IP address as its host."""

    id: str
    address: str
    instance: str


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry has of one boot; of two at one address only the later one can listen."""

    member: Member
    state: str
    started_at: float
    cause: str | None = None


class Outcome(Enum):
    """How a probe ended."""

    HEALTHY = "healthy"
    DRAINING = "draining"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Probe:
    """`detail` says in words what was seen, such as `503 unhealthy`."""

    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The members that nginx should have. `panic`: so few are healthy that the sick are kept as
    well."""

    members: tuple[Member, ...]
    panic: bool


@dataclass(slots=True)
class _Watched:
    """An instance that the registry calls ready. `admitted`: it has passed its probes once.
    `doubtful`: afterwards its row vanished or is back from before it was ready."""

    member: Member
    next_probe: float
    asked: float = 0.0
    admitted: bool = False
    healthy: bool = False
    probing: bool = False
    looked_at: bool = False
    doubtful: bool = False
    successes: int = 0
    failures: int = 0
    refusals: int = 0
    cause: str = "in nginx when the balancer started"


class Membership:
    """The state behind the decision. `probe_scale` divides the interval between probes of members;
    timeouts and numbers of probes stay as they are."""

    def __init__(self, check: HealthCheck, probe_scale: float = 1.0) -> None:
        self._check = check
        self._interval = check.interval / probe_scale
        self._watched: dict[str, _Watched] = {}
        self._left: dict[str, str] = {}
        self._drained: set[str] = set()
        self._alone = False
        self.draining: frozenset[str] = frozenset()
        """Boots that drain, as the registry has it. None of them ever comes in again."""

    @property
    def known(self) -> frozenset[str]:
        """Boots whose rows are to be read, also when they have ended: in the set or not, they are
        counted."""
        return frozenset(self._watched)

    def adopt(self, members: Iterable[Member], now: float) -> None:
        """Begin with nginx's own members: they passed their probes before this process was
        there."""
        for member in members:
            self._watched[member.id] = _Watched(member, now, admitted=True, healthy=True)

    def registered(self, rows: Iterable[Registered], now: float) -> None:
        """What the registry has now. A member without a row, or with one that is `starting` again,
        has met a clean-up or a restored backup sooner than an end: it stays while its probes pass.
        An instance that ends says so in its row, and a boot that never was a member has to be
        `ready`."""
        rows = list(rows)
        self._alone = False
        self.draining = frozenset(row.member.id for row in rows if row.state == "draining")
        self._drained &= {row.member.id for row in rows}
        latest = _latest_at_each_address(rows)
        objections = {row.member.id: self._objection(row, latest) for row in rows}
        ready = [row.member for row in rows if objections[row.member.id] is None]
        states = {row.member.id: row.state for row in rows}
        for boot in self._watched.keys() - {member.id for member in ready}:
            watched = self._watched[boot]
            silent = states.get(boot, "starting") == "starting" and watched.admitted
            if silent and latest.get(watched.member.address, boot) == boot:
                self._doubt(watched, now)
            else:
                self._drop(boot, objections.get(boot) or "no longer in the registry")
        for member in ready:
            known = self._watched.setdefault(member.id, _Watched(member, now))
            known.member, known.doubtful = member, False
        self._forget_ghosts(states)

    def cut_off(self, now: float) -> None:
        """The registry cannot be read: from now on only probes tell, and little is believed of
        them, because what this balancer cannot reach may have failed for all instances as well."""
        if self._alone:
            return
        self._alone = True
        for watched in self._watched.values():
            watched.next_probe = min(watched.next_probe, now + self._pause)

    def due(self, now: float) -> list[Member]:
        """Those to probe now. Each must be answered by `probed`."""
        found = [
            watched
            for watched in self._watched.values()
            if not watched.probing and watched.next_probe <= now and self._wanted(watched)
        ]
        for watched in found:
            watched.probing, watched.asked = True, now
        return [watched.member for watched in found]

    def probed(self, member: Member, probe: Probe, now: float) -> None:
        """Take in how a probe of `member` ended."""
        watched = self._watched.get(member.id)
        if watched is None or watched.member.address != member.address:
            return
        watched.probing, watched.looked_at = False, True
        if probe.outcome is Outcome.DRAINING:
            self._drained.add(member.id)
            self._drop(member.id, "draining, as its probe told")
            return
        if probe.outcome is Outcome.HEALTHY:
            self._succeeded(watched)
        else:
            self._failed(watched, probe)
        # A suspect is asked every second: its answer is cached, so that costs nothing.
        steady = watched.healthy and not (watched.failures or watched.doubtful or self._alone)
        # From one beginning to the next: a member that hangs shall not get more time than one that
        # refuses, but for the timeout of its last probe.
        watched.next_probe = watched.asked + (self._interval if steady else self._pause)

    def decide(self) -> Decision:
        """The members that nginx should have now."""
        admitted = [watched for watched in self._watched.values() if watched.admitted]
        well = [watched for watched in admitted if watched.healthy]
        panic = 2 * len(well) < len(admitted)
        chosen = [watched.member for watched in (admitted if panic else well)]
        return Decision(tuple(sorted(chosen, key=lambda one: one.id)), panic)

    def cause(self, boot: str) -> str:
        """Why it came in or went out last."""
        watched = self._watched.get(boot)
        return watched.cause if watched else self._left.get(boot, "not registered")

    def is_healthy(self, boot: str) -> bool:
        """Whether its probes pass, as far as they count."""
        watched = self._watched.get(boot)
        return watched is not None and watched.healthy

    def forget_departed(self) -> None:
        """Drop the causes of those that have left; call it when they have been told."""
        self._left.clear()

    @property
    def settled(self) -> bool:
        """Whether nobody is on the way in: each has come in, or has failed a probe."""
        return all(one.admitted or (one.looked_at and not one.successes) for one in self._all())

    @property
    def _pause(self) -> float:
        return min(CANDIDATE_INTERVAL, self._interval)

    def _all(self) -> Iterable[_Watched]:
        return self._watched.values()

    def _wanted(self, watched: _Watched) -> bool:
        # Nobody comes in on the word of a registry that may be long out of date.
        return watched.admitted or not self._alone

    def _objection(self, row: Registered, latest: dict[str, str]) -> str | None:
        """Why this boot may not be in the balancer, whatever its probes say."""
        if row.state != "ready":
            return f"{row.state}: {row.cause}" if row.cause else row.state
        if latest[row.member.address] != row.member.id:
            return "another instance has its address"
        if row.member.id in self._drained:
            return "draining, as its probe told"
        return None

    def _doubt(self, watched: _Watched, now: float) -> None:
        """Ask it every second: no row tells when it ends."""
        if not watched.doubtful:
            watched.doubtful = True
            watched.next_probe = min(watched.next_probe, now + self._pause)

    def _forget_ghosts(self, rows: Collection[str]) -> None:
        """An instance without a row that fails its probes is gone, unless most do: it would count
        for ever."""
        if not self.decide().panic:
            for boot in self._watched.keys() - set(rows):
                if not self._watched[boot].healthy:
                    self._drop(boot, "no longer in the registry, and its probes fail")

    def _drop(self, boot: str, cause: str) -> None:
        del self._watched[boot]
        self._left[boot] = cause

    def _succeeded(self, watched: _Watched) -> None:
        watched.failures = watched.refusals = 0
        watched.successes += 1
        if watched.healthy:
            return
        nobody = not self.decide().members
        if watched.successes >= (1 if nobody else self._check.healthy):
            watched.cause = f"{watched.successes} probes passed" + (" (nobody else)" * nobody)
            watched.admitted = watched.healthy = True

    def _failed(self, watched: _Watched, probe: Probe) -> None:
        """Without the registry only a process that does not listen is known to be gone; other
        failures count neither for nor against it. What counts goes on over a registry that blinks,
        which may not keep a sick member in."""
        refused = probe.outcome is Outcome.REFUSED
        watched.successes = 0
        watched.refusals = watched.refusals + 1 if refused else 0
        watched.failures += refused or not self._alone
        counted = watched.refusals if self._alone else watched.failures
        if watched.healthy and counted >= self._check.unhealthy:
            watched.healthy = False
            what = "connections refused, registry away" if self._alone else "probes failed"
            detail = "" if self._alone else f": {probe.detail}"
            watched.cause = f"{counted} {what}{detail}"


def longest_sick(check: HealthCheck, *, hangs: bool = False) -> float:
    """Seconds for which one that alone is sick may stay: the interval before its first failing
    probe, and those of a suspect; when it `hangs`, a probe takes its whole timeout."""
    probe = check.timeout if hangs else 0.0
    pause = max(min(CANDIDATE_INTERVAL, check.interval), probe)
    return check.interval + (check.unhealthy - 1) * pause + probe


def _latest_at_each_address(rows: Iterable[Registered]) -> dict[str, str]:
    """The last boot at each address among those that may still run. One that was killed keeps its
    row for a while, and another may have its address by then."""
    alive = (row for row in rows if row.state in ALIVE)
    return {row.member.address: row.member.id for row in sorted(alive, key=lambda r: r.started_at)}
