"""Fleets whose reports are known: what a sound one tells Prometheus, and one with which everything
is wrong."""

import math

from tests.report.histories import DAY, LE, NAMES, Fleet, alive

API = 'method="GET",handler="/api/photos"'
EDIT = 'method="POST",handler="/api/albums"'
GIB = 1024.0**3
OLD = tuple(alive(name, 40) for name in NAMES)
GROWN = alive("10.0.1.13", 2)
"""By whom the group of a sound week grew two days before its end, when it had been loaded for so
long:"""
LOADED = 720.0
ILL, TELLS = NAMES[1], NAMES[0]
"""The instance that is wrong where only one is, and the one whose word on the fleet is kept."""


def _always(fleet: Fleet, **numbers: float) -> None:
    for name, number in numbers.items():
        fleet.add(name, lambda at, number=number: number)  # type: ignore[misc]


def _requests(fleet: Fleet, late: float = 0.0, failed: float = 0.0) -> Fleet:
    fleet.grow(f'http_requests_total{{{API},status="200"}}', 2.0)
    fleet.grow(f'http_requests_total{{{API},status="503"}}', 2.0 * failed)
    for which, rate in ((API, 2.0), (EDIT, 0.2)):
        for le in LE:
            part = 1.0 - late if le == "0.25" else 1.0
            fleet.grow(f'http_request_duration_seconds_bucket{{{which},le="{le}"}}', rate * part)
        fleet.grow(f"http_request_duration_seconds_count{{{which}}}", rate)
        fleet.grow(f"http_request_duration_seconds_sum{{{which}}}", rate * 0.05)
    for objective, rate in (("reads", 2.0), ("writes", 0.2)):
        for result, part in (("ok", 1 - failed), ("failed", failed)):
            labels = f'objective="{objective}",result="{result}"'
            fleet.grow(f"photo_api_objective_requests_total{{{labels}}}", rate * part)
    return fleet


def _life(fleet: Fleet) -> Fleet:
    _always(fleet, up=1, photo_api_ready=1, photo_api_draining_seconds=0, photo_api_workers=1)
    return fleet


def _counting(fleet: Fleet, end: float) -> None:
    begin = end - fleet.seconds
    counted = "photo_api_fleet_counted_timestamp_seconds"
    fleet.add(counted, lambda at: begin + at - 20, TELLS)


def _queue(fleet: Fleet, end: float) -> Fleet:
    for kind in ("renditions", "metadata"):
        for state in ("queued", "leased", "dead"):
            jobs = f'photo_api_fleet_jobs{{kind="{kind}",state="{state}"}}'
            fleet.add(jobs, lambda at: 0, TELLS)
        fleet.add(f'photo_api_fleet_oldest_job_seconds{{kind="{kind}"}}', lambda at: 2, TELLS)
    _counting(fleet, end)
    for result in ("ok", "timeout"):
        labels = f'check="database",result="{result}"'
        fleet.grow(f"photo_api_health_checks_total{{{labels}}}", 0.2 if result == "ok" else 0.0)
    return fleet


def day(
    job: str, end: float, told: float = 1.0, before: float = 9 * DAY, seconds: float = DAY
) -> Fleet:
    """A sound one."""
    fleet = _queue(_requests(_life(Fleet(job, seconds, 120, before, told))), end)
    for name in ("worker_deaths", "database_refusals", "spans_lost"):
        fleet.grow(f'photo_api_{name}_total{{process="web"}}', 0.0)
    for process in ("main", "web"):
        fleet.grow(f'photo_api_log_lines_lost_total{{process="{process}",way="sink"}}', 0.0)
    for result in ("ok", "failed"):
        fleet.grow(f'photo_api_pushes_total{{result="{result}"}}', 0.0)
    for breaker in ("database", "store"):
        fleet.add(f'photo_api_breaker_open{{breaker="{breaker}"}}', lambda at: 0)
    store = 'photo_api_storage_call_duration_seconds_count{operation="put",result='
    jobs = 'photo_api_job_duration_seconds_count{kind="renditions",result='
    fleet.grow(f'{store}"ok"}}', 0.5).grow(f'{store}"timeout"}}', 0.0)
    return fleet.grow(f'{jobs}"done"}}', 0.1).grow(f'{jobs}"failed"}}', 0.0)


def bad_day(job: str, end: float) -> Fleet:
    """All that Prometheus may tell of a day is wrong."""
    fleet = day(job, end)
    _requests(fleet, late=0.1, failed=0.02)
    fleet.add("photo_api_ready", lambda at: 0 if DAY / 2 < at < DAY / 2 + 3600 else 1, ILL)
    fleet.add("up", lambda at: 0 if 0 <= at < 3600 else 1, NAMES[2])
    fleet.grow(f'http_requests_total{{{API},status="200"}}', 6.0, ILL)
    dead = 'photo_api_fleet_jobs{kind="renditions",state="dead"}'
    fleet.add(dead, lambda at: 3 if at > DAY / 2 else 0, TELLS)
    fleet.add('photo_api_fleet_oldest_job_seconds{kind="metadata"}', lambda at: at / 10, TELLS)
    fleet.add('photo_api_breaker_open{breaker="store"}', lambda at: 1 if 900 < at < 1800 else 0)
    fleet.grow('photo_api_log_lines_lost_total{process="web",way="sink"}', 0.01, ILL)
    fleet.grow('photo_api_database_refusals_total{process="web"}', 0.05)
    store = 'photo_api_storage_call_duration_seconds_count{operation="put",result="timeout"}'
    return fleet.grow(store, 0.1)


def week(job: str, end: float, told: float = 1.0) -> Fleet:
    """A sound one."""
    fleet = _queue(_requests(_life(Fleet(job, 7 * DAY, 120, 3 * DAY, told))), end)
    fleet.add('photo_api_resident_memory_bytes{process="web"}', lambda at: 0.2 * GIB)
    fleet.names, fleet.since = (*NAMES, GROWN.instance), {GROWN.instance: GROWN.started}
    for boot in (*OLD, GROWN):
        own = f'exported_instance="{boot.instance}",version="0.1.0",boot_id="{boot.boot_id}"'
        fleet.add(f"photo_api_info{{{own}}}", lambda at: 1, boot.instance)
    begin = 7 * DAY - GROWN.started - LOADED

    def busy(at: float) -> float:
        return 0.02 * at + 0.8 * min(max(0.0, at - begin), LOADED)

    return fleet.add('photo_api_cpu_seconds_total{process="web"}', busy)


def bad_week(job: str, end: float) -> Fleet:
    """All that Prometheus may tell of a week is wrong."""
    fleet = week(job, end)
    fleet.grow('photo_api_cpu_seconds_total{process="web"}', 0.08, ILL)
    fleet.add("photo_api_workers", lambda at: 3, ILL)
    fleet.grow(f'http_requests_total{{{API},status="503"}}', 0.1, ILL)
    fleet.add('photo_api_resident_memory_bytes{process="web"}', lambda at: GIB, ILL)
    fleet.add('photo_api_fleet_jobs{kind="renditions",state="dead"}', lambda at: 3, TELLS)
    info = f'photo_api_info{{exported_instance="{ILL}",version="0.2.0",boot_id="other"}}'
    return fleet.add(info, lambda at: 1, ILL)


def of_others(fleet: Fleet) -> Fleet:
    """The same as another fleet's, whose boots this one's registry does not know."""
    told = fleet.of_each.items()
    fleet.of_each = {name.replace('boot_id="', 'boot_id="x'): each for name, each in told}
    return fleet


def month(job: str, end: float, told: float = 1.0) -> Fleet:
    """A sound one: two of three would have borne the load, and the keys are young."""
    fleet = Fleet(job, 30 * DAY, 150, 2 * DAY, told)
    _always(fleet, photo_api_ready=1, photo_api_workers=1)
    fleet.grow('photo_api_cpu_seconds_total{process="web"}', 0.45)
    fleet.grow(f'http_requests_total{{{API},status="200"}}', 20.0)
    fleet.add('photo_api_resident_memory_bytes{process="web"}', lambda at: 0.4 * GIB)
    fleet.add("photo_api_fleet_photo_bytes", lambda at: 1e12 + 1e4 * at, TELLS)
    fleet.add("photo_api_fleet_orphan_bytes", lambda at: 1e9, TELLS)
    _counting(fleet, end)
    for name in ("jwt", "secret"):
        key = f'photo_api_key_made_timestamp_seconds{{keys="{name}"}}'
        fleet.add(key, lambda at: end - 90 * DAY, TELLS)
    return fleet


def bad_month(job: str, end: float) -> Fleet:
    """All that Prometheus may tell of a month is wrong."""
    fleet = month(job, end)
    fleet.grow('photo_api_cpu_seconds_total{process="web"}', 0.95)
    fleet.add('photo_api_resident_memory_bytes{process="web"}', lambda at: 0.95 * GIB)
    fleet.add("photo_api_fleet_orphan_bytes", lambda at: 1e11 + 1e4 * at, TELLS)
    for name in ("jwt", "secret"):
        key = f'photo_api_key_made_timestamp_seconds{{keys="{name}"}}'
        fleet.add(key, lambda at: end - 500 * DAY, TELLS)
    return fleet


def tides(job: str, end: float) -> Fleet:
    """A month whose traffic comes and goes with each day: a tenth to all of 60 requests a second of
    each instance, which take 15 ms each."""
    fleet = Fleet(job, 30 * DAY, 150, 2 * DAY)
    _always(fleet, photo_api_ready=1, photo_api_workers=1)

    def asked(at: float) -> float:
        turn = 2 * math.pi / DAY
        return 33.0 * at - 27.0 * math.sin(turn * at) / turn

    fleet.add(f'http_requests_total{{{API},status="200"}}', asked)
    return fleet.add('photo_api_cpu_seconds_total{process="web"}', lambda at: 0.015 * asked(at))
