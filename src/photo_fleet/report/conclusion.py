"""What a report says as a whole, and of when it is. Pure."""

from collections import Counter
from datetime import UTC, datetime, tzinfo

from photo_fleet.report.line import Report, Verdict


def conclusion(report: Report) -> Verdict:
    """The worst of its lines: a failure, then what is unknown. Without lines nothing is known."""
    verdicts = {line.verdict for line in report.lines}
    if "fail" in verdicts:
        return "fail"
    return "pass" if verdicts == {"pass"} else "unknown"


def headline(report: Report) -> str:
    """How many of its lines are how."""
    counts, every = Counter(line.verdict for line in report.lines), len(report.lines)
    if conclusion(report) == "pass":
        return f"all {every} pass"
    return f"{counts['fail']} of {every} fail, {counts['unknown']} unknown, {counts['pass']} pass"


def span(report: Report, zone: tzinfo) -> str:
    """From when to when in this zone, with its name and its distance from UTC."""
    begin, end = moment(report.start, zone), moment(report.end, zone)
    return f"{begin} to {end} {zone_name(report.end, zone)}"


def moment(at: float, zone: tzinfo) -> str:
    """For people, to the minute."""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def zone_name(at: float, zone: tzinfo) -> str:
    """What it is called at that time: `KST (UTC+09:00)`."""
    there = datetime.fromtimestamp(at, zone)
    offset = f"UTC{there.isoformat()[-6:]}"
    name = there.tzname() or offset
    return name if name in (offset, "UTC") else f"{name} ({offset})"


def iso(at: float) -> str:
    """For machines, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
