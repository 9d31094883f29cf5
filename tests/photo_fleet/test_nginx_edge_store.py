"""The edge and its store: what it tells of errors and odd answers, keeps none of, and lets nobody
use beside it."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from photo_api.storage.bucket import Bucket
from photo_fleet.spec.edge import Edge
from tests.photo_fleet.edge_stage import EdgeStage, edge_stage, in_bucket, status_of
from tests.photo_fleet.nginx_stage import Backend, Received
from tests.storage.conftest import bucket

__all__ = ["bucket"]

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def stage(bucket: Bucket) -> Iterator[EdgeStage]:
    with edge_stage(in_bucket(bucket), Edge(on=True, min_free=0)) as made:
        yield made


@pytest.mark.parametrize(
    "asked",
    [{"If-Match": '"other"'}, {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}],
)
def test_who_wants_it_only_as_it_was_is_told_that_it_is_not(
    stage: EdgeStage, asked: dict[str, str]
) -> None:
    key, data = stage.object()
    for _ in range(2):
        told = stage.http.get(stage.url(key), headers=asked)
        assert status_of(told) == (412, "precondition_failed")
    assert stage.http.get(stage.url(key)).content == data


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_what_was_signed_for_the_edge_passes_by_it_alone(stage: EdgeStage, header: str) -> None:
    key, data = stage.object()
    signed = stage.place.query(stage.host, key)
    beside = f"{stage.front.url}{stage.place.inside}/{key}?{signed}"
    assert stage.http.get(stage.url(key, query=signed)).content == data
    assert stage.http.get(beside, headers={header: stage.host}).status_code in (403, 404)
    host = urlsplit(stage.front.url).netloc
    clients = f"{beside.partition('?')[0]}?{stage.place.query(host, key)}"
    assert stage.http.get(clients).content == data


@pytest.mark.parametrize(
    ("stores", "told"),
    [
        (403, (403, "link_invalid")),
        (401, (403, "link_invalid")),
        (404, (404, "not_found")),
        (429, (429, "too_many_requests")),
        *[
            (status, (503, "storage_unavailable"))
            for status in (301, 302, 304, 307, 402, 418, 451, 500, 502, 503, 504, 507, 511, 522)
        ],
    ],
)
def test_errors_of_the_store_are_told_and_not_kept(
    stage: EdgeStage, stores: int, told: tuple[int, str]
) -> None:
    key, data = stage.object()
    stage.relay.status = stores
    try:
        refused = stage.http.get(stage.url(key))
    finally:
        stage.relay.status = 0
    assert status_of(refused) == told
    assert ("Retry-After" in refused.headers) == (told[0] in (429, 503))
    assert stage.http.get(stage.url(key)).content == data


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nlogin",
        b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2999/3000\r\nConnection: close\r\n\r\ncut",
    ],
    ids=["a page", "without its length"],
)
def test_what_somebody_answers_in_place_of_the_store_is_not_kept(
    stage: EdgeStage, answer: bytes
) -> None:
    async def other(_: Backend, __: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    key, data = stage.object()
    stage.server.behaviour = other
    try:
        with suppress(httpx.HTTPError):
            assert httpx.get(stage.url(key), timeout=2).content != data
    finally:
        stage.server.behaviour = stage.relay
    assert stage.http.get(stage.url(key)).content == data


def test_what_the_store_does_not_have_is_asked_for_again(stage: EdgeStage) -> None:
    key = "photos/1/42/later.webp"
    assert status_of(stage.http.get(stage.url(key))) == (404, "not_found")
    stage.place.put(key, b"x", "image/webp")
    assert stage.http.get(stage.url(key)).content == b"x"


def test_a_signature_that_the_store_refuses_is_told_as_such(stage: EdgeStage) -> None:
    key, _ = stage.object()
    foreign = stage.place.query("elsewhere.example.org", key)
    assert status_of(stage.http.get(stage.url(key, query=foreign))) == (403, "link_invalid")
