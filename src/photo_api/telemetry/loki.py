"""Loki's push API, as "Loki HTTP API" in Grafana's documentation describes it."""

import re
import time
from collections import defaultdict
from datetime import datetime
from typing import Any

import orjson

from photo_api.http_exchange import Answer
from photo_api.settings.instance import LogSettings
from photo_api.telemetry.http_sink import HttpSink, Line, authorization

PATH = "/loki/api/v1/push"
JOB = "photo-api"
LABELS = ("instance", "process", "level")
"""A stream for each combination: few, and each written by one process, so that its order holds.
What has many values, as requests and users do, stays in the line."""

AHEAD = 300 * 10**9
"""Nanoseconds. Loki takes nothing from further ahead than 600 s."""

IGNORED = re.compile(r"total ignored: (\d+) out of (\d+)")


class Loki(HttpSink):
    """Entries of a stream are sent with times that never fall, for a Loki that takes none that is
    older than the newest (`unordered_writes: false`). A batch of which it finds some too old is
    taken but for these, with status 400."""

    name = "loki"

    def __init__(self, settings: LogSettings) -> None:
        self._newest: dict[tuple[str, ...], int] = {}
        super().__init__(settings.loki_url + PATH, settings)

    def headers(self, settings: LogSettings) -> dict[str, str]:
        tenant = {"X-Scope-OrgID": settings.loki_tenant} if settings.loki_tenant else {}
        return {**authorization(settings.loki_auth), **tenant}

    def body(self, lines: list[Line]) -> bytes:
        streams: dict[tuple[str, ...], list[Any]] = defaultdict(list)
        for line in lines:
            labels = tuple(str(line.get(name, "")) for name in LABELS)
            streams[labels].append((nanoseconds(line["time"]), orjson.dumps(line).decode()))
        return orjson.dumps(
            {
                "streams": [
                    {
                        "stream": {"job": JOB, **dict(zip(LABELS, labels, strict=True))},
                        "values": self._in_order(labels, entries),
                    }
                    for labels, entries in streams.items()
                ]
            }
        )

    def _in_order(self, labels: tuple[str, ...], entries: list[tuple[int, str]]) -> list[list[str]]:
        values = []
        newest = self._newest.get(labels, 0)
        if newest > time.time_ns() + AHEAD:  # a clock that has been set back
            newest = 0
        for at, text in sorted(entries, key=lambda entry: entry[0]):
            newest = max(newest, at)
            values.append([str(newest), text])
        self._newest[labels] = newest
        return values

    def refused(self, answer: Answer, count: int) -> int:
        found = IGNORED.search(answer.body)
        return min(count, int(found[1])) if found else count


def nanoseconds(told: str) -> int:
    """Since 1970, of a line's time."""
    at = datetime.fromisoformat(told)
    return int(at.timestamp()) * 10**9 + at.microsecond * 1000
