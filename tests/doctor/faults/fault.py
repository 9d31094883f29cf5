"""What is done to a real fleet, and which code says so."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from photo_fleet.doctor.catalogue import CODES
from photo_fleet.doctor.finding import Section
from tests.doctor.ground import Ground

Done = AbstractContextManager[object]


@dataclass(frozen=True)
class Fault:
    """`do` does it, and undoes it at the end. The doctor is to say `code` within `patience`
    seconds of it. `arguments` are more of its command's. A `slow` one is among the slow tests."""

    code: str
    name: str
    do: Callable[[Ground], Done]
    patience: float = 5.0
    slow: bool = False

    @property
    def section(self) -> Section:
        return CODES[self.code].section
