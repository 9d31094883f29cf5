"""A real Prometheus beside the stage, with the rendered rules, whose windows are shortened."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from photo_base import postgres
from photo_base.processes import CannotStart
from photo_base.tasks import cancel
from photo_fleet.balancer import metrics
from photo_fleet.balancer.discovery import Targets
from photo_fleet.drill.alarms import SHORTENED
from photo_fleet.drill.records import Fired
from photo_fleet.drill.stage.demands import stage_spec
from photo_fleet.drill.stage.stage import Stage, rows_of
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.watching import prometheus_beside
from photo_fleet.render.alert import Windows
from photo_fleet.spec.fleet import Fleet, Objectives

LONGEST_CALM = 90.0
LINGER = 40.0
"""Seconds after a scenario for which an alert that should come is waited for."""

STEP = 0.5
LOOK = 1.0

FIRING = 'ALERTS{alertstate="firing",severity!="none"}'
ALIVE = "SELECT address, port FROM instances WHERE state IN ('starting', 'ready', 'draining')"


def spec_of(stage: Stage) -> Fleet:
    """The stage's, scraped every second. Its objectives of latency are what two cores hold that
    carry a whole fleet and its clients; its keys are of today."""
    fleet = stage_spec(stage.demands, stage.desired)
    wide = Objectives(read_within="5s", write_within="5s", oldest_key=0)
    local = replace(fleet.metrics, interval=1, pushgateway="")
    return replace(fleet, metrics=local, objectives=wide)


class Watch:
    """Asks the Prometheus at `url`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def calm(self) -> None:
        """Wait until all is known and no alert is on its way. Raises `CannotStart`."""
        alerts: list[dict[str, Any]] = []
        deadline = time.monotonic() + LONGEST_CALM
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError, KeyError):
                known = await self._ask("query", query="photo_api_fleet_counted_timestamp_seconds")
                alerts = await self._ask("query", query='ALERTS{severity!="none"}')
                if known and not alerts:
                    return
            await asyncio.sleep(LOOK)
        names = sorted({one["metric"]["alertname"] for one in alerts}) or "nothing is known"
        raise CannotStart(f"alerts before anything was done to the fleet: {names}")

    async def fired(self, began: float, expected: Collection[str]) -> tuple[Fired, ...]:
        """All that fired since `began`, in epoch seconds; what is expected is waited for."""
        deadline = time.time() + LINGER
        while True:
            found = await self._since(began)
            missing = set(expected) - {one.name for one in found}
            if not missing or time.time() > deadline:
                return found
            await asyncio.sleep(LOOK)

    async def _since(self, began: float) -> tuple[Fired, ...]:
        span = {"start": f"{began:.3f}", "end": f"{time.time():.3f}", "step": f"{STEP}"}
        series = await self._ask("query_range", query=FIRING, **span)
        return tuple(
            Fired(
                one["metric"]["alertname"],
                one["metric"]["severity"],
                round(float(one["values"][0][0]) - began, 1),
            )
            for one in series
        )

    async def _ask(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        answer = await self._http.get(f"/api/v1/{what}", params=parameters)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found


@asynccontextmanager
async def watching(stage: Stage, folder: Path) -> AsyncIterator[Watch]:
    """One that has seen nothing yet, with its files in `folder`: what another scenario did is in
    none of its windows. Raises `CannotStart`."""
    layout = Layout(folder)
    layout.prepare()
    targets: list[Targets | None] = [None]
    # A connection that is none of the service's, whatever the drill does to these.
    database = urlsplit(stage.database_url).path
    registry = urlsplit(stage.addresses.superuser_url)._replace(path=database).geturl()

    async def follow() -> None:
        """As a balancer does: while the registry cannot be read, those from before are told."""
        while True:
            with suppress(*postgres.FAILURES):
                rows = await rows_of(registry, ALIVE)
                targets[0] = [{"targets": [f"{row['address']}:{row['port']}"]} for row in rows]
            await asyncio.sleep(LOOK)

    def told() -> str:
        members, desired = len(stage.member_ids()), stage.desired
        return metrics.written({metrics.MEMBERS: members, metrics.DESIRED: desired})

    following = asyncio.create_task(follow())
    beside = prometheus_beside(
        spec_of(stage), layout, lambda: targets[0], told, windows=Windows(SHORTENED)
    )
    try:
        async with beside as watcher:
            if not watcher.url:
                raise CannotStart(watcher.told)
            async with httpx.AsyncClient(base_url=watcher.url, trust_env=False) as http:
                watch = Watch(http)
                await watch.calm()
                yield watch
    finally:
        await cancel(following)
