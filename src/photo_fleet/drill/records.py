"""What a drill writes down: one entry for each request, one for each fault, one for each upload
that was acknowledged.

Times are seconds since the drill's load began.
"""

import math
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """How a request ended; exactly one of these. `CUT` is a failure of an answer that had begun."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"
    CUT = "cut"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that has no outcome yet. `kind` is the act (`list`, `upload`, `login`, …), `target`
    what answers it: the service (`api`) or the object store behind the same address (`store`).
    `due` is when the open-loop schedule wanted it sent; `repeats` is the id of the one that its
    client sends again."""

    id: str
    client: str
    kind: str
    method: str
    target: str
    due: float
    sent: float
    idempotency_key: str | None = field(default=None, kw_only=True)
    repeats: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Request(Draft):
    """One request as its client saw it; latency counts from when it was due. `instance` is the
    one that answered, or to which nginx sent it last; None: unknown."""

    ended: float
    outcome: Outcome
    status: int | None
    instance: str | None
    detail: str = ""
    logged: bool = False
    """nginx wrote a line about it: the worker that had it lived to its end."""
    tries: int = 1
    """How many instances took it, one after the other."""

    @property
    def latency(self) -> float:
        """Seconds from when it was due to its end."""
        return self.ended - self.due


@dataclass(frozen=True, slots=True)
class Upload:
    """A photo whose upload or confirmation was acknowledged; deleted ones are expected to be gone.
    `sha256` in hex."""

    photo_id: int
    client: str
    sha256: str
    acknowledged: float
    deleted: bool = False
    delete_asked: bool = False
    """Its deletion was sent, and perhaps never answered: it may be there or not."""
    deleted_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that the drill did to the fleet, and how long it lasted; `instance` is the one hit,
    None when it hit what all share."""

    name: str
    began: float
    ended: float
    instance: str | None = None
    left: float | None = None
    """When that instance had left the balancer's members; None when it never did, or need not."""
    unkept: tuple[str, ...] = ()
    """What the drill itself saw meanwhile of a part, and no part may do."""
    behind: float | None = None
    """Since when the database that took another's place at the end had received nothing of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment: how many instances are in which state."""

    at: float
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class Discrepancies:
    """What the reconciliation of ledger, logs, tables and store found, each with words that name
    it: effects that happened twice, rows without object or objects without row after the sweep,
    acknowledged uploads, creations and edits that are gone or changed, what is neither wholly done
    nor wholly undone, requests of which one log tells something else than another, and receipts of
    instances that are missing or not true."""

    duplicates: tuple[str, ...] = ()
    ghosts: tuple[str, ...] = ()
    acknowledged_lost: tuple[str, ...] = ()
    half_done: tuple[str, ...] = ()
    unaccounted: tuple[str, ...] = ()
    false_receipts: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    """Acknowledged by a database when the one that took its place received nothing any more."""


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert of this name and severity, which first fired `at`."""

    name: str
    severity: str
    at: float


@dataclass(frozen=True, slots=True)
class Record:
    """One scenario's run: everything that its verdict is made of."""

    scenario: str
    seed: int
    requests: tuple[Request, ...]
    uploads: tuple[Upload, ...]
    faults: tuple[Fault, ...]
    samples: tuple[Sample, ...]
    discrepancies: Discrepancies
    alerts: tuple[Fired, ...] | None = None
    """Those of the rules that fired; None when nobody watched."""
    stall: float = 0.0
    """The longest, in seconds, that the drill itself was late to do anything: so much of any
    latency may be its own."""
