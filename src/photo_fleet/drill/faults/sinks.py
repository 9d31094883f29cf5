"""What takes log lines and metrics is gone, slow, or refuses them, while an instance leaves. It may
cost lines, and those are counted and told; it may cost no request, and hold nothing up."""

import asyncio
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson

from photo_api.contract import METRICS_PATH, STOP_MARGIN
from photo_fleet.drill.evidence.logs import REQUEST_LOGGER
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.demands import stage_spec
from photo_fleet.drill.stage.http_relay import Behaviour
from photo_fleet.drill.stage.sinks import LOG_TIMEOUT

BEYOND = 5.0
"""Seconds that the end of a drain may take besides its budget on a busy machine."""

RECOVERED_WITHIN = 60.0
"""Seconds in which sinks that are well again have what still waits, and the gateway has forgotten
who left: pauses between tries grow to 10 s, and a sweep comes every 10 s."""

RECEIPT = "SELECT ending, flush_s, log_lines_lost FROM instance_receipts WHERE boot_id = $1"

TOLD = re.compile(r"^\S+: (\d+) log lines were lost on their way", re.MULTILINE)
LOST = re.compile(r'^photo_api_log_lines_lost_total\{.*way="sink".*\} (\d+)', re.MULTILINE)


async def lose_sinks(scene: Scene, *, seconds: float) -> Fault:
    """Nobody listens at either."""
    nobody = Behaviour("refuse")
    return await _leave_while(scene, "sinks-down", nobody, nobody, seconds)


async def slow_sinks(scene: Scene, *, seconds: float) -> Fault:
    """The collector answers when nobody waits any more, the gateway never."""
    late = Behaviour("slow", delay=LOG_TIMEOUT + 1)
    return await _leave_while(scene, "sinks-slow", late, Behaviour("hang"), seconds)


async def refuse_at_sinks(scene: Scene, *, seconds: float) -> Fault:
    """The collector has too much to do, the gateway an error of its own."""
    busy, broken = Behaviour("answer", status=429), Behaviour("answer", status=500)
    return await _leave_while(scene, "sinks-refuse", busy, broken, seconds)


async def _leave_while(
    scene: Scene, name: str, collector: Behaviour, gateway: Behaviour, seconds: float
) -> Fault:
    """The fleet shrinks by one when its sinks have been so for `seconds`; ends when they are well
    again and have all that was not lost."""
    stage, began = scene.stage, scene.now()
    before = {item["boot_id"]: item for item in stage.serving()}
    written = {path: path.stat().st_size for path in stage.instance_logs}
    async with stage.sinks.behaving(collector, gateway):
        await asyncio.sleep(seconds)
        await stage.resized(len(before) - 1)
    (boot,) = before.keys() - {item["boot_id"] for item in stage.instances()}
    gone = before[boot]
    receipt = dict((await stage.query(RECEIPT, boot))[0])
    unkept = [*_held_up(scene, receipt), *_untold(scene, gone, written, receipt)]
    unkept += await _recovered(scene)
    return scene.span(name, began, gone["name"], unkept=tuple(unkept))


def _held_up(scene: Scene, receipt: Mapping[str, Any]) -> Iterator[str]:
    """The end came within what its lines and the supervisor's own may take."""
    limit = stage_spec(scene.stage.demands, 1).drain.log_flush + STOP_MARGIN + BEYOND
    took = math.inf if receipt["flush_s"] is None else receipt["flush_s"]
    if receipt["ending"] != "drained" or took > limit:
        yield f"an end: {receipt['ending']}; its last lines took {took:.1f} s, and may {limit:g} s"


def _untold(
    scene: Scene, gone: Mapping[str, Any], written: Mapping[Path, int], receipt: Mapping[str, Any]
) -> Iterator[str]:
    """Of the one that left: what is not at the collector is what it told at its end, on standard
    error and by its receipt."""
    [log] = [path for path in scene.stage.instance_logs if path.name == f"{gone['name']}.log"]
    text = log.read_bytes()[written.get(log, 0) :].decode(errors="replace")
    told = min(sum(map(int, TOLD.findall(text))), receipt["log_lines_lost"] or 0)
    missing = len(_requests(log, gone["boot_id"]) - scene.stage.sinks.collector.requests)
    if missing > told:
        yield f"{missing} log lines did not arrive, and their instance told of {told} at its end"
    if not told:
        yield "no log line was lost: the sinks did take them"


async def _recovered(scene: Scene) -> list[str]:
    """Of those that stay: each pushes again, and what is not at the collector is what they count;
    of the one that left nothing is at the gateway."""
    stage, well_since = scene.stage, time.time()
    logged = {item["boot_id"]: _requests_of(scene, item) for item in stage.serving()}
    wrong = ["the sinks were not asked"]

    async def recovered() -> bool:
        with suppress(httpx.HTTPError):
            wrong[:] = await _not_yet(scene, well_since, logged)
        return not wrong

    with suppress(TimeoutError):
        await scene.until(recovered, RECOVERED_WITHIN)
    return wrong


async def _not_yet(scene: Scene, well_since: float, logged: dict[str, set[str]]) -> list[str]:
    serving = {f"{item['name']}:{item['port']}": item for item in scene.stage.serving()}
    pushed = await scene.stage.sinks.groups()
    wrong = [f"{address} has left, and its metrics stay" for address in pushed.keys() - serving]
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        for address, item in serving.items():
            if pushed.get(address, 0.0) < well_since:
                wrong.append(f"{address} pushes its metrics no more")
            answer = await http.get(f"http://{address}{METRICS_PATH}")
            lost = sum(map(int, LOST.findall(answer.text)))
            of_boot = logged.get(item["boot_id"], set())
            missing = len(of_boot - scene.stage.sinks.collector.requests)
            if missing > lost:
                wrong.append(
                    f"{missing} log lines of {address} did not arrive, and it counts {lost}"
                )
    return wrong


def _requests_of(scene: Scene, item: dict[str, Any]) -> set[str]:
    logs = (path for path in scene.stage.instance_logs if path.name == f"{item['name']}.log")
    return {number for log in logs for number in _requests(log, item["boot_id"])}


def _requests(log: Path, boot_id: str) -> set[str]:
    """Those of which this boot has written a line."""
    lines = (line for line in log.read_bytes().splitlines() if line.startswith(b"{"))
    found: set[str] = set()
    for line in lines:
        with suppress(orjson.JSONDecodeError):  # one that is being written
            told = orjson.loads(line)
            if told.get("logger") == REQUEST_LOGGER and told.get("boot") == boot_id:
                found.add(told["request_id"])
    return found
