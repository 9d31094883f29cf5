"""What nginx and the instances wrote down of requests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

REQUEST_LOGGER = "photo_api.access"


@dataclass(frozen=True, slots=True)
class Execution:
    """An instance answered a request. `source` is the log that tells so: `server` or `nginx`."""

    request_id: str
    method: str
    instance: str
    status: int
    source: str


def server_executions(lines: Iterable[bytes]) -> Iterator[Execution]:
    """Of an instance's log in JSON; whatever else is in it is left out."""
    for told in _objects(lines):
        if told.get("logger") == REQUEST_LOGGER and "request_id" in told:
            yield Execution(
                str(told["request_id"]),
                str(told["method"]),
                str(told["instance"]),
                int(told["status"]),
                "server",
            )


def nginx_executions(lines: Iterable[bytes]) -> Iterator[Execution]:
    """Of nginx's access log: one for each try that an upstream answered itself."""
    for told in _objects(lines):
        statuses = _tries(told.get("upstream_status"))
        heads = _tries(told.get("header_seconds"))
        upstreams = _tries(told.get("upstream"))
        for status, head, upstream in zip(statuses, heads, upstreams, strict=False):
            # For a try that broke off nginx notes a status of its own, but no time of a head.
            if status.isdecimal() and head != "-":
                yield Execution(
                    str(told["request_id"]), str(told["method"]), upstream, int(status), "nginx"
                )


def executions(nginx_logs: Iterable[Path], server_logs: Iterable[Path]) -> tuple[Execution, ...]:
    """Of all these files; one that is not there was never written."""
    found: list[Execution] = []
    for paths, read in ((nginx_logs, nginx_executions), (server_logs, server_executions)):
        for path in paths:
            if path.exists():
                with path.open("rb") as file:
                    found.extend(read(file))
    return tuple(found)


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith(b"{"):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:  # the last line of a process that was killed
                continue


def _tries(text: object) -> list[str]:
    """nginx separates tries by commas, and internal redirects by colons."""
    return [item.strip() for item in str(text or "").replace(" : ", ", ").split(",")]
