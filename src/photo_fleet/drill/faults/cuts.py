"""One part alone that does not reach what all others reach."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any
from uuid import UUID

from photo_fleet.drill.faults.black_hole import BlackHole
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.stage import SEEN_BY_BALANCER
from photo_fleet.drill.stage.wire import Wire

LONGEST_MEMBERSHIP = 30.0
"""Seconds within which an instance that alone is sick has left: on a stage its health check
notices within 5 s, a probe within 5 s more, and two more are 1 s apart and wait 3 s; twice as long
on a busy machine."""

LONGEST_LOOK = 15.0
"""Seconds in which a balancer has taken over another address: it reads every second, and probes."""

STATE = "SELECT state, cause FROM instances WHERE boot_id = $1::text::uuid"
ELSEWHERE = f"""
CREATE SCHEMA {SEEN_BY_BALANCER} CREATE VIEW instances AS SELECT boot_id, instance, address,
 CASE WHEN boot_id = '{{boot}}'::uuid THEN {{port}} ELSE port END AS port, state, cause, started_at
 FROM public.instances
"""
AS_IT_IS = f"DROP SCHEMA IF EXISTS {SEEN_BY_BALANCER} CASCADE"
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
    await scene.until(lambda: stage.query(SEEN_AGAIN), 30)
    unkept = tuple(f"{boot} left the members, and is well" for boot in sorted(gone))
    return scene.span("balancer-cut-registry", began, unkept=unkept)


async def cut_balancer_from_instance(scene: Scene, *, seconds: float) -> Fault:
    """The balancer and nginx alone do not reach one instance, which is well and says so in the
    registry, until it has left the members and for so long afterwards; ends when it is a member
    again."""
    unkept: list[str] = []
    left: float | None = None
    victim = scene.victim()
    async with _on_a_detour(scene, victim) as wire:
        began = scene.now()
        with closing(BlackHole(*wire.address)) as hole:
            wire.cut()
            wire.stop_listening()
            hole.open()
            try:
                async with asyncio.timeout(LONGEST_MEMBERSHIP):
                    left = await scene.out(victim["boot_id"])
            except TimeoutError:
                unkept.append(f"{victim['name']} is a member after {LONGEST_MEMBERSHIP:g} s")
            else:
                await asyncio.sleep(seconds)
            unkept += await _declared(scene, victim)
        await wire.start()
        wire.mend()
        await scene.until(lambda: victim["boot_id"] in scene.stage.member_ids())
        fault = scene.span("balancer-cut-instance", began, victim["name"], left, tuple(unkept))
    return fault


async def _declared(scene: Scene, victim: dict[str, Any]) -> list[str]:
    """What the registry says of one that is well, unless it is that."""
    rows = await scene.stage.query(STATE, victim["boot_id"])
    wrong = [f"{row['state']}: {row['cause']}" for row in rows if row["state"] != "ready"]
    return [f"{victim['name']} is well, and its row says {words}" for words in wrong]


@asynccontextmanager
async def _on_a_detour(scene: Scene, victim: dict[str, Any]) -> AsyncIterator[Wire]:
    """The balancer, and it alone, reads in the registry that this instance listens where a wire
    does; all others go on to ask the instance itself."""
    stage, boot = scene.stage, str(UUID(victim["boot_id"]))
    wire = await stage.detour(victim["name"], victim["port"])
    host, port = wire.address
    try:
        await stage.query(ELSEWHERE.format(boot=boot, port=int(port)))
        await scene.until(lambda: stage.address_of(boot) == f"{host}:{port}", LONGEST_LOOK)
        yield wire
    finally:
        await stage.query(AS_IT_IS)
    direct = f"{victim['name']}:{victim['port']}"
    await scene.until(lambda: stage.address_of(boot) == direct, LONGEST_LOOK)
