"""A `Fleet` written as the file that `loading` reads it from, with every key."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import Threshold
from photo_fleet.spec.loading import annotations, kind_of


def text(fleet: Fleet) -> str:
    """TOML; numbers are rounded as their kinds write them, durations to milliseconds."""
    return "\n".join(_table(fleet, "")) + "\n"


def _table(node: Any, path: str) -> Iterator[str]:
    """Its keys, and then the tables in it, by their dotted paths."""
    inner: list[tuple[str, Any]] = []
    for name, hint in annotations(type(node)).items():
        value, kind = getattr(node, name), kind_of(hint)
        if isinstance(kind, Threshold):
            kind = kind.of(node.metric)
        if kind is not None:
            yield f"{name} = {kind.write(value)}"
        elif value == ():
            yield f"{name} = []"
        else:
            inner.append((f"{path}.{name}".lstrip("."), value))
    for place, value in inner:
        if is_dataclass(value):
            yield from ("", f"[{place}]", *_table(value, place))
        else:
            for one in value:
                yield from ("", f"[[{place}]]", *_table(one, place))
