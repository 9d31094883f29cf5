"""Every metric of the service, in one list. `docs/metrics.md` says what each is for.

Labels are bounded: each takes one of the values that stand here, or has a pattern that no id, token
or address matches.
"""

import re

from photo_api.metrics.metric import Metric, counter, gauge, histogram, one_of

METHODS = one_of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNMATCHED = "unmatched"
HANDLERS = re.compile(UNMATCHED + r"|/[a-z_{}./-]{0,80}")
"""Templates of routes, in which no digit is: `/api/photos/{photo_id}`."""
STATUSES = re.compile(r"[1-5][0-9]{2}")
IDENTITY = re.compile(r".{0,255}")
"""What an instance says of itself, of which there is one."""

PROCESSES = one_of("main", "web", "jobs")
CHECKS = one_of("database", "storage")

REQUEST_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. Among them are the thresholds that objectives are set at: 0.25 for what is read, 1 for
what is written, 5 for an upload through the server."""

INFO = gauge(
    "photo_api_info",
    "The instance and this boot of it; always 1.",
    instance=IDENTITY,
    node=IDENTITY,
    region=IDENTITY,
    version=IDENTITY,
    boot_id=IDENTITY,
)
BUILD_INFO = gauge(
    "photo_api_build_info",
    "The release and the Python it runs on; always 1.",
    version=IDENTITY,
    python=IDENTITY,
)
START_TIME = gauge(
    "photo_api_start_time_seconds",
    "When this instance was started, in epoch seconds. Its counters begin there.",
)
READY = gauge("photo_api_ready", "Whether this instance wants requests, as /health says.")
CHECK_OK = gauge(
    "photo_api_check_ok",
    "Whether what the instance depends on was well at the last look.",
    check=CHECKS,
)
WORKERS = gauge("photo_api_workers", "Web workers that take requests.")
WORKER_DEATHS = counter(
    "photo_api_worker_deaths_total",
    "Processes of this instance that ended untold, or in another way than they should.",
    process=one_of("web", "jobs"),
)
CPU_SECONDS = counter(
    "photo_api_cpu_seconds_total",
    "Processor time; decoders are the job worker's.",
    process=PROCESSES,
)
RESIDENT_MEMORY = gauge(
    "photo_api_resident_memory_bytes",
    "Resident memory; decoders are the job worker's.",
    process=PROCESSES,
)

REQUESTS = counter(
    "http_requests_total",
    "Requests that have ended; 499 are those whose clients went away before an answer.",
    method=METHODS,
    handler=HANDLERS,
    status=STATUSES,
)
REQUEST_DURATION = histogram(
    "http_request_duration_seconds",
    "From a request's head to the last byte of its answer.",
    REQUEST_EDGES,
    method=METHODS,
    handler=HANDLERS,
)
IN_FLIGHT = gauge(
    "http_requests_in_flight", "Requests that are being answered, to the end of their bodies."
)

METRICS = {metric.name: metric for metric in list(globals().values()) if isinstance(metric, Metric)}
"""By name, in the order in which they are declared and written down."""
