"""What users were promised, as ratios of requests."""

from dataclasses import dataclass

from photo_fleet.dashboard.panel import Panel, increase, lines, rate, share, stat

FAILED = 'status=~"5.."'


@dataclass(frozen=True, slots=True)
class Requests:
    """Those that one promise is about. `in_time` is an edge of the histogram of durations, in
    seconds; uploads through the server take as long as their clients need, and have none."""

    name: str
    matchers: str
    timed: str
    in_time: str


READS = Requests(
    "reads",
    'handler=~"/api/.+",method=~"GET|HEAD"',
    'handler=~"/api/.+",method=~"GET|HEAD"',
    "0.25",
)
WRITES = Requests(
    "writes",
    'handler=~"/api/.+",method=~"POST|PUT|PATCH|DELETE"',
    'handler=~"/api/.+",handler!="/api/photos",method=~"POST|PUT|PATCH|DELETE"',
    "1.0",
)
KINDS = (READS, WRITES)

ANSWERED, IN_TIME = 0.999, 0.99
"""Of a hundred requests: answered without a failure of ours, and within the time."""


def _failed(of: Requests, counted: str) -> str:
    count = {"rate": rate, "increase": increase}[counted]
    name = "http_requests_total"
    return share(count(name, f"{of.matchers},{FAILED}"), count(name, of.matchers))


def _timely(of: Requests, counted: str) -> str:
    count = {"rate": rate, "increase": increase}[counted]
    name = "http_request_duration_seconds"
    fast = count(f"{name}_bucket", f'{of.timed},le="{of.in_time}"')
    return share(fast, count(f"{name}_count", of.timed))


def panels() -> tuple[Panel, ...]:
    """How far each promise was kept, and when it was not."""
    answered = (
        stat(
            f"{of.name.capitalize()} answered",
            "Share of requests that did not fail by a fault of the service (5xx).",
            "percentunit",
            (f"1 - {_failed(of, 'increase')}", of.name),
        ).held_to(ANSWERED)
        for of in KINDS
    )
    timely = (
        stat(
            f"{of.name.capitalize()} within {float(of.in_time):g} s",
            "Share of requests whose last byte had left within that time.",
            "percentunit",
            (_timely(of, "increase"), of.name),
        ).held_to(IN_TIME)
        for of in KINDS
    )
    budget = stat(
        "Failures still allowed",
        f"Of the failures that {ANSWERED:.1%} leaves to the time shown, the share not yet used.",
        "percentunit",
        *((f"1 - {_failed(of, 'increase')} / {1 - ANSWERED:.4g}", of.name) for of in KINDS),
    ).held_to(0.0)
    return (
        *answered,
        *timely,
        budget,
        lines(
            "Requests that failed",
            "Share of 5xx among all answers; the dashed line is what the objective allows.",
            "percentunit",
            *((_failed(of, "rate"), of.name) for of in KINDS),
        ).held_to(round(1 - ANSWERED, 6), at_most=True),
        lines(
            "Requests answered in time",
            "Share of requests within the objective's seconds.",
            "percentunit",
            *((_timely(of, "rate"), f"{of.name} within {float(of.in_time):g} s") for of in KINDS),
        ).held_to(IN_TIME),
    )
