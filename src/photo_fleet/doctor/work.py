"""Rules about what instances do besides answering: jobs, the sweep, the store, log lines."""

from collections.abc import Iterator

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.exposition import Metrics
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import Server
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.told import (
    COUNTED,
    fleet_numbers,
    instances,
    lasting,
    metric,
    names,
    number,
    ready_servers,
)
from photo_fleet.render.alerts import OLDEST_JOB, OLDEST_NUMBERS

JOBS, OLDEST = "photo_api_fleet_jobs", "photo_api_fleet_oldest_job_seconds"
OVERDUE = 3600.0
"""Seconds after which an object should have been deleted, however many there were."""
URGENT_KINDS = ("renditions", "shared_album")
"""Jobs that somebody waits for; others give way to them."""
LONGEST_QUEUE = 3600.0
"""Seconds for those others."""
FEW_CALLS = 3
LEASES = (
    'psql "$PHOTO_API_DATABASE_URL" -c "SELECT name, holder, expires_at FROM leases"'
    ' -c "SELECT name, value, at FROM statistics ORDER BY at LIMIT 5"'
)


def store_down(seen: Seen) -> Iterator[Finding]:
    """As instances see it: a stranger may well reach it, or not."""
    ready, failing, silent = ready_servers(seen), [], []
    for server in ready:
        check = server.checks.get("storage")
        if check is None:
            silent.append(server)
        elif not check["ok"]:
            failing.append(server)
    if failing:
        open_at = [server for server in failing if _breaker_open(server)]
        check = failing[0].checks["storage"]
        breaker = f"; photo_api_breaker_open at {names(open_at)}" if open_at else ""
        yield Finding(
            "error" if open_at or len(failing) == len(ready) else "warning",
            "store-down",
            f"{len(failing)} of {len(ready)} ready instances do not reach it (checks.storage of"
            f" /health/detailed): {str(check.get('error', 'no reason told'))[:200]}{breaker}",
            f"curl -sS http://{failing[0].boot.place}/health/detailed | jq .checks.storage",
            "mend the store, its address, credentials or authorities (docs/operations.md#tls); the"
            " instances come back by themselves, and none must be replaced",
            instances(failing),
        )
    if silent:
        raise Unseen(
            f"{names(silent)} told nothing of the store: {silent[0].problem or 'no details'}",
            f"curl -sS http://{silent[0].boot.place}/health/detailed",
        )


def _breaker_open(server: Server) -> bool:
    told = server.metrics.samples("photo_api_breaker_open") if server.metrics else ()
    return any(labels.get("breaker", "").startswith("store") and value for labels, value in told)


def maintenance_stopped(seen: Seen) -> Iterator[Finding]:
    """Numbers that nobody counts anew are those of a lease that nobody holds, or that somebody
    holds who does nothing."""
    registry, ready = seen.need(RegistryLook), ready_servers(seen)
    told = [server for server in ready if server.metrics is not None]
    if not told:
        raise Unseen("/metrics: no instance told its metrics", metric(ready[0], COUNTED))
    counted = [at for one in told if one.metrics and (at := one.metrics.value(COUNTED)) is not None]
    if counted:
        silence, since = registry.now - max(counted), "were counted {} ago"
    else:
        # Instances that do not reach the database tell none either.
        able = [one for one in told if (one.checks.get("database") or {}).get("ok") is True]
        if not able:
            raise Unseen("/metrics: instances without a database count nothing", LEASES)
        began = max(one.boot.changed_at for one in able)
        silence, since = registry.now - began, "have not been counted for {}"
    if silence > OLDEST_NUMBERS:
        yield Finding(
            "error",
            "maintenance-stopped",
            f"the fleet's numbers {since.format(lasting(silence))} ({COUNTED} of"
            f" {len(told)} instances), and otherwise are every minute: nobody with the lease"
            " maintenance sweeps, prunes and counts",
            LEASES,
            "have a job worker run (photo-api worker, or serve without --no-jobs), or end the one"
            " that holds the lease and hangs",
        )


def orphans_grow(seen: Seen) -> Iterator[Finding]:
    """By how long the oldest has been due, and by what the store says to deletions."""
    metrics, ready = fleet_numbers(seen), ready_servers(seen)
    objects = number(metrics, "photo_api_fleet_orphan_objects")
    size = number(metrics, "photo_api_fleet_orphan_bytes")
    due = f"{objects:.0f} objects ({size / 1e6:.0f} MB and more) are due to be deleted"
    refused, tried = _deletions(ready)
    if objects and refused >= FEW_CALLS and 2 * refused > tried:
        yield Finding(
            "warning",
            "orphans-grow",
            f"the store did not do {refused:.0f} of {tried:.0f} deletions"
            f" (photo_api_storage_call_duration_seconds_count of {len(ready)} instances), and {due}",
            metric(ready[0], "'operation=\"delete\"'"),
            "let the service's key delete in the bucket (s3:DeleteObject, no object lock)",
        )
        return
    oldest = number(metrics, "photo_api_fleet_oldest_orphan_seconds")
    if oldest > OVERDUE:
        yield Finding(
            "warning",
            "orphans-grow",
            f"{due}, the oldest since {lasting(oldest)} (photo_api_fleet_oldest_orphan_seconds): the"
            " sweep does not keep up",
            metric(ready[0], "photo_api_fleet_o"),
            "read the job workers' log for what the sweep fails of (docs/operations.md#maintenance)",
        )


def _deletions(servers: tuple[Server, ...]) -> tuple[float, float]:
    """(those that failed, all of them) since the instances' starts."""
    name = "photo_api_storage_call_duration_seconds_count"
    told = [
        (labels.get("result"), value)
        for server in servers
        if server.metrics
        for labels, value in server.metrics.samples(name)
        if labels.get("operation") == "delete"
    ]
    failed = sum(value for result, value in told if result not in ("ok", "missing"))
    return failed, sum(value for _, value in told)


def jobs_dead(seen: Seen) -> Iterator[Finding]:
    """By kind; a display job may be dead because its file is at fault."""
    metrics = fleet_numbers(seen)
    number(metrics, JOBS)
    dead = [
        f"{value:.0f} {labels.get('kind')}"
        for labels, value in metrics.samples(JOBS)
        if labels.get("state") == "dead" and value > 0
    ]
    if dead:
        yield Finding(
            "warning",
            "jobs-dead",
            f"{', '.join(dead)} {'jobs have' if len(dead) > 1 else 'have'} failed for good within 30"
            f' days ({JOBS}{{state="dead"}})',
            "photo-api jobs list --state dead",
            "mend the cause that the list tells, then photo-api jobs retry --all",
        )


def queue_old(seen: Seen) -> Iterator[Finding]:
    """Of jobs that may run and that nobody has taken."""
    metrics = fleet_numbers(seen)
    number(metrics, OLDEST)
    for labels, age in metrics.samples(OLDEST):
        kind = labels.get("kind", "")
        longest = OLDEST_JOB if kind in URGENT_KINDS else LONGEST_QUEUE
        if age <= longest:
            continue
        queued, leased = (
            metrics.value(JOBS, kind=kind, state=state) or 0 for state in ("queued", "leased")
        )
        yield Finding(
            "warning",
            "queue-old",
            f"the oldest {kind} job has been waiting for {lasting(age)}, more than {longest:.0f} s"
            f" ({OLDEST}); {queued:.0f} wait, {leased:.0f} are at work",
            "photo-api jobs list --state queued",
            "have more job workers (photo-api worker), or a higher service.job_concurrency"
            if leased
            else "have a job worker run, and see in its log what keeps it from working",
        )


def renditions_missing(seen: Seen) -> Iterator[Finding]:
    """Those whose files are at fault are not among them, nor those whose jobs are dead."""
    metrics = fleet_numbers(seen)
    name = "photo_api_fleet_photos_without_thumbnail"
    if missing := number(metrics, name):
        yield Finding(
            "error",
            "renditions-missing",
            f"{missing:.0f} photos have no thumbnail though their files are not at fault, and"
            f" nobody is about to make it ({name})",
            metric(ready_servers(seen)[0], name),
            "photo-api renditions remake --older-than 3600; where files are not in the store,"
            " photo-api reconcile",
        )


def log_lines_lost(seen: Seen) -> Iterator[Finding]:
    """Since the instances' starts: when, only somebody who watched can tell."""
    name = "photo_api_log_lines_lost_total"
    ready = ready_servers(seen)
    lost: dict[str, dict[Server, float]] = {}
    for server in ready:
        for labels, value in server.metrics.samples(name) if server.metrics else ():
            if value > 0:
                of_way = lost.setdefault(labels.get("way", ""), {})
                of_way[server] = of_way.get(server, 0.0) + value
    for way, by_server in lost.items():
        worst = max(by_server, key=lambda server: by_server[server])
        yield Finding(
            "warning",
            "log-lines-lost",
            f"{sum(by_server.values()):.0f} lines of {len(by_server)} instances were lost on their"
            f" way to {way} since their starts, {by_server[worst]:.0f} of them at"
            f" {worst.boot.instance}, which runs for {_running(seen, worst)} ({name})",
            metric(worst, name),
            "give the sink what it lacks, or a larger PHOTO_API_LOG_QUEUE"
            " (docs/operations.md#logs-and-metrics)"
            if way == "sink"
            else "have standard error read: journald's RateLimitBurst, a pipe that nobody reads",
            instances(by_server),
        )
    if silent := [server for server in ready if server.metrics is None]:
        raise Unseen(f"{names(silent)} told no metrics", metric(silent[0], name))


def _running(seen: Seen, server: Server) -> str:
    return lasting(max(0.0, seen.need(RegistryLook).now - server.boot.started_at))


RULES = (
    Rule("store-down", store_down),
    Rule("maintenance-stopped", maintenance_stopped),
    Rule("orphans-grow", orphans_grow),
    Rule("jobs-dead", jobs_dead),
    Rule("queue-old", queue_old),
    Rule("renditions-missing", renditions_missing),
    Rule("log-lines-lost", log_lines_lost),
)
