"""What the doctor has found, and what it could not look at."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]
Section = Literal["restarts", "traffic", "cuts", "always"]

SECTIONS: tuple[Section, ...] = ("restarts", "traffic", "cuts", "always")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. An `error` costs users requests or files, now or at the next event
    of its kind; a `warning` will.

    `code` is one of `catalogue.CODES` and stays for ever: alerts and scripts go by it. `evidence`
    are the numbers, in words, with where they were read; `command` shows the same to a person,
    `fix` is the smallest change that mends it. `subjects` are the instances or hosts that it is
    about, none when it is the fleet."""

    level: Level
    code: str
    evidence: str
    command: str
    fix: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A question without an answer: `code` could not be judged. `reason` says what did not answer,
    `command` how to have it looked at."""

    code: str
    reason: str
    command: str
