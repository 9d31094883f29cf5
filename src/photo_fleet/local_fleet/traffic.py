"""Requests a second and errors, counted from nginx's access log."""

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

LOOK = 1.0
WINDOW = 5.0
"""Seconds over which rates are taken."""

MOST_AT_ONCE = 8 * 1024 * 1024


class Traffic:
    """Counts from now on. Errors are answers of 500 and above."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._position = log.stat().st_size if log.exists() else 0
        self._rest = b""
        self._history: deque[tuple[float, int, int]] = deque([(time.monotonic(), 0, 0)])
        self.requests = 0
        self.errors = 0

    async def follow(self) -> None:
        """Read what comes, until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(LOOK)

    def read(self) -> None:
        """Count what has come since the last time."""
        with suppress(OSError), self._log.open("rb") as file:
            if file.seek(0, 2) < self._position:  # put aside and begun anew
                self._position, self._rest = 0, b""
            file.seek(self._position)
            piece = file.read(MOST_AT_ONCE)
            self._position += len(piece)
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._count(lines)
        now = time.monotonic()
        self._history.append((now, self.requests, self.errors))
        while len(self._history) > 2 and self._history[1][0] < now - WINDOW:
            self._history.popleft()

    def describe(self) -> dict[str, object]:
        """Totals since the start, and rates of the last seconds."""
        (first, requests, errors), (last, _, _) = self._history[0], self._history[-1]
        seconds = max(last - first, LOOK)
        return {
            "total": self.requests,
            "errors": self.errors,
            "per_second": round((self.requests - requests) / seconds, 1),
            "errors_per_second": round((self.errors - errors) / seconds, 1),
        }

    def _count(self, lines: list[bytes]) -> None:
        for line in lines:
            with suppress(ValueError, TypeError, KeyError):
                status = int(json.loads(line)["status"])
                self.requests += 1
                self.errors += status >= 500
