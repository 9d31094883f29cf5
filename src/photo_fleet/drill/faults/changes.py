"""What operators do to a fleet every day; none of it may cost anybody a request."""

import asyncio
import secrets
from signal import SIGTERM

from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

STARTED = 1.0
"""Seconds after which a newcomer's program runs and its workers do not answer yet."""


async def scale(scene: Scene, *, to: int) -> Fault:
    """Another number of instances; ends when all of them serve and the others are gone."""
    began, before = scene.now(), {item["name"] for item in scene.stage.instances()}
    await scene.stage.resized(to)
    left = before - {item["name"] for item in scene.stage.instances()}
    name = "scale-in" if left else "scale-out"
    return scene.span(name, began, left.pop() if len(left) == 1 else None)


async def drain(scene: Scene) -> Fault:
    """One instance ends gracefully and is replaced."""
    began, victim = scene.now(), scene.victim()
    await scene.stage.order(do="drain", name=victim["name"])
    return scene.span("drain", began, victim["name"])


async def deploy(scene: Scene) -> Fault:
    """Every instance is replaced, one at a time."""
    began = scene.now()
    await scene.stage.order(do="deploy", start_limit=90)
    return scene.span("deploy", began)


async def boots(scene: Scene, *, count: int) -> Fault:
    """So many instances start at the same moment; ends when all serve."""
    began = scene.now()
    await scene.stage.resized(len(scene.stage.serving()) + count)
    return scene.span("boots", began)


async def term_while_starting(scene: Scene) -> Fault:
    """A newcomer is told to end before it is ready. Its place is taken by another."""
    began, stage = scene.now(), scene.stage
    known = {item["name"] for item in stage.instances()}
    growing = asyncio.create_task(stage.resized(len(known) + 1))
    newcomers: list[tuple[str, int]] = []

    def appeared() -> bool:
        instances = stage.instances()
        newcomers[:] = [(i["name"], i["pid"]) for i in instances if i["name"] not in known]
        return bool(newcomers)

    await scene.until(appeared)
    name, _ = newcomers[0]
    await asyncio.sleep(STARTED * scene.chance.random())
    _terminate(scene, name)
    await growing
    return scene.span("term-while-starting", began, name)


def _terminate(scene: Scene, name: str) -> None:
    from photo_fleet.drill.processes import send

    pids = [item["pid"] for item in scene.stage.instances() if item["name"] == name]
    send(pids, SIGTERM)


async def rotate_keys(scene: Scene) -> Fault:
    """New keys in three rolling steps: all know the new ones, all use them, nobody knows the old
    one for access tokens any more. Before the last step the lifetime of such a token goes by."""
    began, stage = scene.now(), scene.stage
    jwt, sealing = stage.keys()
    new_jwt, new_sealing = f"next:{secrets.token_hex(32)}", f"next:{secrets.token_hex(32)}"
    await _deploy_with(scene, f"{jwt},{new_jwt}", f"{sealing},{new_sealing}")
    await _deploy_with(scene, f"{new_jwt},{jwt}", f"{new_sealing},{sealing}")
    await asyncio.sleep(stage.access_ttl)
    await _deploy_with(scene, new_jwt, f"{new_sealing},{sealing}")
    return scene.span("rotate-keys", began)


async def _deploy_with(scene: Scene, jwt_keys: str, secret_keys: str) -> None:
    environ = {"PHOTO_API_JWT_KEYS": jwt_keys, "PHOTO_API_SECRET_KEYS": secret_keys}
    await scene.stage.order(do="deploy", start_limit=90, environ=environ)
