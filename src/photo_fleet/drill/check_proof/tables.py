"""The proof of `check` as a table: for a terminal, for docs, and for machines.

JSON, format 1; keys are only ever added:

format, holds, conclusion, began, command, release, machine, wanted
specs         in the order in which they ran:
  number, passes, codes, twin, differs {key: value}, spec (TOML)
  conclusion  serves, loses, retried, unseen or wrong
  as_claimed  whether that is what `check` says
  seen, twin_seen  {requests, unserved {how: count}, others {rule: count}, again, nobody, stall,
              seconds}, or null
  problem     why it could not be carried out, or empty
shown, not_shown  codes of `check`, and of the second why
"""

import json
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from photo_fleet.drill.check_proof.reasons import NOT_SHOWN, PARTLY, SHOWN
from photo_fleet.drill.check_proof.result import Proof, Result
from photo_fleet.spec import toml_text

FORMAT = 1
HEADINGS = ("no.", "spec (seconds)", "check", "the drill saw", "its twin")
WARNED = "* a warning; the others are errors"


def rows(proof: Proof) -> list[tuple[str, str, str, str, str]]:
    """One for each spec, by `HEADINGS`."""
    return [
        (str(one.case.number), one.case.words, _verdict(one), one.words, one.twin_words)
        for one in proof.results
    ]


def _verdict(result: Result) -> str:
    codes = ", ".join(result.case.codes)
    return f"refuses: {codes}" if codes else "passes"


def summary(proof: Proof) -> RenderableType:
    """For people at a terminal."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for row, one in zip(rows(proof), proof.results, strict=True):
        style = "" if one.as_claimed else "bold red"
        table.add_row(*(Text(cell, style) for cell in row))
    style = "bold green" if proof.holds else "bold red"
    return Group(
        table,
        Text(WARNED, style="dim"),
        *(Text(f"not shown: {text}", style="dim") for text in reasons()),
        Text(f"{proof.conclusion}.", style),
    )


def reasons() -> list[str]:
    """Why some codes are not shown, or not for everything, a line for each reason."""
    found: dict[str, list[str]] = {}
    for code, why in NOT_SHOWN.items():
        found.setdefault(why, []).append(code)
    whole = [f"{', '.join(codes)}: {why}" for why, codes in found.items()]
    return [*whole, *(f"{code} in part: {why}" for code, why in PARTLY.items())]


def markdown(proof: Proof) -> str:
    """For a page of docs."""
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        "| " + " | ".join("---" for _ in HEADINGS) + " |",
        *(f"| {' | '.join(row)} |" for row in rows(proof)),
    ]
    return "\n".join(lines) + "\n"


def dumps(proof: Proof) -> str:
    """As JSON text."""
    body = {
        "format": FORMAT,
        "holds": proof.holds,
        "conclusion": proof.conclusion,
        "began": proof.began,
        "command": proof.command,
        "release": proof.release,
        "machine": proof.machine,
        "wanted": proof.wanted,
        "specs": [_spec(one) for one in proof.results],
        "shown": list(SHOWN),
        "not_shown": dict(NOT_SHOWN),
    }
    return json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _spec(result: Result) -> dict[str, Any]:
    case = result.case
    return {
        "number": case.number,
        "passes": not case.findings,
        "codes": [one.code for one in case.findings],
        "twin": case.twin,
        "differs": dict(case.broken or {}),
        "spec": toml_text.text(case.fleet),
        "conclusion": result.conclusion.value,
        "as_claimed": result.as_claimed,
        "seen": result.seen and asdict(result.seen),
        "twin_seen": result.twin and asdict(result.twin),
        "problem": result.problem,
    }
