"""What a Prometheus has of the fleet: at this moment, and over the time that is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from photo_fleet.dashboard.prometheus import Asked, Prometheus, shown_address
from photo_fleet.dashboard.readings import Answer, Series, Unread
from photo_fleet.dashboard.window import Window
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen

LONGEST = 25.0
"""Seconds for all questions together."""
LOOKED_BACK = 300.0
"""Seconds for which Prometheus shows what it was told last and never told the end of."""

AT_END: Mapping[str, str] = MappingProxyType(
    {
        "info": 'photo_api_info{job=~"$job"}',
        "heard": 'timestamp(photo_api_info{job=~"$job"})'
        f' or max_over_time(timestamp(photo_api_info{{job=~"$job"}})[{LOOKED_BACK:.0f}s:5s])',
        "up": 'up{job=~"$job"}',
        "down": f'max_over_time(up{{job=~"$job"}}[{LOOKED_BACK:.0f}s]) == 0',
        "pushed": 'push_time_seconds{job=~"$job"}',
        "fewest_members": "min_over_time(photo_fleet_members[2m])",
        "most_members": "max_over_time(photo_fleet_members[2m])",
    }
)
"""PromQL of what is asked at the end of the window, by name. The dashboard's variables may be
used. `heard` is when `info` was told last: `info` is still shown when its target has gone, and no
more when one scrape failed; then `heard` may be 5 s too early."""

OVER: Mapping[str, str] = MappingProxyType(
    {
        # The name is common: other services have it as well.
        "requests": "sum by (job, instance)"
        ' (http_requests_total{job=~"$job",handler!~".*/health.*|/metrics"})'
        ' and on (job, instance) photo_api_info{job=~"$job"}',
        "log_lines_lost": "sum by (job, instance, way)"
        ' (photo_api_log_lines_lost_total{job=~"$job"})',
        "processor": "sum by (job, instance)"
        ' (photo_api_cpu_seconds_total{job=~"$job",process="web"})',
        "ready": 'min by (job, instance) (photo_api_ready{job=~"$job"})',
    }
)
"""The same of what is asked over the window, at `Window.step`; sums, of which rules take the
differences: no rate would tell as exactly how many there were."""


@dataclass(frozen=True, slots=True)
class PrometheusLook:
    """Answers by name. `window` is what was looked at by Prometheus's clock, with the interval of
    the scrapes; `address`
    is Prometheus's, without a login."""

    address: str
    window: Window
    answers: Mapping[str, Answer]

    def series(self, name: str) -> tuple[Series, ...]:
        """What it answered under this name. Raises `Unseen` unless that was all."""
        answer = self.answers[name]
        if not answer.whole:
            raise Unseen(f"Prometheus: {answer.problem or answer.warning}", _asked(self.address))
        return answer.series


async def take(reach: Reach, seen: Seen) -> PrometheusLook:
    """Raises `Unseen` without an address, and when it answers nothing."""
    if not reach.prometheus:
        raise Unseen("nobody has told Prometheus's address", "photo-fleet doctor --prometheus URL")
    address, server = shown_address(reach.prometheus), Prometheus(reach.prometheus, LONGEST)
    try:
        now = await server.now()  # this machine's clock may be off
    except Unread as error:
        raise Unseen(f"Prometheus at {address}: {error}", _asked(address)) from error
    wanted = {name: Asked(expr, at_end=True) for name, expr in AT_END.items()}
    wanted |= {name: Asked(expr) for name, expr in OVER.items()}
    window, found = await server.read(
        Window(now - reach.since, now), tuple(wanted.values()), lambda _: None
    )
    answers = {name: found[asked] for name, asked in wanted.items()}
    problems = [answer.problem for answer in answers.values()]
    if all(problems):
        raise Unseen(f"Prometheus at {address}: {problems[0]}", _asked(address))
    return PrometheusLook(address, window, answers)


def _asked(address: str) -> str:
    return f"curl -sS '{address}/api/v1/query?query=up'"
