"""By which path the fleet delivers, as far as this process has heard."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from photo_api.delivery.cdn_state import Path


class FleetPath:
    """It begins with the CDN, and stays as it was told last, however long nobody tells anything
    new."""

    def __init__(self) -> None:
        self.told: Mapping[str, Any] = {}
        """`path`, since when, and when and with which error the CDN was looked at last; empty
        before anything was told."""
        self._followers: list[Callable[[Path], None]] = []

    @property
    def now(self) -> Path:
        return "fallback" if self.told.get("path") == "fallback" else "cdn"

    def follow(self, use: Callable[[Path], None]) -> None:
        """Have `use` called with the present path, and with each that follows."""
        self._followers.append(use)
        use(self.now)

    def update(self, line: str) -> None:
        """Take what `line_of` has made."""
        before, self.told = self.now, json.loads(line)
        if self.now != before:
            for use in self._followers:
                use(self.now)


def line_of(row: Mapping[str, Any]) -> str:
    """A row's `path`, `since`, `counted_at` and `error` for the control channel."""
    return json.dumps(
        {
            "path": row["path"],
            "since": row["since"].isoformat(),
            "probed_at": row["counted_at"].isoformat(),
            "error": row["error"],
        }
    )
