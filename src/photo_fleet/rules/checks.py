"""The inequalities between the spec's numbers, as findings.

A remedy is tried before it is proposed: what does not remove its finding is not proposed, nor what
brings an error that was not there, unless every remedy does.
"""

from itertools import chain

from photo_fleet.rules import (
    aws,
    balancing,
    edge,
    health,
    nhn,
    openstack,
    reading,
    sizing,
    stopping,
    storing,
    watching,
)
from photo_fleet.rules.findings import Contradiction, Finding, Rule
from photo_fleet.spec.changes import Changes, changed, is_possible, told
from photo_fleet.spec.fleet import Fleet

RULES: tuple[Rule, ...] = (
    *(*stopping.RULES, *health.RULES, *balancing.RULES),
    *(*watching.RULES, *sizing.RULES, *storing.RULES),
    *(*reading.RULES, *edge.RULES),
    *(*aws.RULES, *openstack.RULES, *nhn.RULES),
)


def check(fleet: Fleet) -> list[Finding]:
    """Everything that contradicts, errors first, otherwise in the order of `RULES`."""
    everything = contradictions(fleet)
    errors = {found.code for found in everything if found.level == "error"}
    findings = [_finding(fleet, found, errors) for found in everything]
    return sorted(findings, key=lambda finding: finding.level != "error")


def contradictions(fleet: Fleet) -> list[Contradiction]:
    """The same without remedies, in the order of `RULES`."""
    return list(chain.from_iterable(rule(fleet) for rule in RULES))


def _finding(fleet: Fleet, found: Contradiction, errors: set[str]) -> Finding:
    brought = [
        (way, codes - errors)
        for way in found.ways
        if (codes := _errors_after(fleet, way, found.code)) is not None
    ]
    # Rather a remedy that has to be followed by another than none.
    least = min((len(new) for _, new in brought), default=0)
    kept = [(way, new) for way, new in brought if len(new) == least]
    proposed = ", or ".join(told(fleet, way) + _sequel(new) for way, new in kept)
    remedy = f"set {proposed}" if kept else "no single change mends this: see its numbers"
    ways = tuple(way for way, _ in kept)
    return Finding(found.level, found.code, found.numbers, found.consequence, remedy, ways)


def _errors_after(fleet: Fleet, way: Changes, code: str) -> set[str] | None:
    """The errors that are there after a change; None when it is impossible or does not mend."""
    if not way or not is_possible(fleet, way):
        return None
    after = contradictions(changed(fleet, way))
    if any(found.code == code for found in after):
        return None
    return {found.code for found in after if found.level == "error"}


def _sequel(new: set[str]) -> str:
    return f" (and then mend {', '.join(sorted(new))})" if new else ""
