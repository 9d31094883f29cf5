"""What a key of the spec may hold, how it is written in TOML, and in which range it makes sense.

Each kind reads a TOML value into the number that the spec carries (seconds, bytes, requests a
second) and writes it back. `read` and `check` raise ValueError with words that complete the
sentence "KEY = VALUE …".
"""

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil, floor
from typing import Annotated, Any, TypeGuard

from photo_base.environment import network, optional_collector
from photo_base.origins import as_browsers_send

DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
SIZES = {
    "B": 1,
    **{"KB": 10**3, "MB": 10**6, "GB": 10**9},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
}
RATES = {"s": 1, "m": 60}

HOST = r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?"

QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", re.ASCII)
RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+)", re.ASCII)
PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)


NOISE = 6
"""Digits of a millisecond that count; what is beyond them comes of binary fractions."""


def limit_ms(seconds: float) -> int:
    """A limit in whole milliseconds, which every reader of a rendered file knows: rounded up, so
    that nothing is cut short."""
    return ceil(round(seconds * 1000, NOISE))


def limit(seconds: float) -> str:
    """A limit as text in seconds, rounded up to milliseconds."""
    return f"{limit_ms(seconds) / 1000:.12g}"


def budget(seconds: float) -> str:
    """A budget, into which limits must fit, as text in seconds: rounded down to milliseconds."""
    return f"{floor(round(seconds * 1000, NOISE)) / 1000:.12g}"


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether TOML means a number; `true` is none, though Python counts with it."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class Kind(ABC):
    """What one key may hold."""

    @abstractmethod
    def read(self, raw: object) -> Any:
        """The spec's value for a TOML value."""

    def write(self, value: Any) -> str:
        """The TOML text of a value of the spec."""
        return json.dumps(value)

    def check(self, value: Any) -> None:  # noqa: B027  (most kinds have no range)
        """Refuse what is out of range."""


@dataclass(frozen=True, slots=True)
class Range(Kind):
    """Numbers between two bounds, both included."""

    low: float
    high: float

    def check(self, value: Any) -> None:
        if not self.low <= value <= self.high:
            raise ValueError(f"must be between {self.write(self.low)} and {self.write(self.high)}")

    def write(self, value: Any) -> str:
        return f"{round(value, 3):.12g}"

    def read(self, raw: object) -> Any:
        if not is_number(raw):
            raise ValueError(f"must be a number: write {self.write(self.low)} or more")
        return raw


@dataclass(frozen=True, slots=True)
class Count(Range):
    """Whole numbers; `zero` tells whether 0 means something."""

    zero: bool = True

    def read(self, raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise ValueError(f"must be a whole number{_without_quotes(raw)}")
        return raw

    def check(self, value: Any) -> None:
        Range.check(self, value)
        if value == 0 and not self.zero:
            raise ValueError("would change nothing: write 1 to add an instance, -1 to remove one")


def _without_quotes(raw: object) -> str:
    is_quoted = isinstance(raw, str) and raw.lstrip("-").isascii() and raw.lstrip("-").isdigit()
    return f": write {raw} without quotes" if is_quoted else ""


@dataclass(frozen=True, slots=True)
class Duration(Range):
    """Seconds; `whole` where a reader of the spec takes no fractions."""

    whole: bool = False

    def read(self, raw: object) -> float:
        match = QUANTITY.fullmatch(raw) if isinstance(raw, str) else None
        if match and match[2] in DURATIONS:
            return float(match[1]) * DURATIONS[match[2]]
        if is_number(raw):
            raise ValueError(f'needs a unit: write "{raw}s"')
        raise ValueError('is no duration: write a number with ms, s, m or h, such as "30s"')

    def check(self, value: Any) -> None:
        Range.check(self, value)
        if self.whole and value % 1:
            raise ValueError(f'must be whole seconds: write "{value + 1:.0f}s"')

    def write(self, value: Any) -> str:
        if value and round(value, 3) < 1:
            return f'"{round(value * 1000, 3):g}ms"'
        return f'"{Range.write(self, value)}s"'


@dataclass(frozen=True, slots=True)
class Size(Range):
    """Bytes."""

    def read(self, raw: object) -> int:
        if is_number(raw):
            raise ValueError('needs a unit: write "60MiB" (or B, KB, MB, GB, KiB, GiB)')
        match = QUANTITY.fullmatch(raw) if isinstance(raw, str) else None
        if not match or match[2] not in SIZES:
            raise ValueError('is no size: write a number with MiB, MB or another, such as "60MiB"')
        return round(float(match[1]) * SIZES[match[2]])

    def write(self, value: Any) -> str:
        for unit in ("GiB", "MiB", "KiB", "GB", "MB", "KB"):
            if value and value % SIZES[unit] == 0:
                return f'"{value // SIZES[unit]}{unit}"'
        return f'"{value}B"'


@dataclass(frozen=True, slots=True)
class Rate(Range):
    """Requests a second."""

    def read(self, raw: object) -> float:
        if is_number(raw):
            raise ValueError(f'needs a unit: write "{raw}/s" or "{raw}/m"')
        match = RATE.fullmatch(raw) if isinstance(raw, str) else None
        if not match or match[2] not in RATES:
            raise ValueError('is no rate: write a number with /s or /m, such as "50/s"')
        return float(match[1]) / RATES[match[2]]

    def write(self, value: Any) -> str:
        return f'"{Range.write(self, value)}/s"'


@dataclass(frozen=True, slots=True)
class Percent(Range):
    """Percent, as a plain number or with its sign."""

    def read(self, raw: object) -> float:
        match = PERCENT.fullmatch(raw) if isinstance(raw, str) else None
        if match:
            return float(match[1])
        if not is_number(raw):
            raise ValueError('is no percentage: write 70 or "70%"')
        return float(raw)  # a number, as just asked


@dataclass(frozen=True, slots=True)
class Threshold(Kind):
    """A policy's threshold, in the unit of its metric: see `of`."""

    def of(self, metric: object) -> Kind:
        """Percent of CPU, requests in flight, or the age of the oldest waiting job."""
        if metric == "queue_age":
            return Duration(0, 86_400)
        return Range(0.01, 100_000) if metric == "in_flight" else Percent(0.1, 100)

    def read(self, raw: object) -> Any:
        raise TypeError("a threshold is read in the unit of its metric")

    def write(self, value: Any) -> str:
        raise TypeError("a threshold is written in the unit of its metric")


@dataclass(frozen=True, slots=True)
class Switch(Kind):
    """true or false."""

    def read(self, raw: object) -> bool:
        if not isinstance(raw, bool):
            hint = f": write {raw.lower()} without quotes" if raw in ("true", "false") else ""
            raise ValueError(f"must be true or false{hint}")
        return raw


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, raw: object) -> str:
        if raw not in self.words or not isinstance(raw, str):
            raise ValueError(f"must be {' or '.join(map(json.dumps, self.words))}")
        return raw


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """A string of a form that can do no harm in the files which are rendered from it."""

    pattern: str
    example: str
    because: str = ""
    """What is wrong with any other."""

    def read(self, raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError(f"must be a string such as {json.dumps(self.example)}")
        if not re.fullmatch(self.pattern, raw, re.ASCII):
            because = f": {self.because}" if self.because else ""
            raise ValueError(f"has not the form of {json.dumps(self.example)}{because}")
        return raw


@dataclass(frozen=True, slots=True)
class Location(Text):
    """An address with a host and a port that there can be, where it is not empty."""

    def read(self, raw: object) -> str:
        address = Text.read(self, raw)
        optional_collector(address)
        return address


@dataclass(frozen=True, slots=True)
class Networks(Kind):
    """A list of networks or addresses."""

    def read(self, raw: object) -> tuple[str, ...]:
        if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
            raise ValueError('must be a list of networks such as ["10.0.0.0/8"]')
        for item in raw:
            try:
                network(item)
            except ValueError as error:
                raise ValueError(f"holds no network: {error}") from error
        return tuple(raw)


@dataclass(frozen=True, slots=True)
class Origins(Kind):
    """A list of origins of web front ends."""

    def read(self, raw: object) -> tuple[str, ...]:
        if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
            raise ValueError('must be a list of origins such as ["https://photos.example.org"]')
        return tuple(dict.fromkeys(as_browsers_send(item.rstrip("/")) for item in raw))


Address = Annotated[
    str,
    Location(rf"({HOST})?", "http://10.0.0.5:8333"),
]
