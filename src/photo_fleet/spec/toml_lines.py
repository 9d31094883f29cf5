"""On which line each key of a TOML text stands, which `tomllib` does not tell.

The text must already have passed `tomllib`, so that nothing is checked here: the scanner only
follows tables, arrays of tables, dotted keys, inline tables and arrays, and steps over strings and
comments.
"""

import re
import tomllib
from collections.abc import Callable

Path = tuple[str | int, ...]
"""Keys from the root; a number is a place in an array."""

BLANK = re.compile(r"[ \t]*")
GAP = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
KEY = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[A-Za-z0-9_-]+')
STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}#\n]*")


def lines(text: str) -> dict[Path, int]:
    """The first line, from 1, of each table, array element and key."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(GAP)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(GAP)
        return self._found

    def _skip(self, pattern: re.Pattern[str]) -> str:
        """Step over what matches here; what it was."""
        match = pattern.match(self._text, self._at)
        assert match, f"no {pattern.pattern} at {self._at}"
        self._at = match.end()
        return match[0]

    def _note(self, path: Path) -> None:
        self._found.setdefault(path, self._text.count("\n", 0, self._at) + 1)

    def _header(self) -> Path:
        """[table] or [[array of tables]]; the path of what follows."""
        opening = 2 if self._text.startswith("[[", self._at) else 1
        self._at += opening
        *parents, last = self._key()
        path: Path = ()
        for part in parents:
            self._note((*path, part))
            path = self._inside((*path, part))
        path = (*path, last)
        self._note(path)
        if opening == 2:
            self._arrays[path] = self._arrays.get(path, -1) + 1
        path = self._inside(path)
        self._note(path)
        self._skip(BLANK)
        self._at += opening
        return path

    def _inside(self, path: Path) -> Path:
        """Keys below an array of tables belong to its last one."""
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(BLANK)
            parts.append(_unquoted(self._skip(KEY)))
            self._skip(BLANK)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _pair(self, table: Path) -> None:
        start, path = self._at, table
        for part in self._key():
            path = (*path, part)
            end, self._at = self._at, start
            self._note(path)
            self._at = end
        self._at += 1  # the =
        self._skip(BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        first = self._text[self._at : self._at + 1]
        if first in ('"', "'"):
            self._skip(STRING)
        elif first == "{":
            self._until("}", lambda _: self._pair(path))
        elif first == "[":
            self._until("]", lambda place: self._element((*path, place)))
        else:
            self._skip(SCALAR)

    def _element(self, path: Path) -> None:
        self._note(path)
        self._value(path)

    def _until(self, closing: str, each: Callable[[int], None]) -> None:
        self._at += 1
        place = 0
        self._skip(GAP)
        while not self._text.startswith(closing, self._at):
            each(place)
            place += 1
            self._skip(GAP)
        self._at += 1


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    value: str = tomllib.loads(f"key = {key}")["key"]
    return value
