"""One part alone that does not reach what all others reach."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

LONGEST_MEMBERSHIP = 30.0
"""Seconds within which an instance that alone is sick has left: on a stage its health check
notices within 5 s, a probe within 5 s more, and two more are 1 s apart and wait 3 s; twice as long
on a busy machine."""

SEEN_AGAIN = "SELECT 1 FROM balancers WHERE name = 'drill' AND seen_at > now() - interval '2 s'"
LOOK = 0.1


async def cut_instance_from_database(scene: Scene, *, seconds: float) -> Fault:
    """One instance alone hears nothing from the database, until it has left the members and for so
    long afterwards; ends when it is a member again. It has come in place of another, and is
    replaced afterwards."""
    unkept: tuple[str, ...] = ()
    left: float | None = None
    async with _behind_the_wire(scene) as victim:
        began = scene.now()
        scene.stage.wire.cut()
        try:
            async with asyncio.timeout(LONGEST_MEMBERSHIP):
                left = await scene.out(victim["boot_id"])
            await asyncio.sleep(seconds)
        except TimeoutError:
            unkept = (f"{victim['name']} is a member after {LONGEST_MEMBERSHIP:g} s",)
        finally:
            scene.stage.wire.mend()
        await scene.until(lambda: victim["boot_id"] in scene.stage.member_ids())
        fault = scene.span("database-cut-one", began, victim["name"], left, unkept)
    return fault


@asynccontextmanager
async def _behind_the_wire(scene: Scene) -> AsyncIterator[dict[str, Any]]:
    """An instance that reaches the database by the stage's wire, in place of one that does not."""
    stage, before = scene.stage, {item["name"] for item in scene.stage.instances()}
    environ = {"PHOTO_API_DATABASE_URL": stage.wire.through(stage.database_url)}
    await stage.order(do="drain", name=scene.victim()["name"], environ=environ)
    await stage.settled()
    [victim] = [item for item in stage.instances() if item["name"] not in before]
    yield victim
    await stage.order(do="drain", name=victim["name"])
    await stage.settled()


async def cut_balancer_from_registry(scene: Scene, *, seconds: float) -> Fault:
    """The balancer hears nothing from the database for so long; ends when it is seen there
    again."""
    stage, began = scene.stage, scene.now()
    before = stage.member_ids()
    gone: set[str] = set()
    stage.registry_wire.cut()
    try:
        while scene.now() < began + seconds:
            gone |= before - stage.member_ids()
            await asyncio.sleep(LOOK)
    finally:
        stage.registry_wire.mend()
    async with asyncio.timeout(30):
        while not await stage.query(SEEN_AGAIN):
            await asyncio.sleep(LOOK)
    unkept = tuple(f"{boot} left the members, and is well" for boot in sorted(gone))
    return scene.span("balancer-cut-registry", began, unkept=unkept)
