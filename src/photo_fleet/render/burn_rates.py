"""The objectives of a spec as rules: how fast their budgets of 30 days are spent.

Windows and factors are those of the SRE workbook (https://sre.google/workbook/alerting-on-slos/):
a factor is the share of the budget × 30 days / the longer window. The shorter one ends an alert
soon after what caused it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from photo_fleet.render.alert import NOMINAL, Alert, Record, Severity, Windows
from photo_fleet.spec.fleet import Fleet, Objectives

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

READS, WRITES = 'method=~"GET|HEAD"', 'method=~"POST|PUT|PATCH|DELETE"'
OF_API = 'job="photo-api",handler=~"/api/.+",handler!~"/api/health.*"'
NO_UPLOAD = 'handler!="/api/photos"'
"""An upload through the server takes as long as its client's network."""

EDGES = {
    **{"100ms": "0.1", "250ms": "0.25", "500ms": "0.5", "1s": "1.0", "2500ms": "2.5"},
    **{"5s": "5.0", "10s": "10.0"},
}
"""The label `le` of each bound, as instances write it."""


@dataclass(frozen=True, slots=True)
class Burn:
    """One pair of windows, and how many times the budget has to be spent in both."""

    long: float
    short: float
    factor: float
    severity: Severity


BURNS = (
    Burn(HOUR, 5 * MINUTE, 14.4, "page"),
    Burn(6 * HOUR, 30 * MINUTE, 6, "page"),
    Burn(DAY, 2 * HOUR, 3, "ticket"),
    Burn(3 * DAY, 6 * HOUR, 1, "ticket"),
)


@dataclass(frozen=True, slots=True)
class Objective:
    """`percent` of what `total` counts is not in `bad`: PromQL, in which `$w` is the window."""

    name: str
    alert: str
    percent: float
    bad: str
    total: str
    summary: str
    section: str

    @property
    def budget(self) -> float:
        """The share that may be missed."""
        return round(1 - self.percent / 100, 9)


def objectives(fleet: Fleet) -> list[Objective]:
    """Those of the spec."""
    spec = fleet.objectives
    return [
        _availability("reads", "ReadsFail", spec.reads),
        _availability("writes", "WritesFail", spec.writes),
        _latency("fast_reads", "ReadsSlow", spec.fast_reads, spec.read_within, READS),
        _latency(
            "fast_writes", "WritesSlow", spec.fast_writes, spec.write_within,
            f"{WRITES},{NO_UPLOAD}",
        ),
    ]  # fmt: skip


def _availability(name: str, alert: str, percent: float) -> Objective:
    counted = f'photo_api_objective_requests_total{{objective="{name}"'
    return Objective(
        name,
        alert,
        percent,
        bad=f'sum(increase({counted},result="failed"}}[$w]))',
        total=f"sum(increase({counted}}}[$w]))",
        summary=f"more {name} fail than {percent:g} % allow for",
        section="readsfail-writesfail",
    )


def _latency(name: str, alert: str, percent: float, within: str, which: str) -> Objective:
    labels = f"{OF_API},{which}"
    total = f"sum(increase(http_request_duration_seconds_count{{{labels}}}[$w]))"
    bucket = f'http_request_duration_seconds_bucket{{{labels},le="{EDGES[within]}"}}'
    what = name.removeprefix("fast_")
    return Objective(
        name,
        alert,
        percent,
        bad=f"{total}\n- sum(increase({bucket}[$w]))",
        total=total,
        summary=f"more {what} take longer than {within} than {percent:g} % allow for",
        section="readsslow-writesslow",
    )


def records(fleet: Fleet, windows: Windows) -> Iterator[Record]:
    """What was asked and what was missed, for each objective in each window."""
    spans = sorted({span for burn in BURNS for span in (burn.long, burn.short)})
    for objective in objectives(fleet):
        labels = {"objective": objective.name}
        for span in spans:
            for name, expression in (("missed", objective.bad), ("requests", objective.total)):
                text = expression.replace("$w", windows(span))
                yield Record(_series(name, span), text, labels)


def alerts(fleet: Fleet) -> Iterator[Alert]:
    """One for each objective and pair of windows."""
    for objective in objectives(fleet):
        for burn in BURNS:
            yield _alert(objective, burn, fleet.objectives)


def _alert(objective: Objective, burn: Burn, spec: Objectives) -> Alert:
    limit = f"{burn.factor * objective.budget:.6g}"
    which = f'{{objective="{objective.name}"}}'
    missed = f"{_series('missed', burn.long)}{which}"
    shares = [
        f"{_series('missed', span)}{which} / {_series('requests', span)}{which} > {limit}"
        for span in (burn.long, burn.short)
    ]
    long, short = NOMINAL(burn.long), NOMINAL(burn.short)
    return Alert(
        objective.alert,
        "\nand ".join([*shares, f"{missed} >= {spec.least_missed}"]),
        0,
        burn.severity,
        objective.section,
        f"{objective.summary}: in {long} and in the last {short} the budget of 30 days is spent"
        f" {burn.factor:g} times too fast",
        "find out which routes, instances or dependencies it is, and whether a deploy began it",
        {"window": long},
    )


def _series(what: str, span: float) -> str:
    """Named by its window as it is, also where a drill shortens it."""
    return f"photo_api:objective_{what}:increase{NOMINAL(span)}"
