"""What is left of the errors that the objectives of 30 days allow. Pure."""

from itertools import accumulate

from photo_fleet.dashboard.objectives import Promise, promises
from photo_fleet.dashboard.readings import Values
from photo_fleet.dashboard.units import told
from photo_fleet.report.coverage import budget_gaps
from photo_fleet.report.history import History, Missing
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot


def budget(history: History) -> Judgement:
    """Of each objective: the share of its budget that is not yet spent, as its alerts count it."""
    gaps, faults, rows, curves = budget_gaps(history), [], [], []
    least = history.spec.objectives.least_missed
    for promise in promises(history.spec.objectives):
        for what, asked, missed, allowed in _counted(history, promise):
            total, bad = sum(value for _, value in asked), sum(value for _, value in missed)
            left = 1 - bad / (allowed * total) if total else 1.0
            name = f"{promise.name} {what}"
            curves.append(Curve(name, _left(asked, missed, allowed)))
            rows.append((name, f"{total:.0f}", f"{bad:.0f}", told(left, "percentunit")))
            if left < 0 and bad >= least:
                faults.append(f"{name}: {bad:.0f} of {total:.0f}, {1 - left:.2g} times the budget")
    answer = "left: " + ", ".join(f"{row[0]} {row[3]}" for row in rows)
    shown = table(("objective", "requests", "missed", "budget left"), rows)
    plot = Plot("Budget left", "percentunit", tuple(curves), 0.0, at_least=True)
    return Judgement(answer, faults, gaps, (shown,), (plot,))


def _counted(history: History, one: Promise) -> list[tuple[str, Values, Values, float]]:
    """Requests, those of them that missed it, and the share that may."""
    asked, failed = _values(history, f"{one.name} asked"), _values(history, f"{one.name} failed")
    timed, fast = (
        _values(history, f"{one.name} timed"),
        dict(_values(history, f"{one.name} in time")),
    )
    if timed and not fast:
        raise Missing(f"Prometheus has no bucket of {one.bound} of the durations")
    late = tuple((at, max(0.0, value - fast.get(at, 0.0))) for at, value in timed)
    return [
        ("answered", asked, failed, round(1 - one.answered, 9)),
        (f"within {one.bound}", timed, late, round(1 - one.in_time, 9)),
    ]


def _values(history: History, name: str) -> Values:
    """What has grown from point to point; the fleet has no request of a kind that nobody makes."""
    return history.budget.points(name, "").get("", ())


def _left(asked: Values, missed: Values, allowed: float) -> Values:
    """What was left at each point, of a budget for all requests of the 30 days."""
    whole = allowed * sum(value for _, value in asked)
    spent = accumulate(value for _, value in missed)
    return tuple((at, 1 - bad / whole) for (at, _), bad in zip(missed, spent, strict=True) if whole)


BUDGET = Item(
    "error-budget",
    "What is left of the error budget?",
    "find out which routes, instances or dependencies miss it, and whether a deploy began it; until"
    " it is mended, change nothing else",
    "photo-fleet dashboard --html --since 30d",
    budget,
)
