"""Whether the group fits its bounds, its database and its own thresholds."""

from collections.abc import Iterator
from math import ceil, floor

from photo_base.capacity import DEPLOYED, ROUND, beside_workers
from photo_fleet.rules.findings import Contradiction
from photo_fleet.spec.changes import Changes
from photo_fleet.spec.fleet import Fleet, Group, Policy, Service

FULL = 100.0
"""Percent of CPU that one instance can bear."""


def bounds(fleet: Fleet) -> Iterator[Contradiction]:
    """min ≤ desired ≤ max."""
    group = fleet.group
    if group.min <= group.desired <= group.max:
        return
    top = max(group.min, group.max)
    desired = min(max(group.desired, group.min), top)
    wanted = {"group.max": (group.max, top), "group.desired": (group.desired, desired)}
    yield Contradiction(
        "error",
        "group-bounds",
        f"group.min {group.min} ≤ group.desired {group.desired} ≤ group.max {group.max} is not"
        " true",
        "the group cannot have as many instances as it wants",
        (
            {key: new for key, (old, new) in wanted.items() if old != new},
            {"group.max": max(group.min, group.desired, group.max)},
            {"group.min": min(group.min, group.desired)},
        ),
    )


def connections_of(service: Service) -> int:
    """Database connections of one instance, as the service itself counts them at its start."""
    return service.workers * service.pool + beside_workers(service.job_concurrency)


def connections(fleet: Fleet) -> Iterator[Contradiction]:
    """The grown group fits into the database, also during a deploy. Behind a transaction pooler its
    limits count, which the spec does not know."""
    service, group, database = fleet.service, fleet.group, fleet.database
    each = connections_of(service)
    most = group.max + DEPLOYED
    needed = most * each + database.reserved
    if database.pooler == "transaction" or needed <= database.max_connections:
        return
    usable = max(0, database.max_connections - database.reserved)
    beside = beside_workers(service.job_concurrency)
    yield Contradiction(
        "error",
        "connections",
        f"(group.max {group.max} + {DEPLOYED} in a deploy) ×"
        f" (service.workers {service.workers} × service.pool {service.pool}"
        f" + {beside}) + database.reserved {database.reserved} = {needed}"
        f" > database.max_connections {database.max_connections}",
        f"the database has room for {usable // each} instances: those beyond it find no connection"
        " and never become ready, just when the load is highest or a deploy begins",
        (
            {"service.pool": (usable // most - beside) // service.workers},
            {"database.max_connections": ceil(needed / ROUND) * ROUND},
            {"database.pooler": "transaction"},
        ),
    )


def flapping(fleet: Fleet) -> Iterator[Contradiction]:
    """After a step the opposite rule must not hold at once."""
    group = fleet.group
    if group.min == group.max:  # no step is possible
        return
    told: list[str] = []
    lower: dict[str, float] = {}
    higher: dict[str, float] = {}
    for place, rule in enumerate(group.policies):
        for other, opposite in enumerate(group.policies):
            if rule.is_scale_out or not opposite.is_scale_out or rule.metric != opposite.metric:
                continue
            before, after = _worst_step(group, rule, opposite)
            if rule.threshold * before < opposite.threshold * after:
                continue
            told.append(_flap(rule, opposite, before, after))
            key = f"group.policies[{place}].threshold"
            limit = _below(opposite.threshold * after / before)
            lower[key] = min(lower.get(key, limit), limit)
            key = f"group.policies[{other}].threshold"
            limit = floor(rule.threshold * before / after) + 1
            higher[key] = max(higher.get(key, limit), limit)
    if told:
        yield Contradiction(
            "error",
            "flapping",
            "; ".join(told),
            "the group removes an instance and adds it again in turn, and each time drains one and"
            " warms up another, without any change of the load",
            (lower, higher),
        )


def _worst_step(group: Group, rule: Policy, opposite: Policy) -> tuple[int, int]:
    """From how many instances to how many the load of each grows most, of all steps that either
    rule can make between the bounds; a job's age in the queue is not shared by instances."""
    if rule.metric == "queue_age":
        return 1, 1
    down = [(n, max(n + rule.step, group.min)) for n in range(group.min + 1, group.max + 1)]
    up = [(min(n + opposite.step, group.max), n) for n in range(group.min, group.max)]
    return max(down + up, key=lambda step: step[0] / step[1], default=(1, 1))


def _flap(rule: Policy, opposite: Policy, before: int, after: int) -> str:
    shared = f" × {before} / {after}" if before != after else ""
    load = rule.threshold * before / after
    return (
        f"{rule.metric} {rule.threshold:g}{shared} = {load:.4g} ≥ {opposite.threshold:g}, the"
        f" scale-out threshold, with {after} instances instead of {before}"
    )


def _below(limit: float) -> float:
    """The largest round number that is less."""
    return ceil(limit) - 1 if limit > 1 else limit * 0.9


def n_plus_one(fleet: Fleet) -> Iterator[Contradiction]:
    """The smallest group bears the loss of one at the load at which it would have grown."""
    group = fleet.group
    rules = {
        f"group.policies[{place}].threshold": rule.threshold
        for place, rule in enumerate(group.policies)
        if rule.metric == "cpu" and rule.is_scale_out
    }
    if not rules:
        return
    threshold, left = min(rules.values()), group.min - 1
    if left and threshold * group.min <= FULL * left:
        return
    each = threshold * group.min / left if left else 0
    bearable = floor(FULL * left / group.min)
    yield Contradiction(
        "warning",
        "n-plus-one",
        f"cpu {threshold:g} % × group.min {group.min} = {threshold * group.min:g} %, and"
        f" {left} × {FULL:g} % are left without one",
        f"when one of {group.min} is lost at the scale-out threshold, the rest must bear"
        f" {each:.0f} % each until another is warm"
        if left
        else "when the only instance is lost, nobody answers until another is warm",
        (
            {key: bearable for key, value in rules.items() if value == threshold},
            _larger(group, threshold),
        ),
    )


def _larger(group: Group, threshold: float) -> Changes:
    """The least bounds with which the loss of one is bearable."""
    if threshold >= FULL:
        return {}
    least = max(2, ceil(FULL / (FULL - threshold)))
    changes = {"group.min": least}
    if group.desired < least:
        changes["group.desired"] = least
    if group.max < least:
        changes["group.max"] = least
    return changes


def cooldown(fleet: Fleet) -> Iterator[Contradiction]:
    """A step's effect is seen before the next one."""
    warm_up = fleet.group.warm_up
    hasty = {
        f"group.policies[{place}].cooldown": rule.cooldown
        for place, rule in enumerate(fleet.group.policies)
        if rule.is_scale_out and rule.cooldown < warm_up
    }
    if not hasty:
        return
    yield Contradiction(
        "warning",
        "cooldown",
        ", ".join(f"{key} {value:g}s" for key, value in hasty.items())
        + f" < group.warm_up {warm_up:g}s",
        "the group adds more before the newcomers bear any load, and grows further than it must",
        (dict.fromkeys(hasty, warm_up), {"group.warm_up": min(hasty.values())}),
    )


RULES = (bounds, connections, flapping, n_plus_one, cooldown)
