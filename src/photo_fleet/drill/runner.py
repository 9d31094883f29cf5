"""Runs scenarios: the stage, the load, the faults at their times, and then the reckoning."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TextIO

import httpx

from photo_base import postgres
from photo_base.processes import CannotStart
from photo_fleet.drill.alarms import EXPECTED
from photo_fleet.drill.clients.load import Load, NotPrepared
from photo_fleet.drill.clients.mix import Overrides
from photo_fleet.drill.evidence.accounts import unaccounted
from photo_fleet.drill.evidence.failover import Gap, reconciled
from photo_fleet.drill.evidence.gather import gather
from photo_fleet.drill.evidence.logs import read_logs
from photo_fleet.drill.evidence.objects import CannotList
from photo_fleet.drill.evidence.receipts import false_receipts
from photo_fleet.drill.evidence.tables import sweep_now
from photo_fleet.drill.faults.available import inject
from photo_fleet.drill.faults.outside import Surroundings
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.gates import RECOVERED_WITHIN, Gate
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Discrepancies, Fault, Record, Request, Sample
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.scenarios_on_swift import ENDING, TOKEN_LIFE
from photo_fleet.drill.stage.demands import Demands
from photo_fleet.drill.stage.edge_cache import forget_images
from photo_fleet.drill.stage.previous import begin_with, previous_release
from photo_fleet.drill.stage.replaced import replaced
from photo_fleet.drill.stage.stage import Stage
from photo_fleet.drill.stall import Stall
from photo_fleet.drill.verdict import Judged, judge
from photo_fleet.drill.watch import Watch, watching
from photo_fleet.group.local import Refused
from photo_fleet.local_fleet.control import NoFleet
from photo_fleet.local_fleet.embedded import StoreKind, StoreOptions
from photo_fleet.spec.fleet import Fleet, HealthCheck

SAMPLE, TOLD_EVERY = 1.0, 10
TAIL, TAIL_OF_OUTAGE = 6.0, RECOVERED_WITHIN + 2.0
"""Seconds of load after the last fault is over, so that what comes after it is seen too; a late
recovery would go unnoticed if no request came for so long."""

LONGEST_SWEEP = 90.0
BALANCER_APART = {"balancer-kill", "balancer-cut-registry", "balancer-cut-instance"}
SINKS = {"sinks-down", "sinks-slow", "sinks-refuse"}
UPGRADES = {"upgrade", "go-back"}
FOLLOWED = {"standby-promoted", "lagging-standby-promoted", "untold-lag"}
SHORT_TOKENS = 40
"""Seconds that an access token is valid where keys are rotated: the rotation waits for their end,
and clients get another one 20 s before it."""

LONG_LAME_DUCK = 12.0
"""Seconds in which a worker that died in it is replaced, also on a busy machine."""

IN_PRODUCTION = HealthCheck()
"""How a balancer probes instances where only that tells it which have gone."""

FAILURES = (
    CannotStart, NoFleet, Refused, NotPrepared, CannotList, LookupError, httpx.HTTPError,
    *postgres.FAILURES,
)  # fmt: skip

Say = Callable[[str], None]


class Broken(Exception):
    """A scenario could not be carried out, which is no verdict; the text tells why."""


@dataclass(slots=True)
class _Play:
    """What is gathered while a scenario runs."""

    began: float
    """When the load began, on the ledger's clock; faults and samples count from there."""

    faults: list[Fault] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    stall: Stall = field(default_factory=Stall)


def demands_of(scenario: Scenario) -> Demands:
    """What its stage must be like."""
    faults = {step.fault for step in scenario.steps}
    if "rotate-keys" in faults:
        return Demands(access_ttl=SHORT_TOKENS)
    if "kill-draining-worker" in faults:
        # A balancer that says that it sends nothing more would end the lame duck.
        return Demands(removal="health-only", probe_interval=1.0, lame_duck=LONG_LAME_DUCK)
    if "cdn-down" in faults:
        return Demands(probe_cdn=1.0)
    if SINKS & faults:
        return Demands(sinks=True)
    if FOLLOWED & faults:
        return Demands(standby=True)
    if scenario.health_only:
        return Demands(
            removal="health-only",
            probe_interval=IN_PRODUCTION.interval,
            probe_timeout=IN_PRODUCTION.timeout,
        )
    return Demands(balancers=scenario.balancers, balancer_process=bool(BALANCER_APART & faults))


class Runner:
    """Carries out one scenario after the other; a stage serves several as long as it stays whole.
    Everything is kept in `folder`. `watched`: beside a Prometheus with the rules of alerts.
    `spec`: of the fleet, in place of the drill's own; `before`: the folder of the release before,
    if it is not to be found in the history."""

    tail = TAIL

    def __init__(
        self,
        folder: Path,
        seed: int,
        overrides: Overrides,
        say: Say,
        *,
        watched: bool = False,
        store: StoreKind = "s3",
        spec: Fleet | None = None,
        before: Path | None = None,
    ) -> None:
        self.replaced: tuple[str, ...] = ()
        """In what the stage differs from the spec that it was given, and why."""
        self._spec = spec
        self._before = before
        self._watched = watched
        self._store: StoreKind = store
        self.folder = folder
        self.seed = seed
        self._overrides = overrides
        self.say = say
        self._stages = 0
        self._stage: Stage | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_stage()

    async def run(self, scenario: Scenario) -> Judged:
        """Its verdict. Raises `Broken`."""
        self.say(f"{scenario.name}: {scenario.title} (about {scenario.estimate:.0f} s)")
        scenario = replace(scenario, load=self._overrides.applied(scenario.load))
        whole = False
        try:
            record = await self.observe(scenario)
            whole = record.discrepancies == Discrepancies()
        except (ExceptionGroup, *FAILURES) as error:
            raise Broken(f"{scenario.name}: {words(error)}") from error
        finally:
            # What one scenario broke is not held against the next.
            used_up = self._stage is not None and self._stage.standby is not None
            if used_up or not whole:
                await self._close_stage()
        return Judged(scenario, record, judge(record, scenario.gate))

    async def observe(self, scenario: Scenario) -> Record:
        """Its load, its faults, and what came of them."""
        return await self._record(await self.stage_for(scenario), scenario)

    async def stage_for(self, scenario: Scenario) -> Stage:
        """The one that stands, if it will do, or one built for it."""
        life = TOKEN_LIFE if scenario.name in ENDING else 3600
        store = StoreOptions(self._store, life)
        demands = replace(demands_of(scenario), store=store).of(self._spec)
        if UPGRADES & {step.fault for step in scenario.steps}:
            demands = replace(demands, release=await self._release_before())
        if self._stage is not None and self._stage.demands == demands:
            await self._stage.resized(scenario.instances)
            return self._stage
        await self._close_stage()
        self._stages += 1
        folder = self.folder / f"stage-{self._stages}"
        self.say(f"  builds a stage with {scenario.instances} instances in {folder}")
        log = await asyncio.to_thread(_open_journal, folder)
        self._open.callback(log.close)
        if demands.release is not None:
            begin_with(demands.release, folder)
        opening = Stage.open(folder, demands, scenario.instances, lambda line: _write(log, line))
        self._stage = await self._open.enter_async_context(opening)
        if self._spec is not None and not self.replaced:
            self.replaced = tuple(replaced(self._spec, self._stage.carried_out))
            for line in self.replaced:
                self.say(f"  {line}")
        return self._stage

    async def _release_before(self) -> Path:
        if self._before is None:
            self._before = await previous_release(self.folder)
        return self._before

    async def _close_stage(self) -> None:
        self._stage = None
        await self._open.aclose()

    async def _record(self, stage: Stage, scenario: Scenario) -> Record:
        ledger = Ledger()
        clients = Load(stage.url, ledger, scenario.load, seed=self.seed, others=stage.other_urls)
        async with AsyncExitStack() as beside, clients as load:
            watch = await self._watching(stage, scenario, beside)
            await load.prepare()
            play, at = _Play(ledger.now()), time.time()
            chance = random.Random(self.seed)
            scene = Scene(stage, lambda: ledger.now() - play.began, chance, load)
            await self._play(scene, scenario, load, play)
            requests, discrepancies = await self._reckon(stage, load, play)
            alerts = await watch.fired(at, EXPECTED.get(scenario.name, ())) if watch else None
        await self.keep(ledger, scenario)
        told = Record(
            scenario.name,
            self.seed,
            requests,
            ledger.uploads,
            tuple(play.faults),
            tuple(play.samples),
            discrepancies,
            alerts=alerts,
            stall=play.stall.longest,
        )
        return since(play.began, told)

    async def _watching(
        self, stage: Stage, scenario: Scenario, beside: AsyncExitStack
    ) -> Watch | None:
        if not self._watched:
            return None
        self.say("  waits until Prometheus knows all and no alert is on its way")
        folder = self.folder / f"watch-{scenario.name}"
        return await beside.enter_async_context(watching(stage, folder))

    async def keep(self, ledger: Ledger, scenario: Scenario) -> None:
        """For looking a request up later."""
        await asyncio.to_thread(ledger.write, self.folder / f"{scenario.name}.jsonl")

    async def _play(self, scene: Scene, scenario: Scenario, load: Load, play: _Play) -> None:
        """The load with all faults; returns when the last client has finished."""
        async with play.stall.measured(), _beside(self._watch(scene, load, play)), under(load):
            for step in scenario.steps:
                play.faults.append(await self.carry_out(scene, step, load))
            tail = TAIL_OF_OUTAGE if scenario.gate is Gate.OUTAGE else self.tail
            over = max(scenario.seconds, scene.now() + tail)
            await asyncio.sleep(over - scene.now())

    async def carry_out(self, scene: Surroundings, step: Step, load: Load) -> Fault:
        """The step at its time; returns when it is over."""
        await asyncio.sleep(max(0.0, step.at - scene.now()))
        told = " ".join(f"{name}={value:g}" for name, value in step.arguments.items())
        self.say(f"  {scene.now():5.1f} s  {step.fault} {told}".rstrip())
        fault = await self.inject(scene, step)
        whom = f" of {fault.instance}" if fault.instance else ""
        self.say(f"  {scene.now():5.1f} s  {step.fault}{whom} is over; {_counts(load)}")
        return fault

    async def inject(self, scene: Surroundings, step: Step) -> Fault:
        """What the step says, now."""
        return await inject(scene, step)

    async def _watch(self, scene: Scene, load: Load, play: _Play) -> None:
        """Sample the fleet, and now and then say how it stands; until cancelled."""
        while True:
            scene.stage.check()
            play.samples.append(Sample(scene.now(), scene.stage.states()))
            if len(play.samples) % TOLD_EVERY == 0:
                told = f"{_counts(load)}; {_told(sorted(scene.stage.states().items()))}"
                self.say(f"  {scene.now():5.1f} s  {told}")
            await asyncio.sleep(SAMPLE)

    async def _reckon(
        self, stage: Stage, load: Load, play: _Play
    ) -> tuple[tuple[Request, ...], Discrepancies]:
        """Let the sweep clear away, and compare everything with everything; the requests as they
        are known then."""
        self.say("  reconciles")
        await stage.settled()
        left = await sweep_now(stage.database_url, LONGEST_SWEEP)
        await asyncio.to_thread(forget_images, stage.folder)
        logs = await asyncio.to_thread(read_logs, stage.access_logs, stage.instance_logs)
        evidence = await gather(load, stage.database_url, stage.bucket, logs)
        faults = [_later(fault, play.began) for fault in play.faults]
        found = reconciled(evidence, _gap(faults))
        # Clients go to a Swift themselves, so nginx has no line of that.
        is_swift = stage.demands.store.kind == "swift"
        passed = [item for item in evidence.requests if item.target == "api" or not is_swift]
        unswept = (f"{left} rows that the sweep did not clear away",) if left else ()
        return evidence.requests, replace(
            found,
            ghosts=(*unswept, *found.ghosts),
            unaccounted=(
                *(f"{item.kind} {item.id} has no outcome" for item in load.ledger.unfinished),
                *unaccounted(passed, logs, faults),
            ),
            false_receipts=tuple(false_receipts(evidence.tables, evidence.requests, logs, faults)),
        )


@asynccontextmanager
async def under(load: Load) -> AsyncIterator[None]:
    """While this is open the load runs; then it waits for the last client to finish."""
    stop = asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def since(began: float, record: Record) -> Record:
    """The same with what was sent before left out, and the ledger's times counted from there."""
    return replace(
        record,
        requests=tuple(
            replace(item, due=item.due - began, sent=item.sent - began, ended=item.ended - began)
            for item in record.requests
            if item.sent >= began
        ),
        uploads=tuple(
            replace(item, acknowledged=item.acknowledged - began) for item in record.uploads
        ),
    )


def _later(fault: Fault, seconds: float) -> Fault:
    behind = None if fault.behind is None else fault.behind + seconds
    return replace(fault, began=fault.began + seconds, ended=fault.ended + seconds, behind=behind)


def _gap(faults: Sequence[Fault]) -> Gap | None:
    return next((Gap(item.behind, item.ended) for item in faults if item.behind is not None), None)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do it at the same time, and give it up at the end. Raises what it raised."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        (failure,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(failure, Exception):
        raise failure


def _counts(load: Load) -> str:
    return _told(Counter(item.outcome.value for item in load.ledger.requests).items())


def _told(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts)


def words(error: BaseException) -> str:
    """Of an error and of those that it holds, in a line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(words(item) for item in error.exceptions)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _open_journal(folder: Path) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "journal.log").open("a", encoding="utf-8")


def _write(log: TextIO, line: str) -> None:
    log.write(f"{line}\n")
    log.flush()
