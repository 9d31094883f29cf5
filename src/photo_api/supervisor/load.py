"""What workers and the machine carry: the numbers that scaling decisions are made of."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

IDLE_FIELDS = (3, 4)  # idle and iowait in the first line of proc_stat(5)


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """What a worker last reported: requests in flight, connections accepted so far and when the
    last was (monotonic), requests that it had to cut at the end, and its resident memory, which it
    alone may read."""

    in_flight: int = 0
    accepted: int = 0
    last_accepted: float = 0.0
    cut: int = 0
    memory_bytes: int = 0


def total(loads: Iterable[WorkerLoad]) -> WorkerLoad:
    """Of several processes together."""
    columns = zip(*(astuple(load) for load in (WorkerLoad(), *loads)), strict=True)
    in_flight, accepted, last_accepted, cut, memory = columns
    return WorkerLoad(sum(in_flight), sum(accepted), max(last_accepted), sum(cut), sum(memory))


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
