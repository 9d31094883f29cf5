"""Whether an instance can end without losing a request: removal, stop budget, kill."""

from collections.abc import Iterator
from math import ceil

from photo_api.contract import STOP_MARGIN
from photo_fleet.balancer.membership import longest_sick
from photo_fleet.rules.findings import Contradiction
from photo_fleet.spec.changes import Changes, changed
from photo_fleet.spec.fleet import Drain, Fleet

HEALTH_MARGIN = 10.0
"""Seconds beyond the slowest removal by health: clocks of probes are not ours."""

PROPAGATION = {"nginx": 3.0, "cloud": 10.0}
"""Seconds in which a balancer that is told of a removal acts on it: ours within one, and one more
each for a lost notification and a retry; clouds within several."""

TOLD_LAME_DUCK = 10.0
"""Seconds of lame duck that suffice wherever balancers are told."""


def lame_duck(fleet: Fleet) -> Iterator[Contradiction]:
    """The lame duck outlasts the slowest balancer's removal."""
    drain, probes = fleet.drain, fleet.health_check
    needed = lame_duck_needed(fleet)
    if drain.lame_duck >= needed:
        return
    told_first: Changes = {
        "drain.removal": "deregister-first",
        "drain.lame_duck": max(drain.lame_duck, TOLD_LAME_DUCK),
    }
    if drain.removal == "deregister-first":
        numbers = (
            f"balancers that are told act within {needed:g}s,"
            f" but drain.lame_duck is {drain.lame_duck:g}s"
        )
        slowest = needed
        ways: list[Changes] = [{"drain.lame_duck": TOLD_LAME_DUCK}]
    else:
        slowest = probes.slowest_removal
        numbers = (
            f'drain.removal is "health-only": health_check.unhealthy {probes.unhealthy} ×'
            f" health_check.interval {probes.interval:g}s + health_check.timeout"
            f" {probes.timeout:g}s = {slowest:g}s, + {HEALTH_MARGIN:g}s margin = {needed:g}s,"
            f" but drain.lame_duck is {drain.lame_duck:g}s"
        )
        ways = [{"drain.lame_duck": needed}, told_first]
    yield Contradiction(
        "error",
        "lame-duck",
        numbers,
        f"up to {slowest:g} s of traffic reaches an instance that takes no connection after"
        f" {drain.lame_duck:g} s and stops after {drain.grace:g} s",
        tuple(with_grace(fleet, _differences(fleet, way)) for way in ways),
    )


def lame_duck_needed(fleet: Fleet) -> float:
    """Seconds that an instance must go on serving after its stop order."""
    if fleet.drain.removal == "deregister-first":
        return PROPAGATION[fleet.balancer.kind]
    return fleet.health_check.slowest_removal + HEALTH_MARGIN


def longest_stay(fleet: Fleet, *, hangs: bool = False) -> float:
    """Seconds for which an instance that alone is sick may get requests; one that `hangs` answers
    no probe. `photo-fleet balance` asks suspects every second, a cloud's balancer nobody sooner."""
    check = fleet.health_check
    if fleet.balancer.kind == "nginx":
        return longest_sick(check, hangs=hangs)
    return check.slowest_removal - (0.0 if hangs else check.timeout)


def _differences(fleet: Fleet, way: Changes) -> Changes:
    return {key: way[key] for key in way if changed(fleet, {key: way[key]}) != fleet}


def stop_budget(fleet: Fleet) -> Iterator[Contradiction]:
    """The grace period holds all that happens between stop order and end."""
    drain, needed = fleet.drain, _budget(fleet)
    if needed <= drain.grace:
        return
    longest = fleet.service.longest_request
    part = f"service.longest_request {longest:g}s"
    if longest < drain.in_flight_wait:
        part = f"drain.in_flight_wait {drain.in_flight_wait:g}s"
    yield Contradiction(
        "error",
        "stop-budget",
        f"drain.lame_duck {drain.lame_duck:g}s + {part} + drain.log_flush {drain.log_flush:g}s"
        f" + {STOP_MARGIN:g}s of the service's own = {needed:g}s > drain.grace {drain.grace:g}s",
        f"an instance is killed up to {needed - drain.grace:g} s before its drain is over: requests"
        " still in flight fail, and its last log lines are lost",
        (
            with_grace(fleet, {"drain.grace": float(ceil(needed))}),
            {"service.longest_request": drain.in_flight_wait},
            {"drain.lame_duck": lame_duck_needed(fleet)},
        ),
    )


def _budget(fleet: Fleet) -> float:
    """Seconds from the stop order to the end when a longest request has just begun."""
    beyond = max(0.0, fleet.service.longest_request - fleet.drain.in_flight_wait)
    return service_budget(fleet.drain) + beyond


def service_budget(drain: Drain) -> float:
    """Seconds from the stop order to the end, as the service itself counts them at its start."""
    return drain.lame_duck + drain.in_flight_wait + drain.log_flush + STOP_MARGIN


def with_grace(fleet: Fleet, changes: Changes) -> Changes:
    """`changes`, and the grace and kill delay that they need."""
    wider, after = dict(changes), changed(fleet, changes)
    was_enough = _budget(fleet) <= fleet.drain.grace
    needed = _budget(after) if was_enough else service_budget(after.drain)
    grace = max(after.drain.grace, float(ceil(needed)))
    if grace > after.drain.grace:
        wider["drain.grace"] = grace
    if grace > after.drain.kill_delay:
        wider["drain.kill_delay"] = grace
    return wider


def kill_delay(fleet: Fleet) -> Iterator[Contradiction]:
    """The platform waits at least as long as the unit's TimeoutStopSec, which is the grace."""
    drain = fleet.drain
    if drain.kill_delay >= drain.grace:
        return
    yield Contradiction(
        "error",
        "kill-delay",
        f"drain.kill_delay {drain.kill_delay:g}s < drain.grace {drain.grace:g}s"
        " (the unit's TimeoutStopSec)",
        f"the platform kills the machine {drain.grace - drain.kill_delay:g} s before its service"
        " has to be done",
        ({"drain.kill_delay": drain.grace}, {"drain.grace": drain.kill_delay}),
    )


TIMEOUTS = ("service.longest_request", "balancer.read_timeout", "balancer.send_timeout")


def read_timeout(fleet: Fleet) -> Iterator[Contradiction]:
    """Nothing may run longer than a leaving instance waits for it."""
    wait = fleet.drain.in_flight_wait
    service, balancer = fleet.service, fleet.balancer
    values = (service.longest_request, balancer.read_timeout, balancer.send_timeout)
    beyond = {key: value for key, value in zip(TIMEOUTS, values, strict=True) if value > wait}
    if not beyond:
        return
    longest = max(beyond.values())
    yield Contradiction(
        "error",
        "read-timeout",
        ", ".join(f"{key} {value:g}s" for key, value in beyond.items())
        + f" > drain.in_flight_wait {wait:g}s",
        f"a request that may take {longest:g} s is cut after {wait:g} s when its instance leaves",
        (
            dict.fromkeys(beyond, wait),
            with_grace(fleet, {"drain.in_flight_wait": longest}),
        ),
    )


def longest_request(fleet: Fleet) -> Iterator[Contradiction]:
    """The balancer waits at least as long as the service may take."""
    longest, patience = fleet.service.longest_request, fleet.balancer.read_timeout
    if patience >= longest:
        return
    yield Contradiction(
        "error",
        "longest-request",
        f"balancer.read_timeout {patience:g}s < service.longest_request {longest:g}s",
        f"after {patience:g} s the client gets 504 for a request that the service goes on to do",
        ({"balancer.read_timeout": longest}, {"service.longest_request": patience}),
    )


RULES = (lame_duck, stop_budget, kill_delay, read_timeout, longest_request)
