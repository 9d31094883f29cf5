"""Whether probes find out what they should, and nobody is replaced for another's fault."""

from collections.abc import Iterator

from photo_api.contract import API_PREFIX, HEALTH_PATH, LIVE_PATH
from photo_fleet.rules.findings import Contradiction
from photo_fleet.rules.stopping import lame_duck_needed, with_grace
from photo_fleet.spec.changes import Changes, changed
from photo_fleet.spec.fleet import Fleet

LIVENESS = (LIVE_PATH, "/health/liveness")
READINESS = (HEALTH_PATH, "/health/ready", "/health/readiness")
DETAILED = "/health/detailed"

OFTEN, USUAL_INTERVAL = 10.0, 15.0
SLOW, USUAL_TIMEOUT = 5.0, 5.0
SLOWEST_ANSWER = 2.0
"""Seconds in which the service answers `/health`, whatever its database does."""


def replacement(fleet: Fleet) -> Iterator[Contradiction]:
    """Only what is the instance's own fault has it replaced."""
    path = fleet.group.replace_on
    if _own(path) in LIVENESS:
        return
    yield Contradiction(
        "error",
        "replace-on",
        f'group.replace_on is "{path}", which looks at more than the process; "{LIVE_PATH}" looks'
        " at nothing else",
        f"an outage of the database fails it on all {fleet.group.desired} instances at once, and"
        " the group replaces every one of them, over and over, until the database is back",
        ({"group.replace_on": LIVE_PATH},),
    )


def probed_path(fleet: Fleet) -> Iterator[Contradiction]:
    """Balancers look at readiness."""
    path = fleet.health_check.path
    if _own(path) in READINESS:
        return
    is_live, is_detailed = _own(path) in LIVENESS, _own(path) == DETAILED
    blind = fleet.drain.removal == "health-only" and not is_detailed
    what = "stays 200 while an instance drains" if is_live else "is not a path of the service"
    if is_detailed:
        what = "is a request like any other, and a busy instance refuses it"
        follows = "a rush takes one instance after another out of the balancer"
    elif not is_live:
        follows = "every probe gets 404 and no instance is ever brought in"
    elif blind:
        follows = "no balancer ever notices that an instance leaves, and sends to it to the end"
    else:
        follows = "instances that start, or have lost their database, get requests all the same"
    yield Contradiction(
        "error" if blind or not (is_live or is_detailed) else "warning",
        "health-path",
        f'health_check.path "{path}" {what}',
        follows,
        ({"health_check.path": HEALTH_PATH},),
    )


def _own(path: str) -> str:
    """The path without the prefix under which health is served as well."""
    return path.removeprefix(API_PREFIX)


def overlap(fleet: Fleet) -> Iterator[Contradiction]:
    """A probe is over before the next one begins."""
    probes = fleet.health_check
    if probes.timeout < probes.interval:
        return
    yield Contradiction(
        "error",
        "health-overlap",
        f"health_check.timeout {probes.timeout:g}s ≥ health_check.interval {probes.interval:g}s",
        "a hanging instance holds more probes with each interval, and when it is found to be ill"
        " depends on which of them ends first",
        (
            {"health_check.timeout": min(USUAL_TIMEOUT, probes.interval / 2)},
            _with_lame_duck(fleet, {"health_check.interval": 2 * probes.timeout}),
        ),
    )


def interval(fleet: Fleet) -> Iterator[Contradiction]:
    """Not so often that a pause of a moment counts as illness."""
    probes = fleet.health_check
    if probes.interval > OFTEN:
        return
    pause = probes.unhealthy * probes.interval
    yield Contradiction(
        "warning",
        "health-interval",
        f"health_check.interval {probes.interval:g}s ≤ {OFTEN:g}s",
        f"a pause of {pause:g} s takes an instance out, and each balancer asks each instance"
        f" {60 / probes.interval:.0f} times a minute",
        (_with_lame_duck(fleet, {"health_check.interval": USUAL_INTERVAL}),),
    )


def slow_timeout(fleet: Fleet) -> Iterator[Contradiction]:
    """Not so patient that illness is found late."""
    probes = fleet.health_check
    if probes.timeout <= SLOW:
        return
    late = probes.timeout - SLOWEST_ANSWER
    yield Contradiction(
        "warning",
        "health-timeout",
        f"health_check.timeout {probes.timeout:g}s > {SLOW:g}s",
        f"the service answers within {SLOWEST_ANSWER:g} s or hangs, so that an instance which hangs"
        f" is found {late:g} s later than it could be, and keeps its share of traffic until then",
        ({"health_check.timeout": USUAL_TIMEOUT},),
    )


def hasty_timeout(fleet: Fleet) -> Iterator[Contradiction]:
    """Long enough for the answer that comes when the database does not."""
    probes = fleet.health_check
    if probes.timeout >= SLOWEST_ANSWER:
        return
    yield Contradiction(
        "warning",
        "health-haste",
        f"health_check.timeout {probes.timeout:g}s < {SLOWEST_ANSWER:g}s, in which the service"
        " answers while its database is slow",
        "a slow database looks like instances that hang",
        ({"health_check.timeout": SLOWEST_ANSWER},),
    )


def _with_lame_duck(fleet: Fleet, changes: Changes) -> Changes:
    """`changes`, and the lame duck that they need where it sufficed before."""
    after = changed(fleet, changes)
    needed = lame_duck_needed(after)
    if lame_duck_needed(fleet) <= fleet.drain.lame_duck < needed:
        return with_grace(fleet, {**changes, "drain.lame_duck": needed})
    return changes


RULES = (replacement, probed_path, overlap, interval, slow_timeout, hasty_timeout)
