"""Runs generated specs one after the other, each as a fleet of its own on the one database and
store: load, a scale-in, a deploy, the reckoning."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import httpx

from photo_base.processes import CannotStart
from photo_base.tasks import cancel
from photo_fleet.drill.check_proof.reasons import ANSWERING
from photo_fleet.drill.check_proof.result import Result, Seen, is_doubtful, seen
from photo_fleet.drill.check_proof.specs import Case
from photo_fleet.drill.clients.load import NotPrepared
from photo_fleet.drill.clients.mix import Mix, Overrides
from photo_fleet.drill.evidence.logs import last_words, read_logs
from photo_fleet.drill.faults.outside import Surroundings
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.gates import Gate, without_secrets
from photo_fleet.drill.records import Fault
from photo_fleet.drill.runner import FAILURES, Runner, Say, words
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.stage.demands import Demands
from photo_fleet.drill.stage.http_relay import NORMAL, Behaviour
from photo_fleet.drill.stage.stage import Stage
from photo_fleet.drill.stall import Stall
from photo_fleet.local_fleet.embedded import Embedded, StoreOptions
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet

INSTANCES = 2
CONNECTIONS = 100
LONGEST_CASE = 150.0
"""Seconds for one spec in all."""

LONGEST_START = 45.0
ENDED_EARLY = 3
"""Instances that have ended at their start, after which no other will do better."""

READY_AND_NO_MEMBER = 10.0
REFUSED = "The configuration cannot be used"
"""How the service begins to say that its settings contradict one another."""

TAIL = 1.0
LOOK = 0.2
ADDRESSES = 64
"""Loopback addresses for each fleet's instances, so that no log is another's."""

EVERYDAY = {
    "list_photos": 4,
    "list_albums": 3,
    "thumbnail": 3,
    "edit_album": 2,
    "create_album": 3,
    "upload": 6,
}


READS = {"list_albums": 4, "list_photos": 3, "create_album": 1}


class NobodyServes(Exception):
    """The fleet of a spec stands and no instance serves; the text tells why."""


class ProofRunner(Runner):
    """What it keeps is in `folder`, and its fleets are there one after the other."""

    tail = TAIL

    def __init__(self, folder: Path, seed: int, say: Say) -> None:
        super().__init__(folder, seed, Overrides(), say)
        self._ground: Embedded | None = None
        self._fleets = 0
        self._seen: dict[int, Seen] = {}
        self._lines: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, seed: int, say: Say) -> AsyncIterator[Self]:
        """With a database and a store for all. Raises `CannotStart`."""
        runner = cls(folder, seed, say)
        layout = Layout(folder / "fleets")
        layout.prepare()
        say("starts PostgreSQL and SeaweedFS")
        runner._ground = await Embedded.start(layout, (), CONNECTIONS, StoreOptions())
        try:
            async with runner:
                yield runner
        finally:
            await runner._ground.stop()

    async def tried(self, case: Case) -> Result:
        """What came of it. A spec that passes and loses something, or that does not come to its
        end, while the drill itself stood still is tried once more, and one that is refused and
        shows nothing, since chance decides whether a request is under way at the wrong moment."""
        result = await self._result(case)
        if is_doubtful(result):
            self.say(f"  {result.words}; the drill was {result.late:.1f} s late: once more")
            result = await self._result(case)
        if result.seen is not None:
            self._seen[case.number] = result.seen
        return result

    async def _result(self, case: Case) -> Result:
        twin, stall = self._seen.get(case.twin or 0), Stall()
        try:
            async with stall.measured():
                found = await self._bounded(case)
            return Result(case, replace(found, stall=stall.longest), twin)
        except TimeoutError:
            problem = "it did not come to its end in time"
        except (ExceptionGroup, *FAILURES) as error:
            problem = words(error)
        return Result(case, None, twin, problem, stall.longest)

    async def _bounded(self, case: Case) -> Seen:
        began = time.monotonic()
        scenario = scenario_of(case)
        try:
            async with asyncio.timeout(LONGEST_CASE):
                async with AsyncExitStack() as running:
                    self._stage = await running.enter_async_context(self._staged(case.fleet))
                    record = await self.observe(scenario)
                    logs = await asyncio.to_thread(read_logs, self._stage.access_logs, ())
        except (NobodyServes, NotPrepared) as reason:
            return Seen(nobody=without_secrets(str(reason)), seconds=time.monotonic() - began)
        finally:
            self._stage = None
        again = {item.request_id for item in logs.passages if len(item.upstreams) > 1}
        return seen(record, case, again, time.monotonic() - began)

    async def stage_for(self, scenario: Scenario) -> Stage:
        assert self._stage is not None
        return self._stage

    async def inject(self, scene: Surroundings, step: Step) -> Fault:
        assert isinstance(scene, Scene)
        if step.fault != "long-requests":
            return await super().inject(scene, step)
        began, seconds = scene.now(), step.arguments["seconds"]
        slow = Behaviour("slow", only_writes=True, delay=seconds)
        await scene.stage.relay.behave(slow if seconds else NORMAL)
        await asyncio.sleep(step.arguments["wait"])
        return scene.span("long-requests", began)

    @asynccontextmanager
    async def _staged(self, fleet: Fleet) -> AsyncIterator[Stage]:
        """Raises `NobodyServes`."""
        self._lines.clear()
        self._fleets += 1
        base = ip_address("127.0.1.1") + ADDRESSES * (self._fleets - 1)
        fleet = changed(fleet, {"group.local.base_address": str(base)})
        folder = self.folder / "fleets"
        stage = Stage(folder, Demands(spec=fleet), INSTANCES, self._ground)
        async with stage.running(self._lines.append):
            await self._arrival(stage)
            yield stage

    async def _arrival(self, stage: Stage) -> None:
        """Until all serve. Raises `NobodyServes`, and `TimeoutError` when nobody can tell why
        not."""
        arriving = asyncio.create_task(stage.settled(LONGEST_START))
        alone: float | None = None
        try:
            while not arriving.done():
                await asyncio.wait([arriving], timeout=LOOK)
                if sum(" died: " in line for line in self._lines) >= ENDED_EARLY:
                    told = await asyncio.to_thread(last_words, stage.instance_logs)
                    raise NobodyServes(f"instances end at their start: {told}")
                ready = [item for item in stage.instances() if item["state"] == "ready"]
                idle = len(ready) == INSTANCES and not stage.member_ids()
                alone = (alone or time.monotonic()) if idle else None
                if alone is not None and time.monotonic() - alone > READY_AND_NO_MEMBER:
                    answer = await _asked(f"{stage.url}/api/albums/")
                    raise NobodyServes(f"no probe brings a ready instance in; nginx says {answer}")
            arriving.result()
        except CannotStart as error:
            lines = str(error).splitlines()
            if REFUSED not in str(error):
                raise
            raise NobodyServes(f"instances refuse to start: {lines[-1].strip()}") from None
        finally:
            await cancel(arriving)


def scenario_of(case: Case) -> Scenario:
    """A load in which the longest requests take as long as the spec says that they may, and in it
    a scale-in and a deploy; or one with uploads that come for longer than anybody waits for, or
    with many requests over connections of their own."""
    longest, wait = case.fleet.service.longest_request, case.fleet.drain.in_flight_wait
    load = Mix(rate=8, clients=10, weights=EVERYDAY)
    seconds = held = max(0.5, longest - ANSWERING)
    if case.load == "slow-clients":
        seconds, held = 0.0, wait + 1
        load = replace(load, weights={**EVERYDAY, "slow_upload": 3}, slow=(wait + 2, wait + 3))
    elif case.load == "rush":
        seconds, held = 0.0, 1.0
        load = Mix(rate=30, clients=20, weights=READS)
    steps = (
        Step(1, "long-requests", {"seconds": seconds, "wait": held}),
        Step(1, "scale", {"to": 1}),
        Step(1, "deploy"),
        Step(1, "long-requests", {"seconds": 0.0, "wait": 0.0}),
    )
    return Scenario(
        f"spec-{case.number}", "", Gate.LOSSLESS, steps, 5, instances=INSTANCES, load=load
    )


async def _asked(url: str) -> str:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        with suppress(httpx.HTTPError):
            return str((await http.get(url)).status_code)
    return "nothing"
