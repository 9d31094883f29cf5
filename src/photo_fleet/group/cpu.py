"""CPU time of an instance's processes, from /proc."""

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Tree:
    """All processes of this machine at one moment."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self._seconds: dict[int, float] = {}
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        for entry in os.listdir("/proc"):
            if entry.isdecimal() and (fields := _stat(entry)):
                pid = int(entry)
                self._children[int(fields[1])].append(pid)
                # utime, stime, and both of the children that it waited for
                self._seconds[pid] = sum(map(int, fields[11:15])) / TICKS

    def seconds(self, pid: int) -> float | None:
        """CPU seconds of a process, its living descendants and the dead ones that they waited for;
        None when there is no such process."""
        own = self._seconds.get(pid)
        if own is None:
            return None
        return own + sum(self.seconds(child) or 0.0 for child in self._children.get(pid, ()))


class CpuMeter:
    """CPU use of a process and its descendants, against the cores an instance is said to have."""

    def __init__(self, pid: int, cores: float) -> None:
        self._pid = pid
        self._cores = cores
        self._last: tuple[float, float] | None = None

    def percent(self, tree: Tree) -> float | None:
        """0 to 100 of `cores` since the call before; None at the first, and of a dead process.

        More than its cores counts as 100: a machine of that size could not do more.
        """
        spent = tree.seconds(self._pid)
        last, self._last = self._last, None if spent is None else (tree.at, spent)
        if spent is None or last is None or tree.at <= last[0]:
            return None
        # A process that died unwaited takes its past with it, which must not count as negative.
        share = max(0.0, spent - last[1]) / (tree.at - last[0]) / self._cores
        return min(100.0, 100 * share)


def _stat(pid: str) -> Sequence[str]:
    """The fields of proc_stat(5) from the third on; none of a process that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ()
    # The second field, a name in parentheses, may hold anything.
    return stat.rpartition(")")[2].split()
