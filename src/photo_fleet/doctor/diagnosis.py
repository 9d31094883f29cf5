"""What a visit came to: findings, open questions, and what is fine, in one verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from photo_fleet.doctor.catalogue import CODES
from photo_fleet.doctor.finding import Finding, Section, Unknown
from photo_fleet.doctor.looking import Rule, judge
from photo_fleet.doctor.seen import Seen

FINE, ILL = 0, 1


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Of the spec `file` at `at` (epoch seconds), by the rules of `sections`. `fine` are the codes
    whose rules found nothing and could all tell. `findings` have the worst first."""

    file: str
    at: float
    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]
    unknown: tuple[Unknown, ...]
    fine: tuple[str, ...]

    @classmethod
    def of(
        cls, file: str, seen: Seen, rules: Mapping[Section, Sequence[Rule]], only: Sequence[Section]
    ) -> Self:
        """What the rules of the sections `only` say of what was seen; of all sections without
        any."""
        sections = tuple(one for one in rules if one in only or not only)
        asked = [rule for section in sections for rule in rules[section]]
        findings, unknown = judge(seen, asked)
        ill = {one.code for one in findings} | {one.code for one in unknown}
        fine = tuple(code for code in _in_order(asked) if code not in ill)
        return cls(file, seen.at, sections, tuple(findings), tuple(dict.fromkeys(unknown)), fine)

    @property
    def counts(self) -> dict[str, int]:
        """Of findings by level, of questions without an answer, and of codes that are fine."""
        levels = [finding.level for finding in self.findings]
        return {
            "errors": levels.count("error"),
            "warnings": levels.count("warning"),
            "unknown": len(self.open_codes),
            "fine": len(self.fine),
        }

    @property
    def open_codes(self) -> tuple[str, ...]:
        """Codes that could not be judged, or not of everything that they are about."""
        return tuple(dict.fromkeys(one.code for one in self.unknown))

    def exit_code(self, strict: bool) -> int:
        """As `photo-fleet check`: errors are 1, and with `strict` so is all that is not fine."""
        counts = self.counts
        ill = counts["errors"] or (strict and (counts["warnings"] or counts["unknown"]))
        return ILL if ill else FINE

    @property
    def verdict(self) -> str:
        """One line."""
        counts, number = self.counts, len(self.findings)
        ill = {one.code for one in self.findings} | set(self.open_codes)
        asked = counts["fine"] + len(ill)
        lacks = f"{counts['unknown']} of {asked} questions are open"
        if number:
            kinds = counted(counts["errors"], "error"), counted(counts["warnings"], "warning")
            also = f"; not everything could be looked at: {lacks}" if counts["unknown"] else ""
            return f"{counted(number, 'problem')} ({', '.join(kinds)}){also}"
        if counts["unknown"]:
            others = f"{counts['fine']} {'is' if counts['fine'] == 1 else 'are'} answered well"
            return f"not everything could be looked at: {lacks}, {others}"
        return f"healthy ({counted(asked, 'question')} answered well)"


def counted(number: int, what: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _in_order(rules: Sequence[Rule]) -> list[str]:
    judged = {rule.code for rule in rules}
    return [code for code in CODES if code in judged]
