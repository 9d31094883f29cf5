"""The Prometheus and the Pushgateway beside a local fleet."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_fleet.balancer.discovery import targets
from photo_fleet.balancer.membership import Member, Registered
from photo_fleet.local_fleet import watching
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.local_fleet.watching import _config, gateway_beside, prometheus_beside
from photo_fleet.spec.fleet import Balancer, Fleet, Metrics
from photo_fleet.spec.settings import settings


@pytest.mark.needs("prometheus")
@pytest.mark.needs("prometheus-pushgateway")
async def test_they_watch_the_instances_that_there_are_and_end_with_the_fleet(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    alive = [Registered(Member("a", "127.0.8.1:9", "127.0.8.1"), "ready", 0.0)]
    fleet = Fleet(metrics=Metrics(interval=1))
    async with (
        gateway_beside(layout) as gateway,
        prometheus_beside(fleet, layout, lambda: targets(alive), gateway.url) as watcher,
        httpx.AsyncClient(base_url=watcher.url) as client,
    ):
        async with asyncio.timeout(30):
            while await _instances(client) != {"127.0.8.1:9", urlsplit(gateway.url).netloc}:
                await asyncio.sleep(0.1)
        assert httpx.get(f"{gateway.url}/-/ready").is_success
    for ended in (gateway, watcher):
        assert ended.told.endswith(f" answers at {ended.url}")
        with pytest.raises(httpx.TransportError):
            httpx.get(ended.url)


def test_what_is_pushed_is_not_scraped_as_well() -> None:
    pushing = Fleet(metrics=Metrics(pushgateway="http://127.0.0.1:9"))
    text = _config(pushing, "http://127.0.0.1:8", "http://127.0.0.1:9", "/f")
    assert (text.count("job_name"), text.count("http_sd_configs")) == (1, 0)
    scraped = _config(Fleet(), "http://127.0.0.1:8", "http://127.0.0.1:9", "/f")
    assert (scraped.count("job_name"), scraped.count("http_sd_configs")) == (2, 1)
    assert (scraped.count("127.0.0.1:9"), text.count("127.0.0.1:9")) == (1, 1)


async def _instances(client: httpx.AsyncClient) -> set[str]:
    try:
        answer = await client.get("/api/v1/targets")
    except httpx.TransportError:  # it is starting
        return set()
    if not answer.is_success:
        return set()
    return {one["labels"]["instance"] for one in answer.json()["data"]["activeTargets"]}


def test_a_local_fleet_pushes_to_its_own_gateway_or_nowhere() -> None:
    """The gateway of the spec is that of the fleet for which it was written."""
    away = Metrics(discovery="http://10.0.0.5:9099", pushgateway="http://10.0.0.9:9091")
    spec = Fleet(metrics=away, balancer=Balancer(kind="cloud"))
    addresses = EmbeddedAddresses(
        *("", "", "http://127.0.0.1:1", "http://127.0.0.1:1", "photos", "r", "a", "s"), pids={}
    )
    names = settings(local_spec(spec, addresses, "http://127.0.0.1:2"))
    assert not {name for name in names if "PUSH" in name or "METRICS" in name}
    own = "http://127.0.0.1:9091"
    pushing = settings(local_spec(spec, addresses, "http://127.0.0.1:2", own))
    assert pushing["PHOTO_API_PUSHGATEWAY"] == own
    scraped = settings(local_spec(Fleet(), addresses, "http://127.0.0.1:2", own))
    assert "PHOTO_API_PUSHGATEWAY" not in scraped


async def test_a_fleet_goes_on_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "find_program", lambda _: None)
    layout = Layout(tmp_path)
    async with (
        gateway_beside(layout) as gateway,
        prometheus_beside(Fleet(), layout, lambda: None) as watcher,
    ):
        assert "apt-get install prometheus-pushgateway)" in gateway.told
        assert "apt-get install prometheus)" in watcher.told
        assert (gateway.url, watcher.url) == ("", "")
