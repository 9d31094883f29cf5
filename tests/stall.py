"""What a busy machine adds to measured times, so that promised limits can be asserted on any."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

LOOK = 0.05


class Stall:
    """Seconds for which this process, and the families of those given, were ready to run and got no
    processor (proc(5): the second field of schedstat), added up over all their threads."""

    def __init__(self, *heads: int) -> None:
        self._heads = (psutil.Process().pid, *heads)
        self._waited: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """So far. A process that has ended counts with what was seen of it last."""
        with self._lock:
            self._look()
            waited = sum(self._waited.values()) - sum(self._before.values())
        return waited / 1e9

    @contextmanager
    def measured(self) -> Iterator[Self]:
        """Look again and again, since processes may end meanwhile."""
        self._look()
        self._before = dict(self._waited)
        watching = threading.Thread(target=self._watch, daemon=True)
        watching.start()
        try:
            yield self
        finally:
            self._over.set()
            watching.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            with self._lock:
                self._look()

    def _look(self) -> None:
        for pid in self._family():
            for thread in _threads(pid):
                with suppress(OSError, ValueError, IndexError):
                    waited = int((thread / "schedstat").read_text().split()[1])
                    self._waited[int(thread.name)] = waited

    def _family(self) -> Iterator[int]:
        own, *others = self._heads
        yield own
        for head in others:
            yield head
            with suppress(psutil.NoSuchProcess):
                yield from (one.pid for one in psutil.Process(head).children(recursive=True))


def _threads(pid: int) -> list[Path]:
    with suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []
