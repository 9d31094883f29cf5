"""What goes wrong at the balancer, and what it costs when only probes tell it that an instance
leaves."""

import asyncio
import os
from contextlib import closing
from signal import SIGHUP

from photo_fleet.drill.faults.black_hole import BlackHole
from photo_fleet.drill.faults.deaths import LONGEST_DEATH
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

LONGEST_REMOVAL = 150.0
"""Seconds: three probes of 30 s with their timeouts, and an instance's end before them."""


async def remove_by_health(scene: Scene) -> Fault:
    """The fleet shrinks by one, its machine is gone, and the balancer finds out by its probes; ends
    when it has."""
    stage, began = scene.stage, scene.now()
    before = {item["boot_id"]: item for item in stage.serving()}
    await stage.resized(len(before) - 1)
    (boot,) = before.keys() - {item["boot_id"] for item in stage.instances()}
    name = before[boot]["name"]
    with closing(BlackHole(name, before[boot]["port"])) as hole:
        await hole.open_when_free(LONGEST_DEATH)
        await scene.until(lambda: boot not in stage.member_ids(), LONGEST_REMOVAL)
    return scene.span("remove-by-health", began, name, scene.now())


async def kill_balancer(scene: Scene, *, seconds: float) -> Fault:
    """The process that keeps nginx's members dies; ends when another one listens to the
    registry."""
    began = scene.now()
    await scene.stage.kill_balancer(seconds)
    await scene.until(lambda: scene.stage.query(LISTENS), 30)
    return scene.span("balancer-kill", began)


LISTENS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'photo-fleet balance'"


async def pause_balancer(scene: Scene, *, seconds: float) -> Fault:
    """The fleet shrinks by one, and the moment its member leaves nginx does not listen for so long;
    connections that are open stay open. The fault is that pause; it returns when the fleet has
    settled."""
    stage, before = scene.stage, scene.stage.member_ids()
    shrinking = asyncio.create_task(stage.resized(len(before) - 1))
    try:
        await scene.until(lambda: bool(before - stage.member_ids()))
        began = scene.now()
        with stage.not_listening():
            os.kill(stage.nginx_pid, SIGHUP)
            await asyncio.sleep(seconds)
        os.kill(stage.nginx_pid, SIGHUP)
        await scene.until(stage.listens)
        fault = scene.span("balancer-pause", began)
        await shrinking
    finally:
        shrinking.cancel()
    return fault
