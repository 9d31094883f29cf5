"""What a report asks a Prometheus: by name, as PromQL with the variables of the dashboards.

`$step` is the time between two points, so that the growth of all points together is that of the
whole window. Instances that came and went are in it: what is summed is each one's own growth, and a
counter that began anew is no loss.
"""

from collections.abc import Mapping

from photo_fleet.dashboard.objectives import COUNTED, DURATION, FAILED, OF_API, promises
from photo_fleet.dashboard.panel import increase, series, total
from photo_fleet.dashboard.prometheus import Asked
from photo_fleet.dashboard.window import Window
from photo_fleet.render import group_load
from photo_fleet.render.burn_rates import EDGES
from photo_fleet.render.group_load import CPU, READY
from photo_fleet.report.line import Period
from photo_fleet.spec.fleet import Objectives

Questions = dict[str, Asked]

SAMPLED = "30s"
"""Distance of the moments at which a share of time is looked at."""
PEAK = "5m"
"""Over which a processor's use is averaged before peaks are looked for."""

REQUESTS, MEMORY = "http_requests_total", "photo_api_resident_memory_bytes"
NOT_ALL_WELL = 'result!~"ok|broken_off"'


def growth(name: str, matchers: str = "") -> str:
    """What a counter has grown by from one point to the next."""
    return f"increase({series(name, matchers)}[$step])"


def _over(function: str, name: str, span: str, matchers: str = "", by: str = "instance") -> str:
    labels = f" by ({by})" if by else ""
    return f"max{labels} ({function}({series(name, matchers)}[{span}]))"


def _now(name: str, matchers: str = "") -> str:
    return f"max by (instance) ({series(name, matchers)})"


SEEN = {"samples": Asked(_over("count_over_time", READY, "$step"))}

EVERY = SEEN | {"web": Asked(_over("max_over_time", "photo_api_workers", "$__range"), at_end=True)}

SERVED: Questions = {
    "ready": Asked(_over("avg_over_time", READY, "$step")),
    # Everybody is probed alike, however uneven what users ask for is.
    "requests": Asked(total(growth(REQUESTS, 'handler!~".*/health.*"'), "instance")),
}

DAILY: Questions = (
    EVERY
    | SERVED
    | {
        # Neither an instance that drains nor one that Prometheus sees no more is ill.
        "unready": Asked(
            f"sum_over_time((({_now(READY)} == bool 0) * ({_now('photo_api_draining_seconds')}"
            f" == bool 0))[$__range:{SAMPLED}])",
            at_end=True,
        ),
        "looked_at": Asked(f"count_over_time({_now(READY)}[$__range:{SAMPLED}])", at_end=True),
        "scrapes": Asked(_over("count_over_time", "up", "$__range"), at_end=True),
        "scraped": Asked(_over("sum_over_time", "up", "$__range"), at_end=True),
        "checks": Asked(
            total(increase("photo_api_health_checks_total"), "check, result"), at_end=True
        ),
        "lines_lost": Asked(
            total(increase("photo_api_log_lines_lost_total"), "instance, way"), at_end=True
        ),
        "jobs_dead": Asked(
            _over("max_over_time", "photo_api_fleet_jobs", "$step", 'state="dead"', "kind")
        ),
        "jobs_queued": Asked(
            _over("max_over_time", "photo_api_fleet_jobs", "$step", 'state="queued"', "kind")
        ),
        "oldest_job": Asked(
            _over("max_over_time", "photo_api_fleet_oldest_job_seconds", "$step", by="kind")
        ),
        "counted": Asked(
            _over("max_over_time", "photo_api_fleet_counted_timestamp_seconds", "$step", by="")
        ),
        "refusals": Asked(total(increase("photo_api_database_refusals_total")), at_end=True),
        "answers": Asked(total(increase(REQUESTS)), at_end=True),
        "breakers": Asked(
            _over("max_over_time", "photo_api_breaker_open", "$__range", by="breaker"), at_end=True
        ),
        "store_failed": Asked(
            total(increase("photo_api_storage_call_duration_seconds_count", NOT_ALL_WELL)),
            at_end=True,
        ),
        "store_calls": Asked(
            total(increase("photo_api_storage_call_duration_seconds_count")), at_end=True
        ),
        "jobs_failed": Asked(
            total(increase("photo_api_job_duration_seconds_count", 'result=~"failed|kept"')),
            at_end=True,
        ),
        "jobs_run": Asked(total(increase("photo_api_job_duration_seconds_count")), at_end=True),
        "pushes_failed": Asked(
            total(increase("photo_api_pushes_total", 'result="failed"')), at_end=True
        ),
        "pushes": Asked(total(increase("photo_api_pushes_total")), at_end=True),
        "spans_lost": Asked(total(increase("photo_api_spans_lost_total")), at_end=True),
    }
)

WEEKLY: Questions = EVERY | {
    "cpu_web": Asked(total(increase(CPU, 'process="web"'), "instance"), at_end=True),
    "answers_each": Asked(total(increase(REQUESTS), "instance"), at_end=True),
    "failed_each": Asked(total(increase(REQUESTS, FAILED), "instance"), at_end=True),
    "seconds_each": Asked(total(increase(f"{DURATION}_sum", OF_API), "instance"), at_end=True),
    "timed_each": Asked(total(increase(f"{DURATION}_count", OF_API), "instance"), at_end=True),
    "memory_each": Asked(
        "sum by (instance) ("
        + _over("avg_over_time", MEMORY, "$__range", by="instance, process")
        + ")",
        at_end=True,
    ),
    "releases": Asked(f"count by (version) ({series('photo_api_info')})"),
    "workers": Asked(
        f"max by (instance) (quantile_over_time(0.5, {series('photo_api_workers')}[$__range]))",
        at_end=True,
    ),
    "jobs_dead": DAILY["jobs_dead"],
    "counted": DAILY["counted"],
}

_WEB = f"({_now('photo_api_workers')} > 0)"
"""Instances that serve, and do not run jobs only."""
_CORES = f"(sum by (instance) (rate({series(CPU)}[{PEAK}])) and {_WEB})"
_SERVING = group_load.serving(series)
_PEAKS = f"[$__range:{PEAK}]"

MONTHLY: Questions = (
    EVERY
    | SERVED
    | {
        "cpu_each": Asked(total(growth(CPU), "instance")),
        "cores_p50": Asked(f"quantile_over_time(0.5, {_CORES}{_PEAKS})", at_end=True),
        "cores_p95": Asked(f"quantile_over_time(0.95, {_CORES}{_PEAKS})", at_end=True),
        "cores_max": Asked(f"max_over_time({_CORES}{_PEAKS})", at_end=True),
        "memory_p95": Asked(
            f"quantile_over_time(0.95, sum by (instance) ({series(MEMORY)}){_PEAKS})", at_end=True
        ),
        "memory_max": Asked(
            f"max_over_time(sum by (instance) ({series(MEMORY)}){_PEAKS})", at_end=True
        ),
        "fleet_cores": Asked(f"max_over_time(sum({_CORES})[$step:{PEAK}])"),
        "cores_of_others": Asked(
            f"max_over_time((sum({_CORES}) / ({_SERVING} - 1 > 0))[$step:{PEAK}])"
        ),
        "fewest_serving": Asked(f"min_over_time({_SERVING}[$step:{PEAK}])"),
        "counted": DAILY["counted"],
        "photo_bytes": Asked(_over("max_over_time", "photo_api_fleet_photo_bytes", "$step", by="")),
        "orphan_bytes": Asked(
            _over("min_over_time", "photo_api_fleet_orphan_bytes", "$step", by="")
        ),
        "keys": Asked(
            f"min by (keys) (last_over_time({series('photo_api_key_made_timestamp_seconds')}[1h]))",
            at_end=True,
        ),
        "certificate": Asked(
            "min(last_over_time(photo_fleet_certificate_expires_timestamp_seconds[1h]))",
            at_end=True,
        ),
    }
)

AROUND_A_STEP: Questions = {
    "cpu": Asked(group_load.cores(series, "$__rate_interval")),
    "in_flight": Asked(group_load.in_flight(series)),
    "queue_age": Asked(group_load.queue_age(series)),
    "answered": Asked(
        total(series(REQUESTS, f'status=~"2..",{OF_API}'), "instance"),
    ),
    "who": Asked(
        f"max by (instance, boot_id) (last_over_time({series('photo_api_info')}[$__range]))",
        at_end=True,
    ),
}

MAY_BE_NONE = frozenset(
    {
        # Nobody has asked for anything, or nothing of this kind has failed.
        *("requests", "answers", "answers_each", "seconds_each", "timed_each", "failed_each"),
        *("answered", "store_calls", "store_failed", "jobs_run", "jobs_failed"),
        *("reads timed", "reads in time", "writes timed", "writes in time"),
        # A key's id without a date; an nginx without a certificate; one instance alone.
        *("keys", "certificate", "cores_of_others"),
    }
)
"""Questions to which no series is an answer. Of all others somebody always tells a number, and be
it 0: without any, nobody knows."""

BY_PERIOD: Mapping[Period, Questions] = {"daily": DAILY, "weekly": WEEKLY, "monthly": MONTHLY}


def of_objectives(spec: Objectives) -> Questions:
    """What was asked of the service, and what it failed or was late for, from point to point."""
    found: dict[str, Asked] = {}
    for one in promises(spec):
        mine = f'objective="{one.name}"'
        all_of, failed = growth(COUNTED, mine), growth(COUNTED, f'{mine},result="failed"')
        timed = growth(f"{DURATION}_count", one.timed)
        fast = growth(f"{DURATION}_bucket", f'{one.timed},le="{EDGES[one.within]}"')
        found |= {
            f"{one.name} asked": Asked(total(all_of)),
            f"{one.name} failed": Asked(f"{total(failed)} or 0 * {total(all_of)}"),
            f"{one.name} timed": Asked(total(timed)),
            f"{one.name} in time": Asked(total(fast)),
        }
    return SEEN | found


def with_step(questions: Questions, window: Window) -> dict[str, Asked]:
    """The same with the window's distance of two points."""
    return {
        name: Asked(asked.expr.replace("$step", f"{window.step}s"), asked.at_end)
        for name, asked in questions.items()
    }
