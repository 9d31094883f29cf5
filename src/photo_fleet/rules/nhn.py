"""What NHN Cloud cannot do of the spec, or does otherwise than it says.

By its guides: "Auto Scale > Overview" and "Console Guide", "Load Balancer > Console Guide". What
these leave out is said to be unknown.
"""

from collections.abc import Iterator
from math import ceil

from photo_fleet.rules.clouds import no_whole_minutes, of_cloud
from photo_fleet.rules.findings import Contradiction, Rule
from photo_fleet.spec.changes import Changes
from photo_fleet.spec.fleet import Fleet, Policy
from photo_fleet.spec.nhn import FAILED_AFTER, LEAVES_WITHIN

LONGEST_NAME = 20
MOST_RETRIES = 10
"""To which monitors of Neutron's LBaaS count."""
USUAL = {True: 70.0, False: 30.0}
"""Percent of CPU above which a group grows, and below which it shrinks."""


def name(fleet: Fleet) -> Iterator[Contradiction]:
    """A scaling group's name is short."""
    if len(fleet.name) <= LONGEST_NAME:
        return
    shorter = fleet.name[:LONGEST_NAME].rstrip("-")
    yield Contradiction(
        "error",
        "nhn-name",
        f'name "{fleet.name}" has {len(fleet.name)} characters > {LONGEST_NAME}',
        "the console refuses a scaling group of this name",
        ({"name": shorter},),
    )


def metrics(fleet: Fleet) -> Iterator[Contradiction]:
    """Auto Scale has four metrics, of which the spec knows CPU."""
    others = {
        place: rule for place, rule in enumerate(fleet.group.policies) if rule.metric != "cpu"
    }
    if not others:
        return
    to_cpu: dict[str, str | float] = {}
    for place, rule in others.items():
        to_cpu[f"group.policies[{place}].metric"] = "cpu"
        to_cpu[f"group.policies[{place}].threshold"] = USUAL[rule.is_scale_out]
    yield Contradiction(
        "error",
        "nhn-metric",
        ", ".join(f'group.policies[{place}].metric "{others[place].metric}"' for place in others)
        + ": Auto Scale has CPU %, memory %, disk and network traffic alone",
        "this rule cannot be entered, and the group never acts by it",
        (to_cpu,),
    )


def durations(fleet: Fleet) -> Iterator[Contradiction]:
    """Auto Scale samples once a minute."""
    uneven = no_whole_minutes(fleet)
    if not uneven:
        return
    yield Contradiction(
        "error",
        "nhn-duration",
        ", ".join(f"{key} {value:g}s" for key, (value, _) in uneven.items())
        + " is no whole number of minutes, of which a condition's time is one",
        "it cannot be entered, and whoever rounds it changes when the group acts",
        ({key: whole for key, (_, whole) in uneven.items()},),
    )


def one_policy(fleet: Fleet) -> Iterator[Contradiction]:
    """A group has one policy to grow and one to shrink: conditions, one step, one cooldown."""
    for is_out, side in ((True, "adds"), (False, "removes")):
        rules = _on(fleet, is_out)
        own = {(rule.step, rule.cooldown) for _, rule in rules}
        if len(own) < 2:
            continue
        first = rules[0][1]
        same: Changes = {
            key: value
            for place, _ in rules[1:]
            for key, value in (
                (f"group.policies[{place}].step", first.step),
                (f"group.policies[{place}].cooldown", first.cooldown),
            )
        }
        told = ", ".join(
            f"group.policies[{place}] {rule.step:+d} and {rule.cooldown:g}s"
            for place, rule in rules
        )
        yield Contradiction(
            "error",
            "nhn-policies",
            f"{told}: a scaling group has one policy that {side}, with one step and one cooldown",
            "one of them cannot be entered; conditions alone may be several, of which one suffices",
            (same,),
        )


def _on(fleet: Fleet, is_out: bool) -> list[tuple[int, Policy]]:
    pairs = enumerate(fleet.group.policies)
    return [(place, rule) for place, rule in pairs if rule.is_scale_out is is_out]


def probes(fleet: Fleet) -> Iterator[Contradiction]:
    """Health checks have whole seconds, and count to ten."""
    check = fleet.health_check
    whole: Changes = {
        f"health_check.{key}": float(max(1, ceil(value)))
        for key, value in (("interval", check.interval), ("timeout", check.timeout))
        if value % 1
    }
    few: Changes = (
        {"health_check.unhealthy": MOST_RETRIES} if check.unhealthy > MOST_RETRIES else {}
    )
    if not whole and not few:
        return
    yield Contradiction(
        "error",
        "nhn-probes",
        f"health_check.interval {check.interval:g}s, timeout {check.timeout:g}s, unhealthy"
        f" {check.unhealthy}: the load balancer takes whole seconds, and up to {MOST_RETRIES}"
        " retries",
        "it cannot be entered, and whoever rounds it changes when sick instances are found",
        ({**whole, **few},),
    )


def stop(fleet: Fleet) -> Iterator[Contradiction]:
    """The platform waits for the balancer to be told, too."""
    drain, needed = fleet.drain, LEAVES_WITHIN + fleet.drain.grace
    if not fleet.leaves_by_itself or drain.kill_delay >= needed:
        return
    yield Contradiction(
        "error",
        "nhn-stop",
        f"{LEAVES_WITHIN:g}s to leave the load balancer + drain.grace {drain.grace:g}s ="
        f" {needed:g}s > drain.kill_delay {drain.kill_delay:g}s",
        "a machine whose load balancer answers slowly is ended in the middle of its drain",
        ({"drain.kill_delay": needed}, {"drain.removal": "health-only"}),
    )


def member(fleet: Fleet) -> Iterator[Contradiction]:
    """Who leaves by himself has to be told where."""
    nhn = fleet.group.nhn
    lacking = [key for key in ("network", "pool", "user", "project") if not getattr(nhn, key)]
    if not fleet.leaves_by_itself or not lacking:
        return
    yield Contradiction(
        "warning",
        "nhn-member",
        ", ".join(f"group.nhn.{key}" for key in lacking) + " not told",
        "unless each machine sets them, none leaves the load balancer before its end, and up to"
        f" {fleet.health_check.slowest_removal:g} s of its requests go to a machine that is gone",
        (),
    )


def limits(fleet: Fleet) -> list[str]:
    """What no spec can have there, with its consequence; a sentence each."""
    if fleet.group.cloud != "nhn":
        return []
    drain = fleet.drain
    told = f"it needs {LEAVES_WITHIN:g}s + {drain.grace:g}s"
    if not fleet.leaves_by_itself:
        told = f"it needs {drain.grace:g}s"
    return [
        "no lifecycle hook: the guide promises SIGTERM before SIGKILL and says not how long it"
        f" waits between; {told}, and what is cut off there is lost",
        f"no replacement by {fleet.group.replace_on}: an instance is replaced after"
        f" {FAILED_AFTER:g}s without metrics of its machine; a process that hangs on a machine that"
        " is well leaves the load balancer by its health check and stays until somebody ends it",
        f"a machine that tells no metrics for {FAILED_AFTER:g}s while it boots may be replaced for"
        " ever: use an image that boots sooner (`photo-fleet replay --target nhn --boot TIME`)",
        f"no warm-up: group.warm_up {fleet.group.warm_up:g}s counts for nothing, and newcomers"
        " lower the group's average from their first minute; the cooldown stands for it",
        "the oldest instance ends first: its caches are the warmest, so latency rises after each"
        " scale-in; nothing else is lost",
        "no successes in a row bring an instance in, no slow start: health_check.healthy"
        f" {fleet.health_check.healthy} counts for nothing",
        "each change of a member has the load balancer start anew: for under a second it takes no"
        " new connection, with each instance that comes or goes",
        "no API of Auto Scale: nothing tells when its values differ from the spec; compare them"
        " with nhn/console.md after each change",
    ]


RULES: tuple[Rule, ...] = of_cloud(
    "nhn", name, metrics, durations, one_policy, probes, stop, member
)
