"""What a group grows and shrinks by, as PromQL: for a cloud's alarms, and for reports of what they
did. `series` makes a selector of a metric's name, by which series are looked at."""

from collections.abc import Callable

Series = Callable[[str], str]

READY, WORKERS, CPU = "photo_api_ready", "photo_api_workers", "photo_api_cpu_seconds_total"


def serving(series: Series) -> str:
    """How many instances are ready, without those that run jobs only."""
    return f"count({_now(series, READY)} == 1 and ({_now(series, WORKERS)} > 0))"


def cores(series: Series, window: str) -> str:
    """Cores in use by an instance, on average of those that serve."""
    return f"sum(rate({series(CPU)}[{window}])) / {serving(series)}"


def in_flight(series: Series) -> str:
    """Requests in flight, on average of all instances."""
    return f"avg({_now(series, 'http_requests_in_flight')})"


def queue_age(series: Series) -> str:
    """Seconds for which the oldest job that may run has been waiting."""
    return f"max({series('photo_api_fleet_oldest_job_seconds')})"


def _now(series: Series, name: str) -> str:
    return f"max by (instance) ({series(name)})"
