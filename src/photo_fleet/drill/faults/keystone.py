"""Keystone gives no tokens for a while, or the tokens that it gave end."""

import asyncio

from photo_base.tasks import cancel
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.process_tree import stopped


async def outlive_tokens(scene: Scene, *, seconds: float) -> Fault:
    """Nothing is done for longer than the tokens of this stage are valid."""
    began = scene.now()
    await asyncio.sleep(seconds)
    return scene.span("tokens-expire", began)


async def lose_keystone(scene: Scene, *, seconds: float) -> Fault:
    """Keystone stands still: it takes connections and answers nobody."""
    began = scene.now()
    with stopped([scene.stage.keystone_pid]):
        await asyncio.sleep(seconds)
    return scene.span("keystone-down", began)


async def grow_without_keystone(scene: Scene, *, seconds: float) -> Fault:
    """The same while another instance starts, which has no token yet; ends when it serves."""
    began, stage = scene.now(), scene.stage
    growing = asyncio.create_task(stage.resized(len(stage.serving()) + 1))
    try:
        with stopped([stage.keystone_pid]):
            await asyncio.sleep(seconds)
        await growing
    finally:
        await cancel(growing)
    return scene.span("keystone-down-boot", began)
