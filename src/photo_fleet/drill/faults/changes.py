"""What operators do to a fleet every day; none of it may cost anybody a request."""

import asyncio
import secrets
from signal import SIGTERM

from photo_base.processes import send
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.stage import Stage


async def scale(scene: Scene, *, to: int) -> Fault:
    """Another number of instances; ends when all of them serve and the others are gone."""
    began, before = scene.now(), {item["name"] for item in scene.stage.instances()}
    await scene.stage.resized(to)
    left = before - {item["name"] for item in scene.stage.instances()}
    return scene.span("scale", began, left.pop() if len(left) == 1 else None)


async def deploy(scene: Scene) -> Fault:
    """Every instance is replaced, one at a time."""
    began = scene.now()
    await scene.stage.order(do="deploy", start_limit=90)
    return scene.span("deploy", began)


async def boot(scene: Scene, *, count: int) -> Fault:
    """So many instances start at the same moment; ends when all serve."""
    began = scene.now()
    await scene.stage.resized(len(scene.stage.serving()) + count)
    return scene.span("boot", began)


async def stop_while_starting(scene: Scene, *, within: float, times: int) -> Fault:
    """The fleet grows by one, and so often the newcomer is told to end at any moment `within` so
    many seconds of its start; ends when the fleet has its former size again."""
    stage, began = scene.stage, scene.now()
    size = len(stage.instances())
    seen = {item["pid"] for item in stage.instances()}
    growing = asyncio.create_task(stage.resized(size + 1))
    try:
        for _ in range(times):
            newcomers = await _newcomers(scene, seen)
            await asyncio.sleep(scene.chance.uniform(0, within))
            send(newcomers, SIGTERM)
            seen |= newcomers
        await growing
    finally:
        growing.cancel()
    await stage.resized(size)
    return scene.span("stop-while-starting", began)


async def _newcomers(scene: Scene, seen: set[int]) -> set[int]:
    await scene.until(lambda: bool(_pids(scene.stage) - seen))
    return _pids(scene.stage) - seen


def _pids(stage: Stage) -> set[int]:
    return {item["pid"] for item in stage.instances()}


async def rotate_keys(scene: Scene) -> Fault:
    """New keys in three rolling steps: all know the new ones, all use them, nobody knows the old
    one for access tokens any more. Before the last step the lifetime of such a token goes by."""
    began, stage = scene.now(), scene.stage
    jwt = f"fleet:{stage.secrets()['jwt_key']}"
    sealing = f"fleet:{stage.secrets()['secret_key']}"
    new_jwt, new_sealing = f"next:{secrets.token_hex(32)}", f"next:{secrets.token_hex(32)}"
    await _deploy_with(scene, f"{jwt},{new_jwt}", f"{sealing},{new_sealing}")
    await _deploy_with(scene, f"{new_jwt},{jwt}", f"{new_sealing},{sealing}")
    await asyncio.sleep(stage.demands.access_ttl)
    await _deploy_with(scene, new_jwt, f"{new_sealing},{sealing}")
    return scene.span("rotate-keys", began)


async def _deploy_with(scene: Scene, jwt_keys: str, secret_keys: str) -> None:
    environ = {"PHOTO_API_JWT_KEYS": jwt_keys, "PHOTO_API_SECRET_KEYS": secret_keys}
    await scene.stage.order(do="deploy", start_limit=90, environ=environ)
