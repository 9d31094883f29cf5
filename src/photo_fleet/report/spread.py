"""How evenly requests were spread over the instances that were there. Pure."""

import math

from photo_fleet.dashboard.units import told
from photo_fleet.report.coverage import prometheus_gaps
from photo_fleet.report.history import History
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot

THERE = 0.999
"""The share of a step in which an instance has to be ready for the step to count for it."""
UNEVEN = 0.25
"""How far from its fair part an instance may be: clients and requests are unlike."""
CHANCE = 4.0
"""Deviations of chance beyond which it is none."""
FEW = 100.0
"""Requests of a fair part below which nothing can be told of an instance."""


def traffic(history: History) -> Judgement:
    """In each step, instances that were ready all along should have an equal part; a fair part is
    the sum of these, so that one that came late is not blamed for it."""
    gaps, measured = prometheus_gaps(history), history.measured
    ready = {name: dict(values) for name, values in measured.points("ready").items()}
    requests = {name: dict(values) for name, values in measured.points("requests").items()}
    got, fair = dict[str, float](), dict[str, float]()
    for at in sorted({at for values in requests.values() for at in values}):
        there = [name for name in ready if ready[name].get(at, 0.0) >= THERE]
        if len(there) < 2:
            continue
        part = sum(requests.get(name, {}).get(at, 0.0) for name in there) / len(there)
        for name in there:
            got[name] = got.get(name, 0.0) + requests.get(name, {}).get(at, 0.0)
            fair[name] = fair.get(name, 0.0) + part
    rows, faults = [], []
    for name, expected in sorted(fair.items()):
        share = got[name] / expected - 1 if expected else 0.0
        rows.append((name, f"{got[name]:.0f}", f"{expected:.0f}", f"{share:+.1%}"))
        chance = abs(got[name] - expected) / math.sqrt(expected) if expected else 0.0
        if expected >= FEW and abs(share) > UNEVEN and chance > CHANCE:
            faults.append(f"{name} had {share:+.0%} of its fair part")
    total = sum(got.values())
    answer = f"{total:.0f} requests over {len(fair)} instances"
    if not fair:
        answer = "never were two instances there, so nothing was to be spread"
    elif total < FEW * len(fair):
        answer += f": too few to tell more ({told(total / len(fair), 'short')} each)"
    shown = table(("instance", "requests", "fair part", "differs by"), rows)
    curves = tuple(
        Curve(name, tuple((at, value / measured.window.step) for at, value in values.items()))
        for name, values in sorted(requests.items())
    )
    plot = Plot("Requests by instance", "reqps", curves)
    return Judgement(answer, faults, gaps, (shown,) if rows else (), (plot,))


TRAFFIC = Item(
    "traffic",
    "Is traffic even?",
    "see which members balancers have, and whether connections are pinned",
    "photo-fleet doctor --only traffic",
    traffic,
)
