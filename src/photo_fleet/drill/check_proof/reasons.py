"""Which findings of `photo-fleet check` a drill can show, and why it cannot show the others."""

from collections.abc import Callable, Mapping

from photo_fleet.group.local import KILL_MARGIN
from photo_fleet.rules.checks import contradictions
from photo_fleet.rules.findings import Contradiction
from photo_fleet.rules.stopping import service_budget
from photo_fleet.spec.fleet import Fleet

AT_ONCE = 1.0
"""Seconds of lame duck from which on a balancer that is told, and is well, has acted."""

ANSWERING = 1.0
"""Seconds of a longest request of the drill that are not the store's."""


ENOUGH = 2.0
"""Seconds for which requests must have come that are under way at the wrong moment."""


def _longest(fleet: Fleet) -> float:
    """Seconds for which requests are under way after the instance has left the members."""
    return fleet.service.longest_request - ANSWERING - ENOUGH


def _kill_delay(fleet: Fleet) -> bool:
    return _longest(fleet) >= fleet.drain.kill_delay + KILL_MARGIN


def _in_flight_wait(fleet: Fleet) -> bool:
    drain = fleet.drain
    serves_on = AT_ONCE if _is_told(fleet) else drain.lame_duck
    return _longest(fleet) >= serves_on + drain.in_flight_wait


def _is_told(fleet: Fleet) -> bool:
    """Whether a lame duck ends as soon as balancers have let go."""
    return fleet.drain.removal == "deregister-first"


def _lame_duck(fleet: Fleet) -> bool:
    """Where probes alone tell, they may be early: by half the time they surely are not."""
    slow = fleet.health_check.slowest_removal / 2
    return fleet.drain.lame_duck < (AT_ONCE if _is_told(fleet) else slow)


SHOWN: Mapping[str, Callable[[Fleet], bool]] = {
    "lame-duck": _lame_duck,
    "stop-budget": lambda fleet: service_budget(fleet.drain) > fleet.drain.grace,
    "kill-delay": _kill_delay,
    "read-timeout": _in_flight_wait,
    "longest-request": lambda _: True,
    "upload-limit": lambda _: True,
    "upload-buffering": _is_told,
    "health-path": lambda _: True,
}
"""By code; whether this spec has the finding for a reason that scaling in, deploying and the load
show. A request takes no longer than the spec says that it may."""

TIMELY = "it is about how soon illness is found, and here nobody is ill"
OUTAGE = "it takes an outage of the database, which refuses requests by itself"
IMAGES = "no image comes from a CDN while instances change"
METRICS = "it is about metrics and log lines, and costs no request"
STORE = "the stage has a store of its own"
CLOUD = "the group of a stage is that of this machine"
SIZE = "the size changes only when the drill says so"

NOT_SHOWN: Mapping[str, str] = {
    "keep-alive": "it is a race of less than a millisecond, which some seconds hardly ever meet",
    "connect-timeout": "it takes a machine that vanishes (scenario vanish-instance)",
    "membership-reload": "nginx of a stage has its members by Lua",
    "tls-pair": "a stage speaks plain HTTP",
    "replace-on": OUTAGE,
    "health-overlap": TIMELY,
    "health-interval": TIMELY,
    "health-timeout": TIMELY,
    "health-haste": TIMELY,
    "group-bounds": SIZE,
    "flapping": SIZE,
    "cooldown": SIZE,
    "n-plus-one": "it takes the load at which the group would have grown",
    "connections": "one database with room for all serves every spec",
    **dict.fromkeys(
        (
            *("cdn-address", "cdn-digest", "cdn-itself", "cdn-tls"),
            *("edge-absent", "edge-address", "edge-balancer", "edge-disk"),
            *("edge-reload", "edge-slice", "edge-store", "edge-unused"),
        ),
        IMAGES,
    ),
    **dict.fromkeys(
        (
            *("nhn-name", "nhn-metric", "nhn-duration", "nhn-policies"),
            *("nhn-probes", "nhn-stop", "nhn-member"),
            *("aws-health-check", "aws-hook", "aws-idle-timeout"),
            *("aws-metric", "aws-alarm", "aws-rate", "aws-trusted-hops"),
            *("aws-buffering", "aws-store", "group-cloud"),
            *("openstack-cooldown", "openstack-duration", "openstack-metric", "openstack-name"),
            *("openstack-probes", "openstack-renewal", "openstack-resources"),
            *("openstack-retries", "openstack-shutdown"),
        ),
        CLOUD,
    ),
    **dict.fromkeys(
        ("swift-passed-through", "swift-credentials", "swift-containers", "store-unused"), STORE
    ),
    **dict.fromkeys(
        (
            *("metrics-path", "metrics-interval", "metrics-discovery", "metrics-gaps"),
            *("push-address", "logs-address", "logs-file", "plain-secret", "unused", "log-flush"),
        ),
        METRICS,
    ),
}
"""The other codes, and why."""

PARTLY = {
    "lame-duck": f"from {AT_ONCE:g} s on it is for a notification that is lost, and for a retry;"
    " with health-only its margin is for clocks and networks that a stage has not",
    "stop-budget": "by service.longest_request alone it comes with read-timeout",
    "read-timeout": "of the balancer's timeouts alone it is about requests that take longer than"
    " service.longest_request says; and that must be more than the wait by 4 s",
    "kill-delay": "where requests in flight have ended by then",
    "upload-buffering": "with health-only uploads would have to outlast the lame duck too",
}
"""Codes of `SHOWN`, and for what they cannot be shown."""


def refusals(fleet: Fleet) -> list[Contradiction]:
    """What `photo-fleet check` has against it, without the warnings that cost no request here."""
    return [item for item in contradictions(fleet) if item.level == "error" or item.code in SHOWN]


def shown_by(fleet: Fleet) -> list[str]:
    """Codes of these, of those that the drill can show."""
    return [item.code for item in refusals(fleet) if item.code in SHOWN and SHOWN[item.code](fleet)]
