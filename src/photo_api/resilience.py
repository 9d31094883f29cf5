"""A breaker and a retry budget: a dependency that fails is asked less, not more."""

import random
import time
from collections.abc import Callable

FAILURES_TO_OPEN = 5
PAUSE = 1.0
"""Seconds between two tries while a dependency is taken to be down, give or take a quarter."""

RETRY_SHARE, MOST_SAVED = 0.1, 10.0


class BreakerOpen(Exception):
    """The dependency has just failed several times in a row and is left alone for a moment."""


class Breaker:
    """Counts failures in a row. At `failures` of them it opens: every caller is refused at once,
    but for one in each `pause` seconds, which tries whether the dependency is back."""

    def __init__(
        self,
        name: str,
        *,
        failures: int = FAILURES_TO_OPEN,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    def check(self) -> None:
        """Raises `BreakerOpen` unless the caller may ask; it then calls `succeeded` or `failed`."""
        if not self.is_open:
            return
        now = self._clock()
        if now < self._next_try:
            raise BreakerOpen(self.name)
        self._next_try = now + self._pause * random.uniform(0.75, 1.25)

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures == self._limit:
            self._next_try = self._clock() + self._pause * random.uniform(0.75, 1.25)

    def trip(self) -> None:
        """Open at once, for a caller with proof that the dependency is gone."""
        if not self.is_open:
            self._failures = self._limit - 1
            self.failed()


class RetryBudget:
    """Retries may be a tenth of the requests, with ten saved up at most: when everything fails, a
    dependency in trouble sees 1.1 times its load and not a multiple of it."""

    def __init__(self) -> None:
        self._saved = MOST_SAVED

    def request(self) -> None:
        """Note a first try."""
        self._saved = min(MOST_SAVED, self._saved + RETRY_SHARE)

    def may_retry(self) -> bool:
        """Whether there is budget for one retry, which is then spent."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
