"""Static large objects of Swift, whose segments go with them, whatever lists show."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from photo_api.storage.base import ObjectChanged, ObjectMissing, StoreUnavailable
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import Asked
from photo_api.storage.swift_segments import Segments
from tests.openstack.account import make_containers, open_account
from tests.openstack.swift import Answer, Swift, ask
from tests.storage.test_contract import MIB, collect, content, stream

pytestmark = pytest.mark.needs("memcached")


@dataclass(frozen=True)
class Large:
    """A store that makes large objects of what is longer than 2 MiB, and its account as its
    operator sees it."""

    store: SwiftStore
    swift: Swift
    containers: Containers

    def ask(self, method: str, place: str, body: bytes = b"", **headers: str) -> Answer:
        token, account = self.swift.sign_in()
        return ask(method, f"{account}/{place}", body, X_Auth_Token=token, **headers)

    def segments(self) -> list[str]:
        place = f"{self.containers.segments}?prefix=segments/"
        return self.ask("GET", place).body.decode().split()


@pytest.fixture
async def large(swift: Swift) -> AsyncIterator[Large]:
    containers = await make_containers(swift)
    async with open_account(swift, containers, segment_size=2 * MIB, largest=100 * MIB) as (
        store,
        _,
    ):
        yield Large(store, swift, containers)


class ClientGone(Exception):
    pass


async def interrupted() -> AsyncIterator[bytes]:
    async for chunk in stream(9 * MIB):
        yield chunk
    raise ClientGone


async def test_a_large_object_is_whole_and_gone_with_its_segments(large: Large) -> None:
    await large.store.put("photos/x", stream(7 * MIB), content_type="image/png")
    assert len(large.segments()) == 4
    head = large.ask("HEAD", f"{large.containers.photos}/photos/x").headers
    assert head["x-static-large-object"] == "True"
    assert head["content-type"] == "image/png"
    assert head["etag"].startswith('"')
    info = await large.store.head("photos/x")
    assert info.size == 7 * MIB
    assert info.etag == head["etag"].strip('"')
    assert await large.store.get("photos/x") == content(7 * MIB)
    opened = await large.store.open("photos/x", MIB, 5 * MIB)
    assert await collect(opened.chunks) == content(7 * MIB)[MIB : 5 * MIB]
    assert [(one.key, one.size) async for one in large.store.list("photos/")] == [
        ("photos/x", 7 * MIB)
    ]
    await large.store.delete(["photos/x"])
    assert large.segments() == []


async def test_several_large_objects_go_together(large: Large) -> None:
    keys = ["photos/x", "photos/x/y", "photos/z"]
    for key in keys:
        await large.store.put(key, stream(6 * MIB), content_type="image/png")
    await large.store.delete(keys[:1])
    assert await large.store.get("photos/x/y") == content(6 * MIB)
    await large.store.delete(keys)
    assert large.segments() == []


async def test_what_is_written_over_a_large_object_leaves_none_of_its_segments(
    large: Large,
) -> None:
    for size in (7 * MIB, 6 * MIB):
        await large.store.put("photos/x", stream(size), content_type="image/png")
    assert len(large.segments()) == 3
    assert await large.store.get("photos/x") == content(6 * MIB)
    await large.store.put_bytes("photos/x", b"small", content_type="image/png")
    assert large.segments() == []
    assert await large.store.get("photos/x") == b"small"


async def test_a_copy_of_a_large_object_is_its_bytes(large: Large) -> None:
    await large.store.put("photos/x", stream(7 * MIB), content_type="image/png")
    await large.store.copy("photos/x", "photos/y", content_type="image/jpeg")
    await large.store.delete(["photos/x"])
    assert await large.store.get("photos/y") == content(7 * MIB)
    assert (
        "x-static-large-object"
        not in large.ask("HEAD", f"{large.containers.photos}/photos/y").headers
    )


async def test_a_large_upload_that_is_broken_off_leaves_no_segments(large: Large) -> None:
    with pytest.raises(ClientGone):
        await large.store.put("photos/x", interrupted(), content_type="image/png")
    assert large.segments() == []
    with pytest.raises(ObjectMissing):
        await large.store.head("photos/x")


async def test_segments_that_were_left_are_discarded_and_no_others(large: Large) -> None:
    await large.store.put("photos/x", stream(7 * MIB), content_type="image/png")
    whole = large.segments()
    digest = whole[0].split("/")[1]
    left = f"{large.containers.segments}/segments/{digest}/0123456789abcdef/00000000"
    assert large.ask("PUT", left, b"left").status == 201
    await large.store.discard_parts("photos/x")
    assert large.segments() == whole
    await large.store.discard_parts("photos/y")
    assert await large.store.get("photos/x") == content(7 * MIB)


async def test_without_large_objects_nothing_is_asked_about_segments(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    async with open_account(swift, containers) as (store, _):
        await store.put(prefix + "x", stream(7 * MIB), content_type="image/png")
        await store.delete([prefix + "x"])
        assert not store._had_segments


async def test_those_that_were_made_under_other_settings_leave_none(large: Large) -> None:
    await large.store.put("photos/x", stream(7 * MIB), content_type="image/png")
    async with open_account(large.swift, large.containers) as (store, _):
        await store.delete(["photos/x"])
    assert large.segments() == []


async def test_a_large_object_is_copied_only_as_it_was_looked_at(large: Large) -> None:
    """Its ETag is quoted, and no digest of its bytes."""
    await large.store.put("staging/x", stream(5 * MIB + 1), content_type="image/png")
    etag = (await large.store.peek("staging/x", 32))[0].etag
    await large.store.copy("staging/x", "photos/x", content_type="image/png", etag=etag)
    assert await large.store.get("photos/x") == content(5 * MIB + 1)
    await large.store.put("staging/x", stream(6 * MIB), content_type="image/png")
    with pytest.raises(ObjectChanged):
        await large.store.copy("staging/x", "photos/y", content_type="image/png", etag=etag)


async def test_a_manifest_without_an_answer_may_have_come_to_be(
    large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its segments stay, until somebody knows."""
    ask_store = large.store._requests.ask

    async def unheard(asked: Asked) -> object:
        answer = await ask_store(asked)
        if asked.query == "multipart-manifest=put":
            raise StoreUnavailable("no answer")
        return answer

    monkeypatch.setattr(large.store._requests, "ask", unheard)
    with pytest.raises(StoreUnavailable):
        await large.store.put("photos/x", stream(6 * MIB), content_type="image/png")
    assert await large.store.get("photos/x") == content(6 * MIB)
    await large.store.discard_parts("photos/x")
    assert await large.store.get("photos/x") == content(6 * MIB)
    await large.store.delete(["photos/x"])
    await large.store.discard_parts("photos/x")
    assert large.segments() == []


async def test_a_container_that_is_missing_says_nothing_of_segments(large: Large) -> None:
    await large.store.put("photos/x", stream(6 * MIB), content_type="image/png")
    wrong = Containers("no-such", "no-such-either", large.containers.segments)
    sizes = {"segment_size": 2 * MIB, "largest": 100 * MIB}
    async with open_account(large.swift, wrong, **sizes) as (store, _):
        with pytest.raises(StoreUnavailable, match="does not exist"):
            await store.discard_parts("photos/x")
    assert await large.store.get("photos/x") == content(6 * MIB)


async def test_segments_that_no_list_has_yet_go_as_well(
    large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that is busy hears later of what was put into it: hard to bring about."""

    async def nothing(*_: object) -> list[str]:
        return []

    monkeypatch.setattr(Segments, "_names", nothing)
    await large.store.put("photos/x", stream(6 * MIB), content_type="image/png")
    with pytest.raises(ClientGone):
        await large.store.put("photos/y", interrupted(), content_type="image/png")
    assert len(large.segments()) == 3
    await large.store.delete(["photos/x"])
    assert large.segments() == []
