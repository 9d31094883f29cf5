"""One instance of the local group: its process and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photo_base.processes import Running
from photo_fleet.group.choice import Candidate
from photo_fleet.group.cpu import CpuMeter
from photo_fleet.group.registry_view import Row
from photo_fleet.group.replacement import Liveness
from photo_fleet.group.succession import Carried


@dataclass(frozen=True, slots=True)
class Release:
    """What instances are started from: the `number` grows with each deploy; `command` is that of
    `photo-api`, without its arguments; `carried` is what its tree said of itself, once asked, and
    `digest` that of its files, empty where nobody looked. One that `lacks_page` has a gallery that
    was not built."""

    number: int
    label: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    carried: Carried | None = None
    digest: str = ""
    lacks_page: bool = False

    @property
    def version(self) -> str:
        """As `0.2.0`; empty where nobody knows."""
        return self.carried.release if self.carried else ""


class Instance:
    """A process from its start to its end. `state` is what the registry says, `leaving` why it was
    told to go, empty while it stays. One `on_trial` is a deploy's newcomer that has yet to become
    ready and does not count. One that is `proven` was ready once; `unready` is for how many seconds
    the registry has said that it is not. Times are monotonic."""

    on_trial = False

    def __init__(
        self, name: str, boot: int, release: Release, process: Running, cores: float, now: float
    ) -> None:
        self.name = name
        self.boot = boot
        self.release = release
        self.process = process
        self.started = now
        self.meter = CpuMeter(process.pid, cores)
        self.liveness = Liveness()
        self.state = "starting"
        self.leaving = ""
        self.boot_id = ""
        self.port = 0
        self.ready_since: float | None = None
        self.proven = False
        self.unready = 0.0
        self.cpu: float | None = None
        self.in_flight: float | None = None

    @property
    def ready(self) -> bool:
        """Whether it serves and stays."""
        return self.state == "ready" and not self.leaving

    def take(self, row: Row, now: float) -> None:
        """What the registry has about it."""
        self.boot_id, self.port, self.state = row.boot_id, row.port, row.state
        if self.state != "ready":
            self.ready_since = None
        elif self.ready_since is None:
            self.ready_since = now

    def looked_at(self, seconds: float) -> bool:
        """The registry was read, so many seconds after the time before; whether this one has
        become ready for the first time."""
        if self.state != "ready":
            self.unready += seconds
            return False
        came, self.proven, self.unready = not self.proven, True, 0.0
        return came

    def values(self, queue_age: float | None) -> dict[str, float]:
        """Its samples by metric; the age of the queue is everybody's."""
        known = {"cpu": self.cpu, "in_flight": self.in_flight, "queue_age": queue_age}
        return {metric: value for metric, value in known.items() if value is not None}

    def candidate(self) -> Candidate:
        """For the choice of the instance that leaves."""
        failing = self.liveness.failures > 0 or self.state == "lost"
        return Candidate(self.name, self.release.number, self.boot, self.ready, failing)

    def describe(self, now: float, is_member: bool) -> dict[str, object]:
        """For people and machines; times in seconds."""
        return {
            "name": self.name,
            "boot_id": self.boot_id,
            "pid": self.process.pid,
            "port": self.port,
            "state": "draining" if self.leaving else self.state,
            "leaving": self.leaving,
            "member": is_member,
            "release": self.release.label,
            "version": self.release.version,
            "release_number": self.release.number,
            "age_s": round(now - self.started, 1),
            "cpu_percent": None if self.cpu is None else round(self.cpu, 1),
            "in_flight": self.in_flight,
            "live_failures": self.liveness.failures,
        }
