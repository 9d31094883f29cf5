"""What was looked at, and what could not be.

A look is a module in `looks` with one frozen dataclass of what it saw. A rule asks `Seen` for the
ones that it needs; one that was not to be had ends the rule with `Unseen`, which makes the
question unknown, never fine.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from photo_fleet.spec.fleet import Fleet

Sight = TypeVar("Sight")


class Unseen(Exception):
    """Something could not be looked at: the text says why. `command` has it looked at."""

    def __init__(self, reason: str, command: str) -> None:
        super().__init__(reason)
        self.command = command


class NotRead(Sequence[Any]):
    """In place of rows that could not be read: whoever needs them meets `Unseen`."""

    def __init__(self, unseen: Unseen) -> None:
        self._unseen = unseen

    def __len__(self) -> int:
        raise self._unseen

    def __getitem__(self, place: Any) -> Any:
        raise self._unseen


class Seen:
    """All looks of one visit, taken at `at` (epoch seconds of this machine), with the spec."""

    def __init__(self, spec: Fleet, at: float, looks: Mapping[type[Any], object | Unseen]) -> None:
        self.spec = spec
        self.at = at
        self._looks = looks

    def need(self, kind: type[Sight]) -> Sight:
        """What the look of this kind saw. Raises `Unseen`."""
        found = self._looks.get(kind)
        if isinstance(found, kind):
            return found
        if isinstance(found, Unseen):
            raise found
        raise Unseen(f"nothing looked for {kind.__name__}", "photo-fleet doctor")

    def look(self, kind: type[Sight]) -> Sight | None:
        """The same for what only adds to an answer; None when it was not to be had."""
        try:
            return self.need(kind)
        except Unseen:
            return None
