"""How the group grew and shrank, why, and how soon that helped. Pure."""

from dataclasses import dataclass
from itertools import pairwise

from photo_fleet.dashboard.readings import Values
from photo_fleet.dashboard.units import told
from photo_fleet.group.policy import UNITS
from photo_fleet.report.boots import Step, sizes, steps
from photo_fleet.report.coverage import age_told, registry_gaps
from photo_fleet.report.history import History, Missing, Reaction
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot
from photo_fleet.spec.fleet import Group, Policy

MACHINE_BOOT = 300.0
"""Seconds that a new machine takes until the service on it is started."""
LATE = 60.0
"""Seconds by which what is measured every few seconds may be late."""
STEADY = 1.5
"""Of a rule's own time: how soon after the opposite step it acts if the group swings."""


@dataclass(frozen=True, slots=True)
class Grown:
    """One step up. Seconds; None is what could not be told, or has no cause in any rule. `crossed`
    is from the load's crossing of the threshold of `rule` to the start, `ready` from there to the
    last newcomer's readiness, `served` from there to the last one's first 2xx of the API.
    `unseen` says what is missing."""

    step: Step
    rule: Policy | None
    crossed: float | None
    ready: float | None
    served: float | None
    unseen: str = ""


def cores_of(history: History) -> float:
    """Processors of an instance's machine. Raises Missing where nobody tells."""
    if history.wanted.cores is not None:
        return history.wanted.cores
    names = [one.instance for one in history.registry.boots]
    if names and all(name.startswith("127.") for name in names):
        return history.spec.group.local.cores_per_instance
    raise Missing("nobody tells how many processors an instance's machine has (--cores)")


def scaling(history: History) -> Judgement:
    """Each step; those that grew with what load did before, and how soon the newcomers served."""
    registry, gaps = history.registry, registry_gaps(history)
    found = steps(registry.boots, history.start, history.end)
    around = {one.step.at: one for one in history.reactions}
    grown = [_grown(step, around.get(step.at), history) for step in found if step.change > 0]
    faults = [fault for one in grown for fault in _slow(one, found, history.spec.group)]
    looked = [one for one in grown if one.step.at in around]
    gaps += list(dict.fromkeys(one.unseen for one in looked if one.unseen))
    if len(looked) < len(grown):
        gaps += [] if looked else ["Prometheus told nothing of the minutes around"]
    causes = {one.step.at: _cause(one) for one in grown}
    rows = [
        (
            told(history.end - step.at, "s"),
            f"{step.change:+d}",
            causes.get(step.at, step.cause or "not known"),
            *_times(next((one for one in grown if one.step is step), None)),
        )
        for step in found
    ]
    changes = sizes(registry.boots, history.start, history.end)
    ups = sum(step.change > 0 for step in found)
    answer = f"steps: {ups} up, {len(found) - ups} down" if found else "the size did not change"
    if len(looked) < ups:
        answer += f"; the latest {len(looked)} of those up looked at"
    headings = ("before the end", "by", "cause", "load to start", "start to ready", "to first 2xx")
    plot = Plot("Instances that serve", "short", (Curve("instances", _stairs(changes, history)),))
    tables = (table(headings, rows),) if rows else ()
    return Judgement(answer + age_told(history), faults, gaps, tables, (plot,))


def _grown(step: Step, around: Reaction | None, history: History) -> Grown:
    waits = [one.ready - (one.started or step.at) for one in step.boots if one.ready is not None]
    ready = max(waits) if len(waits) == len(step.boots) else None
    if around is None:
        return Grown(step, None, None, ready, None)
    try:
        rule, crossed = _crossing(around, history)
        served = _first_answer(around)
    except Missing as missing:
        return Grown(step, None, None, ready, None, str(missing))
    return Grown(step, rule, crossed, ready, served)


def _crossing(around: Reaction, history: History) -> tuple[Policy | None, float | None]:
    """The rule whose threshold the load had crossed for the longest time, and for how long."""
    found: list[tuple[float, Policy]] = []
    for rule in history.spec.group.policies:
        if not rule.is_scale_out:
            continue
        values = around.measured.points(rule.metric, "").get("", ())
        if not values:
            raise Missing(f"Prometheus has no {rule.metric} of the minutes before a step")
        if rule.metric == "cpu":
            cores = cores_of(history)
            values = tuple((at, 100 * value / cores) for at, value in values)
        since = _beyond_since(values, rule.threshold, around.step.at)
        if since is not None:
            found.append((around.step.at - since, rule))
    longest = max(found, key=lambda pair: pair[0], default=None)
    return (None, None) if longest is None else (longest[1], longest[0])


def _beyond_since(values: Values, threshold: float, at: float) -> float | None:
    """When the load went beyond it, and stayed there until a start at `at`."""
    before = [pair for pair in values if pair[0] <= at]
    # Its last moments may lack the load that the newcomer's machine has taken already.
    while before and before[-1][1] <= threshold and at - before[-1][0] < LATE:
        before.pop()
    since = None
    for moment, value in reversed(before):
        if value <= threshold:
            break
        since = moment
    return since


def _first_answer(around: Reaction) -> float | None:
    """Seconds from the start to the first 2xx of the last newcomer that had one; a newcomer without
    any is None."""
    names = {boot: name for name, boot in around.measured.by("who", "instance", "boot_id")}
    answered = around.measured.points("answered")
    found = []
    for boot in around.step.boots:
        values = answered.get(names.get(boot.boot_id, ""), ())
        first = [at for at, value in values if value > 0 and at >= (boot.started or 0.0)]
        if not first:
            return None
        found.append(first[0] - (boot.started or around.step.at))
    return max(found)


def _slow(one: Grown, found: list[Step], group: Group) -> list[str]:
    faults = []
    if one.rule is not None and one.crossed is not None:
        before = [step.at for step in found if step.at < one.step.at]
        rests = bool(before) and one.step.at - before[-1] < one.rule.cooldown + one.crossed
        limit = one.rule.duration + (one.rule.cooldown if rests else 0.0) + MACHINE_BOOT
        if one.crossed > limit:
            faults.append(
                f"{told(one.crossed, 's')} from {one.rule.metric} above {one.rule.threshold:g} to"
                f" the start, of {told(limit, 's')}"
            )
    limit = group.warm_up + LATE
    if one.ready is not None and one.ready > limit:
        faults.append(f"{told(one.ready, 's')} from start to ready, of {told(limit, 's')}")
    if any(boot.ready is None and boot.ended is not None for boot in one.step.boots):
        faults.append("a newcomer never was ready")
    return faults


def _cause(one: Grown) -> str:
    if one.rule is not None and one.crossed is not None:
        unit = UNITS[one.rule.metric]
        return f"{one.rule.metric} above {one.rule.threshold:g}{unit} for {told(one.crossed, 's')}"
    return one.unseen or "no rule's threshold was crossed: by hand, or by the cloud"


def _times(one: Grown | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", ""
    known = (one.crossed, one.ready, one.served)
    crossed, ready, served = ("–" if value is None else told(value, "s") for value in known)
    return crossed, ready, served


def _stairs(changes: list[tuple[float, int]], history: History) -> Values:
    """A size holds until the next one begins."""
    found: list[tuple[float, float]] = []
    for at, size in changes:
        if found:
            found.append((at, found[-1][1]))
        found.append((at, float(size)))
    return (*found, (history.end, found[-1][1]))


def oscillation(history: History) -> Judgement:
    """Steps that take back the one before as soon as their rule allows it."""
    gaps = registry_gaps(history)
    found = steps(history.registry.boots, history.start, history.end)
    limits = {sign: _soon(history.spec.group, sign) for sign in (1, -1)}
    chain, longest, reversals, rows = 0, 0, 0, []
    for before, after in pairwise(found):
        sign = 1 if after.change > 0 else -1
        back = before.change * after.change < 0 and after.at - before.at <= limits[sign]
        chain = chain + 1 if back else 0
        longest, reversals = max(longest, chain), reversals + back
        if back:
            ago = told(history.end - after.at, "s")
            rows.append((ago, f"{after.change:+d}", told(after.at - before.at, "s")))
    faults = []
    if longest >= 2:
        faults = [f"{reversals} steps took back the one before, {longest} of them in a row"]
    answer = (
        f"{reversals} of {len(found)} steps within {told(limits[1], 's')} (up) or"
        f" {told(limits[-1], 's')} (down) after the opposite one; longest chain {longest}"
    )
    shown = table(("before the end", "by", "after the opposite step"), rows)
    return Judgement(answer, faults, gaps, (shown,) if rows else ())


def _soon(group: Group, sign: int) -> float:
    times = [max(one.cooldown, one.duration) for one in group.policies if one.step * sign > 0]
    return STEADY * max(times, default=0.0)


SCALING = Item(
    "scaling",
    "What did the group do, and how fast?",
    "compare the times with the policy's duration and the group's warm_up; a machine image that"
    " brings everything starts sooner",
    "photo-fleet check --strict",
    scaling,
)
OSCILLATION = Item(
    "oscillation",
    "Does the group swing?",
    "lower the threshold for removing, or give it a longer cooldown",
    "photo-fleet check --strict",
    oscillation,
)
