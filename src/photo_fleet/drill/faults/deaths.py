"""What ends without warning (a machine, a process of it, a worker of nginx) or stands still."""

import asyncio
from contextlib import closing, suppress
from signal import SIGKILL
from typing import Any

import httpx

from photo_api.contract import WEB_WORKER
from photo_base.processes import send
from photo_fleet.drill.faults.black_hole import BlackHole
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.process_tree import children, command_line, family, is_there, stopped
from photo_fleet.drill.stage.stage import Stage

NGINX_WORKER = "nginx: worker process"
DRAINS = 503
LOOK = 0.05
LONGEST_DEATH = 5.0
"""Seconds until the kernel has closed the sockets of a process that was killed."""


async def kill_instance(scene: Scene) -> Fault:
    """All its processes at once, as a machine dies; ends when another one is in its place."""
    victim = scene.victim()
    processes = family(victim["pid"])
    began = scene.now()
    send(processes, SIGKILL)
    left = await scene.out(victim["boot_id"])
    await scene.stage.settled()
    return scene.span("kill-instance", began, victim["name"], left)


async def vanish_instance(scene: Scene) -> Fault:
    """The same, and then its address does not even refuse connections, as that of a machine that
    is gone; ends when another one is in its place and the balancer has let go of this one."""
    victim = scene.victim()
    processes = family(victim["pid"])
    began = scene.now()
    with closing(BlackHole(victim["name"], victim["port"])) as hole:
        send(processes, SIGKILL)
        await hole.open_when_free(LONGEST_DEATH)
        await scene.until(lambda: victim["boot_id"] not in scene.stage.member_ids())
        left = scene.now()
        await scene.stage.settled()
    return scene.span("vanish-instance", began, victim["name"], left)


async def kill_worker(scene: Scene) -> Fault:
    """A web worker of an instance; ends when the instance has another."""
    victim = scene.victim()
    worker = _workers(victim["pid"])[0]
    began = scene.now()
    send([worker], SIGKILL)
    await scene.until(lambda: any(pid != worker for pid in _workers(victim["pid"])))
    return scene.span("kill-worker", began, victim["name"])


async def kill_draining_worker(scene: Scene) -> Fault:
    """An instance leaves, and its web worker dies while it still serves; ends when the fleet has
    settled. Asked directly, it says all the while that it drains."""
    stage, before = scene.stage, scene.stage.instances()
    shrinking = asyncio.create_task(stage.resized(len(before) - 1))
    try:
        await scene.until(lambda: bool(_draining(stage)))
        [victim] = _draining(stage)
        worker = _workers(victim["pid"])[0]
        began = scene.now()
        send([worker], SIGKILL)
        health = f"http://{victim['name']}:{victim['port']}/health"
        unkept = await _says_otherwise(health, shrinking)
    finally:
        shrinking.cancel()
    return scene.span("kill-draining-worker", began, victim["name"], unkept=unkept)


def _draining(stage: Stage) -> list[dict[str, Any]]:
    return [item for item in stage.instances() if item["leaving"]]


async def _says_otherwise(url: str, end: "asyncio.Task[None]") -> tuple[str, ...]:
    """What a draining instance says until that end, other than that it drains. Raises what the end
    raised."""
    seen: dict[str, None] = {}
    async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
        while not end.done():
            with suppress(httpx.HTTPError):
                answer = await http.get(url)
                if answer.status_code != DRAINS:
                    seen[f"{url} answered {answer.status_code} in a drain"] = None
            await asyncio.sleep(LOOK)
    await end
    return tuple(seen)


async def kill_proxy_worker(scene: Scene) -> Fault:
    """One worker of nginx; ends when there are as many again."""
    master = scene.stage.nginx_pid
    workers = _nginx_workers(master)
    began = scene.now()
    worker = scene.chance.choice(workers)
    send([worker], SIGKILL)
    await scene.until(lambda: not is_there(worker) and len(_nginx_workers(master)) == len(workers))
    return scene.span("kill-proxy-worker", began)


async def freeze_instance(scene: Scene, *, seconds: float) -> Fault:
    """All processes of an instance stand still for so long, if they are not replaced before."""
    victim = scene.victim()
    processes = family(victim["pid"])
    began = scene.now()
    left: float | None = None
    with stopped(processes):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                left = await scene.out(victim["boot_id"])
        while scene.now() < began + seconds and is_there(victim["pid"]):
            await asyncio.sleep(LOOK)
    await scene.stage.settled()
    return scene.span("freeze-instance", began, victim["name"], left)


def _workers(pid: int) -> list[int]:
    return [child for child in children(pid) if WEB_WORKER in command_line(child)]


def _nginx_workers(master: int) -> list[int]:
    found = [child for child in children(master) if command_line(child).startswith(NGINX_WORKER)]
    return [pid for pid in found if "shutting down" not in command_line(pid)]
