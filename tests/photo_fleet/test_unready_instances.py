"""Instances of the local group that never get ready hold up nobody else. Their processes do
nothing; what they would write of themselves, a test writes into a real registry."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from photo_base.processes import CannotStart, Program
from photo_fleet.group.instance import Instance, Release
from photo_fleet.group.local import LocalGroup
from photo_fleet.group.registry_view import Registry
from photo_fleet.group.rollout import RolledBack, roll_out
from photo_fleet.spec.fleet import Fleet, Group, HealthCheck, Policy
from tests.own_stage import own_database

ROW = (
    "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state)"
    " VALUES ($1::uuid, $2, 'here', $3, $2, 1, 1, $4)"
    " ON CONFLICT (boot_id) DO UPDATE SET state = $4"
)
POLICY = Policy("in_flight", threshold=5, duration=1, step=1, cooldown=3600)
FIRST, SECOND = Release(1, "first", ("photo-api",)), Release(2, "second", ("photo-api",))


class Stage:
    """A group, what its instances write, and its front. Those for which `unwell` holds stay as
    they are when they begin."""

    def __init__(self, url: str, folder: Path, registry: Registry, group: Group) -> None:
        self.url = url
        self.folder = folder
        self.unwell: Callable[[Instance], bool] = lambda _: False
        self.gone: set[int] = set()
        self.requests = 1.0
        self.told: list[tuple[str, str, str]] = []
        rare = HealthCheck(interval=3600)  # nobody would answer a probe
        self.group = LocalGroup(
            Fleet(health_check=rare, group=group),
            self,
            registry,
            self,
            lambda *said: self.told.append(said),
            release=FIRST,
            start_limit=2,
        )

    def program(self, name: str, release: Release) -> Program:
        if release.number in self.gone:
            raise CannotStart(f"release {release.label} is gone")
        return Program(name, ("sleep", "600"), {}, self.folder / f"{name}.log", self.folder)

    def is_member(self, boot_id: str) -> bool:
        return bool(boot_id)

    def in_flight(self, boot_id: str) -> float | None:
        return self.requests

    def said(self, kind: str) -> list[str]:
        return [text for _, what, text in self.told if what == kind]

    @property
    def serving(self) -> list[str]:
        return [item.release.label for item in self.group.staying if item.ready]

    async def write(self) -> None:
        """What the instances have in the registry, until cancelled."""
        boots: dict[str, str] = {}
        connection = await asyncpg.connect(self.url)
        try:
            while True:
                for name, item in list(self.group.instances.items()):
                    boot = boots.setdefault(name, str(uuid4()))
                    state = "starting" if self.unwell(item) else "ready"
                    await connection.execute(ROW, boot, name, item.release.label, state)
                await asyncio.sleep(0.1)
        finally:
            await connection.close()

    async def until(self, true: Callable[[], bool], seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def url(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    with own_database(stack, environ) as settings:
        yield settings["PHOTO_API_DATABASE_URL"]


@asynccontextmanager
async def running(url: str, folder: Path, group: Group) -> AsyncIterator[Stage]:
    registry = Registry(lambda: url)
    await registry.look()  # before any instance: what began before is none of the group's
    stage = Stage(url, folder, registry, group)
    work = [asyncio.create_task(stage.group.run()), asyncio.create_task(stage.write())]
    hurry = asyncio.Event()
    hurry.set()
    try:
        yield stage
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        await stage.group.close(hurry)


@pytest.mark.slow
async def test_one_that_never_gets_ready_is_replaced_and_holds_up_neither_policies_nor_deploys(
    url: str, tmp_path: Path
) -> None:
    group = replace(Group(), min=2, desired=3, max=5, warm_up=0.001, policies=(POLICY,))
    async with running(url, tmp_path, group) as stage:
        stage.unwell = lambda item: item.boot >= 3 and item.release.label == "first"
        await stage.until(lambda: len(stage.said("unready")) >= 2)
        assert "starting and not ready for 2 s: it leaves, replaced at once" in stage.said(
            "unready"
        )
        assert not stage.group.settled, "two of three serve"
        stage.requests = 10.0
        await stage.until(lambda: bool(stage.said("policy")))
        assert "3 → 4" in stage.said("policy")[0]
        await stage.until(lambda: stage.group.changeable)
        limit = 20
        await roll_out(stage.group, stage, SECOND, limit, lambda _: None)
        await stage.until(lambda: stage.group.settled)
        assert stage.serving == ["second"] * 4


async def test_one_that_is_ready_no_more_is_replaced(url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, replace(Group(), desired=2)) as stage:
        await stage.until(lambda: stage.group.settled)
        stage.unwell = lambda item: item.boot == 1
        await stage.until(lambda: stage.group.settled and min(boots(stage)) == 2)
        assert len(stage.said("unready")) == 1


async def test_a_broken_release_stops_the_deploy_also_while_one_instance_is_missing(
    url: str, tmp_path: Path
) -> None:
    async with running(url, tmp_path, replace(Group(), desired=3)) as stage:
        stage.unwell = lambda item: item.boot >= 3
        await stage.until(lambda: stage.group.changeable and bool(stage.said("unready")))
        with pytest.raises(RolledBack, match="first serves on unchanged"):
            await roll_out(stage.group, stage, SECOND, 2, lambda _: None)
        assert stage.group.release is FIRST
        assert stage.serving == ["first"] * 2
        stage.unwell = lambda _: False
        await stage.until(lambda: stage.group.settled)
        assert stage.serving == ["first"] * 3


async def test_going_back_holds_for_those_to_come_too(url: str, tmp_path: Path) -> None:
    """Also where the only instance of the other release has died, so that none is replaced."""
    async with running(url, tmp_path, replace(Group(), desired=2)) as stage:
        await stage.until(lambda: stage.group.settled)
        stage.gone = {SECOND.number}
        stage.group.release = SECOND
        stage.group.kill(stage.group.staying[0])
        await stage.until(lambda: len(stage.serving) == 1 and bool(stage.said("failed")))
        assert await roll_out(stage.group, stage, FIRST, 20, lambda _: None) == 0
        assert stage.group.release is FIRST
        await stage.until(lambda: stage.serving == ["first"] * 2)


async def test_where_nobody_serves_a_deploy_still_has_to_bring_somebody(
    url: str, tmp_path: Path
) -> None:
    async with running(url, tmp_path, replace(Group(), desired=2)) as stage:
        await stage.until(lambda: stage.group.settled)
        stage.gone = {FIRST.number}
        for item in stage.group.staying:
            stage.group.kill(item)
        await stage.until(lambda: not stage.group.instances)
        stage.unwell = lambda item: item.release is SECOND
        with pytest.raises(RolledBack, match="it is gone, and nobody serves"):
            await roll_out(stage.group, stage, SECOND, 1, lambda _: None)
        stage.unwell = lambda _: False
        assert await roll_out(stage.group, stage, SECOND, 20, lambda _: None) == 1
        await stage.until(lambda: stage.serving == ["second"] * 2)


def boots(stage: Stage) -> list[int]:
    return [item.boot for item in stage.group.staying]
