"""How much of the time that is looked at is known, and what is not. Pure."""

from photo_fleet.dashboard.units import told
from photo_fleet.report.boots import instance_seconds
from photo_fleet.report.history import WHOLE, History, Measured, Missing

DAY = 86400.0
OLD_NUMBERS = 300.0
"""Seconds after which the fleet's numbers, counted once a minute, are none of now."""


def measured_share(history: History, measured: Measured) -> float:
    """The share of the window in which Prometheus saw an instance, since the fleet began."""
    window = measured.window
    begin = max(window.start, history.born)
    steps = max(1.0, (window.end - begin) / window.step)
    seen = {at for one in measured.series("samples") for at, _ in one.values if at > begin}
    return min(1.0, len(seen) / max(1.0, int(steps)))


def scraped_share(history: History) -> float | None:
    """Of the time that instances lived, by the registry, the share of which Prometheus has samples;
    None when the registry cannot tell."""
    if history.registered is None or not history.registered.boots:
        return None
    lived = instance_seconds(history.registered.boots, history.start, history.end)
    seen = sum(share for each in presence(history.measured).values() for share in each.values())
    return min(1.0, seen * history.measured.window.step / lived) if lived else None


def presence(measured: Measured) -> dict[str, dict[float, float]]:
    """By instance and point, the share of the step before it of which there are samples. Nobody
    tells how often was scraped; the fullest step does."""
    points = {name: dict(values) for name, values in measured.points("samples").items()}
    most = max((number for values in points.values() for number in values.values()), default=1.0)
    return {
        name: {at: number / most for at, number in values.items()}
        for name, values in points.items()
    }


def prometheus_gaps(history: History) -> list[str]:
    """Why what Prometheus told of the time looked at is not all of it; empty when it is."""
    if not any(one.values for one in history.measured.series("samples")):
        raise Missing("Prometheus saw no instance in this time")
    return [*_time_gap(history, history.measured), *_instance_gap(history)]


def _instance_gap(history: History) -> list[str]:
    share = scraped_share(history)
    if share is None or share >= WHOLE:
        return []
    return [
        f"Prometheus has samples of {share:.1%} of the time that instances lived by the registry,"
        f" fewer than {WHOLE:.0%}"
    ]


def budget_gaps(history: History) -> list[str]:
    """The same of the 30 days of the objectives."""
    if not any(one.values for one in history.budget.series("samples")):
        raise Missing("Prometheus saw no instance in these 30 days")
    return _time_gap(history, history.budget)


def _time_gap(history: History, measured: Measured) -> list[str]:
    share = measured_share(history, measured)
    if share >= WHOLE:
        return []
    span = told(measured.window.end - max(measured.window.start, history.born), "s")
    return [f"Prometheus saw instances in {share:.1%} of {span}, less than {WHOLE:.0%}"]


def counting_gaps(history: History) -> list[str]:
    """Why the numbers of the whole fleet are not those of the end."""
    counts = history.measured.points("counted", "").get("", ())
    age = counts[-1][0] - counts[-1][1] if counts else history.end
    if age <= OLD_NUMBERS:
        return []
    return [f"the fleet's numbers are {told(age, 's')} old at the end: nobody counts"]


def registry_gaps(history: History, since: float | None = None) -> list[str]:
    """Why the registry's log does not tell of all that happened; empty when it does."""
    registry, begin = history.registry, history.start if since is None else since
    if begin >= registry.kept_since:
        return []
    return [f"the registry's log goes back {told(history.end - registry.kept_since, 's')} only"]


def age_told(history: History) -> str:
    """What to say of a fleet that is younger than the time that is looked at."""
    if history.born <= history.start:
        return ""
    return f"; the fleet began {told(history.end - history.born, 's')} before the end"
