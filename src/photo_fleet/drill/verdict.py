"""What a scenario's run amounts to: counts, violations of its gate, and what the numbers allow to
say. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from photo_fleet.drill.alarms import Watched, watched
from photo_fleet.drill.gates import Gate, Violation, violations
from photo_fleet.drill.records import Record
from photo_fleet.drill.scenario import Scenario
from photo_fleet.drill.statistics import Ending, Latencies, ending, latencies, recovery, upper_bound

UNSERVED = (Ending.REFUSED, Ending.FAILED, Ending.CUT, Ending.LOST)
EFFECTS = ("duplicate", "ghost", "acknowledged-loss")


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of one kind to one target, by ending; endings that did not occur are left out."""

    target: str
    kind: str
    endings: Mapping[Ending, int]

    @property
    def total(self) -> int:
        return sum(self.endings.values())


@dataclass(frozen=True, slots=True)
class Bound:
    """So many `events` of `trials` were seen; with 95 % confidence their true share is at most
    `upper` (see `statistics.upper_bound`), if the trials are independent. Those of one fault are
    not: it hits many of them or none. So `faults`, the number of faults in the run, stands beside
    it, and says of how many experiments it tells."""

    what: str
    events: int
    trials: int
    upper: float
    faults: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scenario's result. `recovered` is in seconds: None when some kind of request was never
    served again."""

    scenario: str
    seed: int
    gate: Gate
    counts: tuple[Count, ...]
    violations: tuple[Violation, ...]
    bounds: tuple[Bound, ...]
    latencies: tuple[Latencies, ...]
    recovered: float | None

    @property
    def holds(self) -> bool:
        return not self.violations

    @property
    def requests(self) -> int:
        return sum(count.total for count in self.counts)

    @property
    def effects(self) -> int:
        """Duplicates, ghosts and acknowledged losses together."""
        return sum(bound.events for bound in self.bounds if bound.what in EFFECTS)

    def bound(self, what: str) -> Bound:
        """That of `unserved`, of an ending or of an effect."""
        return next(bound for bound in self.bounds if bound.what == what)

    def unserved(self, target: str) -> int:
        """Requests to `api` or `store` that were not served."""
        return sum(self.total(way, target) for way in UNSERVED)

    def total(self, ending: Ending, target: str | None = None) -> int:
        """Requests of this ending, to one target or to all."""
        counts = [count for count in self.counts if target in (None, count.target)]
        return sum(count.endings.get(ending, 0) for count in counts)


@dataclass(frozen=True, slots=True)
class Judged:
    """A scenario, its run and what this amounts to."""

    scenario: Scenario
    record: Record
    verdict: Verdict

    @property
    def watched(self) -> Watched | None:
        """What its alerts amount to; None when nobody watched."""
        return watched(self.record, self.verdict.gate)

    @property
    def told(self) -> bool:
        """Whether every alert came that should have, and none for nothing, as far as anybody
        watched."""
        return self.watched is None or self.watched.holds


@dataclass(frozen=True, slots=True)
class Drill:
    """A whole drill. `began` is an ISO 8601 time, `command` repeats the drill, `machine` says on
    what it ran, `unfinished` what could not be carried out and why, `replaced` in what the stage
    differed from the spec that it was given."""

    began: str
    command: str
    release: str
    machine: str
    judged: tuple[Judged, ...]
    unfinished: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every gate does, and the alerts that somebody watched; a drill without scenarios
        proves nothing, nor does one that did not come to its end."""
        held = bool(self.judged) and all(item.verdict.holds for item in self.judged)
        return held and not self.unfinished and all(item.told for item in self.judged)

    @property
    def conclusion(self) -> str:
        """In one line."""
        broken = sum(not item.verdict.holds for item in self.judged)
        if broken:
            told = f"{broken} of {len(self.judged)} gates are violated"
        else:
            told = "every gate holds" if self.judged else "no scenario ran"
        if untold := sum(not item.told for item in self.judged):
            told += f"; alerts are missing or false in {untold} of {len(self.judged)} scenarios"
        left = len(self.unfinished)
        return told + (f"; {left} could not be carried out" if left else "")


def judge(record: Record, gate: Gate) -> Verdict:
    """Hold a run to a gate."""
    return Verdict(
        record.scenario,
        record.seed,
        gate,
        _counts(record),
        tuple(violations(gate, record)),
        _bounds(record),
        latencies(record),
        recovery(record),
    )


def _counts(record: Record) -> tuple[Count, ...]:
    """Service first, then store."""
    kinds: dict[tuple[str, str], Counter[Ending]] = {}
    for request in record.requests:
        kinds.setdefault((request.target, request.kind), Counter())[ending(request)] += 1
    return tuple(Count(*key, endings=dict(kinds[key])) for key in sorted(kinds))


def _bounds(record: Record) -> tuple[Bound, ...]:
    """Of requests to the service, all that were not served and then each way by itself; and of
    effects by what should have had one. Only what was sent more than once can take effect twice."""
    to_api = Counter(ending(item) for item in record.requests if item.target == "api")
    tries = Counter[str]()
    for item in record.requests:
        if item.idempotency_key is not None:
            tries[item.idempotency_key] += item.tries
    live = sum(not upload.deleted for upload in record.uploads)
    found = record.discrepancies
    sent = to_api.total()
    seen = [
        ("unserved", sum(to_api[way] for way in UNSERVED), sent),
        *((way.value, to_api[way], sent) for way in UNSERVED),
        ("duplicate", len(found.duplicates), sum(times > 1 for times in tries.values())),
        ("ghost", len(found.ghosts), len(record.uploads)),
        ("acknowledged-loss", len(found.acknowledged_lost), live),
        ("left-behind", len(found.left_behind), live),
    ]
    faults = len(record.faults)
    return tuple(_bound(what, events, trials, faults) for what, events, trials in seen)


def _bound(what: str, events: int, trials: int, faults: int) -> Bound:
    # An upload without acknowledgement can leave a ghost too: more events than trials.
    trials = max(events, trials)
    return Bound(what, events, trials, upper_bound(events, trials) if trials else 1.0, faults)
