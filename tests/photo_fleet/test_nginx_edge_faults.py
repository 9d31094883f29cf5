"""The edge before a store that answers with something else, or stands still."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from photo_api.storage.bucket import Bucket
from photo_fleet.spec.edge import Edge
from tests.photo_fleet.edge_stage import EdgeStage, edge_stage, in_bucket
from tests.photo_fleet.nginx_stage import Backend, Received, hang
from tests.storage.conftest import bucket

__all__ = ["bucket"]

pytestmark = pytest.mark.needs("nginx")

SLICE = 64 * 1024


@pytest.fixture(scope="module")
def stage(bucket: Bucket) -> Iterator[EdgeStage]:
    with edge_stage(in_bucket(bucket), Edge(on=True, min_free=0, slice=SLICE)) as made:
        yield made


def test_pieces_with_other_tags_are_one_image_all_the_same(stage: EdgeStage) -> None:
    """A store that was moved or restored has other ones for the same bytes."""
    key, data = stage.object(5 * SLICE)
    stage.http.get(stage.url(key), headers={"Range": "bytes=0-9"}).raise_for_status()
    stage.relay.more = {"etag": '"another-2"'}
    try:
        assert stage.http.get(stage.url(key)).content == data
    finally:
        stage.relay.more = {}


PAGES = {
    "a page": "200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "nothing": "204 No Content\r\n\r\n",
    "a way": "302 Found\r\nLocation: http://store.internal/?X-Amz-a=b\r\nContent-Length: 0\r\n\r\n",
    "no change": "304 Not Modified\r\n\r\n",
}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_no_part_of_an_object_is_an_error_and_not_kept(stage: EdgeStage, page: str) -> None:
    """Somebody answers in the store's place."""

    async def behaviour(_: Backend, __: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {PAGES[page]}".encode())
        await writer.drain()
        writer.close()

    key, data = stage.object()
    stage.server.behaviour = behaviour
    try:
        for _ in range(2):
            answer = stage.http.get(stage.url(key))
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "2"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Location" not in answer.headers
    finally:
        stage.server.behaviour = stage.relay
    assert stage.http.get(stage.url(key)).content == data


def test_a_store_that_stands_still_holds_up_nothing_that_is_kept(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket), Edge(on=True, min_free=0, fresh=1)) as stage:
        objects = [stage.object() for _ in range(3)]
        for key, data in objects:
            assert stage.http.get(stage.url(key)).content == data
        time.sleep(2.1)
        stage.server.behaviour = hang
        with httpx.Client(timeout=8) as browser:
            for key, data in objects:
                assert browser.get(stage.url(key)).content == data
