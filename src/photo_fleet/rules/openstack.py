"""What OpenStack cannot do of the spec, or does otherwise than it says."""

from collections.abc import Iterator
from math import ceil

from photo_fleet.render.openstack.alarms import PERIOD
from photo_fleet.render.openstack.balancer import MOST_RETRIES, whole_seconds
from photo_fleet.render.openstack.group import growing, pause
from photo_fleet.rules.clouds import no_whole_minutes, of_cloud
from photo_fleet.rules.findings import Contradiction, Rule
from photo_fleet.spec.fleet import Fleet

SHUTDOWN = 60.0
"""Seconds that Nova waits for a server that it stops: its `shutdown_timeout`, where the image has
no `os_shutdown_timeout`."""

STACK_TIMEOUT = 3600
"""Seconds that an update of a stack may take: Heat's `stack_action_timeout`."""

MOST_RESOURCES = 1000
"""Resources of a stack and of all below it: Heat's `max_resources_per_stack`."""
OF_AN_INSTANCE, OF_THE_STACK = 4, 30
"""The instance itself, its server, wait and member; and, generously, what the group stands on."""


def whole_numbers(fleet: Fleet) -> Iterator[Contradiction]:
    """Octavia's monitors know whole seconds."""
    probes = fleet.health_check
    delay, timeout = whole_seconds(probes)
    if (delay, timeout) == (probes.interval, probes.timeout):
        return
    numbers = (
        f"health_check.interval {probes.interval:g}s, health_check.timeout {probes.timeout:g}s:"
        f" Octavia takes whole seconds, so {delay}s and {timeout}s"
    )
    if timeout >= delay:
        yield Contradiction(
            "error",
            "openstack-probes",
            f"{numbers}, and wants the timeout below the interval",
            "Octavia refuses the monitor, and the stack is not created",
            (
                {
                    "health_check.interval": float(timeout + 1),
                    "health_check.timeout": float(timeout),
                },
            ),
        )
        return
    yield Contradiction(
        "warning",
        "openstack-probes",
        numbers,
        f"a sick instance is found after {probes.unhealthy * delay + timeout} s instead of"
        f" {probes.slowest_removal:g} s, and other rules here count with the latter",
        ({"health_check.interval": float(delay), "health_check.timeout": float(timeout)},),
    )


def retries(fleet: Fleet) -> Iterator[Contradiction]:
    """A monitor counts to ten."""
    probes = fleet.health_check
    many = {
        f"health_check.{name}": value
        for name, value in (("healthy", probes.healthy), ("unhealthy", probes.unhealthy))
        if value > MOST_RETRIES
    }
    if not many:
        return
    yield Contradiction(
        "error",
        "openstack-retries",
        ", ".join(f"{key} {value}" for key, value in many.items())
        + f" > {MOST_RETRIES}, the most that Octavia's monitors count to",
        f"the template says {MOST_RETRIES}, and instances come and go sooner than the spec says",
        (dict.fromkeys(many, MOST_RETRIES),),
    )


def shutdown(fleet: Fleet) -> Iterator[Contradiction]:
    """Nova's patience is the image's, and 60 s where that says nothing."""
    grace = fleet.drain.grace
    if grace <= SHUTDOWN:
        return
    yield Contradiction(
        "warning",
        "openstack-shutdown",
        f"drain.grace {grace:g}s > {SHUTDOWN:g}s, Nova's shutdown_timeout for images without"
        " os_shutdown_timeout",
        f"Nova kills a server {grace - SHUTDOWN:g} s before its drain has to be over, unless the"
        f" image has os_shutdown_timeout={ceil(fleet.drain.kill_delay)}",
        ({"drain.grace": SHUTDOWN},),
    )


def metrics(fleet: Fleet) -> Iterator[Contradiction]:
    """Gnocchi knows of a server's CPU alone."""
    others = [
        f'group.policies[{place}].metric "{rule.metric}"'
        for place, rule in enumerate(fleet.group.policies)
        if rule.metric != "cpu"
    ]
    if not others:
        return
    yield Contradiction(
        "warning",
        "openstack-metric",
        f"{', '.join(others)}: told to Prometheus alone, of the stack's sources of alarms",
        "with alarms=gnocchi these rules have no alarm, and with alarms=prometheus none fires where"
        " the cloud's Aodh asks no Prometheus that scrapes these instances: ask its operators",
        (),
    )


def durations(fleet: Fleet) -> Iterator[Contradiction]:
    """Alarms look once a minute."""
    uneven = no_whole_minutes(fleet)
    if not uneven:
        return
    yield Contradiction(
        "warning",
        "openstack-duration",
        ", ".join(f"{key} {value:g}s" for key, (value, _) in uneven.items())
        + f": alarms look every {PERIOD} s, so "
        + ", ".join(f"{whole:g}s" for _, whole in uneven.values()),
        "the group changes up to a minute later than the spec says",
        ({key: whole for key, (_, whole) in uneven.items()},),
    )


def cooldowns(fleet: Fleet) -> Iterator[Contradiction]:
    """Heat's group has one clock for all of its policies."""
    rests = {rule.cooldown for rule in growing(fleet)}
    if len(rests) < 2:
        return
    shortest, longest = min(rests), max(rests)
    keys = [
        f"group.policies[{place}].cooldown"
        for place, rule in enumerate(fleet.group.policies)
        if rule.is_scale_out
    ]
    yield Contradiction(
        "warning",
        "openstack-cooldown",
        f"rules that add rest for {shortest:g}s and {longest:g}s: Heat's group has one clock, which"
        " the rule that acted sets",
        f"after a step of the one that rests longest, the other waits {longest - shortest:g} s more"
        " than it says, and after its own the former acts that much sooner",
        (dict.fromkeys(keys, shortest), dict.fromkeys(keys, longest)),
    )


def renewal(fleet: Fleet) -> Iterator[Contradiction]:
    """A rolling update of the grown group ends within the update of its stack."""
    between, pauses = pause(fleet), fleet.group.max - 1
    if between * pauses < STACK_TIMEOUT:
        return
    shorter = (STACK_TIMEOUT - 1) // pauses - between
    yield Contradiction(
        "warning",
        "openstack-renewal",
        f"{between} s between two instances of a rolling update (boot, health_check.healthy ×"
        f" interval, group.warm_up) × (group.max {fleet.group.max} - 1) = {between * pauses} s ≥"
        f" {STACK_TIMEOUT} s, Heat's stack_action_timeout",
        "Heat refuses to renew the grown group: give each update --timeout"
        f" {ceil(between * pauses / 60) + 60} (minutes)",
        ({"group.warm_up": fleet.group.warm_up + shorter},),
    )


def resources(fleet: Fleet) -> Iterator[Contradiction]:
    """A stack has room for the whole group."""
    needed = OF_THE_STACK + OF_AN_INSTANCE * fleet.group.max
    if needed <= MOST_RESOURCES:
        return
    yield Contradiction(
        "warning",
        "openstack-resources",
        f"group.max {fleet.group.max} × {OF_AN_INSTANCE} resources each + {OF_THE_STACK} ="
        f" {needed} > {MOST_RESOURCES}, Heat's max_resources_per_stack",
        "the group stops growing before its max, and its stack fails, unless the cloud's operators"
        " have raised that",
        ({"group.max": (MOST_RESOURCES - OF_THE_STACK) // OF_AN_INSTANCE},),
    )


def name(fleet: Fleet) -> Iterator[Contradiction]:
    """A stack's name begins with a letter."""
    if fleet.name[0].isalpha():
        return
    yield Contradiction(
        "error",
        "openstack-name",
        f'name "{fleet.name}" begins with a digit: stacks of Heat begin with a letter',
        "the stack is not created",
        ({"name": f"photos-{fleet.name}"[:63]},),
    )


RULES: tuple[Rule, ...] = of_cloud(
    "openstack",
    *(whole_numbers, retries, shutdown, metrics, durations, cooldowns),
    *(renewal, resources, name),
)
