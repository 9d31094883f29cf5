"""When an instance is replaced, and how fast: pure."""

LIVE_FAILURES = 3
"""Failed looks at `/health/live` in a row that mean that a process hangs. Readiness never counts:
it fails everywhere at once when the database does."""

STABLE = 30.0
"""Seconds of life after which a death has nothing to do with the ones before."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Liveness:
    """Counts failures in a row."""

    def __init__(self) -> None:
        self.failures = 0

    def heard(self, answered: bool) -> bool:
        """Take the result of one look; whether the instance is to be replaced."""
        self.failures = 0 if answered else self.failures + 1
        return self.failures >= LIVE_FAILURES


class Backoff:
    """Replacements come at once, unless what is started keeps dying young."""

    def __init__(self) -> None:
        self.failed_starts = 0
        """Starts in a row that came to nothing: none has become ready since."""
        self._early_deaths = 0
        self._not_before = 0.0

    def died(self, now: float, lived: float) -> float:
        """Note a death after `lived` seconds; the seconds until the next start."""
        return self._pause(now, 0 if lived >= STABLE else self._early_deaths + 1)

    def failed(self, now: float) -> float:
        """Note a start that came to nothing, however long it took; the seconds until the next."""
        self.failed_starts += 1
        return self._pause(now, self._early_deaths + 1)

    def arrived(self) -> None:
        """One that was started has become ready."""
        self.failed_starts = 0

    def _pause(self, now: float, early_deaths: int) -> float:
        self._early_deaths = early_deaths
        pause = 0.0
        if self._early_deaths > 1:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._early_deaths - 2, 10))
        self._not_before = now + pause
        return pause

    def forget(self) -> None:
        """Somebody changed what is started: it deserves a new chance."""
        self.failed_starts, self._early_deaths, self._not_before = 0, 0, 0.0

    def allows(self, now: float) -> bool:
        """Whether something may be started now."""
        return now >= self._not_before
