"""A diagnosis for people and for machines."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from photo_base.log_lines import one_line, pasteable
from photo_fleet.doctor.catalogue import CODES, GUIDE
from photo_fleet.doctor.diagnosis import Diagnosis
from photo_fleet.doctor.finding import Finding, Unknown

MOST_SUBJECTS = 5
NARROWEST = 40


def lines(diagnosis: Diagnosis, width: int | None, everything: bool) -> Iterator[str]:
    """What is wrong, then what could not be looked at, then the verdict. Prose is broken at `width`
    columns, commands never; None: nothing is. With `everything` each code has a line of its own,
    also those that are fine."""
    for finding in diagnosis.findings:
        yield from _finding(finding, width)
    if everything:
        for one in diagnosis.unknown:
            yield from _broken(f"unknown {_titled(one.code)}: {one_line(one.reason)}", width)
            yield f"  ask it by: {pasteable(one.command)}"
        for code in diagnosis.fine:
            yield from _broken(f"fine {_titled(code)}, not seen: {CODES[code].meaning}", width)
    else:
        yield from _open(diagnosis.unknown, width)
    yield f"{_where(diagnosis)}: {diagnosis.verdict}"


def body(diagnosis: Diagnosis, strict: bool) -> dict[str, Any]:
    """For JSON: every finding, every question that is open, and every code that is fine."""
    return {
        "ok": diagnosis.exit_code(strict) == 0,
        "verdict": diagnosis.verdict,
        "counts": diagnosis.counts,
        "at": datetime.fromtimestamp(diagnosis.at, UTC).isoformat(timespec="seconds"),
        "file": diagnosis.file,
        "sections": list(diagnosis.sections),
        "problems": [],
        "findings": [_finding_body(finding) for finding in diagnosis.findings],
        "unknown": [
            {**_place(one.code), "reason": one_line(one.reason), "command": pasteable(one.command)}
            for one in diagnosis.unknown
        ],
        "fine": [_place(code) for code in diagnosis.fine],
    }


def _finding_body(finding: Finding) -> dict[str, Any]:
    return {
        "level": finding.level,
        **_place(finding.code),
        "subjects": [one_line(subject) for subject in finding.subjects],
        "evidence": one_line(finding.evidence),
        "command": pasteable(finding.command),
        "fix": pasteable(finding.fix),
    }


def _place(code: str) -> dict[str, str]:
    kind = CODES[code]
    return {
        "code": code,
        "section": kind.section,
        "guide": GUIDE[kind.section],
        "meaning": kind.meaning,
    }


def _finding(finding: Finding, width: int | None) -> Iterator[str]:
    who = _subjects(finding.subjects)
    meaning, evidence = CODES[finding.code].meaning, one_line(finding.evidence)
    yield from _broken(f"{finding.level} {_titled(finding.code)}{who}: {meaning}", width)
    yield from _broken(f"  seen: {evidence}", width)
    yield f"  shown by: {pasteable(finding.command)}"
    yield from _broken(f"  mend it: {pasteable(finding.fix)}", width)
    yield f"  read: {GUIDE[CODES[finding.code].section]}"


def _open(unknown: Sequence[Unknown], width: int | None) -> Iterator[str]:
    """By what stands in the way, with all that is open because of it."""
    because: dict[tuple[str, str], list[str]] = {}
    for one in unknown:
        because.setdefault((one.reason, one.command), []).append(one.code)
    for (reason, command), codes in because.items():
        told = f"unknown: {one_line(reason)} (leaves {', '.join(dict.fromkeys(codes))} open)"
        yield from _broken(told, width)
        yield f"  ask it by: {pasteable(command)}"


def _titled(code: str) -> str:
    return f"{code} ({CODES[code].section})"


def _subjects(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST_SUBJECTS} more" if len(names) > MOST_SUBJECTS else ""
    return f" at {', '.join(map(one_line, names[:MOST_SUBJECTS]))}{more}"


def _where(diagnosis: Diagnosis) -> str:
    """Of the file; when not all of it was asked for, of which sections."""
    whole = set(diagnosis.sections) == set(GUIDE)
    file = one_line(diagnosis.file)
    return file if whole else f"{file}, only {', '.join(diagnosis.sections)}"


def _broken(text: str, width: int | None) -> list[str]:
    """Lines of at most `width` columns, the further ones indented; addresses are never broken."""
    if width is None:
        return [text]
    return textwrap.wrap(
        text,
        max(width, NARROWEST),
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
