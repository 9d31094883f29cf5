"""nginx's members where it has no Lua: a file that it includes, and a reload for each change.

Workers of before a reload go on for a while, and an upload that was coming in there may still go to
a member that has left. They are counted, and as long as one is left no removal is acknowledged.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from photo_base.whole_file import replace
from photo_fleet.balancer.membership import Decision, Member
from photo_fleet.balancer.nginx_members import Held, NginxUnavailable

RELOADED_WITHIN = 5.0
POLL = 0.02
WORKER = b"nginx: worker process"
LEAVING = b"nginx: worker process is shutting down"


class NginxReload:
    """The nginx whose pid file, included `members.conf` and `members.json` (the same with ids, for
    this class alone) are in `run`. `render` makes the text of the former from addresses."""

    def __init__(self, run: Path, render: Callable[[Sequence[str]], str]) -> None:
        self._pid_file = run / "nginx.pid"
        self._include = run / "members.conf"
        self._kept = run / "members.json"
        self._render = render
        self._loaded: str | None = None
        self._older: set[int] = set()

    async def held(self) -> Held:
        """What was written last; nothing when the included file was written by another."""
        master = self._master()
        members = _kept(self._kept)
        if _text(self._include) != self._text(members):
            members = []
        return Held(frozenset(members), len(self._still_there(master)))

    async def put(self, decision: Decision) -> Held:
        """Write and reload, unless nginx has just this; returns once new workers run."""
        master = self._master()
        text = self._text(decision.members)
        if text != self._loaded or text != _text(self._include):
            _replace(self._kept, json.dumps([asdict(member) for member in decision.members]))
            _replace(self._include, text)
            await self._reload(master)
            self._loaded = text
        return Held(frozenset(decision.members), len(self._still_there(master)))

    async def _reload(self, master: int) -> None:
        self._loaded = None
        before = set(_workers(master))
        self._older |= before
        try:
            os.kill(master, signal.SIGHUP)
        except OSError as error:
            raise NginxUnavailable(f"nginx cannot be reloaded: {error.strerror}") from None
        limit = time.monotonic() + RELOADED_WITHIN
        while not set(_workers(master)) - before:
            if time.monotonic() > limit:
                raise NginxUnavailable("nginx did not take the reload; its error log says why")
            await asyncio.sleep(POLL)

    def _still_there(self, master: int) -> set[int]:
        """Older workers that have not ended; those that say so themselves were there before this
        process."""
        workers = _workers(master)
        self._older &= set(workers)
        return self._older | {pid for pid, title in workers.items() if title.startswith(LEAVING)}

    def _text(self, members: Sequence[Member]) -> str:
        return self._render([member.address for member in members])

    def _master(self) -> int:
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text(encoding="ascii"))
            if _title(pid).startswith(b"nginx: master process"):
                return pid
        raise NginxUnavailable(f"no nginx runs that wrote {self._pid_file}")


def _workers(master: int) -> dict[int, bytes]:
    """Process ids and titles of its workers, old and new."""
    found = {}
    for pid in _children(master):
        with suppress(OSError):
            title = _title(pid)
            if title.startswith(WORKER):
                found[pid] = title
    return found


def _children(parent: int) -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with suppress(OSError):
                stat = Path(f"/proc/{entry}/stat").read_bytes()
                # The program's name, in parentheses, may itself hold spaces and parentheses.
                if int(stat.rpartition(b")")[2].split()[1]) == parent:
                    yield int(entry)


def _title(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _kept(path: Path) -> list[Member]:
    try:
        return [Member(**one) for one in json.loads(_text(path) or "[]")]
    except (ValueError, TypeError):
        return []


def _replace(path: Path, text: str) -> None:
    try:
        replace(path, text)
    except OSError as error:
        raise NginxUnavailable(f"{path} cannot be written: {error.strerror}") from None
