"""What a report is made from, read at once and bounded; its lines are pure functions of it.

Whatever could not be read raises `Missing` where a line asks for it, which makes that line unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from photo_fleet.dashboard.readings import Answer, Series, Values
from photo_fleet.dashboard.window import Window
from photo_fleet.replay.traffic import Traffic
from photo_fleet.report.boots import Boot, Step
from photo_fleet.report.line import PERIODS, Period
from photo_fleet.report.metrics import MAY_BE_NONE
from photo_fleet.spec.fleet import Fleet

WHOLE = 0.9
"""The least share of a time that has to be known for a line to pass."""


class Missing(Exception):
    """Something that a line needs could not be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which report, up to `end` (epoch seconds), and where its sources are; None or "" is what
    nobody has told.

    `job` is a regular expression of Prometheus's jobs, without one it is those in which instances
    of the registry are. `database` gives the address of the registry
    with the role of `photo-fleet role`. `cores` and `memory` (bytes) are those of one instance's
    machine, `price` is that of an instance-hour in `currency`, and `budget` what the time that is
    looked at may cost."""

    period: Period
    spec: Fleet
    end: float
    prometheus: str = ""
    job: str | None = None
    database: Callable[[], str] | None = None
    cores: float | None = None
    memory: float | None = None
    price: float | None = None
    currency: str = ""
    budget: float | None = None

    @property
    def start(self) -> float:
        """Where the time that is looked at begins."""
        return self.end - PERIODS[self.period]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a Prometheus told of a window, by the names of `metrics`."""

    window: Window
    answers: Mapping[str, Answer]

    def series(self, name: str) -> tuple[Series, ...]:
        """All of an answer. Raises Missing when it could not be read, or not as a whole, or when
        there is no series, unless that is an answer too."""
        answer = self.answers.get(name, Answer(problem="it was not asked"))
        if not answer.whole:
            raise Missing(f"Prometheus ({name}): {answer.problem or answer.warning}")
        if name not in MAY_BE_NONE and not any(one.values for one in answer.series):
            raise Missing(f"Prometheus has nothing that tells of {name.replace('_', ' ')}")
        return answer.series

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The last value of each series by these labels of it."""
        return {
            tuple(one.labels.get(label, "") for label in labels): one.values[-1][1]
            for one in self.series(name)
            if one.values
        }

    def of(self, name: str, label: str = "instance") -> dict[str, float]:
        """The last value of each series by one label of it."""
        return {names[0]: value for names, value in self.by(name, label).items()}

    def points(self, name: str, label: str = "instance") -> dict[str, Values]:
        """Values over time by a label. The first point is of the time before the window."""
        return {
            one.labels.get(label, ""): tuple(
                pair for pair in one.values if pair[0] > self.window.start
            )
            for one in self.series(name)
        }


@dataclass(frozen=True, slots=True)
class Count:
    """How often an event happened in the days of the baseline, and in the time looked at."""

    before: int
    during: int


@dataclass(frozen=True, slots=True)
class Fails:
    """So many failing checks of an instance within the hour that begins at `hour`."""

    hour: float
    check: str
    instance: str
    times: int


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry told. `first` is when anything in it happened first, `kept_since` what its
    log goes back to; `left_out` says what did not fit. Of `fails` there may be more than these
    (`fails_left_out`)."""

    boots: tuple[Boot, ...] = ()
    events: Mapping[str, Count] = field(default_factory=dict)
    fails: tuple[Fails, ...] = ()
    first: float | None = None
    kept_since: float = 0.0
    left_out: str = ""
    fails_left_out: bool = False


@dataclass(frozen=True, slots=True)
class Reaction:
    """What Prometheus told of the minutes around a step in which the group grew."""

    step: Step
    measured: Measured


@dataclass(frozen=True, slots=True)
class History:
    """Of the time from `start` to `end`. `baseline` is when the days before it begin that it is
    compared with. `budget` is measured over the 30 days up to `end`. What could not be read has its
    reason in `registry_problem`, in `counted_problem`, or in its answer of `measured`."""

    wanted: Wanted
    baseline: float
    measured: Measured
    budget: Measured
    registered: Registered | None = None
    registry_problem: str = ""
    reactions: Sequence[Reaction] = ()
    counted: Traffic | None = None
    counted_problem: str = "they were not asked for"
    sources: tuple[str, ...] = ()

    @property
    def start(self) -> float:
        return self.wanted.start

    @property
    def end(self) -> float:
        return self.wanted.end

    @property
    def spec(self) -> Fleet:
        return self.wanted.spec

    @property
    def registry(self) -> Registered:
        """What the registry told. Raises Missing when it told nothing."""
        if self.registered is None:
            raise Missing(f"the registry: {self.registry_problem}")
        if self.registered.first is None:
            raise Missing("the registry knows of no instance")
        if self.registered.first >= self.end:
            raise Missing("the registry knows of no instance of this time: the first began later")
        if self.registered.left_out:
            raise Missing(f"the registry: {self.registered.left_out}")
        return self.registered

    @property
    def traffic(self) -> Traffic:
        """The requests of each minute, or longer step, since the fleet began. Raises Missing when
        they could not be read."""
        if self.counted is None:
            raise Missing(f"Prometheus (the requests of each minute): {self.counted_problem}")
        return self.counted

    @property
    def born(self) -> float:
        """When the fleet began as far as anybody knows, or long ago."""
        known = self.registered.first if self.registered is not None else None
        if known is None or self.registered is None or known <= self.registered.kept_since:
            return 0.0
        return known
