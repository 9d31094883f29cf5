"""What a balancer keeps on disk: its id, so that it stays the same one over a restart, and how it
stands, for people and for other commands."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from photo_base import whole_file
from photo_fleet.balancer.registry import Identity

log = logging.getLogger(__name__)

STATE, LOCK = "balancer.json", "balancer.lock"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StateInUse(Exception):
    """Another balancer of this machine uses the same folder."""


class StateFile:
    """`balancer.json` in a folder that nobody else uses now; see `open_state`. `me` is the identity
    of this start, `ended` the session before it when that one has certainly ended: it wrote the
    file under the very lock, `place`, that this one holds now. A copy of the folder has another."""

    def __init__(self, path: Path, name: str, place: str | None) -> None:
        self._path = path
        self._place = place
        self._told: Mapping[str, object] = {}
        kept = _kept(path)
        self.me = Identity(_uuid(kept, "id") or str(uuid4()), str(uuid4()), name)
        self._session = _uuid(kept, "session")
        self._session_at = kept.get("lock")
        self.ended = self._session if place is not None and self._session_at == place else None

    def renew(self) -> str:
        """Become another balancer; the id that is left to the one that lives under it."""
        former = self.me.id
        self.me = replace(self.me, id=str(uuid4()))
        return former

    def enlisted(self) -> None:
        """The registry has this session: the next start here may know that it has ended."""
        self._session, self._session_at = self.me.session, self._place
        self.ended = None
        self.write(self._told)

    def write(self, state: Mapping[str, object]) -> None:
        """Replace the file, whole or not at all; what hinders that is logged."""
        self._told = state
        told: dict[str, object] = {"id": self.me.id, "name": self.me.name}
        told |= {"session": self._session, "lock": self._session_at} if self._session else {}
        try:
            whole_file.replace(self._path, json.dumps(told | dict(state), indent=1) + "\n")
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
        state = StateFile(directory / STATE, name, _place(lock.fileno()))
        state.write({})
        yield state


def _place(lock: int) -> str | None:
    """Which file this is, as no other machine and no copy has it; None when that cannot be told."""
    with suppress(OSError):
        found = os.fstat(lock)
        return f"{BOOT_ID.read_text().strip()}/{found.st_dev}/{found.st_ino}"
    return None


def _kept(path: Path) -> dict[str, Any]:
    """Empty for a file that is not there or cannot be read: a new id costs one stale row."""
    with suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            return kept
    return {}


def _uuid(kept: Mapping[str, Any], name: str) -> str | None:
    with suppress(KeyError, ValueError, TypeError, AttributeError):
        return str(UUID(kept[name]))
    return None
