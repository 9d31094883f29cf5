"""Instances beside each other: one that differs from the others is seen here."""

from photo_fleet.dashboard.objectives import FAILED
from photo_fleet.dashboard.panel import (
    Board,
    Panel,
    Section,
    lines,
    quantile,
    rate,
    series,
    share,
    stack,
    total,
)

REQUESTS, DURATION = "http_requests_total", "http_request_duration_seconds"
NAME = "{{instance}}"


def _sums(title: str, meaning: str, unit: str, metric: str, matchers: str = "") -> Panel:
    """A gauge of each instance, its processes together."""
    assert unit in ("short", "bytes")
    expr = total(series(metric, matchers), "instance")
    return lines(title, meaning, "bytes" if unit == "bytes" else "short", (expr, NAME))


ANSWERS = Section(
    "Answers",
    (
        stack(
            "Requests",
            "A balancer that works gives each about the same.",
            "reqps",
            (total(rate(REQUESTS), "instance"), NAME),
        ),
        lines(
            "Requests that failed",
            "Share of 5xx among the answers of each.",
            "percentunit",
            (share(rate(REQUESTS, FAILED), rate(REQUESTS), "instance"), NAME),
        ),
        lines(
            "Duration of 95 % of the requests",
            "From a request's head to the last byte of its answer.",
            "s",
            (quantile(0.95, DURATION, by="instance"), NAME),
        ),
        _sums(
            "Requests in flight",
            "Being answered, to the end of their bodies.",
            "short",
            "http_requests_in_flight",
        ),
        lines(
            "Clients named in vain",
            "Requests by way of a proxy that is not trusted: all that come so have one address.",
            "reqps",
            (total(rate("photo_api_unbelieved_forwards_total"), "instance"), NAME),
        ),
    ),
)

MACHINE = Section(
    "Machine",
    (
        lines(
            "Cores in use",
            "Supervisor, web workers, job worker and decoders.",
            "cores",
            (total(rate("photo_api_cpu_seconds_total"), "instance"), NAME),
        ),
        _sums(
            "Resident memory",
            "Supervisor, web workers, job worker and decoders.",
            "bytes",
            "photo_api_resident_memory_bytes",
        ),
        _sums(
            "Web workers",
            "Those that take requests.",
            "short",
            "photo_api_workers",
        ),
        lines(
            "Processes that died",
            "Web workers and job workers that ended in another way than they should, in the time of"
            " one point.",
            "short",
            (
                total(
                    f"increase({series('photo_api_worker_deaths_total')}[$__rate_interval])",
                    "instance",
                ),
                NAME,
            ),
        ),
    ),
)

LIFE = Section(
    "Coming and going",
    (
        _sums("Ready", "1 while it wants requests, as /health says.", "short", "photo_api_ready"),
        lines(
            "Time since the start",
            "One that begins anew again and again stays low.",
            "s",
            (f"time() - max by (instance) ({series('photo_api_start_time_seconds')})", NAME),
        ),
        lines(
            "Draining for",
            "0 before the drain; what goes beyond the grace is killed.",
            "s",
            (f"max by (instance) ({series('photo_api_draining_seconds')})", NAME),
        ),
        lines(
            "Requests cut",
            "By the end of their worker, in the time of one point.",
            "short",
            (
                total(
                    f"increase({series('photo_api_requests_cut_total')}[$__rate_interval])",
                    "instance",
                ),
                NAME,
            ),
        ),
    ),
)

INSTANCES = Board(
    "photo-api-instances",
    "Photo API: instances",
    "Instances beside each other, by their share of requests, failures, time and machine.",
    (ANSWERS, MACHINE, LIFE),
)
