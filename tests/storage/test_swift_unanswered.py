"""Swift carries out what it is asked, and its answer is late, cut or lost: what comes of that is
unknown to the store, so nothing is taken for done, undone or whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from photo_api.storage.base import ObjectMissing, StoreUnavailable
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Token, Tokens
from tests.openstack.account import account_of, make_containers, open_store
from tests.openstack.keystone_v2 import KeystoneV2, serving
from tests.openstack.swift import Swift, ask
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.storage.test_contract import MIB, collect, content, stream

pytestmark = pytest.mark.needs("memcached")


@dataclass(frozen=True)
class Way:
    """`store` reaches Swift through the relay, `sound` without it. Above 2 MiB both make large
    objects."""

    store: SwiftStore
    sound: SwiftStore
    relay: FaultyStore
    swift: Swift
    containers: Containers

    def segments(self) -> list[str]:
        token, account = self.swift.sign_in()
        url = f"{account}/{self.containers.segments}?prefix=segments/"
        return ask("GET", url, X_Auth_Token=token).body.decode().split()

    async def unknown(self, call: Awaitable[object], only: str) -> None:
        """It is carried out, and half of the answer comes."""
        self.relay.resets(only=only)
        with pytest.raises(StoreUnavailable):
            await call
        self.relay.passes()


@pytest.fixture
async def way(swift: Swift) -> AsyncIterator[Way]:
    containers, (_, url) = await make_containers(swift), swift.sign_in()
    sizes = {"segment_size": 2 * MIB, "largest": 100 * MIB}
    with faulty_store(swift.url) as relay:
        there = relay.endpoint + urlsplit(url).path
        async with (
            serving(KeystoneV2(swift.sign_in)) as keystone,
            open_store(account_of(keystone), there, containers, **sizes) as store,
            open_store(account_of(keystone), url, containers, **sizes) as sound,
        ):
            yield Way(store, sound, relay, swift, containers)


async def test_a_put_without_an_answer_may_be_repeated(way: Way) -> None:
    def put() -> Awaitable[None]:
        return way.store.put_bytes("x", b"data", content_type="image/png")

    await way.unknown(put(), "PUT ")
    assert await way.sound.get("x") == b"data"
    await put()
    assert await way.sound.get("x") == b"data"


async def test_a_copy_without_an_answer_may_be_repeated(way: Way) -> None:
    await way.sound.put_bytes("x", b"data", content_type="image/png")
    etag = (await way.sound.head("x")).etag

    def copy() -> Awaitable[None]:
        return way.store.copy("x", "y", content_type="image/jpeg", etag=etag)

    await way.unknown(copy(), "COPY ")
    assert await way.sound.get("y") == b"data"
    await copy()
    assert await way.sound.get("y") == b"data"


@pytest.mark.parametrize("count", [1, 3])
async def test_a_deletion_without_an_answer_may_be_repeated(way: Way, count: int) -> None:
    keys = [f"x{number}" for number in range(count)]
    for key in keys:
        await way.sound.put(key, stream(6 * MIB), content_type="image/png")
    await way.unknown(way.store.delete(keys), "DELETE " if count == 1 else "POST ")
    for key in keys:
        with pytest.raises(ObjectMissing):
            await way.sound.head(key)
    await way.store.delete(keys)
    assert way.segments() == []


async def test_a_large_object_whose_manifest_had_no_answer_stays_whole(way: Way) -> None:
    """Without its segments it would be there and yet nobody could read it."""
    put = way.store.put("x", stream(7 * MIB), content_type="image/png")
    await way.unknown(put, "multipart-manifest=put")
    assert await way.sound.get("x") == content(7 * MIB)
    await way.sound.discard_parts("x")
    assert await way.sound.get("x") == content(7 * MIB)
    await way.sound.delete(["x"])
    assert way.segments() == []


async def test_a_large_object_whose_manifest_did_not_come_is_swept_with_its_segments(
    way: Way,
) -> None:
    way.relay.answers(503, only="multipart-manifest=put")
    with pytest.raises(StoreUnavailable):
        await way.store.put("x", stream(7 * MIB), content_type="image/png")
    way.relay.passes()
    assert len(way.segments()) == 4, "it may have come, for all that is known"
    await way.sound.delete(["x"])
    assert way.segments() == []


async def test_half_of_an_answer_is_none(way: Way) -> None:
    await way.sound.put_bytes("photos/x", content(MIB), content_type="image/png")

    async def listed() -> object:
        return [info async for info in way.store.list("photos/")]

    async def streamed() -> bytes:
        return await collect((await way.store.open("photos/x")).chunks)

    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: way.store.get("photos/x"),
        lambda: way.store.peek("photos/x", MIB),
        lambda: way.store.head("photos/x"),
        streamed,
        listed,
    ]
    for read in reads:
        await way.unknown(read(), "")
        assert await read()


async def test_a_page_of_somebody_between_is_no_object(way: Way) -> None:
    """A balancer that is being worked on may say 200, and mean no photo."""
    way.relay.answers(200)
    for read in (way.store.get("x"), way.store.peek("x", 9), way.store.open("x")):
        with pytest.raises(StoreUnavailable):
            await read
    with pytest.raises(StoreUnavailable):
        await way.store.put_bytes("x", b"data", content_type="image/png")
    with pytest.raises(StoreUnavailable):
        await way.store.copy("x", "y", content_type="image/png")
    with pytest.raises(StoreUnavailable):
        await way.store.delete(["x", "y"])

    async def fetch() -> Token:
        raise AssertionError("it is for anybody")

    requests = SwiftRequests(f"{way.relay.endpoint}/v1/AUTH_test", Tokens(fetch))
    with pytest.raises(StoreUnavailable):
        await requests.info()
    await requests.aclose()


async def test_a_late_answer_is_waited_for(way: Way) -> None:
    way.relay.late(1.0)
    await way.store.put_bytes("x", b"data", content_type="image/png")
    await way.store.copy("x", "y", content_type="image/png")
    assert await way.store.get("y") == b"data"


async def test_an_answer_that_never_comes_is_not_waited_for(way: Way) -> None:
    await way.sound.put_bytes("x", b"data", content_type="image/png")
    way.relay.silent()
    asked = way.store.head("x"), way.store.get("x"), way.store.ping()
    for error in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(error, StoreUnavailable)
        assert "ReadTimeout" in str(error)
