"""The lines of a week, beside those of its scaling."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from photo_fleet.dashboard.panel import Unit
from photo_fleet.dashboard.units import told
from photo_fleet.report.coverage import counting_gaps, prometheus_gaps, registry_gaps
from photo_fleet.report.ends import DRAINS
from photo_fleet.report.history import Fails, History, Measured
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.scaling import OSCILLATION, SCALING
from photo_fleet.report.statistics import robust_scores

FAILURES = "answers that failed"
FEW = 1000.0
"""Requests below which an instance is not compared: its start is too large a part of it."""
OUTLIER = 3.5
"""Deviations from which one is an outlier (Iglewicz and Hoaglin)."""
MUCH = 1.5
"""Times the median that an outlier differs by at least: less is no use to look for."""
MUCH_OF_TWO = 2.0
"""The same where there are two, which have no deviation."""
DIFFERENT_ERRORS = 0.005
"""More of its answers than the median's that fail."""
TOGETHER = 3
"""Failing checks of one kind within an hour, or days with the same hour, that are a pattern."""
MIXED = 6 * 3600.0
"""Seconds that two releases may serve together."""


def outliers(history: History) -> Judgement:
    """Instances against the median of all, where enough was asked of them."""
    gaps, answers = prometheus_gaps(history), history.measured.of("answers_each")
    # Others may count requests by this name, too.
    answers = {name: answers.get(name, 0.0) for name in history.measured.of("web")}
    names = sorted(name for name, number in answers.items() if number >= FEW)
    compared = _compared(history.measured, {name: answers[name] for name in names})
    if lacks := [what for what, (_, values) in compared.items() if len(values) < len(names)]:
        gaps.append(f"Prometheus lacks {', '.join(lacks)} of some instances")
    faults = [
        f"{name}: {what} {told(values[name], unit)}, {_against(values, name)}"
        for what, (unit, values) in compared.items()
        for name in (_failing if what == FAILURES else _odd)(values)
    ]
    rows = [
        (
            name,
            *(
                told(values[name], unit) if name in values else "–"
                for unit, values in compared.values()
            ),
        )
        for name in names
    ]
    answer = f"{len(names)} of {len(answers)} instances compared, by {FEW:.0f} requests or more"
    if len(names) < 2:
        answer += ": there is nothing to compare"
    shown = table(("instance", *compared), rows)
    return Judgement(answer, faults, gaps, (shown,) if rows else ())


def _compared(
    measured: Measured, answers: Mapping[str, float]
) -> dict[str, tuple[Unit, dict[str, float]]]:
    """By what they are compared, and each one's."""
    cpu, memory = measured.of("cpu_web"), measured.of("memory_each")
    seconds, timed = measured.of("seconds_each"), measured.of("timed_each")
    failed = dict.fromkeys(answers, 0.0) | measured.of("failed_each")
    return {
        "CPU per request": ("s", _each(cpu, answers, answers)),
        "mean duration": ("s", _each(seconds, timed, answers)),
        "memory": ("bytes", {name: memory[name] for name in answers if name in memory}),
        FAILURES: ("percentunit", _each(failed, answers, answers)),
    }


def _each(
    parts: Mapping[str, float], wholes: Mapping[str, float], names: Iterable[str]
) -> dict[str, float]:
    """The ratio of the two, of those that have both."""
    return {
        name: parts[name] / wholes[name] for name in names if name in parts and wholes.get(name)
    }


def _failing(shares: Mapping[str, float]) -> Iterator[str]:
    """Those of whose answers more fail than of others'."""
    usual = statistics.median(shares.values()) if shares else 0.0
    for name, share in shares.items():
        if share > max(3 * usual, usual + DIFFERENT_ERRORS):
            yield name


def _odd(values: Mapping[str, float]) -> Iterator[str]:
    """Those far above the others."""
    if len(values) == 2:
        low, high = sorted(values, key=lambda name: values[name])
        if values[high] > MUCH_OF_TWO * values[low]:
            yield high
    if len(values) < 3:
        return
    middle = statistics.median(values.values())
    for name, score in robust_scores(values).items():
        if score > OUTLIER and values[name] > MUCH * middle:
            yield name


def _against(values: Mapping[str, float], name: str) -> str:
    others = statistics.median(value for other, value in values.items() if other != name)
    return f"{values[name] / others:.1f} times the others" if others else "the others 0"


def patterns(history: History) -> Judgement:
    """Failing checks by cause and hour: of many instances at once it is what they share, of one
    alone its machine, at the same hour of several days something that runs then."""
    gaps, fails = registry_gaps(history), history.registry.fails
    if history.registry.fails_left_out:
        gaps.append(f"more than {len(fails)} times an instance had an hour of failing checks")
    faults = [*_hours(fails), *_alone(fails, history), *_daily(fails)]
    number = sum(one.times for one in fails)
    answer = f"{number} times a check began to fail" if number else "no check failed"
    rows = [
        (_hour(hour), check, str(sum(one.times for one in found)), str(len(found)))
        for (hour, check), found in _by_hour(fails).items()
    ]
    shown = table(("hour (UTC)", "check", "times", "instances"), rows)
    return Judgement(answer, faults, gaps, (shown,) if rows else ())


def _by_hour(fails: tuple[Fails, ...]) -> dict[tuple[float, str], list[Fails]]:
    found = defaultdict[tuple[float, str], list[Fails]](list)
    for one in fails:
        found[one.hour, one.check].append(one)
    return found


def _hours(fails: tuple[Fails, ...]) -> Iterator[str]:
    for (hour, check), found in _by_hour(fails).items():
        if len(found) >= TOGETHER:
            yield f"{check} failed on {len(found)} instances in the hour of {_hour(hour)}"


def _alone(fails: tuple[Fails, ...], history: History) -> Iterator[str]:
    """Only where there are others to differ from."""
    times = Counter[str]()
    for one in fails:
        times[one.instance] += one.times
    if not times or len({one.instance for one in history.registry.boots}) < 2:
        return
    (name, most), *_ = times.most_common(1)
    if most >= TOGETHER and most > 0.8 * times.total():
        yield f"{most} of {times.total()} were of {name} alone"


def _daily(fails: tuple[Fails, ...]) -> Iterator[str]:
    days = defaultdict[tuple[str, int], set[float]](set)
    for one in fails:
        days[one.check, int(one.hour % 86400 // 3600)].add(one.hour // 86400)
    for (check, hour), found in days.items():
        if len(found) >= TOGETHER:
            yield f"{check} failed at {hour} h UTC on {len(found)} days"


def _hour(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H h")


def machines(history: History) -> Judgement:
    """What instances tell of themselves against the spec: workers, and that one release serves."""
    gaps, measured = prometheus_gaps(history), history.measured
    releases, web = measured.points("releases", "version"), measured.of("web")
    workers = {name: number for name, number in measured.of("workers").items() if web.get(name)}
    wanted = history.spec.service.workers
    faults = [
        f"{name} has {number:g} web workers, the spec {wanted}"
        for name, number in sorted(workers.items())
        if round(number) != wanted
    ]
    times = Counter(at for values in releases.values() for at, _ in values)
    mixed = sum(number > 1 for number in times.values()) * measured.window.step
    if mixed > MIXED:
        faults.append(f"two releases or more served together for {told(mixed, 's')}")
    answer = f"{len(workers)} instances, releases {', '.join(sorted(releases))}"
    rows = [(name, f"{number:g}") for name, number in sorted(workers.items())]
    return Judgement(answer, faults, gaps, (table(("instance", "web workers"), rows),))


def dead_jobs(history: History) -> Judgement:
    """Jobs that have failed for good, at the end of the week."""
    gaps, measured = prometheus_gaps(history), history.measured
    dead = measured.points("jobs_dead", "kind")
    gaps += counting_gaps(history)
    left = {kind: values[-1][1] for kind, values in dead.items() if values}
    grown = {kind: values[-1][1] - values[0][1] for kind, values in dead.items() if values}
    faults = [f"{number:.0f} {kind} jobs are dead" for kind, number in left.items() if number]
    rows = [(kind, f"{left[kind]:.0f}", f"{grown[kind]:+.0f}") for kind in sorted(left)]
    answer = f"{len(left)} kinds of jobs"
    return Judgement(answer, faults, gaps, (table(("kind", "dead", "since"), rows),))


ITEMS = (
    SCALING,
    OSCILLATION,
    Item(
        "outliers",
        "Do instances differ?",
        "look at what is else on that machine, and at its size; replace it if nothing explains it",
        "photo-fleet dashboard --html --since 7d",
        outliers,
    ),
    Item(
        "health-patterns",
        "Is there a pattern in failing checks?",
        "the same hour on all instances is the dependency; one instance alone is its machine",
        "photo-fleet doctor --only restarts",
        patterns,
    ),
    DRAINS,
    Item(
        "machines",
        "Do the machines run what the spec says?",
        "render anew, and replace what differs",
        "photo-fleet render --out rendered --check",
        machines,
    ),
    Item(
        "dead-jobs",
        "Which jobs have died?",
        "mend the cause; until then the photo has no thumbnail",
        "photo-fleet doctor --only always",
        dead_jobs,
    ),
)
