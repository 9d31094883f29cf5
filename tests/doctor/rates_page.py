"""The tables of docs/doctor.md that tell how often the doctor is right."""

import os
from collections.abc import Sequence
from pathlib import Path

from photo_fleet.doctor.catalogue import CODES
from photo_fleet.doctor.finding import SECTIONS
from tests.doctor.rates import Done, Visit

PAGE = Path(__file__).parent.parent.parent / "docs/doctor.md"
FAULTS, SOUND = "### Faults that were done\n", "### Fleets that are sound\n"


def faults_told(results: Sequence[Done]) -> str:
    """Of each section how many were found, and each fault with what was said. One that could not be
    done counts for nothing."""
    lines = [
        "| section | faults | done | found by the right code |",
        "| --- | --- | --- | --- |",
    ]
    for section in SECTIONS:
        lines.append(_counted(section, [one for one in results if one.fault.section == section]))
    lines.append(_counted("all", results))
    lines += ["", "| code | fault | found |", "| --- | --- | --- |"]
    order = list(CODES)
    for one in sorted(results, key=lambda one: order.index(one.fault.code)):
        found = "yes" if one.right else f"no: {', '.join(one.found) or 'nothing'} instead"
        found = "could not be done" if _undone(one) else found
        lines.append(f"| `{one.fault.code}` | {one.fault.name} | {found} |")
    return "\n".join(lines) + "\n"


def _counted(name: str, results: Sequence[Done]) -> str:
    did = [one for one in results if not _undone(one)]
    return f"| {name} | {len(results)} | {len(did)} | {sum(one.right for one in did)} |"


def _undone(one: Done) -> bool:
    return bool(one.problem) and not one.right


def sound_told(results: Sequence[Visit]) -> str:
    """Each fleet with what was said of it."""
    false = [one for one in results if one.findings]
    lines = [f"{len(results)} fleets, {len(false)} of them with a false alarm.", ""]
    lines += ["| fleet | false alarms | questions that stay open |", "| --- | --- | --- |"]
    for one in results:
        codes = ", ".join(f"`{code}`" for code in one.findings) or "none"
        lines.append(f"| {one.sound.name} | {codes} | {one.open} of {one.asked} |")
    return "\n".join(lines) + "\n"


def put(heading: str, text: str) -> None:
    """Into the page, where UPDATE_GOLDEN is set."""
    if not os.environ.get("UPDATE_GOLDEN"):
        return
    before, _, after = PAGE.read_text().partition(heading)
    rest = after.partition("\n### ")
    more = f"\n{rest[1].strip()} {rest[2]}" if rest[1] else ""
    PAGE.write_text(f"{before}{heading}\n{text}{more}")
