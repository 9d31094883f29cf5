"""How evenly requests were spread over the instances that were there. Pure."""

from collections import defaultdict
from collections.abc import Mapping

from photo_fleet.dashboard.units import told
from photo_fleet.doctor.spread import LEAST_EXPECTED, Slice, spread_of
from photo_fleet.doctor.traffic import BY_LOAD, IN_TURN
from photo_fleet.report.coverage import presence, prometheus_gaps
from photo_fleet.report.history import History, Measured
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot
from photo_fleet.spec.fleet import Balancer

THERE, SEEN = 0.999, 0.9
"""Shares of a step, of those samples in which an instance was ready, and of those that there are:
from these on the step counts for it."""


def traffic(history: History) -> Judgement:
    """By steps, in each of which the instances that were ready all along should have an equal part;
    one that came late is not blamed for it."""
    gaps, measured = prometheus_gaps(history), history.measured
    web = measured.of("web")
    ready = {
        name: dict(values)
        for name, values in measured.points("ready").items()
        if web.get(name, 0.0) > 0
    }
    asked = measured.points("requests")
    requests = {name: dict(values) for name, values in asked.items() if name in ready}
    slices = _slices(_there(measured, ready), requests)
    curves = tuple(
        Curve(name, tuple((at, value / measured.window.step) for at, value in values.items()))
        for name, values in sorted(requests.items())
    )
    plots = (Plot("Requests by instance", "reqps", curves),)
    spread = spread_of(slices)
    if spread is None:
        alone = not any(len(one.serving) > 1 for one in slices)
        why = "never were two instances there" if alone else "too few requests to tell more"
        return Judgement(why, (), gaps, plots=plots)
    rows = [
        (one.instance, f"{one.requests:.0f}", f"{one.expected:.0f}", f"{one.ratio - 1:+.1%}")
        for one in spread.shares
    ]
    faults = [
        f"{one.instance} had {one.ratio:.2f} times an equal part"
        for one in spread.off(_bearable(history.spec.balancer))
    ]
    most, least = spread.shares[0].ratio, spread.shares[-1].ratio
    answer = f"{told(spread.requests, 'short')} requests over {len(rows)} instances, with"
    answer += f" {least:.2f} to {most:.2f} times an equal part"
    shown = table(("instance", "requests", "equal part", "differs by"), rows)
    return Judgement(answer, faults, gaps, (shown,), plots)


def _there(measured: Measured, ready: Mapping[str, Mapping[float, float]]) -> dict[float, set[str]]:
    """Who was ready for all of each step."""
    seen = presence(measured)
    return {
        at: {
            name
            for name, values in ready.items()
            if values.get(at, 0.0) >= THERE and seen.get(name, {}).get(at, 0.0) >= SEEN
        }
        for at in sorted({at for values in ready.values() for at in values})
    }


def _slices(
    there: Mapping[float, set[str]], requests: Mapping[str, Mapping[float, float]]
) -> list[Slice]:
    """Without those that were there for too short a time to be compared."""
    due: defaultdict[str, float] = defaultdict(float)
    for at, names in there.items():
        for name in names:
            part = sum(requests.get(other, {}).get(at, 0.0) for other in names) / len(names)
            due[name] += part
    enough = {name for name, part in due.items() if part >= LEAST_EXPECTED}
    return [
        Slice(
            {name: requests.get(name, {}).get(at, 0.0) for name in names & enough},
            frozenset(names & enough),
        )
        for at, names in there.items()
    ]


def _bearable(balancer: Balancer) -> float:
    in_turn = balancer.kind == "nginx" and balancer.algorithm == "round-robin"
    return IN_TURN if in_turn else BY_LOAD


TRAFFIC = Item(
    "traffic",
    "Is traffic even?",
    "see which members balancers have, and whether connections are pinned",
    "photo-fleet doctor --only traffic",
    traffic,
)
