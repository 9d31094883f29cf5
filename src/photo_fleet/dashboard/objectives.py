"""What users were promised by a spec, and how far it was kept over the time that is looked at: as
its alerts count it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from photo_fleet.dashboard.panel import Panel, increase, lines, rate, share, stat
from photo_fleet.render.burn_rates import EDGES, NO_UPLOAD, READS, WRITES
from photo_fleet.spec.fleet import Objectives

FAILED = 'status=~"5.."'
OF_API = 'handler=~"/api/.+",handler!~"/api/health.*"'
COUNTED, DURATION = "photo_api_objective_requests_total", "http_request_duration_seconds"
READS_TIMED, WRITES_TIMED = f"{OF_API},{READS}", f"{OF_API},{WRITES},{NO_UPLOAD}"

Growth = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Promise:
    """What holds for reads, or for writes; shares of one. `timed` are the requests that are held to
    `within`, as the spec writes it."""

    name: str
    timed: str
    within: str
    answered: float
    in_time: float

    @property
    def bound(self) -> str:
        """`within` for people."""
        return re.sub(r"(?<=\d)(?=[a-z])", " ", self.within)

    def failed_share(self, growth: Growth) -> str:
        """Of its requests, those that failed by a fault of the service."""
        which = f'objective="{self.name}"'
        return share(growth(COUNTED, f'{which},result="failed"'), growth(COUNTED, which))

    def timely_share(self, growth: Growth) -> str:
        """Of its requests, those that were answered in time."""
        fast = growth(f"{DURATION}_bucket", f'{self.timed},le="{EDGES[self.within]}"')
        return share(fast, growth(f"{DURATION}_count", self.timed))


def promises(spec: Objectives) -> tuple[Promise, Promise]:
    """Of reads and of writes."""
    reads = Promise(
        "reads", READS_TIMED, spec.read_within, _part(spec.reads), _part(spec.fast_reads)
    )
    writes = Promise(
        "writes", WRITES_TIMED, spec.write_within, _part(spec.writes), _part(spec.fast_writes)
    )
    return reads, writes


def _part(percent: float) -> float:
    return round(percent / 100, 9)


def panels(spec: Objectives) -> tuple[Panel, ...]:
    """How far each promise was kept, and when it was not."""
    both = promises(spec)
    return (
        *(_answered(one) for one in both),
        *(_in_time(one) for one in both),
        stat(
            "Failures still allowed",
            "Of the failures that the objectives leave to the time shown, the share not yet used.",
            "percentunit",
            *(
                (f"1 - {one.failed_share(increase)} / {1 - one.answered:.6g}", one.name)
                for one in both
            ),
        ).held_to(0.0),
        lines(
            "Requests that failed",
            "Share of 5xx among all answers; the dashed line is what the stricter one allows.",
            "percentunit",
            *((one.failed_share(rate), one.name) for one in both),
        ).held_to(round(1 - max(one.answered for one in both), 9), at_most=True),
        lines(
            "Requests answered in time",
            "Share of requests within the objective's time; the dashed line is the stricter one.",
            "percentunit",
            *((one.timely_share(rate), f"{one.name} within {one.bound}") for one in both),
        ).held_to(max(one.in_time for one in both)),
    )


def _answered(one: Promise) -> Panel:
    return stat(
        f"{one.name.capitalize()} answered",
        "Share of requests that did not fail by a fault of the service (5xx).",
        "percentunit",
        (f"1 - {one.failed_share(increase)}", one.name),
    ).held_to(one.answered)


def _in_time(one: Promise) -> Panel:
    return stat(
        f"{one.name.capitalize()} within {one.bound}",
        "Share of requests whose last byte had left within that time.",
        "percentunit",
        (one.timely_share(increase), one.name),
    ).held_to(one.in_time)
