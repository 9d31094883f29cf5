"""What a drain comes to, for the receipt of its instance."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import JOB_DURATION, LOG_LINES_LOST
from photo_api.registry.receipts import FAILED, Receipt
from photo_api.supervisor.slot import Slot, load_of


@dataclass(slots=True)
class Course:
    """How far a drain has come. Times are monotonic; None: it has not got there, or nobody knows.
    `jobs_before` and `untold_before` are the jobs that were handed back or kept before it, and the
    processes of all slots and of jobs that had ended without their last word."""

    began: float | None = None
    ending: str = FAILED
    balancers: int | None = None
    acknowledged: int | None = None
    lame_duck_end: str | None = None
    stopped_accepting: float | None = None
    jobs_before: tuple[int, int] = (0, 0)
    untold_before: tuple[int, int] = (0, 0)

    def begin(self, slots: Sequence[Slot], counts: Counts) -> None:
        """Now."""
        self.began = time.monotonic()
        self.jobs_before, self.untold_before = _jobs(counts), _untold(slots)

    def receipt(
        self, cause: str, slots: Sequence[Slot], counts: Counts, registered: float | None
    ) -> Receipt:
        """When every process has ended; `registered` is when the registry had heard of it."""
        counts.add_watched()
        load, now = load_of(slots), time.monotonic()
        untold, untold_jobs = _untold(slots)
        finished = max((slot.finished_at for slot in slots), default=0.0)
        # Of a process that was killed nobody knows when it was through.
        through = finished if finished and untold == self.untold_before[0] else None
        stopped = self.stopped_accepting
        handed_back, kept = _jobs(counts)
        jobs_known = untold_jobs == self.untold_before[1]
        return Receipt(
            ending=self.ending,
            cause=cause,
            requests_accepted=load.requests,
            requests_finished=load.finished,
            requests_cut=None if untold else load.cut,
            untold=untold,
            balancers=self.balancers,
            acknowledged=self.acknowledged,
            lame_duck_end=self.lame_duck_end,
            drain_s=_between(self.began, now),
            registry_s=_between(self.began, registered),
            lame_duck_s=_between(self.began, stopped),
            in_flight_s=_between(stopped, through),
            flush_s=_between(through, now) if stopped else None,
            jobs_handed_back=handed_back - self.jobs_before[0] if jobs_known else None,
            jobs_kept=kept - self.jobs_before[1] if jobs_known else None,
            log_lines_lost=None if untold else int(sum(counts.sums[LOG_LINES_LOST].values())),
        )


def _jobs(counts: Counts) -> tuple[int, int]:
    """How many were handed back, and how many could not be."""
    ended = {"handed_back": 0, "kept": 0}
    for (_, result), found in counts.buckets[JOB_DURATION].items():
        if result in ended:
            ended[result] += sum(found.counts)
    return ended["handed_back"], ended["kept"]


def _untold(slots: Sequence[Slot]) -> tuple[int, int]:
    jobs = sum(slot.untold for slot in slots if slot.name == "jobs")
    return sum(slot.untold for slot in slots), jobs


def _between(earlier: float | None, later: float | None) -> float | None:
    if earlier is None or later is None:
        return None
    return round(max(0.0, later - earlier), 3)
