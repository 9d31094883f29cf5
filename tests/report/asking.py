"""Asking for a report, as the command does."""

import asyncio

from photo_fleet.report.history import Wanted
from photo_fleet.report.line import Line, Report
from photo_fleet.report.making import report_of
from photo_fleet.report.reading import read_history


def asked(wanted: Wanted) -> Report:
    """The report."""
    return report_of(asyncio.run(read_history(wanted, lambda _: None)), wanted.end)


def troubles(report: Report) -> str:
    """What does not pass, and why, for whom a test fails."""
    return "".join(
        f"\n{one.code} {one.verdict}: {one.answer} ({one.why_unknown})"
        for one in report.lines
        if one.verdict != "pass"
    )


def line(report: Report, code: str) -> Line:
    """The one with this code."""
    return next(one for one in report.lines if one.code == code)


def verdicts(report: Report) -> dict[str, str]:
    """By code, in order."""
    return {one.code: one.verdict for one in report.lines}
