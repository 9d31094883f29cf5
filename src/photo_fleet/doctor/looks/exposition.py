"""What an instance's `/metrics` says, read from Prometheus's text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import math
import re
from collections.abc import Iterator, Mapping

from photo_base.log_lines import one_line

Sample = tuple[Mapping[str, str], float]

MOST_SAMPLES = 20_000
LONGEST_VALUE = 256

_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*"'
_SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{((?:{_LABEL},?)*)\}})? (\S+)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"')
_ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Metrics:
    """Samples by name, in the order in which they were told."""

    def __init__(self, samples: Mapping[str, tuple[Sample, ...]]) -> None:
        self._samples = samples

    def samples(self, name: str) -> tuple[Sample, ...]:
        """All of this name, none when there is none."""
        return self._samples.get(name, ())

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of those with these labels among theirs; None when there is none."""
        found = [
            value
            for theirs, value in self.samples(name)
            if all(theirs.get(label) == wanted for label, wanted in labels.items())
        ]
        return sum(found) if found else None


def parse(text: str) -> Metrics:
    """All samples that are numbers; lines that are none are passed over, as are those beyond
    `MOST_SAMPLES`."""
    found: dict[str, list[Sample]] = {}
    for place, (name, labels, value) in enumerate(_samples(text)):
        if place >= MOST_SAMPLES:
            break
        found.setdefault(name, []).append((labels, value))
    return Metrics({name: tuple(samples) for name, samples in found.items()})


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for line in text.split("\n"):
        if (told := _SAMPLE.match(line)) is None:
            continue
        try:
            value = float(told[3])
        except ValueError:
            continue
        if math.isfinite(value):
            yield (
                told[1],
                {name: _plain(text) for name, text in _PAIR.findall(told[2] or "")},
                value,
            )


def _plain(value: str) -> str:
    plain = re.sub(r"\\.", lambda found: _ESCAPED.get(found[0], found[0]), value[:LONGEST_VALUE])
    return one_line(plain)
