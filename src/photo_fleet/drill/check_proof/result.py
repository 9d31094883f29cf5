"""What a drill saw of a spec, and what that makes of `check`'s verdict. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from photo_fleet.drill.check_proof.specs import Case
from photo_fleet.drill.gates import Gate, violations
from photo_fleet.drill.records import Record, Request
from photo_fleet.drill.statistics import unserved

BEHIND = 1.0
"""Seconds by which the drill itself may be late before a loss may be its own."""

SLOW = "slow_upload"
"""The kind of the requests of slow clients."""

NOT_SERVED = frozenset({"refused", "failed", "cut", "lost"})


class Conclusion(Enum):
    """What became of a case."""

    SERVES = "serves"
    LOSES = "loses"
    RETRIED = "retried"
    UNSEEN = "unseen"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Seen:
    """One fleet's run. `unserved` are requests by how they ended, `others` what else its gate
    forbids, `again` requests that nginx sent to a second instance and that were served. `beyond`
    are those that were not served and took longer than the spec says that a request may, on a
    machine that stood still: the spec promises nothing for them, and they count for nothing.
    `nobody` is why no instance ever served, empty where some did. `stall` and `seconds` are the
    drill's."""

    requests: int = 0
    unserved: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    again: int = 0
    beyond: int = 0
    nobody: str = ""
    stall: float = 0.0
    seconds: float = 0.0

    @property
    def serves(self) -> bool:
        """Whether nothing at all went wrong."""
        return bool(self.requests) and not (self.unserved or self.others or self.nobody)

    @property
    def loses(self) -> bool:
        return bool(self.nobody or self.unserved)

    @property
    def words(self) -> str:
        if self.nobody:
            return f"nobody is served: {self.nobody}"
        counts = {**self.unserved, **self.others}
        told = ", ".join(f"{name} × {number}" for name, number in counts.items())
        late = f"; {self.beyond} took longer than longest_request" if self.beyond else ""
        return f"{self.requests} requests{f': {told}' if told else ', all served'}{late}"


def seen(record: Record, case: Case, again: Collection[str], seconds: float) -> Seen:
    """What the record tells; `again` are ids of requests that nginx sent to a second instance,
    whether or not the first took the connection."""
    sent = len(record.requests)
    kept = [one for one in record.requests if not unserved(one) or not _is_beyond(case, one)]
    record = replace(record, requests=tuple(kept))
    found = {item.rule: item.count for item in violations(Gate.LOSSLESS, record)}
    served = [item for item in record.requests if not unserved(item)]
    return Seen(
        requests=len(record.requests),
        unserved={rule: count for rule, count in found.items() if rule in NOT_SERVED},
        others={rule: count for rule, count in found.items() if rule not in NOT_SERVED},
        again=sum(item.id in again for item in served),
        beyond=sent - len(kept),
        stall=record.stall,
        seconds=seconds,
    )


def _is_beyond(case: Case, request: Request) -> bool:
    """What a slow client sends takes as long as the client wants."""
    longest = case.fleet.service.longest_request
    return request.ended - request.sent >= longest and request.kind != SLOW


@dataclass(frozen=True, slots=True)
class Result:
    """A case, what the drill saw of it and of its twin; `problem` is why it could not be carried
    out, which proves nothing, and `stall` how late the drill was then."""

    case: Case
    seen: Seen | None = None
    twin: Seen | None = None
    problem: str = ""
    stall: float = 0.0

    @property
    def late(self) -> float:
        """Seconds by which the drill itself was, at most."""
        return self.seen.stall if self.seen else self.stall

    @property
    def conclusion(self) -> Conclusion:
        seen, twin = self.seen, self.twin
        if seen is None:
            return Conclusion.UNSEEN
        if self.case.broken is None:
            return Conclusion.SERVES if seen.serves else Conclusion.WRONG
        if twin is None or not twin.serves:
            return Conclusion.UNSEEN
        if seen.loses:
            return Conclusion.LOSES
        return Conclusion.RETRIED if seen.again > twin.again else Conclusion.UNSEEN

    @property
    def as_claimed(self) -> bool:
        """Whether it is as `check` says."""
        return self.conclusion not in (Conclusion.WRONG, Conclusion.UNSEEN)

    @property
    def words(self) -> str:
        """What the drill saw, in a line."""
        if self.seen is None:
            return f"could not be carried out: {self.problem}"
        again = self.seen.again
        return self.seen.words + {
            Conclusion.RETRIED: f"; nginx sent {again} again, to another instance",
            Conclusion.UNSEEN: "; nothing to be seen of the reason",
            Conclusion.WRONG: ": CONTRADICTS check",
        }.get(self.conclusion, "")

    @property
    def twin_words(self) -> str:
        """The twin's result; empty for a spec that is to pass."""
        if self.case.broken is None:
            return ""
        return f"spec {self.case.twin}: {self.twin.words if self.twin else 'did not run'}"


def is_doubtful(result: Result) -> bool:
    """Whether it is worth a second run."""
    if result.seen is None or result.conclusion is Conclusion.WRONG:
        return result.late > BEHIND
    return result.conclusion is Conclusion.UNSEEN and result.twin is not None and result.twin.serves


@dataclass(frozen=True, slots=True)
class Proof:
    """All of it. `wanted` is how many specs were asked for; one that is broken off has fewer."""

    began: str
    command: str
    release: str
    machine: str
    wanted: int
    results: tuple[Result, ...]

    @property
    def holds(self) -> bool:
        return len(self.results) == self.wanted and all(one.as_claimed for one in self.results)

    @property
    def conclusion(self) -> str:
        """In one line."""
        counts = [f"{number} {what}" for number, what in _counted(self.results) if number]
        left = self.wanted - len(self.results)
        told = ", ".join([*counts, *([f"{left} not tried"] if left else [])])
        return f"{self.wanted} specs: {told}"


def _counted(results: Sequence[Result]) -> Iterator[tuple[int, str]]:
    names = {
        Conclusion.SERVES: "passed and lost nothing",
        Conclusion.LOSES: "refused, and not served what their twins serve",
        Conclusion.RETRIED: "refused, and lost nothing because nginx sends again",
        Conclusion.UNSEEN: "not shown",
        Conclusion.WRONG: "passed and lost something",
    }
    for conclusion, name in names.items():
        yield sum(one.conclusion is conclusion for one in results), name
