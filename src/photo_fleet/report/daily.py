"""The lines of a day."""

from collections import Counter
from collections.abc import Iterator

from photo_fleet.dashboard.units import told
from photo_fleet.report.boots import instance_seconds, starts
from photo_fleet.report.coverage import (
    DAY,
    age_told,
    counting_gaps,
    prometheus_gaps,
    registry_gaps,
)
from photo_fleet.report.ends import DRAINS
from photo_fleet.report.history import History
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot
from photo_fleet.report.objectives import BUDGET
from photo_fleet.report.spread import TRAFFIC
from photo_fleet.report.statistics import poisson_tail

PASSING = 0.99
"""The least share of the time in which an instance shall pass its checks."""
UNREADY = 120.0
"""Seconds that one may fail them however short it lived: a start, a blink of the database."""
CHANCE = 0.01
"""A day is out of the usual when one like it comes less often than once in so many."""
DAILY_RESTARTS = 1.0
"""Restarts of an instance in a day that are too many, however usual they are."""
OLDEST_JOB = 900.0
"""Seconds for which no job should have to wait."""


def health(history: History) -> Judgement:
    """By Prometheus's samples: the share of time in which each was ready, unless it drained."""
    gaps, measured = prometheus_gaps(history), history.measured
    unready, looked = measured.of("unready"), measured.of("looked_at")
    answered, scrapes = measured.of("scraped"), measured.of("scrapes")
    rows, faults = [], []
    for name, moments in sorted(looked.items()):
        ill = unready.get(name, 0.0)
        silent = scrapes.get(name, 0.0) - answered.get(name, 0.0)
        for what, share, seconds in (
            ("passed its checks", 1 - ill / moments, ill * 30),
            (
                "answered Prometheus",
                1 - silent / scrapes[name] if scrapes.get(name) else 1.0,
                silent * measured.window.interval,
            ),
        ):
            rows.append((name, what, told(share, "percentunit"), told(seconds, "s")))
            if share < PASSING and seconds > UNREADY:
                faults.append(f"{name} {what} in {told(share, 'percentunit')} of its time")
    checks = measured.by("checks", "check", "result")
    number = sum(checks.values())
    failed = {key: value for key, value in checks.items() if key[1] != "ok" and value >= 1}
    why = ", ".join(f"{check} {result} {value:.0f}" for (check, result), value in failed.items())
    answer = f"{len(looked)} instances, {number:.0f} looks at database and store"
    answer += f", of which failed: {why}" if why else ", none of which failed"
    shown = table(("instance", "what it did", "share of its time", "not for"), rows)
    curves = [Curve(name, points) for name, points in measured.points("ready").items()]
    plot = Plot("Ready", "percentunit", tuple(curves), PASSING, at_least=True)
    return Judgement(answer + age_told(history), faults, gaps, (shown,), (plot,))


def restarts(history: History) -> Judgement:
    """Starts that neither growth nor a deploy explains, against the seven days before."""
    registry, days = history.registry, (history.start - history.baseline) / DAY
    gaps = registry_gaps(history)
    begun = starts(registry.boots, history.start, history.end)
    usual = starts(registry.boots, history.baseline, history.start)
    reasons = Counter(one.reason for one in begun)
    known = (history.start - max(history.baseline, history.born, registry.kept_since)) / DAY
    deaths = registry.events.get("worker_died")
    counts = [("restarts", reasons["restart"], sum(one.reason == "restart" for one in usual))]
    counts.append(("dead workers", deaths.during if deaths else 0, deaths.before if deaths else 0))
    faults = [fault for one in counts for fault in _unusual(*one, known, history)]
    if known < 1 and not faults and any(during > 1 for _, during, _ in counts):
        gaps.append("there is no day before this one to compare its restarts with")
    answer = (
        f"{len(begun)} starts: {reasons['growth']} by growth, {reasons['deploy']} by deploys,"
        f" {reasons['restart']} restarts; {counts[1][1]} dead workers"
    )
    if known >= 1:
        answer += f"; in the {min(days, known):.1f} days before {counts[0][2]} restarts and"
        answer += f" {counts[1][2]} dead workers"
    rows = [
        (
            _clock(one.at, history),
            one.boot.instance,
            one.reason,
            f"{one.instead_of.instance} {one.instead_of.ending or 'ended'}"
            if one.instead_of
            else "",
        )
        for one in begun
    ]
    shown = table(("hours before the end", "instance", "why", "instead of"), rows)
    return Judgement(answer, faults, gaps, (shown,) if rows else ())


def _clock(at: float, history: History) -> str:
    return f"{(history.end - at) / 3600:.1f}"


def _unusual(what: str, during: int, before: int, known: float, history: History) -> Iterator[str]:
    lived = instance_seconds(history.registry.boots, history.start, history.end) / DAY
    if during >= 3 and during > DAILY_RESTARTS * max(1.0, lived):
        yield f"{during} {what} in {lived:.1f} days of instances"
    elif known >= 1 and during >= 2:
        # One more than were seen: what never happened before is not impossible.
        usual = (before + 1) / known
        if (chance := poisson_tail(during, usual)) < CHANCE:
            yield (
                f"{during} {what}, where {before / known:.2g} a day are usual (chance {chance:.1g})"
            )


def log_lines(history: History) -> Judgement:
    """Lost lines by Prometheus, and those that receipts of ended instances tell of."""
    gaps, measured = prometheus_gaps(history), history.measured
    lost = measured.by("lines_lost", "instance", "way")
    ended = [
        one
        for one in history.registry.boots
        if one.ended is not None and one.ended >= history.start
    ]
    silent = [one.instance for one in ended if one.log_lines_lost is None]
    if silent:
        gaps.append(f"of {len(silent)} ended instances nobody knows what they lost: {silent[0]}")
    gaps += registry_gaps(history)
    living = sum(lost.values())
    receipts = sum(one.log_lines_lost or 0 for one in ended)
    faults = [f"{living:.0f} lines lost by Prometheus"] if living >= 0.5 else []
    faults += [f"{receipts} lines lost by receipts"] if receipts else []
    rows = [(*key, f"{value:.0f}") for key, value in lost.items() if value >= 0.5]
    rows += [
        (one.instance, "receipt", str(one.log_lines_lost)) for one in ended if one.log_lines_lost
    ]
    answer = f"{len({name for name, _ in lost})} instances seen, {len(ended)} receipts"
    shown = table(("instance", "way", "lines lost"), rows)
    return Judgement(answer, faults, gaps, (shown,) if rows else ())


def work(history: History) -> Judgement:
    """The queue of the whole fleet, as any instance tells it."""
    gaps, measured = prometheus_gaps(history), history.measured
    dead, queued = measured.points("jobs_dead", "kind"), measured.points("jobs_queued", "kind")
    oldest = measured.points("oldest_job", "kind")
    faults, rows = [], []
    for kind, values in sorted(dead.items()):
        grown = values[-1][1] - values[0][1] if values else 0.0
        waited = max((value for _, value in oldest.get(kind, ())), default=0.0)
        most = max((value for _, value in queued.get(kind, ())), default=0.0)
        at_end = values[-1][1] if values else 0.0
        rows.append((kind, f"{most:.0f}", told(waited, "s"), f"{at_end:.0f}", f"{grown:+.0f}"))
        if grown > 0:
            faults.append(f"{grown:.0f} more {kind} jobs are dead")
        if waited > OLDEST_JOB:
            faults.append(f"a {kind} job waited for {told(waited, 's')}")
    gaps += counting_gaps(history)
    curves = tuple(Curve(kind, values) for kind, values in sorted(queued.items()))
    headings = ("kind", "most that waited", "longest wait", "dead at the end", "dead since")
    answer = f"{len(dead)} kinds of jobs, of which none waited for more than"
    answer += f" {told(max((v for each in oldest.values() for _, v in each), default=0.0), 's')}"
    plot = Plot("Jobs that wait", "short", curves)
    return Judgement(answer, faults, gaps, (table(headings, rows),), (plot,))


COMPLAINTS = (
    ("requests and jobs without a connection to the database", "refusals", "answers", 0.001),
    ("calls of the store that failed", "store_failed", "store_calls", 0.01),
    ("jobs that failed", "jobs_failed", "jobs_run", 0.02),
    ("pushes that failed", "pushes_failed", "pushes", 0.05),
)
"""What is counted, of what, and the share from which it is a complaint."""
NOTED = {
    "peers_unreachable": "instances do not reach each other's port",
    "without_workers": "an instance was without any web worker",
    "corrected": "the registry's rows were wrong",
    "cdn_failed": "the CDN failed, and the fleet delivered without it",
}


def complaints(history: History) -> Judgement:
    """What instances count and note of what went wrong; the words are in their logs."""
    gaps, measured = prometheus_gaps(history), history.measured
    faults, rows = [], []
    for what, part, whole, limit in COMPLAINTS:
        of = sum(measured.of(whole, "").values())
        number = sum(measured.of(part, "").values())
        rows.append((what, f"{number:.0f}", f"{of:.0f}"))
        if number >= 1 and number > limit * of:
            faults.append(f"{number:.0f} {what}, of {of:.0f}")
    for breaker, opened in measured.of("breakers", "breaker").items():
        if opened:
            faults.append(f"the breaker of {breaker} opened")
    if (spans := sum(measured.of("spans_lost", "").values())) >= 1:
        faults.append(f"{spans:.0f} spans lost")
    events = history.registry.events
    for event, meaning in NOTED.items():
        if event in events and events[event].during:
            faults.append(f"{meaning} ({event} {events[event].during} times)")
    gaps += registry_gaps(history)
    answer = f"{sum(measured.of('answers', '').values()):.0f} requests looked at"
    return Judgement(answer, faults, gaps, (table(("what", "times", "of"), rows),))


ITEMS = (
    Item(
        "health",
        "Does every instance pass its health check?",
        "look at /health of those that fail; restarts and databases are told of by the doctor",
        "photo-fleet doctor --only restarts",
        health,
    ),
    TRAFFIC,
    Item(
        "restarts",
        "Do instances start more often than the group grows?",
        "find out why they ended: the receipts of those that began again",
        "photo-fleet doctor --only restarts",
        restarts,
    ),
    DRAINS,
    Item(
        "log-lines",
        "Are log lines lost?",
        "see which sink takes none, and whether it can be reached from the instances",
        "photo-fleet doctor --only always",
        log_lines,
    ),
    BUDGET,
    Item(
        "work",
        "Is work left lying?",
        "see whether job workers run and what their jobs fail of; add some",
        "photo-fleet doctor --only always",
        work,
    ),
    Item(
        "complaints",
        "What did the service complain about?",
        "read the warnings in the log of that time; the doctor tells what still is so",
        "journalctl -u photo-api -o cat --since=-1d | jq -rR 'fromjson? | select(.level =="
        ' "WARNING" or .level == "ERROR") | .message\' | sort | uniq -c | sort -n',
        complaints,
    ),
)
