"""A report for which one answer after the other is withheld: a metric that nobody tells is no good
one."""

import asyncio
from dataclasses import replace

from photo_fleet.dashboard.readings import Answer
from photo_fleet.report.history import History, Measured, Wanted
from photo_fleet.report.making import report_of
from photo_fleet.report.reading import read_history


def passing_without(wanted: Wanted) -> set[tuple[str, str]]:
    """Of a sound history, lines that pass though they ask for an answer without any series."""
    history = asyncio.run(read_history(wanted, lambda _: None))
    found = set()
    for part in ("measured", "budget"):
        measured: Measured = getattr(history, part)
        for name in measured.answers:
            asking = _not_passing(_with(history, part, name, Answer(problem="withheld")))
            assert asking, f"no line asks for {name}"
            partly = replace(measured.answers[name], warning="only the first are shown")
            assert _not_passing(_with(history, part, name, partly)) == asking
            empty = _not_passing(_with(history, part, name, Answer()))
            found |= {(code, name) for code in asking - empty}
    return found


def _with(history: History, part: str, name: str, answer: Answer) -> History:
    measured: Measured = getattr(history, part)
    changed = replace(measured, answers={**measured.answers, name: answer})
    return (
        replace(history, budget=changed) if part == "budget" else replace(history, measured=changed)
    )


def _not_passing(history: History) -> set[str]:
    lines = report_of(history, history.end).lines
    assert all(one.verdict != "fail" for one in lines)
    return {one.code for one in lines if one.verdict == "unknown"}
