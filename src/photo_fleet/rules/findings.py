"""What a check has found: the numbers, what follows from them, and what mends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

from photo_fleet.spec.changes import Changes
from photo_fleet.spec.fleet import Fleet

Level = Literal["error", "warning"]
UNREAD = "aws-unread"
"""The code of what a cloud did not tell: it may be as the spec says, or not."""

Rule = Callable[[Fleet], Iterator["Contradiction"]]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What a rule says: one contradiction. `numbers` shows the arithmetic, `consequence` what
    happens to people or machines. Each of `ways` should mend it by itself, the smallest first; none
    of them has been tried yet."""

    level: Level
    code: str
    numbers: str
    consequence: str
    ways: tuple[Changes, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A contradiction with `remedy`, what to do in words. Each of `ways` does mend it; none may be
    left when only a person can tell."""

    level: Level
    code: str
    numbers: str
    consequence: str
    remedy: str
    ways: tuple[Changes, ...] = ()

    @property
    def changes(self) -> Changes:
        """The smallest way, by dotted key; empty without any."""
        return self.ways[0] if self.ways else {}

    def body(self) -> dict[str, Any]:
        """For machines."""
        told = {item.name: getattr(self, item.name) for item in fields(self)[:-1]}
        return {**told, "changes": dict(self.changes)}
