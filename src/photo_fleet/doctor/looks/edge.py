"""The balancer of this host: whom nginx sends to, whom it leaves out, and what follows the registry
for it."""

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from photo_base.clock import busy
from photo_base.log_lines import one_line
from photo_fleet.balancer.nginx_members import NginxSocket, NginxUnavailable
from photo_fleet.balancer.state import STATE
from photo_fleet.doctor.looks.nginx_syntax import SyntaxProblem, parsed
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.render.nginx_members import UPSTREAM
from photo_fleet.render.places import Places
from photo_fleet.spec.kinds import is_number

PATIENCE = 5.0
SILENT_TIMES, MOST_TIMES = 2, 4
LARGEST = 1024 * 1024
"""Bytes that are read of an answer or a file; of the error log it is the end of it."""
LARGEST_NUMBER = 10**15
PLAIN = {"Accept-Encoding": "identity"}
MOST_MEMBERS, MOST_NOTICES = 1000, 2000
LONGEST_TEXT = 200
LEFT_OUT = re.compile(
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?:crit|emerg)\] .*?member (\S+) is left out for"
    r" \d+ s: (.*?)(?:, context: .*)?"
)
"""As nginx's own clock and `render/lua/photo/quarantine.lua` write it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A member as nginx has it. `id` is its boot; with membership by reload nginx knows the
    address alone. `left_out_until` is epoch seconds of this host's clock."""

    id: str
    address: str
    instance: str = ""
    requests: int = 0
    failures: int = 0
    left_out_until: float | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A notice of the error log: nginx left a member out, from `at` (epoch seconds) on."""

    at: float
    boot: str
    cause: str


@dataclass(frozen=True, slots=True)
class Follower:
    """How the `photo-fleet balance` of this host stood when it last wrote. `database` and `nginx`
    say whether they answered it, None before it had asked."""

    file: str
    id: str
    members: frozenset[str]
    panic: bool
    database: bool | None
    nginx: bool | None


@dataclass(frozen=True, slots=True)
class EdgeLook:
    """`count` is how many members `/edge/health` tells of, `status` its answer; None where nobody
    was asked or nobody answered, and then `silence` says how that was. `held` are the members, read
    at `source`; None where nothing on this host tells them. They are the same since
    `unchanged_since` (epoch seconds; None: nobody knows). `error_log` is that of this host's nginx,
    "" where it is another host's."""

    status: int | None = None
    count: int | None = None
    held: tuple[Held, ...] | None = None
    source: str = ""
    panic: bool | None = None
    unchanged_since: float | None = None
    follower: Follower | None = None
    left_out: tuple[LeftOut, ...] | None = None
    problem: str = ""
    silence: str = ""
    error_log: str = ""

    def members(self) -> tuple[Held, ...]:
        """Raises `Unseen` where nothing tells them."""
        if self.held is None:
            reason = self.problem or "nothing on this host tells nginx's members"
            raise Unseen(reason, "sudo photo-fleet doctor, on the nginx host")
        return self.held


async def take(reach: Reach, seen: Seen) -> EdgeLook:
    """Raises `Unseen` when neither nginx's address nor its files are known."""
    if reach.spec.balancer.kind != "nginx":
        raise Unseen("a cloud's balancer tells its members to nobody here", "the cloud's console")
    if not reach.edge and reach.places is None:
        raise Unseen("nobody has told nginx's address", "photo-fleet doctor --edge URL")
    status, count, silence = await _health(reach.edge) if reach.edge else (None, None, "")
    if reach.places is None:
        return EdgeLook(status, count, silence=silence)
    held, source, panic, problem = await _held(reach.places)
    follower, written = _follower(Path(reach.places.state) / STATE)
    if panic is None and follower:
        panic = follower.panic
    changed = [_modified(reach.places.members_file), _modified(reach.places.members_include)]
    since = max((at for at in changed if at is not None), default=written)
    left_out = await asyncio.to_thread(_left_out, Path(reach.places.error_log), reach.since)
    log = reach.places.error_log
    return EdgeLook(
        status, count, held, source, panic, since, follower, left_out, problem, silence, log
    )


async def _health(edge: str) -> tuple[int | None, int | None, str]:
    """Status, members and why there is no answer, which must be so twice. A time in which this
    process itself had no processor tells nothing of nginx."""
    silent = 0
    for _ in range(MOST_TIMES):
        was_busy = busy()
        told = await _asked_once(edge)
        silent += busy() - was_busy < PATIENCE / 4
        if not told[2] or silent == SILENT_TIMES:
            return told
    return None, None, ""


async def _asked_once(edge: str) -> tuple[int | None, int | None, str]:
    """The certificate is not checked here: others look at that, and it is for another name."""
    path = f"{edge.rstrip('/')}/edge/health"
    try:
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(verify=False, trust_env=False, timeout=PATIENCE) as client,  # noqa: S501
            client.stream("GET", path, headers=PLAIN) as answer,
        ):
            body = b""
            async for part in answer.aiter_raw():
                if len(body := body + part) > LARGEST:
                    return answer.status_code, None, ""
    except (httpx.TimeoutException, TimeoutError):
        return None, None, f"{path} gave no answer within {PATIENCE:g} s, twice"
    except httpx.ConnectError:
        return None, None, f"{path}: nobody takes a connection there, twice"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return (
            None,
            None,
            f"{path}: {one_line(error)[:LONGEST_TEXT] or type(error).__name__}, twice",
        )
    told = _object(body)
    return answer.status_code, _number(told["members"]) if "members" in told else None, ""


async def _held(places: Places) -> tuple[tuple[Held, ...] | None, str, bool | None, str]:
    """Members, where they were read, whether they are a panic's, and what was in the way."""
    problem, socket = "", Path(places.members_socket)
    try:
        told = await NginxSocket(socket).told()
        members = told["members"][:MOST_MEMBERS]
        source = f"GET /members on {socket}"
        return tuple(_member(one) for one in members), source, told.get("panic") is True, ""
    except (NginxUnavailable, LookupError, TypeError, ValueError, AttributeError) as error:
        problem = one_line(error)[:LONGEST_TEXT]
    for name, read in ((places.members_file, _by_line), (places.members_include, _included)):
        with suppress(OSError, ValueError, SyntaxProblem):
            return (*read(Path(name)), problem)
    return None, "", None, problem


def _member(told: Mapping[str, Any]) -> Held:
    until = told.get("quarantined_until")
    return Held(
        id=_text(told["id"]),
        address=_text(told["address"]),
        instance=_text(told["instance"]),
        requests=_number(told.get("requests")),
        failures=_number(told.get("failures")),
        left_out_until=float(until) if is_number(until) else None,
    )


def _by_line(file: Path) -> tuple[tuple[Held, ...], str, bool | None]:
    """What nginx kept for its next start."""
    lines = [line.split() for line in _read(file).splitlines()]
    listed = [line[1:] for line in lines if line[:1] == ["member"]][:MOST_MEMBERS]
    members = tuple(Held(_text(boot), _text(at), _text(name)) for boot, at, name in listed)
    if lines[-1:] != [["end", str(len(members))]]:
        raise ValueError("it is cut short")
    return members, str(file), ["panic", "true"] in lines


def _included(file: Path) -> tuple[tuple[Held, ...], str, bool | None]:
    """The upstream of membership by reload. One that is down is there because nginx wants one."""
    upstreams = (one for one in parsed(_read(file), str(file)) if one.args == (UPSTREAM,))
    servers = [one.args for upstream in upstreams for one in upstream.inner("server")]
    up = [words[0] for words in servers if words and "down" not in words[1:]]
    return tuple(Held("", _text(address)) for address in up[:MOST_MEMBERS]), str(file), None


def _follower(file: Path) -> tuple[Follower | None, float | None]:
    """And when it was written."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        told = _object(_read(file).encode())
        members = frozenset(_text(one["id"]) for one in told["members"][:MOST_MEMBERS])
        database, nginx = (_answered(told.get(name)) for name in ("database", "nginx"))
        panic, me = told.get("panic") is True, _text(told["id"])
        follower = Follower(str(file), me, members, panic, database, nginx)
        return follower, _modified(str(file))
    return None, None


def _answered(told: object) -> bool | None:
    return told if isinstance(told, bool) else None


def _left_out(file: Path, window: float) -> tuple[LeftOut, ...] | None:
    """None where the log cannot be read."""
    try:
        text = _read(file)
    except OSError:
        return None
    return tuple(_notices(text, time.time() - window))[-MOST_NOTICES:]


def _notices(text: str, since: float) -> Iterator[LeftOut]:
    for line in text.splitlines():
        if found := LEFT_OUT.fullmatch(line[: 10 * LONGEST_TEXT]):
            with suppress(ValueError, OverflowError):
                at = time.mktime(time.strptime(found[1], "%Y/%m/%d %H:%M:%S"))
                if at >= since:
                    yield LeftOut(at, _text(found[2]), _text(found[3]))


def _read(file: Path) -> str:
    """The last bytes of a file."""
    with open(file, "rb", opener=_without_waiting) as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - LARGEST))
        return opened.read(LARGEST).decode(errors="replace")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _modified(file: str) -> float | None:
    with suppress(OSError):
        return os.stat(file).st_mtime
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _number(told: object) -> int:
    return int(told) if is_number(told) and abs(told) < LARGEST_NUMBER else 0


def _text(told: object) -> str:
    return one_line(str(told)[:LONGEST_TEXT])
