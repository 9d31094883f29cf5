"""What a check has found: the numbers, what follows from them, and what mends it."""

from dataclasses import dataclass
from typing import Any, Literal

from photo_fleet.spec.changes import Changes

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction. `numbers` shows the arithmetic, `consequence` what happens to people or
    machines, `remedy` what to do in words. Each of `ways` mends it by itself, the smallest first;
    none may be left when only a person can tell."""

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
        return {
            "level": self.level,
            "code": self.code,
            "numbers": self.numbers,
            "consequence": self.consequence,
            "remedy": self.remedy,
            "changes": dict(self.changes),
        }


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule says: a finding whose ways have not been tried yet."""

    level: Level
    code: str
    numbers: str
    consequence: str
    ways: tuple[Changes, ...]
