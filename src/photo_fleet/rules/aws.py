"""What AWS cannot do of the spec, or does otherwise than it says.

Ranges are those of the API references of Elastic Load Balancing (2015-12-01), EC2 Auto Scaling
(2011-01-01), CloudWatch (2010-08-01) and WAF (2019-07-29).
"""

from collections.abc import Iterator
from dataclasses import fields
from math import ceil
from typing import Final

from photo_fleet.render.aws.firewall import LEAST, WINDOWS, limit_of
from photo_fleet.render.aws.numbers import PERIOD
from photo_fleet.rules.clouds import no_whole_minutes, of_cloud
from photo_fleet.rules.findings import Contradiction, Rule
from photo_fleet.spec.fleet import Fleet

HEALTH_CHECK: Final = {
    "interval": (5, 300),
    "timeout": (2, 120),
    "healthy": (2, 10),
    "unhealthy": (2, 10),
}
HOOK: Final = (30, 7200)
SECONDS: Final = ("interval", "timeout")

USUAL_OUT, USUAL_IN = 70.0, 30.0
"""Percent of CPU, as the spec's own defaults have it."""


def health_check(fleet: Fleet) -> Iterator[Contradiction]:
    """A target group's numbers have ranges, and are whole."""
    told: list[str] = []
    way: dict[str, float] = {}
    for name, (least, most) in HEALTH_CHECK.items():
        value = getattr(fleet.health_check, name)
        if least <= value <= most and not value % 1:
            continue
        unit = "s" if name in SECONDS else ""
        told.append(
            f"health_check.{name} {value:g}{unit} is not a whole number from {least} to {most}"
        )
        nearest = min(max(ceil(value), least), most)
        way[f"health_check.{name}"] = float(nearest) if unit else nearest
    if told:
        yield Contradiction(
            "error",
            "aws-health-check",
            "; ".join(told),
            "AWS refuses the target group, and the stack is not made",
            (way,),
        )


def hook(fleet: Fleet) -> Iterator[Contradiction]:
    """The hook that waits for a drain waits for half a minute at the least."""
    delay, least = fleet.drain.kill_delay, HOOK[0]
    if delay >= least:
        return
    yield Contradiction(
        "error",
        "aws-hook",
        f"drain.kill_delay {delay:g}s < {least}s, the shortest heartbeat timeout of a hook",
        "AWS refuses the group, and the stack is not made",
        ({"drain.kill_delay": float(least)},),
    )


def idle_timeout(fleet: Fleet) -> Iterator[Contradiction]:
    """The balancer has one timeout for idle connections and for instances that are silent."""
    keep_alive, longest = fleet.balancer.keep_alive, fleet.service.longest_request
    if keep_alive >= longest:
        return
    enough = float(ceil(longest))
    yield Contradiction(
        "error",
        "aws-idle-timeout",
        f"balancer.keep_alive {keep_alive:g}s < service.longest_request {longest:g}s: it is how"
        " long the balancer waits for an answer, too",
        f"after {keep_alive:g} s the client gets 504 for a request that the service goes on to do",
        (
            {"balancer.keep_alive": enough},
            {"balancer.keep_alive": enough, "service.keep_alive": enough + 15},
            {"service.longest_request": keep_alive},
        ),
    )


def metrics(fleet: Fleet) -> Iterator[Contradiction]:
    """CloudWatch knows what machines and balancers do, and nothing of what an instance counts."""
    told: list[str] = []
    way: dict[str, str | float] = {}
    for place, policy in enumerate(fleet.group.policies):
        if policy.metric == "cpu":
            continue
        key = f"group.policies[{place}]"
        told.append(f'{key}.metric is "{policy.metric}"')
        way[f"{key}.metric"] = "cpu"
        way[f"{key}.threshold"] = USUAL_OUT if policy.is_scale_out else USUAL_IN
    if told:
        yield Contradiction(
            "error",
            "aws-metric",
            f"{', '.join(told)}; of an instance CloudWatch has the CPU alone, as long as nobody"
            " publishes more",
            "the template leaves the rule out, and the group does not act on it",
            (way,),
        )


def alarm_period(fleet: Fleet) -> Iterator[Contradiction]:
    """An alarm counts minutes."""
    uneven = no_whole_minutes(fleet)
    if uneven:
        told = (
            f"{key} {value:g}s is no multiple of {PERIOD}s" for key, (value, _) in uneven.items()
        )
        yield Contradiction(
            "error",
            "aws-alarm",
            f"{', '.join(told)}, in which CloudWatch has its values",
            "the alarm waits for longer than the rule says",
            ({key: whole for key, (_, whole) in uneven.items()},),
        )


def rates(fleet: Fleet) -> Iterator[Contradiction]:
    """WAF counts over minutes, and takes no lower limit than 10."""
    window = WINDOWS[-1]
    for item in fields(fleet.balancer.rate_limits):
        rate = getattr(fleet.balancer.rate_limits, item.name)
        if item.name == "cdn" or limit_of(rate):
            continue
        key = f"balancer.rate_limits.{item.name}"
        allowed = rate.rate * window + rate.burst
        yield Contradiction(
            "warning",
            "aws-rate",
            f"{key}.rate {rate.rate:g}/s × {window}s + burst {rate.burst} = {allowed:.4g}"
            f" < {LEAST}, WAF's lowest limit in its longest window",
            f"an address gets {LEAST} such requests in {window // 60} minutes, more than the spec"
            " says",
            ({f"{key}.burst": LEAST},),
        )


def hops(fleet: Fleet) -> Iterator[Contradiction]:
    """WAF counts who connects, and nobody else can be believed: it goes by the first address of
    X-Forwarded-For, which any client chooses."""
    networks = fleet.balancer.trusted_hops
    if not networks:
        return
    yield Contradiction(
        "warning",
        "aws-trusted-hops",
        f"balancer.trusted_hops {', '.join(networks)}: an Application Load Balancer has no such"
        " thing",
        "all who come by a hop share its address: their rates are one, and the log names the hop",
        ({"balancer.trusted_hops": ()},),
    )


def uploads(fleet: Fleet) -> Iterator[Contradiction]:
    """An Application Load Balancer passes on bytes as they come."""
    if not fleet.balancer.buffer_uploads:
        return
    wait = fleet.drain.in_flight_wait
    yield Contradiction(
        "warning",
        "aws-buffering",
        "balancer.buffer_uploads is true, and an Application Load Balancer holds nothing back",
        f"an upload by form that takes longer than {wait:g} s is cut when its instance leaves;"
        " uploads to the store itself, by signed URLs, are not",
        ({"balancer.buffer_uploads": False},),
    )


def store(fleet: Fleet) -> Iterator[Contradiction]:
    """The template's balancer has instances behind it and nothing else."""
    address = fleet.balancer.store
    if not address:
        return
    yield Contradiction(
        "error",
        "aws-store",
        f'balancer.store "{address}": the template\'s balancer does not pass a store through',
        "signed URLs lead to the balancer, which answers 404 to every upload and image",
        ({"balancer.store": "", "service.store": fleet.service.store or address},),
    )


RULES: tuple[Rule, ...] = of_cloud(
    "aws",
    *(health_check, hook, idle_timeout, metrics, alarm_period),
    *(rates, hops, uploads, store),
)
