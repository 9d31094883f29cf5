"""All instances leave the CDN and come back to it, each within `FOLLOWED` seconds of the switch."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_api.contract import HEARTBEAT
from tests.cdn.plain_edge import PlainEdge
from tests.metrics.scraping import scrape
from tests.own_stage import ask, endpoint_in, execute, own_bucket, own_database
from tests.service import Service, User, eventually, running_service

FOLLOWED = 10.0
"""What docs/cdn.md promises."""

HOLDER = """SELECT port FROM leases JOIN instances ON boot_id::text = holder
WHERE name = 'maintenance'"""

SWITCHED = 30.0
"""Three looks half a second apart, after the lease was got and the schema found; on a busy
machine."""


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, own_bucket(stack, environ)) as settings:
        yield settings


@pytest.fixture(scope="module")
def edge(settings: dict[str, str]) -> Iterator[PlainEdge]:
    with in_a_thread(PlainEdge(settings)) as edge:
        yield edge


@contextmanager
def in_a_thread(edge: PlainEdge) -> Iterator[PlainEdge]:
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever, daemon=True)
    running.start()
    asyncio.run_coroutine_threadsafe(edge.start(), loop).result(10)
    try:
        yield edge
    finally:
        asyncio.run_coroutine_threadsafe(edge.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        running.join(10)


@dataclass
class Fleet:
    """Two instances, of which the second streams where the first gives out the store's URLs; and
    somebody with a photo."""

    settings: dict[str, str]
    edge: PlainEdge
    store: str
    first: Service
    second: Service
    user: User
    photo: dict[str, Any]

    @property
    def both(self) -> tuple[Service, Service]:
        return self.first, self.second

    def path(self) -> str:
        rows = ask(self.settings, "SELECT path FROM cdn_paths")
        return str(rows[0][0]) if rows else "none"

    def until(self, path: str) -> None:
        eventually(lambda: self.path() == path, SWITCHED)

    def ways(self, service: Service) -> tuple[str, str]:
        """Where an instance sends for the photo: by its redirect, and in lists and tiles."""
        headers = {"Authorization": self.user.api.headers["Authorization"]}
        with httpx.Client(base_url=f"{service.url}/api", headers=headers) as api:
            image = api.get(self.photo["url"])
            listed = api.get("/photos/").json()[0]["thumbnail_url"]
            (tile,) = api.post("/photos/tiles", json={"photo_ids": [self.photo["id"]]}).json()[
                "tiles"
            ]
        direct = image.headers["Location"] if image.status_code == 302 else f"{image.status_code}"
        shown = {place(listed), place(tile["thumbnail_url"])}
        return place(direct), " and ".join(shown)

    def follow(self, service: Service, way: str) -> None:
        eventually(lambda: self.ways(service) == (way, way), FOLLOWED)

    def events(self) -> list[tuple[str, str | None]]:
        query = "SELECT event, cause FROM instance_events WHERE event LIKE 'cdn%' ORDER BY id"
        return [tuple(row) for row in ask(self.settings, query)]


def place(address: str) -> str:
    parts = urlsplit(address)
    if parts.netloc:
        return f"{parts.scheme}://{parts.netloc}"
    return "streamed" if address == "200" or address.startswith("/photos/") else address


@pytest.fixture(scope="module")
def instances(
    settings: dict[str, str], edge: PlainEdge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    of_edge = {f"PHOTO_API_{name}": value for name, value in edge.settings.items()}
    common = settings | of_edge | {"PHOTO_API_SWEEP_INTERVAL": "1"}
    streams = common | {"PHOTO_API_CDN_FALLBACK": "stream"}
    folders = [tmp_path_factory.mktemp("instance") for _ in range(2)]
    with (
        running_service(common, folders[0]) as first,
        running_service(streams, folders[1], "--workers", "2") as second,
        first.new_user() as user,
    ):
        photo = user.rendered(user.upload()["id"])
        yield Fleet(settings, edge, endpoint_in(settings), first, second, user, photo)


@pytest.fixture
def fleet(instances: Fleet) -> Iterator[Fleet]:
    """On its CDN, as if that had never failed."""
    yield instances
    instances.edge.fails = None
    for statement in ("DELETE FROM cdn_paths", "DELETE FROM instance_events"):
        ask(instances.settings, statement)


@pytest.mark.slow
def test_a_fleet_leaves_its_cdn_and_comes_back(fleet: Fleet, tmp_path: Path) -> None:
    for service in fleet.both:
        assert fleet.ways(service) == (fleet.edge.url, fleet.edge.url)
    image = fleet.user.api.get(fleet.photo["url"], follow_redirects=True)
    assert (image.status_code, fleet.edge.statuses[200] > 0) == (200, True)
    fleet.until("cdn")
    fleet.edge.fails = 502
    fleet.until("fallback")
    fleet.follow(fleet.first, fleet.store)
    fleet.follow(fleet.second, "streamed")
    image = fleet.user.api.get(fleet.photo["url"], follow_redirects=True)
    assert image.status_code == 200
    for service in fleet.both:
        told = detailed(service)["delivery"]
        assert (told["path"], told["error"]) == ("fallback", "HTTP 502")
        assert scrape(service.url).total("photo_api_cdn_fallback") == 1
    with running_service(fleet.first.environ, tmp_path, "--no-jobs") as third:
        fleet.follow(third, fleet.store)
    fleet.edge.fails = None
    fleet.until("cdn")
    for service in fleet.both:
        fleet.follow(service, fleet.edge.url)
        assert detailed(service)["delivery"]["path"] == "cdn"
    assert fleet.events() == [("cdn_failed", "HTTP 502"), ("cdn_back", None)]
    logs = fleet.first.log + fleet.second.log
    assert logs.count('"event":"cdn_failed"') == logs.count('"event":"cdn_back"') == 1
    urls = "photo_api_read_urls_total"
    counted = scrape(fleet.first.url)
    assert min(counted.total(urls, way=way) for way in ("cdn", "store")) > 0
    streamed = scrape(fleet.second.url).total("photo_api_streamed_images_total", result="begun")
    assert streamed > 0


@pytest.mark.slow
def test_who_was_stopped_while_it_looked_changes_nothing_when_it_comes_back(fleet: Fleet) -> None:
    fleet.until("cdn")
    [[port]] = ask(fleet.settings, HOLDER)
    [holder] = [one for one in fleet.both if one.url.endswith(f":{port}")]
    [jobs] = holder.children("photo_api.job_worker")
    fleet.edge.fails = 502
    in_a_row = "SELECT in_a_row FROM cdn_paths"
    eventually(lambda: ask(fleet.settings, in_a_row)[0][0] > 0, SWITCHED)
    jobs.suspend()
    try:
        fleet.until("fallback")
        fleet.edge.fails = None
        fleet.until("cdn")
    finally:
        jobs.resume()
    results = "SELECT results FROM cdn_paths"
    before = ask(fleet.settings, results)[0][0]
    eventually(lambda: ask(fleet.settings, results)[0][0] > before + 6, SWITCHED)
    assert fleet.events() == [("cdn_failed", "HTTP 502"), ("cdn_back", None)]


@pytest.mark.slow
def test_without_its_database_an_instance_keeps_what_it_knows(
    fleet: Fleet, stack: dict[str, Any]
) -> None:
    fleet.until("cdn")
    fleet.edge.fails = 503
    fleet.until("fallback")
    fleet.follow(fleet.first, fleet.store)
    name = urlsplit(fleet.settings["PHOTO_API_DATABASE_URL"]).path[1:]
    admit = f"ALTER DATABASE {name} ALLOW_CONNECTIONS {{}}"
    asyncio.run(execute(stack["superuser_url"], admit.format("false")))
    try:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
        asyncio.run(execute(stack["superuser_url"], end.format(name)))
        eventually(lambda: not fleet.first.is_healthy())
        fleet.edge.fails = None
        sleep(1.5 * HEARTBEAT)
        told = detailed(fleet.first)["delivery"]
        assert (told["way"], told["path"]) == ("store", "fallback")
    finally:
        asyncio.run(execute(stack["superuser_url"], admit.format("true")))
    fleet.until("cdn")
    fleet.follow(fleet.first, fleet.edge.url)


def detailed(service: Service) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {service.environ['PHOTO_API_OPS_TOKEN']}"}
    found: dict[str, Any] = httpx.get(f"{service.url}/health/detailed", headers=headers).json()
    return found
