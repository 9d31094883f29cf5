"""Clocks that are off."""

import asyncio
import shutil

from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

SERVES_FOR = 25.0
"""Seconds that the instance with the wrong clock is among the others."""

VARIABLES = ("LD_PRELOAD", "FAKETIME")


async def skew_clock(scene: Scene, *, seconds: float) -> Fault:
    """One instance is replaced by one whose clock is so far ahead (negative: behind), and that one
    again by a sound one. Raises `LookupError` without the program faketime."""
    environ = await _environ(seconds)
    stage, began = scene.stage, scene.now()
    before = {item["name"] for item in stage.instances()}
    await stage.order(do="drain", name=scene.victim()["name"], environ=environ)
    (skewed,) = {item["name"] for item in stage.instances()} - before
    await asyncio.sleep(SERVES_FOR)
    await stage.order(do="drain", name=skewed)
    return scene.span("skew-clock", began, skewed)


async def _environ(seconds: float) -> dict[str, str]:
    """What has a program see another time. faketime itself cannot be left in between: it would
    keep the signals to itself."""
    program = shutil.which("faketime")
    if program is None:
        raise LookupError("faketime is missing; install it: apt-get install faketime")
    process = await asyncio.create_subprocess_exec(
        program, "-f", f"{seconds:+g}s", "/usr/bin/env", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    found = dict(line.split("=", 1) for line in told.decode().splitlines() if "=" in line)
    # Only the wall clock is off: no machine's monotonic one jumps.
    return {**{name: found[name] for name in VARIABLES}, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
