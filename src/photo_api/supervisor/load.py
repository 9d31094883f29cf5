"""CPU use of the machine, one of the numbers that scaling decisions are made of."""

from pathlib import Path

IDLE_FIELDS = (3, 4)  # idle and iowait in the first line of proc_stat(5)


class LoadMeter:
    """CPU use of the whole machine since the last reading."""

    def __init__(self) -> None:
        self._last = _cpu_times()

    def cpu_percent(self) -> float:
        """0 to 100, over all cores, since the call before."""
        total, idle = _cpu_times()
        spent, unused = total - self._last[0], idle - self._last[1]
        self._last = total, idle
        return round(100 * (1 - unused / spent), 1) if spent else 0.0


def _cpu_times() -> tuple[int, int]:
    with Path("/proc/stat").open() as stat:
        times = [int(number) for number in stat.readline().split()[1:9]]
    return sum(times), sum(times[field] for field in IDLE_FIELDS)
