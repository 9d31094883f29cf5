"""Specs by chance: such that `check` passes, and for each one that differs in one key and is
refused."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from photo_fleet.drill.check_proof.reasons import refusals, shown_by
from photo_fleet.rules.checks import check
from photo_fleet.rules.findings import Finding
from photo_fleet.spec.changes import Changes, changed, told
from photo_fleet.spec.fleet import Fleet, Group, Service

KIB, MIB = 1024, 1024 * 1024
MOST_DRAWS, MOST_SPECS = 20_000, 8

VALUES: Mapping[str, tuple[Any, ...]] = {
    "service.longest_request": (2.0, 3.0, 4.0, 6.0, 9.0),
    "service.keep_alive": (2.0, 10.0, 20.0),
    "balancer.algorithm": ("round-robin", "least-connections"),
    "balancer.keep_alive": (2.0, 5.0, 15.0),
    "balancer.connect_timeout": (0.5, 1.0, 3.0),
    "balancer.send_timeout": (2.0, 4.0, 6.0, 8.0),
    "balancer.read_timeout": (1.0, 2.0, 4.0, 6.0, 8.0),
    "balancer.buffer_uploads": (True, False),
    "balancer.upload_limit": (60 * MIB, KIB),
    "health_check.path": ("/health", "/healthy"),
    "health_check.interval": (1.0, 5.0, 11.0, 20.0),
    "health_check.timeout": (0.5, 2.0, 3.0, 5.0),
    "health_check.healthy": (1, 2),
    "health_check.unhealthy": (1, 2, 3),
    "drain.removal": ("deregister-first", "health-only"),
    "drain.lame_duck": (0.0, 3.0, 4.0, 6.0, 12.0),
    "drain.in_flight_wait": (1.0, 2.0, 4.0, 6.0, 8.0),
    "drain.log_flush": (0.5, 1.0, 2.0),
    "drain.grace": (6.0, 12.0, 16.0, 20.0),
    "drain.kill_delay": (1.0, 12.0, 16.0, 20.0),
}
"""What is drawn, and from what: seconds and bytes, as the spec has them. A wrong value of each key
is there where there is one."""

BREAKING: Mapping[str, str] = {
    "drain.in_flight_wait": "read-timeout",
    "drain.grace": "stop-budget",
    "balancer.read_timeout": "longest-request",
    "drain.kill_delay": "kill-delay",
    "drain.lame_duck": "lame-duck",
    "balancer.buffer_uploads": "upload-buffering",
    "service.longest_request": "read-timeout",
    "drain.removal": "lame-duck",
    "balancer.upload_limit": "upload-limit",
    "health_check.path": "health-path",
}
"""Keys of which a single value has a spec refused, and the code of it that a drill shows."""

Load = Literal["longest", "slow-clients", "rush"]
LOADS: Mapping[str, Load] = {
    "balancer.buffer_uploads": "slow-clients",
    "drain.lame_duck": "rush",
    "drain.removal": "rush",
}
"""What shows most of a wrong value; `longest` of those that are not here."""

TOLD: Changes = {"drain.removal": "deregister-first"}
NOT_TOLD: Changes = {
    "drain.removal": "health-only",
    "drain.lame_duck": 12.0,
    "health_check.interval": 1.0,
    "health_check.timeout": 0.5,
    "health_check.unhealthy": 1,
}
"""What is not drawn. Where balancers only look at health, no other values fit into 20 s."""

ONE_IN = 5
"""So many specs that pass, of which one is `NOT_TOLD`."""


class NoSuchSpec(Exception):
    """None was found by chance in `MOST_DRAWS`."""


@dataclass(frozen=True, slots=True)
class Case:
    """A spec, numbered from 1. `broken` is what differs from the spec `twin`, empty for one that is
    to pass; `findings` is what `check` has against it."""

    number: int
    fleet: Fleet
    findings: tuple[Finding, ...] = ()
    broken: Changes | None = None
    twin: int | None = None
    load: Load = "longest"
    """Of it and of its twin: requests that take as long as they may, uploads of slow clients, or
    many requests at any moment."""

    @property
    def codes(self) -> list[str]:
        """With `*` those that are warnings."""
        return [f"{one.code}{'*' if one.level == 'warning' else ''}" for one in self.findings]

    @property
    def words(self) -> str:
        """The spec, in short."""
        if self.broken:
            return f"{self.twin} with {told(self.fleet, self.broken)}"
        service, balancer, check = self.fleet.service, self.fleet.balancer, self.fleet.health_check
        drain = self.fleet.drain
        parts = (
            f"{drain.removal}, lame duck {drain.lame_duck:g}",
            f"wait {drain.in_flight_wait:g}",
            f"flush {drain.log_flush:g}",
            f"grace {drain.grace:g}",
            f"kill {drain.kill_delay:g}",
            f"longest {service.longest_request:g}",
            f"read {balancer.read_timeout:g}",
            f"send {balancer.send_timeout:g}",
            f"connect {balancer.connect_timeout:g}",
            f"keep-alive {service.keep_alive:g} / {balancer.keep_alive:g}",
            f"probe {check.interval:g} / {check.timeout:g} × {check.unhealthy} / {check.healthy}",
            balancer.algorithm,
        )
        return ", ".join(parts)


def cases(number: int, seed: int) -> Iterator[Case]:
    """So many, in turn one that passes and one that differs from it in a key and is refused. Raises
    `NoSuchSpec`."""
    chance = random.Random(seed)
    keys = list(BREAKING)
    for place in range(1, number + 1, 2):
        fixed = NOT_TOLD if (place // 2) % ONE_IN == ONE_IN - 1 else TOLD
        keys = keys or list(BREAKING)
        sound, broken = _pair(chance, fixed, keys)
        [key] = broken
        load = LOADS.get(key, "longest")
        yield Case(place, sound, load=load)
        if place < number:
            fleet = changed(sound, broken)
            yield Case(place + 1, fleet, _findings(fleet), broken, place, load)


def _findings(fleet: Fleet) -> tuple[Finding, ...]:
    codes = {item.code for item in refusals(fleet)}
    return tuple(item for item in check(fleet) if item.code in codes)


def _passing(chance: random.Random, fixed: Changes) -> Fleet:
    """One key after the other is drawn anew, and stays so where no more is wrong than before."""
    base = Fleet(name="drill", service=Service(pool=4), group=Group(1, 3, 2, policies=()))
    drawn = {key: chance.choice(values) for key, values in VALUES.items()}
    fleet = changed(base, drawn | dict(fixed))
    free = [key for key in VALUES if key not in fixed]
    wrong = len(refusals(fleet))
    for _ in range(MOST_DRAWS):
        if not wrong:
            return fleet
        key = chance.choice(free)
        other = changed(fleet, {key: chance.choice(VALUES[key])})
        if (left := len(refusals(other))) <= wrong:
            fleet, wrong = other, left
    raise NoSuchSpec(f"none of {MOST_DRAWS} specs with {dict(fixed)} passes")


def _pair(chance: random.Random, fixed: Changes, keys: list[str]) -> tuple[Fleet, Changes]:
    """A spec that passes and a change of the first of `keys`, or of a later one where that is of no
    use with any of `MOST_SPECS`; the key is taken from them."""
    for draw in range(MOST_SPECS):
        fleet = _passing(chance, fixed)
        for key in keys[:1] if draw < MOST_SPECS - 1 else [*keys, *BREAKING]:
            values = [
                value
                for value in VALUES[key]
                if BREAKING[key] in shown_by(changed(fleet, {key: value}))
            ]
            if values:
                if key in keys:
                    keys.remove(key)
                return fleet, {key: chance.choice(values)}
    raise NoSuchSpec(f"no key makes one of {MOST_SPECS} specs one that is refused")
