"""What a balancer keeps on disk: its id, so that it stays the same one over a restart, and how it
stands, for people and for other commands."""

import fcntl
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from photo_api.whole_file import replace

log = logging.getLogger(__name__)

STATE, LOCK = "balancer.json", "balancer.lock"


class StateInUse(Exception):
    """Another balancer of this machine uses the same folder."""


class StateFile:
    """`balancer.json` in a folder that nobody else uses now; see `open_state`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name
        self.id = _kept_id(path) or str(uuid4())

    def renew(self) -> None:
        """Become another balancer."""
        self.id = str(uuid4())
        self.write({})

    def write(self, state: Mapping[str, object]) -> None:
        """Replace the file, whole or not at all; what hinders that is logged."""
        told = {"id": self.id, "name": self.name, **state}
        try:
            replace(self._path, json.dumps(told, indent=1) + "\n")
        except OSError as error:  # a full disk stops no traffic
            fields = {"file": str(self._path), "error": error.strerror}
            log.warning("state not written, the file stays as it was", extra={"fields": fields})


@contextmanager
def open_state(directory: Path, name: str) -> Iterator[StateFile]:
    """The state in `directory`, made if need be, locked until the end. Raises StateInUse or
    OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateInUse(f"another balancer uses {directory}; give each its own") from None
        state = StateFile(directory / STATE, name)
        state.write({})
        yield state


def _kept_id(path: Path) -> str | None:
    """None for a file that is not there or cannot be read: a new id costs one stale row."""
    try:
        return str(UUID(json.loads(path.read_text(encoding="utf-8"))["id"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
