"""Instances as a balancer's membership sees them, on a clock that a test moves."""

from collections import Counter
from collections.abc import Callable

from photo_api.contract import ALIVE
from photo_fleet.balancer.membership import (
    Member,
    Membership,
    Outcome,
    Probe,
    Registered,
)
from photo_fleet.spec.fleet import HealthCheck

CHECK = HealthCheck(interval=30, timeout=5, healthy=2, unhealthy=3)
OK = Probe(Outcome.HEALTHY, "200 healthy")
SICK = Probe(Outcome.FAILED, "503 unhealthy")
REFUSED = Probe(Outcome.REFUSED, "connection refused")
DRAINING = Probe(Outcome.DRAINING, "draining")


class World:
    """Instances a, b, c … with what their probes would see, and one balancer that looks at them
    every tenth of a second."""

    def __init__(
        self, names: str = "", probe_scale: float = 1.0, check: HealthCheck = CHECK
    ) -> None:
        self.now = 1000.0
        self.states = dict.fromkeys(names, "ready")
        self.answers: dict[str, Probe] = {}
        self.hanging: dict[str, float] = {}
        """Seconds that a probe of it takes."""
        self._under_way: list[tuple[float, Member]] = []
        self.addresses: dict[str, str] = {}
        self.probed_at: dict[str, list[float]] = {}
        self.witnessed: Counter[str] = Counter()
        """Probes that ended while the registry was there."""
        self.registry_away = False
        self.membership = Membership(check, probe_scale)

    def member(self, name: str) -> Member:
        return Member(name, self.addresses.get(name, f"10.0.0.{ord(name)}:8000"), name)

    def look(self) -> None:
        """Read the registry, or fail to."""
        if self.registry_away:
            self.membership.cut_off(self.now)
            return
        known = self.membership.known
        rows = [
            Registered(self.member(name), state, float(number))
            for number, (name, state) in enumerate(self.states.items())
            if state in ALIVE or name in known
        ]
        self.membership.registered(rows, self.now)

    def pass_time(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> float:
        """Let time pass, until `unless`; how much did."""
        began = self.now
        while self.now - began < seconds - 0.01 and not unless():
            self.look()
            for member in self.membership.due(self.now):
                self.probed_at.setdefault(member.id, []).append(self.now)
                self._under_way.append((self.now + self.hanging.get(member.id, 0), member))
            for over, member in list(self._under_way):
                if over <= self.now:
                    self._under_way.remove((over, member))
                    self.witnessed[member.id] += not self.registry_away
                    self.membership.probed(member, self.answers.get(member.id, OK), self.now)
            self.now += 0.1
        return self.now - began

    @property
    def members(self) -> str:
        return "".join(member.id for member in self.membership.decide().members)

    @property
    def panic(self) -> bool:
        return self.membership.decide().panic


def settled(names: str, probe_scale: float = 1.0, check: HealthCheck = CHECK) -> World:
    """A world in which all of these are members."""
    world = World(names, probe_scale, check)
    world.pass_time(3)
    assert world.members == names
    return world
