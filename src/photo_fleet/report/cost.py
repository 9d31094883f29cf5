"""What instances cost, and how much of that was needed. Pure."""

import math

from photo_fleet.dashboard.units import told
from photo_fleet.report.boots import instance_seconds
from photo_fleet.report.coverage import age_told, presence, prometheus_gaps, registry_gaps
from photo_fleet.report.history import History
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot
from photo_fleet.report.scaling import cores_of
from photo_fleet.rules.sizing import FULL

HOUR = 3600.0
NEEDLESS = 0.4
"""The share of instance-hours beyond need from which something is to be saved: a group that grows
and shrinks by steps has always some."""
SPARE = 1
"""Instances more than the load needs, of which one may be lost."""


def cost(history: History) -> Judgement:
    """Hours that instances existed for, by the registry, at the price that somebody told."""
    wanted, gaps = history.wanted, registry_gaps(history)
    boots = history.registry.boots
    hours = instance_seconds(boots, history.start, history.end) / HOUR
    answer = f"{hours:.0f} instance-hours"
    if wanted.price is None:
        gaps.append("nobody told the price of an instance-hour (--price)")
        return Judgement(answer, (), gaps)
    spent, faults = hours * wanted.price, []
    money = f"{spent:.2f} {wanted.currency}".rstrip()
    if wanted.budget is not None and spent > wanted.budget:
        faults.append(f"{money}, of {wanted.budget:.2f}")
    each = f"{wanted.price:g} {wanted.currency}".rstrip()
    return Judgement(f"{answer} × {each} = {money}{age_told(history)}", faults, gaps)


def idle(history: History) -> Judgement:
    """Requests of an instance-hour; and the hours that the load did not need. It needs, at each
    point, as many instances as keep the busiest five minutes below the threshold at which the group
    grows, one more to lose, and never fewer than the group's least."""
    gaps, measured, cores = prometheus_gaps(history), history.measured, cores_of(history)
    group, step = history.spec.group, measured.window.step
    limit = min(
        (one.threshold for one in group.policies if one.metric == "cpu" and one.is_scale_out),
        default=FULL,
    )
    seen, paid = presence(measured), dict[float, float]()
    web = measured.of("web")
    for name, values in measured.points("ready").items():
        for at, share in values if web.get(name) else ():
            paid[at] = paid.get(at, 0.0) + share * seen.get(name, {}).get(at, 0.0)
    cores_used = measured.points("fleet_cores", "").get("", ())
    needed = {
        at: float(max(group.min, math.ceil(100 * used / cores / limit) + SPARE))
        for at, used in cores_used
    }
    hours = sum(paid.values()) * step / HOUR
    beyond = sum(max(0.0, paid[at] - needed.get(at, paid[at])) for at in paid) * step / HOUR
    asked = measured.points("requests")
    requests = sum(v for name, values in asked.items() if name in seen for _, v in values)
    share = beyond / hours if hours else 0.0
    faults = [f"{share:.0%} of {hours:.0f} hours were not needed"] if share > NEEDLESS else []
    each = told(requests / hours if hours else 0.0, "short")
    answer = f"{each} requests an instance-hour; {beyond:.0f} of {hours:.0f} hours beyond need"
    curves = (
        Curve("ready", tuple(sorted(paid.items()))),
        Curve("needed", tuple(sorted(needed.items()))),
    )
    rows = [(f"{requests:.0f}", f"{hours:.0f}", each, f"{share:.0%}")]
    headings = ("requests", "hours ready", "requests an hour", "hours beyond need")
    plot = Plot("Instances, and those that the load needed", "short", curves)
    return Judgement(answer, faults, gaps, (table(headings, rows),), (plot,))


COST = Item(
    "cost",
    "What does it cost?",
    "see the hours beyond need; a cheaper size, or reserved machines for group.min",
    "photo-fleet report monthly --price 0.05 --currency USD",
    cost,
)
IDLE = Item(
    "idle-hours",
    "Are instances paid for that nobody needs?",
    "lower group.min, or raise the threshold for removing; a smaller machine takes smaller steps",
    "photo-fleet dashboard --html --since 30d",
    idle,
)
