"""What a lease need not look at again for a moment."""

import time
from collections.abc import Callable

PASSED_FOR = 0.1
"""Seconds for which turns without a job are not looked at again, by who has just found them so."""


class Passed:
    """Which turns somebody has found to have no job a moment ago: those before the first that had.
    Many users are done at about the same time, and each lease would look at all of them again. A
    job of such a user waits for others' first ones at most `PASSED_FOR` longer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns: dict[str, tuple[str | None, float]] = {}

    def turn(self, statement: str) -> str | None:
        """Where this one begins to look; None for the first turn."""
        turn, until = self._turns.get(statement, (None, 0.0))
        return turn if self._clock() < until else None

    def note(self, statement: str, begun: str | None, turn: str | None) -> None:
        """It has begun there, and this was the first turn with a job."""
        until = self._clock() + PASSED_FOR if begun is None else self._turns[statement][1]
        self._turns[statement] = turn, until
