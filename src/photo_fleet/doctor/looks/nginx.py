"""The nginx of this host: the directives of its files, and whether it has read them."""

import asyncio
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from photo_base.log_lines import one_line
from photo_fleet.doctor.looks.nginx_process import read_since, version
from photo_fleet.doctor.looks.nginx_syntax import Directive, SyntaxProblem, parsed
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen

MOST_BYTES, MOST_FILES, DEEPEST_INCLUDE = 4_000_000, 500, 10


@dataclass(frozen=True, slots=True)
class NginxLook:
    """What stands in the files of the nginx whose main one is `file`, includes in their place.
    `changed_at` is when the last of them was written, `read_at` since when the running nginx works
    by what it has read; both in epoch seconds, None: no nginx of this configuration was seen.
    `version` is that of this host's program, None without one."""

    file: str
    tree: tuple[Directive, ...]
    changed_at: float
    read_at: float | None = None
    version: tuple[int, ...] | None = None

    @property
    def http(self) -> tuple[Directive, ...]:
        """What is in its `http` block."""
        return tuple(one for top in self.tree if top.name == "http" for one in top.block or ())

    @property
    def upstreams(self) -> dict[str, Directive]:
        """By name."""
        return {one.args[0]: one for one in self.http if one.name == "upstream" and one.args}


async def take(reach: Reach, seen: Seen) -> NginxLook:
    """Raises `Unseen` where the host has no such files, or nginx itself would not read them."""
    if reach.spec.balancer.kind != "nginx":
        raise Unseen("the fleet's balancer is a cloud's: this host has no nginx of it", ALONE)
    if reach.places is None:
        raise Unseen("nobody has told where nginx's files are", "photo-fleet doctor, on its host")
    main = Path(reach.places.prefix) / "nginx.conf"
    changing = frozenset({reach.places.members_include})
    look = await asyncio.to_thread(look_at, main, changing)
    return replace(look, version=await version())


ALONE = "the cloud's console"
USUAL_PID = "/run/nginx.pid"


def look_at(main: Path, changing: frozenset[str] = frozenset()) -> NginxLook:
    """The configuration of this main file. Files of `changing` are written while nginx runs: when
    tells nothing. Raises `Unseen`."""
    files = _Files(main, changing)
    try:
        tree = tuple(files.tree(str(main), 0))
    except FileNotFoundError as error:
        raise Unseen(f"there is no {one_line(error.filename)} here", f"ls -l {main}") from error
    except OSError as error:
        reason = f"{one_line(error.filename or main)}: {error.strerror or type(error).__name__}"
        raise Unseen(reason, f"sudo cat {main}") from error
    except (SyntaxProblem, _TooMuch, ValueError) as error:  # ValueError: a name with a NUL in it
        raise Unseen(one_line(str(error)), f"sudo nginx -t -c {main}") from error
    pids = [one.args[0] for one in tree if one.name == "pid" and one.args]
    return NginxLook(str(main), tree, files.changed_at, read_since(pids[0] if pids else USUAL_PID))


class _TooMuch(Exception):
    """More than is looked at; the text says of what."""


class _Files:
    """What one configuration consists of, within bounds."""

    def __init__(self, main: Path, changing: frozenset[str]) -> None:
        self._folder = main.parent
        self._changing = changing
        self._bytes, self._files = MOST_BYTES, MOST_FILES
        self.changed_at = 0.0

    def tree(self, file: str, depth: int) -> Iterator[Directive]:
        if depth > DEEPEST_INCLUDE:
            raise _TooMuch(f"{file}: more than {DEEPEST_INCLUDE} includes within each other")
        return self._included(parsed(self._text(file), file), depth)

    def _included(self, found: Iterable[Directive], depth: int) -> Iterator[Directive]:
        for one in found:
            if one.block is not None:
                yield replace(one, block=tuple(self._included(one.block, depth)))
            elif one.name == "include" and one.args:
                for file in self._matching(one.args[0]):
                    yield from self.tree(file, depth + 1)
            else:
                yield one

    def _matching(self, pattern: str) -> list[str]:
        """nginx takes relative names from the main file's folder, and those of a pattern sorted."""
        whole = os.path.join(self._folder, pattern)
        if not glob.has_magic(pattern):
            return [whole]
        return sorted(islice(glob.iglob(whole), MOST_FILES + 1))

    def _text(self, file: str) -> str:
        self._files -= 1
        if self._files < 0:
            raise _TooMuch(f"{file}: more than {MOST_FILES} files are included")
        about = os.stat(file)
        if not stat.S_ISREG(about.st_mode):
            raise _TooMuch(f"{file} is no file")
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            content = opened.read(self._bytes + 1)
        self._bytes -= len(content)
        if self._bytes < 0:
            raise _TooMuch(f"{file}: more than {MOST_BYTES} bytes in all files")
        if file not in self._changing:
            self.changed_at = max(self.changed_at, about.st_mtime)
        return content.decode(errors="replace")
