"""What nginx lets through of one client: a person is slowed at most, a flood is refused, and no
class of requests uses up another's."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial

import httpx
import pytest

from photo_api.settings.serving import HttpSettings
from photo_fleet.render.nginx_server import REQUESTS_OF_CLIENT
from photo_fleet.spec.fleet import RateLimit, RateLimits, Service
from tests.photo_fleet.nginx_stage import (
    Backend,
    Behaviour,
    Front,
    Received,
    answer,
    backends,
    hang,
    running_front,
    spec,
)

pytestmark = pytest.mark.needs("nginx")

FRONT_END = "https://www.example.org"
ORIGIN = {"Origin": FRONT_END}

CONNECTIONS = 6
"""Of a browser, over HTTP/1.1."""

OF_EACH_CLASS = {
    "read": "GET /api/albums/",
    "edit": "DELETE /api/photos/7",
    "image": "GET /api/photos/7/image",
    "upload": "POST /api/photos/confirm",
    "share": "GET /api/share/a-token",
}


async def hang_on_images(backend: Backend, request: Received, writer: asyncio.StreamWriter) -> None:
    await (hang if "image" in request.target else answer)(backend, request, writer)


@contextmanager
def front_with(limits: RateLimits, behaviour: Behaviour = answer) -> Iterator[Front]:
    fleet = replace(spec(rate_limits=limits), service=Service(cors_origins=(FRONT_END,)))
    with backends() as servers, running_front(fleet, servers.start(behaviour)) as front:
        yield front


def by_a_person(front: Front, request: str, number: int, connections: int) -> list[httpx.Response]:
    """So many requests, as fast as so many connections go."""
    limits = httpx.Limits(max_connections=connections)
    with (
        httpx.Client(base_url=front.url, limits=limits, timeout=30) as client,
        ThreadPoolExecutor(connections) as pool,
    ):
        method, path = request.split()
        ask = partial(client.request, method, path, headers=ORIGIN)
        return list(pool.map(lambda _: ask(), range(number)))


def test_a_browser_is_slowed_and_never_refused_and_a_flood_is() -> None:
    limits = RateLimits(*[RateLimit(20, 5, CONNECTIONS)] * 6)
    with front_with(limits) as front, ThreadPoolExecutor(len(OF_EACH_CLASS)) as people:
        ask = partial(by_a_person, front, number=20, connections=CONNECTIONS)
        for answers in people.map(ask, OF_EACH_CLASS.values()):
            assert [one.status_code for one in answers] == [200] * 20
        for request in OF_EACH_CLASS.values():
            flood = by_a_person(front, request, 60, 40)
            refused = [one for one in flood if one.status_code == 429]
            assert refused, request
            for one in refused:
                assert one.headers["Retry-After"] == "1"
                assert one.headers["Access-Control-Allow-Origin"] == FRONT_END
                assert one.json()["code"] == "too_many_requests"


def test_a_flood_of_one_class_leaves_an_instance_room_for_the_others() -> None:
    """Here no instance answers any image: so many are held, of each class by itself."""
    [of_a_worker] = (one for one in fields(HttpSettings) if one.name == "max_in_flight_per_address")
    assert int(of_a_worker.metadata["variable"].default) > REQUESTS_OF_CLIENT
    anything = RateLimit(10_000, 10_000)
    with front_with(RateLimits(*[anything] * 6), hang_on_images) as front:
        asyncio.run(_flood_and_look(front))


async def _flood_and_look(front: Front) -> None:
    host, port = front.url.removeprefix("http://").split(":")
    head = f"GET /api/photos/7/image HTTP/1.1\r\nHost: a\r\nOrigin: {FRONT_END}\r\n\r\n".encode()
    async with AsyncExitStack() as held:
        answered: list[asyncio.StreamReader] = []
        for _ in range(REQUESTS_OF_CLIENT + 20):
            reader, writer = await asyncio.open_connection(host, int(port))
            held.callback(writer.close)
            writer.write(head)
            answered.append(reader)
        firsts = [asyncio.ensure_future(one.readline()) for one in answered]
        while sum(one.done() for one in firsts) < 20:
            await asyncio.sleep(0.05)
        refused = b"HTTP/1.1 429 Too Many Requests\r\n"
        assert {one.result() for one in firsts if one.done()} == {refused}
        others = {name: request for name, request in OF_EACH_CLASS.items() if name != "image"}
        async with httpx.AsyncClient(base_url=front.url) as client:
            for name, request in others.items():
                assert (await client.request(*request.split())).status_code == 200, name
        assert sum(one.done() for one in firsts) == 20
        for one in firsts:
            one.cancel()
