"""Rules about what instances do besides answering: jobs, the sweep, the store, log lines."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from photo_fleet.doctor.counted import growth
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import LARGEST, RegistryLook
from photo_fleet.doctor.looks.servers import Server
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.told import (
    COUNTED,
    configurations,
    fleet_numbers,
    instances,
    metric,
    names,
    number,
    ready_servers,
)
from photo_fleet.doctor.words import span
from photo_fleet.render.alerts import OLDEST_JOB, OLDEST_NUMBERS
from photo_fleet.spec.kinds import is_number

JOBS, OLDEST = "photo_api_fleet_jobs", "photo_api_fleet_oldest_job_seconds"
OVERDUE = 3600.0
"""Seconds after which an object should have been deleted, however many there were."""
URGENT_KINDS = ("renditions", "shared_album")
"""Jobs that somebody waits for; others give way to them."""
LONGEST_QUEUE = 3600.0
"""Seconds for those others."""
FALLBACK = "photo_api_cdn_fallback"
LOST = "photo_api_log_lines_lost_total"
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


def cdn_failed(seen: Seen) -> Iterator[Finding]:
    """As the fleet judges it, which looks at it all the time and tells an answer that did not come
    of the store from one of the CDN. Nothing is asked of the CDN from here."""
    with_cdn = [(server, told["cdn"]) for server, told in configurations(seen) if told.get("cdn")]
    paths = [one.metrics.value(FALLBACK) if one.metrics else None for one, _ in with_cdn]
    away = [one for (one, _), path in zip(with_cdn, paths, strict=True) if path]
    silent = [one for (one, _), path in zip(with_cdn, paths, strict=True) if path is None]
    if away:
        cdn = next(told for server, told in with_cdn if server is away[0])
        yield Finding(
            "warning",
            "cdn-failed",
            f"{len(away)} of {len(with_cdn)} ready instances with a CDN deliver without it"
            f" ({FALLBACK}), by its fallback {str(cdn.get('fallback'))[:20]}:"
            f" {str(cdn.get('address'))[:200]} does not give what is in the store",
            metric(away[0], "photo_api_cdn"),
            "mend the CDN or its way to the store (docs/cdn.md); the fleet comes back to it by"
            " itself, later each time",
            instances(away),
        )
    if silent:
        raise Unseen(f"{names(silent)} told nothing of {FALLBACK}", metric(silent[0], FALLBACK))


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
            f"the fleet's numbers {since.format(span(silence))} ({COUNTED} of"
            f" {len(told)} instances), and otherwise are every minute: nobody with the lease"
            " maintenance sweeps, prunes and counts",
            LEASES,
            "have a job worker run (photo-api worker, or serve without --no-jobs), or end the one"
            " that holds the lease and hangs",
        )


def orphans_grow(seen: Seen) -> Iterator[Finding]:
    """By what the store keeps though it is well, and by how long the oldest has been due."""
    metrics, ready = fleet_numbers(seen), ready_servers(seen)
    objects = number(metrics, "photo_api_fleet_orphan_objects")
    size = number(metrics, "photo_api_fleet_orphan_bytes")
    kept = number(metrics, "photo_api_fleet_kept_orphan_objects")
    oldest = number(metrics, "photo_api_fleet_oldest_orphan_seconds")
    due = f"{objects:.0f} objects ({size / 1e6:.0f} MB and more) are due to be deleted"
    is_well = not any(one.checks.get("storage", {}).get("ok") is False for one in ready)
    if kept and is_well:
        reason = f"{kept:.0f} of them were there a minute after the store was told to delete them"
        fix = "let the service's key delete in the bucket (s3:DeleteObject, no object lock)"
    elif oldest > OVERDUE:
        reason = f"the oldest for {span(oldest)}: the sweep does not keep up"
        fix = (
            "read in the job workers' log what the sweep fails of (docs/operations.md#maintenance)"
        )
    else:
        return
    yield Finding(
        "warning",
        "orphans-grow",
        f"{due} (photo_api_fleet_orphan_objects), {reason}",
        metric(ready[0], "orphan"),
        fix,
    )


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
            f"jobs that have failed for good within 30 days, by kind: {', '.join(dead)}"
            f' ({JOBS}{{state="dead"}})',
            "photo-api jobs list --state dead",
            "mend the cause that the list tells, then photo-api jobs retry --all",
        )


def queue_old(seen: Seen) -> Iterator[Finding]:
    """Of jobs that may run and that nobody has taken. What the fleet counts by kind has no kind
    that its release does not know, and stands still with the job workers; what each instance asks
    of the queue itself does not."""
    ready, known = ready_servers(seen), 0.0
    try:
        metrics = fleet_numbers(seen)
        number(metrics, OLDEST)
    except Unseen:
        yield from _queue_as_asked(ready, known)
        raise
    for labels, age in metrics.samples(OLDEST):
        kind = labels.get("kind", "")
        longest = OLDEST_JOB if kind in URGENT_KINDS else LONGEST_QUEUE
        if age <= longest:
            continue
        known = max(known, age)
        queued, leased = (
            metrics.value(JOBS, kind=kind, state=state) or 0 for state in ("queued", "leased")
        )
        yield _queue(
            f"the oldest {kind} job has been waiting for {span(age)}, more than {longest:.0f} s"
            f" ({OLDEST}); {queued:.0f} wait, {leased:.0f} are at work",
            "have more job workers (photo-api worker), or a higher service.job_concurrency"
            if leased
            else "have a job worker run, and see in its log what keeps it from working",
        )
    yield from _queue_as_asked(ready, known)


def _queue_as_asked(ready: Sequence[Server], known: float) -> Iterator[Finding]:
    """Where instances see a job that is older than those of which is `known`, in seconds."""
    oldest, told = max(((_number(one, "oldest"), one) for one in ready), key=lambda pair: pair[0])
    if oldest <= max(LONGEST_QUEUE, known + OLDEST_NUMBERS):
        return
    queued, leased = _number(told, "queued"), _number(told, "leased")
    yield _queue(
        f"the oldest job of all has been waiting for {span(oldest)} (checks.jobs of"
        f" /health/detailed at {told.boot.instance}), and the numbers by kind do not have it:"
        f" {queued:.0f} wait, {leased:.0f} are at work",
        "see its kind in the list: have a job worker run and work, or one of the release that"
        " knows this kind",
    )


def _number(server: Server, name: str) -> float:
    """What it tells of the queue, 0 of what it does not."""
    value = server.checks.get("jobs", {}).get(name)
    return float(value) if is_number(value) and 0 <= value < LARGEST else 0.0


def _queue(evidence: str, fix: str) -> Finding:
    return Finding("warning", "queue-old", evidence, "photo-api jobs list --state queued", fix)


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
    """Since the instances' starts, unless Prometheus knows that it was before the time that is
    looked at."""
    ready = ready_servers(seen)
    lost: dict[str, list[tuple[float, Server]]] = {}
    for server in ready:
        by_way: dict[str, float] = {}
        for labels, value in server.metrics.samples(LOST) if server.metrics else ():
            way = labels.get("way", "")
            by_way[way] = by_way.get(way, 0.0) + value
        for way, value in by_way.items():
            if value > 0:
                lost.setdefault(way, []).append((value, server))
    if lost and _lost_lately(seen) != 0:
        yield from (_of_way(seen, way, losses) for way, losses in lost.items())
    if silent := [server for server in ready if server.metrics is None]:
        raise Unseen(f"{names(silent)} told no metrics", metric(silent[0], LOST))


def _lost_lately(seen: Seen) -> float | None:
    """Lines of this fleet within the time that Prometheus was asked for; None when it was not, or
    cannot tell."""
    try:
        look = seen.need(PrometheusLook)
        boots = {boot.boot_id for boot in seen.need(RegistryLook).instances}
        info = [one.labels for one in look.series("info") if one.labels.get("boot_id") in boots]
        own = {(labels.get("job"), labels.get("instance")) for labels in info}
        told = look.series("log_lines_lost")
    except Unseen:
        return None
    series = [one for one in told if (one.labels.get("job"), one.labels.get("instance")) in own]
    lost = 0.0
    for values in (one.values for one in series if one.values):
        began_meanwhile = values[0][0] > look.window.start + 2 * look.window.step
        lost += values[0][1] if began_meanwhile else 0.0
        lost += sum(growth(before, later) for (_, before), (_, later) in pairwise(values))
    return lost if series else None


def _of_way(seen: Seen, way: str, losses: list[tuple[float, Server]]) -> Finding:
    most, worst = max(losses, key=lambda pair: pair[0])
    runs = span(max(0.0, seen.need(RegistryLook).now - worst.boot.started_at))
    return Finding(
        "warning",
        "log-lines-lost",
        f"{sum(value for value, _ in losses):.0f} lines of {len(losses)} instances were lost on"
        f" their way to {way} since their starts ({LOST}), {most:.0f} of them at"
        f" {worst.boot.instance}, which began {runs} ago",
        metric(worst, LOST),
        "give the sink what it lacks, or a larger PHOTO_API_LOG_QUEUE"
        " (docs/operations.md#logs-and-metrics)"
        if way == "sink"
        else "have standard error read: journald, or whatever its pipe leads to, takes too little",
        instances(server for _, server in losses),
    )


RULES = (
    Rule("store-down", store_down),
    Rule("cdn-failed", cdn_failed),
    Rule("maintenance-stopped", maintenance_stopped),
    Rule("orphans-grow", orphans_grow),
    Rule("jobs-dead", jobs_dead),
    Rule("queue-old", queue_old),
    Rule("renditions-missing", renditions_missing),
    Rule("log-lines-lost", log_lines_lost),
)
