"""systemd's configuration below a root folder, as systemd itself would put it together.

Which files, and in which order: systemd.unit(5). Their syntax: systemd.syntax(7); times:
systemd.time(7).
"""

import errno
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

UNITS = (
    *("etc/systemd/system.control", "run/systemd/system.control", "run/systemd/transient"),
    *("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system"),
    *("usr/lib/systemd/system", "lib/systemd/system"),
)
"""Where units and their drop-ins may lie, the first winning."""
MANAGER = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd", "lib/systemd")

MOST_BYTES, MOST_FILES, MOST_LINKS = 262_144, 200, 10

_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµμA-Z]*)")
_SECONDS = {
    **dict.fromkeys(("usec", "us", "µs", "μs"), 1e-6),
    **dict.fromkeys(("msec", "ms"), 1e-3),
    **dict.fromkeys(("", "seconds", "second", "sec", "s"), 1.0),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3600.0),
    **dict.fromkeys(("days", "day", "d"), 86_400.0),
    **dict.fromkeys(("weeks", "week", "w"), 604_800.0),
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of a file: `key=value` below `[section]`."""

    section: str
    key: str
    value: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}"


def seconds(text: str) -> float | None:
    """A span of time, infinity among them; None for what systemd would ignore."""
    if text.strip() == "infinity":
        return math.inf
    total, position = 0.0, 0
    while position < len(text.rstrip()):
        found = _TIME.match(text, position)
        if not found or found[2] not in _SECONDS:
            return None
        total, position = total + float(found[1]) * _SECONDS[found[2]], found.end()
    return round(total, 6) if position else None


class Root:
    """The files below a root folder, "/" on a machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def unit(self, name: str) -> str | None:
        """The file of this unit, as it is called inside the root; None without one. Raises
        `OSError`."""
        for folder in UNITS:
            if self._is_there(f"/{folder}/{name}"):
                return f"/{folder}/{name}"
        return None

    def is_masked(self, file: str) -> bool:
        """Whether it says that there shall be nothing."""
        return self.text(file) == ""

    def drop_ins(self, name: str) -> list[str]:
        """What is read after the file of this unit, in order."""
        stem, kind = name.rsplit(".", 1)
        parts = stem.split("-")
        stems = [stem, *("-".join(parts[:n]) + "-" for n in range(len(parts) - 1, 0, -1))]
        own = [f"/{folder}/{one}.{kind}.d" for folder in UNITS for one in stems]
        return self._in_folders([*own, *(f"/{folder}/{kind}.d" for folder in UNITS)])

    def manager(self) -> list[Assignment]:
        """How the manager itself is configured."""
        files = [f"/{folder}/system.conf" for folder in MANAGER]
        first = next((file for file in files if self._is_there(file)), None)
        more = self._in_folders([f"{file}.d" for file in files])
        return self.assignments([*([first] if first else []), *more])

    def assignments(self, files: Sequence[str]) -> list[Assignment]:
        """All lines of these files. Raises `OSError`."""
        return [one for file in files for one in _lines(self.text(file), file)]

    def text(self, file: str) -> str:
        """The content, at most `MOST_BYTES`; "" of what is no file. Raises `OSError`."""
        if (target := self._target(file)) == "/dev/null":
            return ""
        path = self._below(target)
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            return ""
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            return opened.read(MOST_BYTES).decode(errors="replace")

    def _in_folders(self, folders: list[str]) -> list[str]:
        """Of files with the same name the first, sorted by name."""
        found: dict[str, str] = {}
        for folder in folders:
            try:
                names = sorted(os.listdir(self._below(folder)))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in names[:MOST_FILES]:
                if name.endswith(".conf"):
                    found.setdefault(name, f"{folder}/{name}")
        return [found[name] for name in sorted(found)]

    def _is_there(self, file: str) -> bool:
        return self._target(file) == "/dev/null" or self._below(self._target(file)).is_file()

    def _target(self, file: str) -> str:
        """Where a chain of links leads, inside the root; only of the file itself."""
        for _ in range(MOST_LINKS):
            try:
                link = os.readlink(self._below(file))
            except OSError:
                break
            file = os.path.normpath(os.path.join(os.path.dirname(file), link))
        return file

    def _below(self, file: str) -> Path:
        return self._folder / file.lstrip("/")


def _lines(text: str, file: str) -> Iterator[Assignment]:
    section, begun, start = "", "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        # A comment does not end a line that goes on; an empty one does.
        if line[:1] in ("#", ";") or not (line or begun):
            continue
        start, begun = start if begun else number, f"{begun}{line}"
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
            continue
        whole, begun = begun.strip(), ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
        elif "=" in whole:
            key, _, value = whole.partition("=")
            yield Assignment(section, key.strip(), value.strip(), file, start)
