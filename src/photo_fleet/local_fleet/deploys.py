"""What a fleet was told to deploy, on the disk before the first change and until all of it is done.

A deploy may be broken off at any moment, with its command, with the fleet or with the machine. Who
asks later finds here which release is wanted, and which one was deployed as a whole before."""

import json
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photo_base.processes import CannotStart
from photo_base.whole_file import PRIVATE, replace
from photo_fleet.group.instance import Instance, Release

UNDER_WAY, INTERRUPTED, FAILED = "under way", "interrupted", "failed"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A deploy that has not come to its end. `began` is Unix time; `failure` is why it stopped,
    empty where nobody could say."""

    release: Release
    began: float
    failure: str = ""


class Deploys:
    """The record in `path`, for its owner alone: a release's environment may hold secrets.
    `settled` is what was deployed last as a whole, or what `up` was started with."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises `CannotStart` when it cannot be read: what is wanted is unknown then."""
        self._path = path
        self.settled: Release | None = None
        self.unfinished: Unfinished | None = None
        try:
            stored = json.loads(path.read_text())
            self.settled = _release(stored["settled"])
            if (found := stored["unfinished"]) is not None:
                release = _release(found["release"])
                self.unfinished = Unfinished(release, float(found["began"]), str(found["failure"]))
        except FileNotFoundError:
            return
        except Exception as error:  # what people and disks make of a file
            raise CannotStart(
                f"{path} cannot be used ({type(error).__name__}: {error}), so nobody knows which"
                " release is wanted; put back a copy, or move it away and deploy again"
            ) from None

    @property
    def last_number(self) -> int:
        """The highest that a release has here; 0 where there is none."""
        known = (self.settled, self.unfinished and self.unfinished.release)
        return max((release.number for release in known if release), default=0)

    def begin(self, release: Release) -> Callable[[], None]:
        """Before the first change. Raises OSError, and nothing has begun then. What it gives is
        called where nothing was changed: it puts back what was here before."""
        before = self.unfinished
        self._write(Unfinished(release, time.time()))

        def take_back() -> None:
            self._write(before)

        return take_back

    def fail(self, why: str) -> None:
        """It stopped in its middle; where that cannot be written, it counts as interrupted."""
        if self.unfinished:
            with suppress(OSError):
                self._write(Unfinished(self.unfinished.release, self.unfinished.began, why))

    def settle(self, release: Release) -> None:
        """All of it is done. Raises OSError, and it stays unfinished then."""
        before, self.settled = self.settled, release
        try:
            self._write(None)
        except OSError:
            self.settled = before
            raise

    def describe(self, instances: Iterable[Instance], under_way: bool) -> dict[str, Any] | None:
        """The unfinished deploy, for people and machines; None when there is none."""
        if self.unfinished is None or self.settled is None:
            return None
        wanted, why = self.unfinished.release, self.unfinished.failure
        releases = [item.release.number for item in instances]
        state = UNDER_WAY if under_way else FAILED if why else INTERRUPTED
        return {
            "state": state,
            "release": wanted.label,
            "folder": str(wanted.folder) if wanted.folder else None,
            "former": self.settled.label,
            "began": self.unfinished.began,
            "have_it": releases.count(wanted.number),
            "of": len(releases),
            "failure": why,
            "mend": None if under_way else self.command("--resume"),
            "undo": None if under_way else self.command("--back"),
        }

    def command(self, option: str) -> str:
        """What finishes an unfinished deploy or returns from it, as it can be pasted anywhere."""
        return f"photo-fleet deploy {option} --data {shlex.quote(str(self._path.parent))}"

    def _write(self, unfinished: Unfinished | None) -> None:
        assert self.settled is not None
        told = {
            "settled": _stored(self.settled),
            "unfinished": unfinished
            and {
                "release": _stored(unfinished.release),
                "began": unfinished.began,
                "failure": unfinished.failure,
            },
        }
        replace(self._path, json.dumps(told, indent=2) + "\n", PRIVATE)
        self.unfinished = unfinished


def _stored(release: Release) -> dict[str, object]:
    return {
        "number": release.number,
        "label": release.label,
        "command": list(release.command),
        "environ": dict(release.environ),
        "folder": str(release.folder) if release.folder else None,
        "digest": release.digest,
    }


def _release(stored: Mapping[str, Any]) -> Release:
    folder, command = stored["folder"], stored["command"]
    if not isinstance(command, list):
        raise TypeError("a command is a list of words")
    return Release(
        int(stored["number"]),
        str(stored["label"]),
        tuple(command),
        {str(name): str(value) for name, value in stored["environ"].items()},
        Path(folder) if folder is not None else None,
        digest=str(stored.get("digest", "")),  # releases before did not write it
    )
