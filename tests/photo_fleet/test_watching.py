"""The Prometheus, the Alertmanager and the Pushgateway beside a local fleet."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_fleet.balancer.discovery import targets
from photo_fleet.balancer.membership import Member, Registered
from photo_fleet.local_fleet import watching
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.local_fleet.watching import (
    _files,
    alertmanager_beside,
    gateway_beside,
    prometheus_beside,
)
from photo_fleet.spec.fleet import Balancer, Fleet, Metrics
from photo_fleet.spec.settings import settings


@pytest.mark.needs("prometheus")
@pytest.mark.needs("prometheus-pushgateway", "prometheus-alertmanager")
async def test_they_watch_the_instances_that_there_are_and_end_with_the_fleet(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    alive = [Registered(Member("a", "127.0.8.1:9", "127.0.8.1"), "ready", 0.0)]
    async with (
        gateway_beside(layout) as gateway,
        alertmanager_beside(Fleet(), layout) as alerting,
        prometheus_beside(
            Fleet(metrics=Metrics(interval=1, alertmanager=alerting.url)),
            layout,
            lambda: targets(alive),
            lambda: "photo_fleet_members 2\n",
            gateway.url,
        ) as watcher,
        httpx.AsyncClient(base_url=watcher.url) as client,
    ):
        async with asyncio.timeout(40):
            while not {"127.0.8.1:9", urlsplit(gateway.url).netloc} <= await _instances(client):
                await asyncio.sleep(0.1)
            while not await _asked(client, "query", query="photo_fleet_members"):
                await asyncio.sleep(0.1)
            while not await _alerts(alerting.url):
                await asyncio.sleep(0.1)
        assert await _alerts(alerting.url) == {"Watchdog"}, "it always fires, and arrives"
        assert httpx.get(f"{gateway.url}/-/ready").is_success
    for ended in (gateway, alerting, watcher):
        assert ended.told.endswith(f" answers at {ended.url}")
        with pytest.raises(httpx.TransportError):
            httpx.get(ended.url)


@pytest.mark.needs("prometheus")
async def test_a_prometheus_that_ends_is_told_of_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot begin, as on a full disk, and one that is killed."""
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.1)
    layout, said = Layout(tmp_path), list[str]()
    layout.prepare()
    data = layout.data / "prometheus/data"
    data.parent.mkdir()
    data.write_text("no folder")
    tell = lambda _, kind, text: said.append(f"{kind}: {text}")  # noqa: E731
    beside = prometheus_beside(Fleet(), layout, lambda: [], str, tell=tell)
    async with beside as watcher, httpx.AsyncClient() as client:
        await _until(lambda: said)
        assert said[0].startswith("watched: Prometheus ended with ")
        data.unlink()
        await _ready(client, watcher.url)
        killed, about = len(said), psutil.Process().children(recursive=True)
        [own] = [one for one in about if _serves(one, watcher)]
        own.kill()
        await _until(lambda: len(said) > killed)
        assert "ended with -9" in said[killed]
        await _ready(client, watcher.url)
    assert not [one for one in psutil.Process().children() if "prometheus" in one.name()]


def test_fleets_that_begin_at_one_moment_have_ports_of_their_own() -> None:
    """Also before their programs listen, and while one that was killed is started again."""
    with watching._held_port() as wanted, watching._held_port(wanted) as other:
        assert wanted != other
        for _ in range(2):
            with socket.create_server(("127.0.0.1", wanted)):
                socket.create_connection(("127.0.0.1", wanted)).close()


def _serves(process: psutil.Process, watcher: watching.Watcher) -> bool:
    with suppress(psutil.NoSuchProcess):
        return f"--web.listen-address={urlsplit(watcher.url).netloc}" in process.cmdline()
    return False


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(40):
        while not true():
            await asyncio.sleep(0.05)


async def _ready(client: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(40):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get(f"{url}/-/ready")).is_success:
                    return
            await asyncio.sleep(0.05)


def test_what_is_pushed_is_not_scraped_as_well() -> None:
    pushing = Fleet(metrics=Metrics(pushgateway="http://127.0.0.1:9"))
    place = "http://127.0.0.1:8", "http://127.0.0.1:9", "/f"
    text = _files(pushing, *place)["prometheus.yml"]
    assert (text.count("job_name"), text.count("http_sd_configs")) == (1, 0)
    scraped = _files(Fleet(), *place)["prometheus.yml"]
    assert (scraped.count("job_name"), scraped.count("http_sd_configs")) == (3, 1)
    assert (scraped.count("127.0.0.1:9'"), text.count("127.0.0.1:9'")) == (1, 1)


async def _instances(client: httpx.AsyncClient) -> set[str]:
    return {one["labels"]["instance"] for one in await _asked(client, "targets")}


async def _asked(client: httpx.AsyncClient, what: str, **parameters: str) -> list[dict[str, Any]]:
    """The list in Prometheus's answer; empty while it is starting."""
    try:
        answer = await client.get(f"/api/v1/{what}", params=parameters)
    except httpx.TransportError:
        return []
    found: dict[str, Any] = answer.json()["data"] if answer.is_success else {}
    return next((found[key] for key in ("activeTargets", "result") if key in found), [])


async def _alerts(alertmanager: str) -> set[str]:
    """The names of those that it has been sent."""
    async with httpx.AsyncClient(base_url=alertmanager) as client:
        try:
            answer = await client.get("/api/v2/alerts")
        except httpx.TransportError:
            return set()
    return {one["labels"]["alertname"] for one in answer.json()} if answer.is_success else set()


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
        alertmanager_beside(Fleet(), layout) as alerting,
        prometheus_beside(Fleet(), layout, lambda: None, str) as watcher,
    ):
        assert "apt-get install prometheus-alertmanager)" in alerting.told
        assert "apt-get install prometheus-pushgateway)" in gateway.told
        assert "apt-get install prometheus)" in watcher.told
        assert (gateway.url, alerting.url, watcher.url) == ("", "", "")
