"""The CDN fails and the store does not: the fleet delivers without it, and then by it again."""

import asyncio
import os
from dataclasses import replace
from signal import SIGHUP

import httpx

from photo_fleet.drill.faults.credentials import URLS_IN_HAND
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

FOLLOWED = 10.0
"""Seconds after a switch in which every instance has to know of it, as docs/cdn.md says."""

LONGEST_SWITCH = 60.0
"""Seconds for three looks of which each waits for 5, and a lease that has to run out before."""


async def fail_cdn(scene: Scene, *, seconds: float) -> Fault:
    """The edge answers everything with an error, until the fleet has switched and for so long
    after that; it returns when the fleet has come back. To clients the fault is over when every
    instance has followed, and what they had been given before is used up."""
    stage, began = scene.stage, scene.now()
    with stage.without_edge():
        os.kill(stage.nginx_pid, SIGHUP)
        unkept = await _switched(scene, "fallback")
        await asyncio.sleep(URLS_IN_HAND)
        over = scene.now()
        await asyncio.sleep(seconds)
    os.kill(stage.nginx_pid, SIGHUP)
    unkept += await _switched(scene, "cdn")
    return replace(scene.span("cdn-down", began, unkept=unkept), ended=over)


async def _switched(scene: Scene, path: str) -> tuple[str, ...]:
    """Wait for the fleet to be on this path, and all of it; who has not followed in time."""

    async def is_on() -> bool:
        rows = await scene.stage.query("SELECT path FROM cdn_paths")
        return [row["path"] for row in rows] == [path]

    try:
        await scene.until(is_on, LONGEST_SWITCH)
    except TimeoutError:
        return (f"the fleet is not on the path {path} after {LONGEST_SWITCH:g} s",)
    late: list[str] = []

    async def all_follow() -> bool:
        late[:] = await _elsewhere(scene, path)
        return not late

    try:
        await scene.until(all_follow, FOLLOWED)
    except TimeoutError:
        return tuple(f"{one} is not on the path {path} after {FOLLOWED:g} s" for one in late)
    return ()


async def _elsewhere(scene: Scene, path: str) -> list[str]:
    """Instances that serve and deliver by another path."""
    headers = {"Authorization": f"Bearer {scene.stage.secrets()['ops_token']}"}
    found = []
    async with httpx.AsyncClient(headers=headers, timeout=FOLLOWED, trust_env=False) as http:
        for item in scene.stage.serving():
            address = scene.stage.address_of(item["boot_id"])
            told = (await http.get(f"http://{address}/health/detailed")).json()
            if told.get("delivery", {}).get("path") != path:
                found.append(str(item["boot_id"]))
    return found
