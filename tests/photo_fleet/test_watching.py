"""The Prometheus beside a local fleet."""

import asyncio
from pathlib import Path

import httpx
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_fleet.balancer.discovery import targets
from photo_fleet.balancer.membership import Member, Registered
from photo_fleet.local_fleet import watching
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.local_fleet.watching import prometheus_beside
from photo_fleet.spec.fleet import Balancer, Fleet, Metrics
from photo_fleet.spec.settings import settings


@pytest.mark.needs("prometheus")
async def test_it_watches_the_instances_that_there_are_and_ends_with_the_fleet(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    alive = [Registered(Member("a", "127.0.8.1:9", "127.0.8.1"), "ready", 0.0)]
    fleet = Fleet(metrics=Metrics(interval=1, pushgateway="http://127.0.0.1:9"))
    async with (
        prometheus_beside(fleet, layout, lambda: targets(alive)) as told,
        httpx.AsyncClient(base_url=told.rpartition(" ")[2]) as client,
    ):
        async with asyncio.timeout(30):
            while await _instances(client) != {"127.0.8.1:9"}:
                await asyncio.sleep(0.1)
    with pytest.raises(httpx.TransportError):
        httpx.get(told.rpartition(" ")[2])


async def _instances(client: httpx.AsyncClient) -> set[str]:
    try:
        answer = await client.get("/api/v1/targets")
    except httpx.TransportError:  # it is starting
        return set()
    if not answer.is_success:
        return set()
    return {one["labels"]["instance"] for one in answer.json()["data"]["activeTargets"]}


def test_a_local_fleet_pushes_nowhere() -> None:
    """The gateway of the spec is that of the fleet for which it was written."""
    away = Metrics(discovery="http://10.0.0.5:9099", pushgateway="http://10.0.0.9:9091")
    spec = Fleet(metrics=away, balancer=Balancer(kind="cloud"))
    addresses = EmbeddedAddresses(
        *("", "", "http://127.0.0.1:1", "http://127.0.0.1:1", "photos", "r", "a", "s"), pids={}
    )
    names = settings(local_spec(spec, addresses, "http://127.0.0.1:2"))
    assert not {name for name in names if "PUSH" in name or "METRICS" in name}


async def test_a_fleet_goes_on_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "find_program", lambda _: None)
    async with prometheus_beside(Fleet(), Layout(tmp_path), lambda: None) as told:
        assert "apt-get install prometheus" in told
