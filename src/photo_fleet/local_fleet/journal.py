"""What happened in the fleet, for the terminal, for `status` and for machines."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from photo_base.log_lines import printable

KEPT = 50


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is Unix time; `instance` is empty for what concerns all."""

    at: float
    instance: str
    kind: str
    text: str

    def describe(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.at))
        who = f"{self.instance} " if self.instance else ""
        return f"{clock}  {who}{self.kind}" + (f": {self.text}" if self.text else "")


class Journal:
    """The last events; `heard` gets each as it comes."""

    def __init__(self) -> None:
        self.heard: Callable[[Event], None] = lambda _: None
        self._kept: deque[Event] = deque(maxlen=KEPT)

    def tell(self, instance: str, kind: str, text: str) -> None:
        """Note it now, each as one line: some of it comes from outside."""
        event = Event(time.time(), printable(instance), printable(kind), printable(text))
        self._kept.append(event)
        self.heard(event)

    def last(self, number: int) -> list[Event]:
        """The newest last."""
        return list(self._kept)[-number:]


class JournalHandler(logging.Handler):
    """Takes down what a library logs: the message is the kind, its fields are the text."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.INFO)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """One line; `member` among the fields is whom it is about."""
        fields = dict(getattr(record, "fields", {}))
        instance = str(fields.pop("member", ""))
        text = str(fields.get("cause", "")) or " ".join(f"{k}={v}" for k, v in fields.items())
        self._journal.tell(instance, record.getMessage(), text)
