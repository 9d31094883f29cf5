"""What workers and the machine carry: the numbers that scaling decisions are made of."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

IDLE_FIELDS = (3, 4)  # idle and iowait in the first line of proc_stat(5)


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """What a worker last reported: requests in flight, connections accepted so far and when the
    last was (monotonic), requests that it had to cut at the end, those that it has taken, those
    that it has finished, and its resident memory, which it alone may read. At its end it has
    finished or cut all that it has taken."""

    in_flight: int = 0
    accepted: int = 0
    last_accepted: float = 0.0
    cut: int = 0
    requests: int = 0
    finished: int = 0
    memory_bytes: int = 0

    @classmethod
    def told(cls, line: str) -> "WorkerLoad":
        """As a worker sends it. What this release does not know is left out: in an upgrade a
        worker may be of another release than its supervisor."""
        said, known = json.loads(line), {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in said.items() if name in known})


def total(loads: Iterable[WorkerLoad]) -> WorkerLoad:
    """Of several processes together."""
    told = [asdict(load) for load in (WorkerLoad(), *loads)]
    sums = {name: sum(one[name] for one in told) for name in told[0]}
    return WorkerLoad(**sums | {"last_accepted": max(one["last_accepted"] for one in told)})


class LoadMeter:
    """CPU use of the whole machine since the last reading."""

    def __init__(self) -> None:
        self._last = _cpu_times()

    def cpu_percent(self) -> float | None:
        """0 to 100, over all cores, since the call before; None where nobody tells, as in some
        containers."""
        before, now = self._last, _cpu_times()
        self._last = now
        if before is None or now is None:
            return None
        spent, unused = now[0] - before[0], now[1] - before[1]
        return round(100 * (1 - unused / spent), 1) if spent else 0.0


def _cpu_times() -> tuple[int, int] | None:
    try:
        with Path("/proc/stat").open() as stat:
            times = [int(number) for number in stat.readline().split()[1:9]]
    except OSError:
        return None
    return sum(times), sum(times[field] for field in IDLE_FIELDS)
