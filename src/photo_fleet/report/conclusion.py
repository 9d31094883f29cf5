"""What a report says as a whole. Pure."""

from collections import Counter

from photo_fleet.report.line import Line, Report, Verdict


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


def answered(line: Line) -> str:
    """A line in one sentence: its numbers, and what is not known of it."""
    return "; ".join(text for text in (line.answer, line.why_unknown) if text)
