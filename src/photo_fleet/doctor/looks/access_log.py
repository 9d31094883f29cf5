"""The end of nginx's access log on this host: which request went where."""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from photo_base.log_lines import one_line
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.spec.kinds import is_number

MOST_BYTES = 32 * 1024 * 1024
MOST_FOREIGN = 100_000
LONGEST_LINE = 64 * 1024
LONGEST_TEXT = 200
ROTATED = ".1"
"""What logrotate calls the file before; older ones are compressed."""


class Request(NamedTuple):
    """One line. `boot` is the member that it went to last (empty with membership by reload),
    `upstream` that one's address; both are empty when nginx answered itself. `waited` are the
    seconds that members took, all tries together; None when none answered."""

    at: float
    client: str
    method: str
    status: int
    seconds: float
    boot: str
    upstream: str
    instance: str
    tries: int
    waited: float | None


@dataclass(frozen=True, slots=True)
class AccessLogLook:
    """Requests in the order in which they ended, from `since` on (epoch seconds of this host's
    clock): the begin of the window, or later when there was more than is read. `foreign` lines are
    none of our format."""

    file: str
    since: float
    requests: tuple[Request, ...] = ()
    foreign: int = 0


async def take(reach: Reach, seen: Seen) -> AccessLogLook:
    """Raises `Unseen` where this host has no such log, or nobody lets us read it."""
    if reach.spec.balancer.kind != "nginx":
        raise Unseen("a cloud's balancer: this host has no access log of it", "the cloud's console")
    if reach.places is None:
        raise Unseen("nobody has told where nginx's files are", "photo-fleet doctor, on its host")
    file = Path(reach.places.access_log)
    return await asyncio.to_thread(look_at, file, seen.at - reach.since)


def look_at(file: Path, since: float) -> AccessLogLook:
    """The log in `file` and what was rotated away last, as far as `MOST_BYTES` go back. Raises
    `Unseen`, also where no line is one of ours."""
    try:
        tail, whole, which = _tail(file, MOST_BYTES)
    except OSError as error:
        reason = f"{file}: {error.strerror or type(error).__name__}"
        raise Unseen(reason, f"sudo tail {file}") from error
    if whole and len(tail) < MOST_BYTES:
        with suppress(OSError):  # there is none yet, or it is not as usual: this one is enough
            name = file.with_name(file.name + ROTATED)
            before, all_of_it, other = _tail(name, MOST_BYTES - len(tail))
            if other != which:  # else it was rotated away just now, and was read already
                tail, whole = before + tail, all_of_it
    found, foreign = _requests(tail)
    if not found and (foreign or not whole):
        told = f"none of {foreign} lines" if foreign else f"nothing in the last {MOST_BYTES} bytes"
        raise Unseen(
            f"{file}: {told} is as the log_format of photo-fleet render writes it",
            f"sudo tail -n 3 {file}",
        )
    begin = since if whole or not found else max(since, found[0].at)
    kept = tuple(request for request in found if request.at >= begin)
    return AccessLogLook(str(file), begin, kept, foreign)


def _requests(tail: bytes) -> tuple[list[Request], int]:
    """Those in it, and how many lines are none; of a file of such lines not all are counted."""
    found, foreign, text = list[Request](), 0, _Texts()
    for line in BytesIO(tail):
        if line == b"\n":
            continue
        if (request := _request(line, text)) is not None:
            found.append(request)
        elif (foreign := foreign + 1) >= MOST_FOREIGN and not found:
            break
    return found, foreign


def _tail(file: Path, most: int) -> tuple[bytes, bool, tuple[int, int]]:
    """Its last bytes from the begin of a line on, whether they are all of it, and which file it
    is, whatever its name."""
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "it is no file")
        begin = max(0, about.st_size - most)
        opened.seek(begin)
        content = opened.read(most)
    content = content.partition(b"\n")[2] if begin else content
    return content, not begin, (about.st_dev, about.st_ino)


class _Texts(dict[str, str]):
    """Texts as they may be shown. Most occur again and again: each is looked at once, and kept
    once."""

    def __missing__(self, told: str) -> str:
        self[told] = safe = one_line(told[:LONGEST_TEXT])
        return safe


def _request(line: bytes, text: _Texts) -> Request | None:
    """None for what is no line of ours: of another format, or cut in two by a full disk."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        told = json.loads(line)
        at = datetime.fromisoformat(told["time"]).timestamp()
        status, tries, seconds = told["status"], told["tries"], told["seconds"]
        if not (is_number(status) and is_number(tries) and is_number(seconds)):
            return None
        return Request(
            at,
            text[told["client"]],
            text[told["method"]],
            int(status),
            float(seconds),
            text[told["boot"]],
            text[list(_parts(told["upstream"]))[-1]],
            text[told["instance"]],
            int(tries),
            _sum(told["response_seconds"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None


def _parts(told: str) -> Iterator[str]:
    """nginx separates tries by commas, and servers of an internal redirect by colons."""
    return (part.strip() for part in told.replace(" : ", ", ").split(", "))


def _sum(told: str) -> float | None:
    found = [float(part) for part in _parts(told) if part not in ("", "-")]
    return sum(found) if found else None
