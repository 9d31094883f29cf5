"""Which instance leaves when the group shrinks: pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the choice looks at. `release` and `boot` grow with each deploy and each start;
    `failing` means that it lives but cannot serve."""

    name: str
    release: int
    boot: int
    ready: bool
    failing: bool = False


def first_to_leave(candidates: Sequence[Candidate]) -> str:
    """The name of the one whose loss costs least. Raises ValueError when there is none.

    In this order: one that is failing; one that is not ready yet; one of the oldest release, so
    that a shrinking group also finishes a deploy; then the newest boot, because the others have
    proven themselves for longer and their caches are warm.
    """
    return min(candidates, key=_cost).name


def _cost(candidate: Candidate) -> tuple[bool, bool, int, int]:
    return (not candidate.failing, candidate.ready, candidate.release, -candidate.boot)
