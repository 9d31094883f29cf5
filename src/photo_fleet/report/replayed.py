"""What other rules would have done with the month's own traffic, by the model of `photo-fleet
replay`. Pure."""

from collections.abc import Iterator, Sequence

from photo_fleet.dashboard.units import told
from photo_fleet.render.burn_rates import EDGES
from photo_fleet.replay.columns import columns
from photo_fleet.replay.front import Front, front
from photo_fleet.replay.making import Replay
from photo_fleet.replay.outcome import Outcome, Run
from photo_fleet.replay.simulation import BOOT, Conditions
from photo_fleet.replay.station import Station, Unreachable
from photo_fleet.replay.words import hours_told, minutes, sentence, told_of
from photo_fleet.report.coverage import age_told, prometheus_gaps
from photo_fleet.report.history import WHOLE, History, Missing
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot, Table
from photo_fleet.report.scaling import cores_of

TOO_LONG = 0.01
"""The share of the time for which the spec's rules may be over the objective."""
CHEAPER = 0.9
"""Of the spec's instance-hours, at no more minutes over the objective: a rule that comes to so few
is worth a change."""
BUSIEST = 0.1
"""The share of points, those with the most requests, by which a worker's rate is told: in others
processors are busy with what they do without any request."""
MOST_POINTS = 240


def replayed(history: History) -> Judgement:
    """The spec's rules, those of others, and those near the spec's. Of less than the whole time
    nothing is told: what is lacking may be the peaks."""
    gaps, traffic = prometheus_gaps(history), history.traffic
    known = 1 - traffic.unknown / len(traffic.rates)
    if known < WHOLE:
        gaps.append(f"Prometheus tells the requests of {known:.1%} of the time, not of {WHOLE:.0%}")
    if gaps:
        return Judgement("", (), gaps)
    spec, station = history.spec, _station(history)
    try:
        conditions = Conditions(station, spec.group.min, spec.group.max, BOOT)
        replay = Replay(traffic, conditions, history.wanted.price)
    except Unreachable as error:
        raise Missing(str(error)) from None
    found = front(spec, traffic.every, lambda other: replay.spec(other.group))
    outcomes = [found.own.outcome, *(outcome for _, outcome in replay.rivals())]
    rows = [(one,) for one in told_of(found, spec.group)]
    words = table(("rules near the spec's, each in the place of one of its own",), rows)
    began = history.start if traffic.start is None else traffic.start
    return Judgement(
        _answer(found, station) + age_told(history),
        list(_faults(found, station)),
        (),
        (_rivals(outcomes), words),
        (_plot(found.own.run, began),),
    )


def _station(history: History) -> Station:
    """As the busiest points tell it: what instances answered in a second of a processor. Raises
    Missing."""
    measured, service = history.measured, history.spec.service
    spent, asked = dict[float, float](), dict[float, float]()
    for into, name in ((spent, "cpu_each"), (asked, "requests")):
        for values in measured.points(name).values():
            for at, value in values:
                into[at] = into.get(at, 0.0) + value
    times = sorted(spent.keys() & asked.keys(), key=asked.__getitem__, reverse=True)
    busiest = times[: max(1, round(BUSIEST * len(times)))]
    seconds = sum(spent[at] for at in busiest)
    if not seconds or not asked[busiest[0]]:
        raise Missing("no request tells what it takes of a processor")
    rate = sum(asked[at] for at in busiest) / seconds * cores_of(history) / service.workers
    within = float(EDGES[history.spec.objectives.read_within])
    try:
        return Station(rate, service.workers, within)
    except Unreachable as error:
        raise Missing(str(error)) from None


def _answer(found: Front, station: Station) -> str:
    own, within = found.own, told(station.objective, "s")
    rate = told(station.service_rate, "reqps")
    return (
        f"by a model, {hours_told(own.hours)} instance-hours and {minutes(own.over)} minutes over"
        f" {within}, where a worker serves {rate} and a new instance is ready after"
        f" {told(BOOT, 's')}"
    )


def _faults(found: Front, station: Station) -> Iterator[str]:
    own = found.own
    share = own.outcome.tau_under / 100
    if share > TOO_LONG:
        yield f"{share:.1%} of the time over {told(station.objective, 's')}"
    worth = [
        one for one in found.others if one.hours <= CHEAPER * own.hours and one.over <= own.over
    ]
    if worth:
        yield sentence(own, min(worth, key=lambda one: (one.hours, one.over))).rstrip(".")


def _rivals(outcomes: Sequence[Outcome]) -> Table:
    priced = any(one.cost is not None for one in outcomes)
    rows = [
        (
            one.policy,
            hours_told(one.instance_hours),
            minutes(one.minutes_over),
            *([f"{one.cost:.2f}"] if one.cost is not None else []),
            f"{one.theta_under:.2f}",
            f"{one.theta_over:.1f}",
            f"{one.changes:,}",
        )
        for one in outcomes
    ]
    cost = ["cost"] * priced
    return table(
        ("policy", "hours", "minutes over", *cost, "% missing", "% beyond need", "changes"), rows
    )


def _plot(run: Run, began: float) -> Plot:
    found = columns(run, MOST_POINTS)
    needed = tuple((began + one.at, float(one.demand)) for one in found if one.demand is not None)
    ready = tuple((began + one.at, float(one.high)) for one in found)
    curves = Curve("needed", needed), Curve("ready by the spec's rules", ready)
    return Plot("Instances at the busiest of each point", "short", curves)


REPLAYED = Item(
    "replay",
    "Would other numbers of the rules have done better?",
    "change the rule in the spec, check it, and replay this traffic before the group follows it",
    "photo-fleet replay --prometheus http://127.0.0.1:9090 --since 30d",
    replayed,
)
