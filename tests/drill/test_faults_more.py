"""Faults of the balancer and of clocks, and a fleet that the drill did not stage."""

import asyncio
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from photo_base.processes import CannotStart
from photo_fleet.drill.clients.mix import Overrides
from photo_fleet.drill.evidence.downloads import Download
from photo_fleet.drill.evidence.reconcile import lost_by_downloads
from photo_fleet.drill.faults.balancers import kill_balancer, pause_balancer, remove_by_health
from photo_fleet.drill.faults.clocks import _environ
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Upload
from photo_fleet.drill.runner import Runner, demands_of
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.drill.stage.demands import Demands
from photo_fleet.drill.stage.stage import Stage
from photo_fleet.drill.target import TargetRunner, is_on_this_machine
from photo_fleet.group.registry_view import Look, Registry
from photo_fleet.local_fleet.fleet import _began
from tests.drill.test_drill import drill


def named(name: str) -> Scenario:
    return next(item for item in SCENARIOS if item.name == name)


@asynccontextmanager
async def staged(folder: Path, demands: Demands, size: int) -> AsyncIterator[Scene]:
    async with Stage.open(folder, demands, size, lambda _: None) as stage:
        yield Scene(stage, time.monotonic, random.Random(1))


def test_each_scenario_gets_the_balancers_that_it_is_about() -> None:
    health_only = demands_of(named("health-only"))
    assert (health_only.removal, health_only.probe_interval) == ("health-only", 30)
    assert demands_of(named("deregister-first")) == Demands()
    assert demands_of(named("two-balancers")) == Demands(balancers=2)
    for apart in ("balancer-kill", "balancer-cut-registry", "balancer-cut-instance"):
        assert demands_of(named(apart)) == Demands(balancer_process=True)
    for followed in ("standby-promoted", "lagging-standby-promoted"):
        assert demands_of(named(followed)) == Demands(standby=True)
    for sinks in ("sinks-down", "sinks-slow", "sinks-refuse"):
        assert demands_of(named(sinks)) == Demands(sinks=True)
    assert demands_of(named("worker-death-in-lame-duck")).lame_duck > Demands().lame_duck


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://127.3.4.5", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", False),
        ("https://photos.example.org", False),
        ("http://192.0.2.1", False),
    ],
)
def test_clients_have_loopback_addresses_only_where_these_lead_to_the_fleet(
    url: str, here: bool
) -> None:
    assert is_on_this_machine(url) is here


def test_downloads_alone_tell_which_uploads_are_lost() -> None:
    good, other, missing, deleted, asked = (
        Upload(number, "client-1", "aa", 1.0, number == 4, number == 5) for number in range(1, 6)
    )
    found = {1: Download("aa"), 2: Download("bb"), 3: Download(None, "the API answered 404")}
    assert list(lost_by_downloads([good, other, missing, deleted, asked], found)) == [
        "photo 2 of client-1 was acknowledged and has other bytes",
        "photo 3 of client-1 was acknowledged and cannot be fetched: the API answered 404",
    ]


def test_a_foreign_fleet_is_offered_only_what_needs_no_stage() -> None:
    done = drill("--target", "http://127.0.0.1:1", "--list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == ["steady", "hang-up"]
    refused = drill("--target", "http://127.0.0.1:1", "--only", "kill-worker")
    assert (refused.returncode, "kill-worker" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    "target", ["photos.example.org", "ftp://a", "http://a/b", "http://u:p@a", "http://a?x=1"]
)
def test_a_target_is_the_address_of_a_fleet_and_nothing_else(target: str) -> None:
    done = drill("--target", target)
    assert (done.returncode, "without a path or a login" in done.stderr) == (2, True)


def test_a_fleet_that_nobody_answers_at_is_no_verdict() -> None:
    done = drill("--target", "http://127.0.0.1:1", "--only", "steady", seconds=60)
    assert done.returncode == 1
    assert "could not be carried out" in done.stderr


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
async def test_only_the_wall_clock_is_ahead() -> None:
    code = "import time; print(time.time(), time.monotonic())"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=await _environ(120), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await child.communicate()
    wall, monotonic = (float(word) for word in told.split())
    assert abs(wall - time.time() - 120) < 20
    assert abs(monotonic - time.monotonic()) < 20


class Slow(Registry):
    """A registry whose first looks time out."""

    def __init__(self, fails: int) -> None:
        super().__init__(lambda: "postgresql://nobody@127.0.0.1:1/nothing")
        self.left = fails

    async def look(self) -> Look | None:
        self.left -= 1
        return None if self.left >= 0 else Look()


async def test_no_instance_starts_before_the_group_has_looked_at_the_registry() -> None:
    """One that registers before that look would never be seen."""
    registry = Slow(3)
    assert await _began(registry) is registry
    assert registry.left == -1
    with pytest.raises(CannotStart):
        await _began(Slow(1000))


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_by_health_alone_an_instance_stays_a_member_after_its_end(tmp_path: Path) -> None:
    # It ends before two probes, a second apart, can have failed.
    demands = Demands(removal="health-only", probe_interval=2, lame_duck=0)
    async with staged(tmp_path / "s", demands, 3) as scene:
        assert not await scene.stage.query("SELECT 1 FROM balancers"), "nobody waits for it"
        members = scene.stage.member_ids()
        removing = asyncio.create_task(remove_by_health(scene))
        await scene.until(lambda: len(scene.stage.instances()) == 2)
        assert scene.stage.member_ids() == members
        fault = await removing
        assert len(scene.stage.member_ids()) == 2
        assert fault.left is not None
        assert fault.left - fault.began >= 4, "three probes, 2 s apart"


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_machine_that_vanishes_costs_time_and_hardly_a_request(tmp_path: Path) -> None:
    scenario = replace(
        named("vanish-instance"), steps=(Step(3, "vanish-instance"),), seconds=25, instances=3
    )
    async with Runner(tmp_path, 1, Overrides(), lambda _: None) as runner:
        judged = await runner.run(scenario)
    assert judged.verdict.holds, judged.verdict.violations
    assert judged.record.faults[0].left is not None
    slowest = max(item.latency for item in judged.record.requests)
    assert slowest >= 3, "somebody waited for an address that answers nobody"
    assert (tmp_path / "vanish-instance.jsonl").stat().st_size > 10_000


@pytest.mark.needs("nginx")
@pytest.mark.needs("prometheus-pushgateway")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_sinks_that_are_too_slow_cost_lines_that_are_told_and_nothing_else(
    tmp_path: Path,
) -> None:
    scenario = replace(
        named("sinks-slow"), steps=(Step(2, "sinks-slow", {"seconds": 4}),), seconds=10
    )
    async with Runner(tmp_path, 1, Overrides(), lambda _: None) as runner:
        judged = await runner.run(scenario)
    assert judged.verdict.holds, judged.verdict.violations
    [fault] = judged.record.faults
    assert (fault.unkept, fault.instance is None) == ((), False)


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_an_instance_leaves_when_both_balancers_have_let_it_go(tmp_path: Path) -> None:
    scenario = replace(
        named("two-balancers"), steps=(Step(2, "scale", {"to": 2}),), seconds=10, instances=3
    )
    demands = demands_of(scenario)
    async with staged(tmp_path / "s", demands, 3) as scene:
        stage = scene.stage
        assert len(await stage.query("SELECT 1 FROM balancers")) == 2
        assert len(stage.other_urls) == 1
        # Clients of the second balancer get answers of the fleet.
        runner = TargetRunner(stage.other_urls[0], tmp_path, 1, Overrides(rate=4), lambda _: None)
        shown = replace(scenario, steps=(Step(1, "observe", {"seconds": 2}),), seconds=4)
        judged = await runner.run(shown)
        assert judged.verdict.holds, judged.verdict.violations
        await stage.resized(2)
        removals = await stage.query("SELECT DISTINCT balancer_id FROM balancer_removals")
        assert len(removals) == 2


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_fleet_s_limits_hold_no_drill_up_that_has_one_address_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photo_fleet.drill.target.is_on_this_machine", lambda _: False)
    async with staged(tmp_path / "s", Demands(), 2) as scene:
        async with httpx.AsyncClient(base_url=scene.stage.url) as stranger:
            tries = [stranger.post("/api/auth/login", json={}) for _ in range(60)]
            answers = [answer.status_code for answer in await asyncio.gather(*tries)]
        assert answers.count(429) > 10, "the limits are real"
        await asyncio.sleep(5)
        judged = await TargetRunner(
            scene.stage.url, tmp_path, 1, Overrides(rate=8), lambda _: None
        ).run(replace(named("steady"), steps=(Step(1, "observe", {"seconds": 6}),), seconds=8))
        assert judged.verdict.holds, judged.verdict.violations


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_killed_balancer_comes_back_and_lets_members_go(tmp_path: Path) -> None:
    demands = Demands(balancer_process=True)
    async with staged(tmp_path / "s", demands, 3) as scene:
        members = scene.stage.member_ids()
        fault = await kill_balancer(scene, seconds=2)
        assert fault.ended - fault.began >= 2
        assert scene.stage.member_ids() == members, "nginx keeps its members"
        await scene.stage.resized(2)
        assert len(scene.stage.member_ids()) == 2


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_pause_refuses_connections_and_ends(tmp_path: Path) -> None:
    async with staged(tmp_path / "s", Demands(), 3) as scene:
        stage = scene.stage
        with pytest.raises(LookupError):
            await stage.kill_balancer(1)
        pausing = asyncio.create_task(pause_balancer(scene, seconds=1.5))
        await scene.until(lambda: not stage.listens())
        fault = await pausing
        assert 1.5 <= fault.ended - fault.began < 10
        assert stage.listens()
        judged = await TargetRunner(stage.url, tmp_path, 1, Overrides(rate=5), lambda _: None).run(
            replace(named("steady"), steps=(Step(1, "observe", {"seconds": 3}),), seconds=5)
        )
        assert judged.verdict.holds, judged.verdict.violations
        assert judged.verdict.requests > 10
