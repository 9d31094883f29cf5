"""What nginx and the instances wrote down of requests."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

REQUEST_LOGGER = "photo_api.access"
ENDED = "instance_ended"


@dataclass(frozen=True, slots=True)
class Execution:
    """An instance answered a request. `source` is the log that tells so: `server` or `nginx`; the
    first also knows the instance's boot, and whether the end of the worker broke it off."""

    request_id: str
    method: str
    instance: str
    status: int
    source: str
    boot: str = ""
    broken_off: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A request went through nginx, which told its client `status`. `upstreams` are the addresses
    (`host:port`) that it was sent to, one for each try; none when nginx answered itself. `reached`
    says of each of them whether it took the connection."""

    request_id: str
    method: str
    status: int
    upstreams: tuple[str, ...]
    reached: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Logs:
    """All that was read; `receipts` are the lines of instances about their own end."""

    passages: tuple[Passage, ...] = ()
    executions: tuple[Execution, ...] = ()
    receipts: tuple[Mapping[str, Any], ...] = ()


def last_words(files: Iterable[Path]) -> str:
    """The last line of the log that was written last; empty without any."""
    last = max(files, key=lambda file: file.stat().st_mtime_ns, default=None)
    lines = last.read_text(encoding="utf-8", errors="replace").split("\n") if last else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


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
                str(told.get("boot", "")),
                bool(told.get("broken_off")),
            )


def receipts(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Of an instance's log in JSON: what it says of its own end."""
    for told in _objects(line for line in lines if ENDED.encode() in line):
        if told.get("event") == ENDED and told.get("ended_boot") == told.get("boot"):
            yield told


def passages(lines: Iterable[bytes]) -> Iterator[Passage]:
    """Of nginx's access log, one for each line."""
    for told in _objects(lines):
        connects = _tries(told.get("connect_seconds"))
        tries = [
            (upstream, after not in ("", "-"))
            for upstream, after in zip_longest(
                _tries(told.get("upstream")), connects, fillvalue="-"
            )
            if _is_address(upstream)
        ]
        yield Passage(
            str(told["request_id"]),
            str(told["method"]),
            int(told["status"]),
            tuple(upstream for upstream, _ in tries),
            tuple(reached for _, reached in tries),
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


def read_logs(nginx_logs: Iterable[Path], server_logs: Iterable[Path]) -> Logs:
    """Of all these files; one that is not there was never written."""
    passed: list[Passage] = []
    executed: list[Execution] = []
    ended: list[Mapping[str, Any]] = []
    for path in nginx_logs:
        lines = _lines(path)
        passed.extend(passages(lines))
        executed.extend(nginx_executions(lines))
    for path in server_logs:
        lines = _lines(path)
        executed.extend(server_executions(lines))
        ended.extend(receipts(lines))
    return Logs(tuple(passed), tuple(executed), tuple(ended))


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


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


def _is_address(text: str) -> bool:
    """Where there was nobody to send to, nginx notes the upstream's name."""
    return ":" in text
