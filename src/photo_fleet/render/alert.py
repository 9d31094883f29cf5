"""What an alert is, and how rules look in Prometheus's file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

GUIDE = {"guide": "docs/operations.md", "guide_ko": "docs/ko/operations.md"}
"""The operator's guide, which calls the sections of alerts alike in both languages."""

UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))

Severity = Literal["page", "ticket", "none"]
"""`page` wakes somebody, `ticket` waits for the morning, `none` is for programs."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Durations of rules, `shortened` by a factor, for a drill that has no days."""

    shortened: float = 1.0

    def seconds(self, nominal: float) -> float:
        """So many as count for the rule."""
        return nominal / self.shortened

    def __call__(self, nominal: float) -> str:
        """As PromQL and rules write a duration: `5m`."""
        ms = round(self.seconds(nominal) * 1000)
        size, unit = next(one for one in UNITS if ms % one[0] == 0)
        return f"{ms // size}{unit}"


NOMINAL = Windows()
"""As they are meant."""


@dataclass(frozen=True, slots=True)
class Alert:
    """`expression` holds for `lasting` seconds, and somebody is told what it is (`summary`), what
    to do about it (`remedy`), and where in the guide (`section`, an anchor) there is more."""

    name: str
    expression: str
    lasting: float
    severity: Severity
    section: str
    summary: str
    remedy: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self, windows: Windows) -> str:
        """Its lines in a group."""
        guides = {name: f"{file}#{self.section}" for name, file in GUIDE.items()}
        return "\n".join(
            [
                f"  - alert: {self.name}",
                *_expression(self.expression),
                *([f"    for: {windows(self.lasting)}"] if self.lasting else []),
                *_mapping("labels", {"severity": self.severity, **self.labels}),
                *_mapping(
                    "annotations", {"summary": self.summary, "remedy": self.remedy, **guides}
                ),
            ]
        )


@dataclass(frozen=True, slots=True)
class Record:
    """A series that rules compute for other rules."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self, windows: Windows) -> str:
        """Its lines in a group."""
        labels = _mapping("labels", self.labels) if self.labels else []
        return "\n".join([f"  - record: {self.name}", *_expression(self.expression), *labels])


def _expression(text: str) -> list[str]:
    return ["    expr: |", *(f"      {line}" for line in text.splitlines())]


def _mapping(name: str, values: Mapping[str, str]) -> list[str]:
    lines = [
        f"      {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()
    ]
    return [f"    {name}:", *lines]
