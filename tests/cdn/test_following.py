"""All instances leave the CDN and come back to it, each within `FOLLOWED` seconds of the switch."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cdn.plain_edge import PlainEdge
from tests.metrics.scraping import scrape
from tests.own_stage import ask, endpoint_in, own_bucket, own_database
from tests.service import Service, User, eventually, running_service

FOLLOWED = 10.0
"""What docs/cdn.md promises."""

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


Start = Callable[..., Service]


@pytest.fixture
def start(settings: dict[str, str], edge: PlainEdge, tmp_path: Path) -> Iterator[Start]:
    """Start an instance of the fleet, with more settings (without prefix)."""
    edge.fails = None
    ask(settings, "DELETE FROM cdn_paths")
    with ExitStack() as running:

        def start(*arguments: str, **more: str) -> Service:
            changed = {f"PHOTO_API_{name}": value for name, value in (edge.settings | more).items()}
            folder = tmp_path / f"service-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return running.enter_context(running_service(settings | changed, folder, *arguments))

        yield start


def path_of(settings: dict[str, str]) -> str:
    rows = ask(settings, "SELECT path FROM cdn_paths")
    return str(rows[0][0]) if rows else "none"


def until_path(settings: dict[str, str], path: str) -> None:
    eventually(lambda: path_of(settings) == path, SWITCHED)


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def where(service: Service, user: User, photo: dict[str, Any]) -> tuple[str, str]:
    """The origins to which an instance sends for a photo: by its redirect, and in lists."""
    headers = {"Authorization": user.api.headers["Authorization"]}
    with httpx.Client(base_url=f"{service.url}/api", headers=headers) as api:
        image = api.get(photo["url"])
        listed = api.get("/photos/").json()[0]["thumbnail_url"]
    direct = origin(image.headers["Location"]) if image.status_code == 302 else "streamed"
    return direct, origin(listed) if "://" in listed else "streamed"


@pytest.mark.slow
def test_a_fleet_leaves_its_cdn_and_comes_back(
    settings: dict[str, str], edge: PlainEdge, start: Start
) -> None:
    first, second = start(), start("--no-jobs", "--workers", "2")
    store = endpoint_in(settings)
    with first.new_user() as user:
        photo = user.rendered(user.upload()["id"])
        for service in (first, second):
            assert where(service, user, photo) == (edge.url, edge.url)
            assert user.api.get(photo["url"], follow_redirects=True).status_code == 200
        until_path(settings, "cdn")
        edge.fails = 502
        until_path(settings, "fallback")
        for service in (first, second):
            eventually(lambda: where(service, user, photo) == (store, store), FOLLOWED)  # noqa: B023
            eventually(lambda: scrape(service.url).total("photo_api_cdn_fallback") == 1, FOLLOWED)  # noqa: B023
        assert user.api.get(photo["url"], follow_redirects=True).status_code == 200
        told = detailed(second)["delivery"]
        assert (told["path"], told["error"]) == ("fallback", "HTTP 502")
        third = start("--no-jobs")
        eventually(lambda: where(third, user, photo) == (store, store), FOLLOWED)
        edge.fails = None
        until_path(settings, "cdn")
        for service in (first, second, third):
            eventually(lambda: where(service, user, photo) == (edge.url, edge.url), FOLLOWED)  # noqa: B023
    assert detailed(second)["delivery"]["path"] == "cdn"
    events = ask(settings, "SELECT event, cause FROM instance_events WHERE event LIKE 'cdn%'")
    assert [tuple(row) for row in events] == [("cdn_failed", "HTTP 502"), ("cdn_back", None)]
    assert '"event":"cdn_failed"' in first.log
    assert '"event":"cdn_back"' in first.log


def detailed(service: Service) -> dict[str, Any]:
    headers = {"Authorization": "Bearer b7e151628aed2a6abf7158809cf4f3c7"}
    found: dict[str, Any] = httpx.get(f"{service.url}/health/detailed", headers=headers).json()
    return found
