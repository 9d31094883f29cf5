"""A spec's file read into a `Fleet`: with every fault at once, each by file and line.

A key that is absent keeps the default of the dataclass; one that is not known is refused, because a
typo must not fall back to a default in silence.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from photo_base.given_file import read_given
from photo_base.log_lines import one_line, redact
from photo_fleet.spec import toml_lines
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import Choice, Kind, Switch, Threshold

LONGEST_SHOWN = 60
LONGEST_FILE = 1024 * 1024
"""Bytes; a device would never end."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `line` counts from 1; 0: the file as a whole. `key` is dotted, and empty when no
    key is meant."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.text}"


class SpecError(Exception):
    """A file makes no usable spec; `problems` has all its faults, in the order of their lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(["The spec cannot be used:", *(f"  {one}" for one in problems)]))
        self.problems = problems


def load(path: Path | str) -> Fleet:
    """The spec in a file. Raises `SpecError`, also when the file cannot be read."""
    name = str(path)
    try:
        body = read_given(path, LONGEST_FILE)
        if len(body) > LONGEST_FILE:
            raise SpecError([Problem(name, 0, "", f"has more than {LONGEST_FILE} bytes")])
        text = body.decode()
    except OSError as error:
        raise SpecError([Problem(name, 0, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        problem = Problem(name, 0, "", f"is no UTF-8 text: byte {error.start} is wrong")
        raise SpecError([problem]) from error
    return loads(text, name)


def loads(text: str, name: str) -> Fleet:
    """The spec in a text; `name` is what problems call its file. Raises `SpecError`."""
    text = text.replace("\r\n", "\n")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError([_syntax(name, text, error)]) from error
    except (ValueError, RecursionError) as error:  # of digits or brackets without number
        problem = Problem(name, 0, "", f"cannot be read: {one_line(error)}")
        raise SpecError([problem]) from error
    reader = _Reader(name, toml_lines.lines(text))
    fleet = reader.table(Fleet, table, Fleet(), ())
    if reader.problems:
        raise SpecError(sorted(reader.problems, key=lambda problem: problem.line))
    return cast(Fleet, fleet)


def _syntax(name: str, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    """tomllib names the line in its message: "… (at line 3, column 5)" or "… (at end of …)"."""
    message, _, place = str(error).rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = int(words[1]) if words[:1] == ["line"] else text.count("\n") + 1
    return Problem(name, line, "", f"is no TOML: {message}")


def kind_of(annotation: Any) -> Kind | None:
    """What a field of the spec may hold; None: a table, or a list of them."""
    if get_origin(annotation) is Annotated:
        return cast(Kind, get_args(annotation)[1])
    if get_origin(annotation) is Literal:
        return Choice(get_args(annotation))
    return Switch() if annotation is bool else None


def annotations(kind: type[Any]) -> dict[str, Any]:
    """The fields of a table, each with what a file may hold there."""
    return {item.name: item.type for item in fields(kind)}


def dotted(path: toml_lines.Path) -> str:
    """`group.policies[1].threshold`, counted from 0 as in programs."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Reader:
    """Reads tables into dataclasses and notes what is wrong on the way."""

    def __init__(self, file: str, places: Mapping[toml_lines.Path, int]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._places = places

    def table(self, kind: type[Any], table: Any, default: Any, path: toml_lines.Path) -> Any:
        """An instance of the dataclass `kind`, as far as faults allow; what is absent comes from
        `default`, if there is one."""
        if not isinstance(table, dict):
            self._note(path, f"{dotted(path)} must be a table: write [{dotted(path)}]")
            return default
        hints = annotations(kind)
        for key in table.keys() - hints.keys():
            self._note((*path, key), _unknown(path, key, list(hints)))
        values = {}
        for item in fields(kind):
            if item.name in table:
                value = self._value(hints[item.name], table, item.name, default, path)
            else:
                value = getattr(default, item.name, MISSING)
            if value is not MISSING:
                values[item.name] = value
            elif item.name not in table:
                self._note(path, f"{dotted(path)} lacks {item.name}")
        return kind(**values) if len(values) == len(fields(kind)) else default

    def _value(
        self, hint: Any, table: dict[str, Any], name: str, default: Any, path: toml_lines.Path
    ) -> Any:
        raw, here = table[name], (*path, name)
        inherited = getattr(default, name, MISSING)
        kind = kind_of(hint)
        if kind is None and is_dataclass(hint):
            return self.table(cast(type[Any], hint), raw, inherited, here)
        if kind is None:
            return self._tables(get_args(hint)[0], raw, here)
        if isinstance(kind, Threshold):
            kind = kind.of(table.get("metric"))
        try:
            value = kind.read(raw)
            kind.check(value)
        except ValueError as error:
            self._note(here, f"{dotted(here)} = {shown(raw)} {error}")
            return inherited
        return value

    def _tables(self, kind: type[Any], raw: Any, path: toml_lines.Path) -> Any:
        if not isinstance(raw, list):
            self._note(path, f"{dotted(path)} must be a list of tables: write [[{dotted(path)}]]")
            return ()
        return tuple(
            self.table(kind, table, None, (*path, place)) for place, table in enumerate(raw)
        )

    def _note(self, path: toml_lines.Path, text: str) -> None:
        line = self._places.get(path, 0)
        self.problems.append(Problem(self._file, line, dotted(path), text))


def shown(raw: object) -> str:
    """A TOML value on one line, not too long, without control characters and passwords."""
    text = redact(json.dumps(raw, default=str, ensure_ascii=False))
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _unknown(path: toml_lines.Path, key: str, known: list[str]) -> str:
    asked = dotted((*path, key)) if key.isprintable() else shown(key)
    near = get_close_matches(key, known, 1)
    if near:
        return f"{asked} is not a key; did you mean {near[0]}?"
    homes = [home for home in _homes() if home.rpartition(".")[2] == key]
    if homes:
        return f"{asked} is not a key; did you mean {' or '.join(homes)}?"
    table = f"[{dotted(path)}]" if path else "the top of the file"
    return f"{asked} is not a key; {table} has {', '.join(known)}"


def _homes(kind: type[Any] = Fleet, prefix: str = "") -> list[str]:
    """Every key of the spec, dotted, without those of lists."""
    found = []
    for name, hint in annotations(kind).items():
        if kind_of(hint) is None and is_dataclass(hint):
            found += _homes(cast(type[Any], hint), f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found
