"""What is particular to Swift: large objects and their segments, answers that tell in their bodies,
listings, limits of rate, failing stores."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from photo_api.storage import swift as swift_store
from photo_api.storage.base import (
    ObjectMissing,
    StoreRefused,
    StoreUnavailable,
)
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Token, Tokens
from tests.openstack.account import make_containers, open_account
from tests.openstack.swift import Answer, Swift, ask
from tests.storage.test_contract import MIB, collect, content, stream
from tests.storage.test_s3 import calls

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
        return self.ask("GET", self.containers.segments).body.decode().split()


@pytest.fixture
async def large(swift: Swift) -> AsyncIterator[Large]:
    containers = await make_containers(swift)
    async with open_account(swift, containers, segment_size=2 * MIB, largest=100 * MIB) as (
        store,
        _,
    ):
        yield Large(store, swift, containers)


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
    class ClientGone(Exception):
        pass

    async def interrupted() -> AsyncIterator[bytes]:
        async for chunk in stream(9 * MIB):
            yield chunk
        raise ClientGone

    with pytest.raises(ClientGone):
        await large.store.put("photos/x", interrupted(), content_type="image/png")
    assert large.segments() == []
    with pytest.raises(ObjectMissing):
        await large.store.head("photos/x")


async def test_segments_that_were_left_are_discarded_and_no_others(large: Large) -> None:
    await large.store.put("photos/x", stream(7 * MIB), content_type="image/png")
    whole = large.segments()
    digest = whole[0].split("/")[0]
    left = f"{large.containers.segments}/{digest}/0123456789abcdef/00000000"
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
    token, account = swift.sign_in()
    found = ask("HEAD", f"{account}/{containers.segments}", X_Auth_Token=token)
    assert found.status == 404


async def test_those_that_were_made_under_other_settings_leave_none(large: Large) -> None:
    await large.store.put("photos/x", stream(7 * MIB), content_type="image/png")
    async with open_account(large.swift, large.containers) as (store, _):
        await store.delete(["photos/x"])
    assert large.segments() == []


async def test_etags_are_bare_however_the_container_wants_them(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    token, account = swift.sign_in()
    place = f"{account}/{containers.photos}"
    async with open_account(swift, containers) as (store, _):
        await store.put_bytes(prefix + "x", b"data", content_type="image/png")
        for wanted in ("true", "false"):
            headers = {"X_Auth_Token": token, "X_Container_Rfc_Compliant_Etags": wanted}
            ask("POST", place, b"", **headers)
            etag = (await store.head(prefix + "x")).etag
            assert etag == "8d777f385d3dfec8815d20f7496026dc"
            await store.copy(prefix + "x", prefix + "y", content_type="image/png", etag=etag)


async def test_what_is_staged_is_in_a_container_of_its_own(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    async with open_account(swift, containers) as (store, _):
        key = f"staging/{prefix}x"
        await store.put_bytes(key, b"data", content_type="image/png")
        await store.copy(key, prefix + "x", content_type="image/png")
        token, account = swift.sign_in()
        for container, expected in ((containers.staging, 200), (containers.photos, 404)):
            found = ask("HEAD", f"{account}/{container}/{key}", X_Auth_Token=token)
            assert found.status == expected
        assert [info.key async for info in store.list("staging/")] == [key]
        both = {info.key async for info in store.list("")}
        assert {key, prefix + "x"} <= both
        await store.delete([key, prefix + "x"])
        assert [info async for info in store.list("staging/")] == []


async def test_a_missing_container_is_no_missing_object(swift: Swift) -> None:
    async with open_account(swift, Containers("no-such", "no-such-2", "none")) as (store, _):
        for call in (store.get, store.head):
            with pytest.raises(StoreUnavailable, match="does not exist"):
                await call("x")
        with pytest.raises(StoreUnavailable):
            await store.put_bytes("x", b"", content_type="image/png")
        for keys in (["x"], ["x", "y"]):
            with pytest.raises(StoreUnavailable, match="does not exist"):
                await store.delete(keys)
        with pytest.raises(StoreUnavailable):
            await store.ping()
        with pytest.raises(StoreUnavailable):
            assert [info async for info in store.list("")]


async def test_a_list_of_several_pages(
    swift: Swift, containers: Containers, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swift_store, "PAGE", 3)
    async with open_account(swift, containers) as (store, _):
        keys = [f"{prefix}{number:02} é+%" for number in range(10)]
        for key in keys:
            await store.put_bytes(key, b"x", content_type="image/png")
        assert [info.key async for info in store.list(prefix)] == keys
        await store.delete(keys)
        assert [info async for info in store.list(prefix)] == []


async def test_a_forgotten_stream_ends_its_connection(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    async with open_account(swift, containers) as (store, _):
        await store.put(prefix + "x", stream(6 * MIB), content_type="image/png")
        for read in (0, 1):
            opened = await store.open(prefix + "x")
            for _ in range(read):
                await anext(opened.chunks)
            del opened
        async with asyncio.timeout(5):
            while any(not one.is_idle() for one in store._requests._pool.connections):
                await asyncio.sleep(0.01)


@dataclass
class Scripted:
    """A server that gives each request the next of these answers, and the last to all others."""

    answers: list[bytes]
    asked: list[bytes] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def store(self) -> AsyncIterator[SwiftStore]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            writer.close()

        async def fetch() -> Token:
            return Token("token", 3600)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/AUTH_x"
        containers = Containers("photos", "staging", "segments")
        store = SwiftStore(SwiftRequests(url, Tokens(fetch)), containers)
        store._looked_again = time.monotonic() + 600  # no large objects
        try:
            yield store
        finally:
            await store.aclose()
            server.close()


def answer(status: int, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} It\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}"
    return head.encode() + b"\r\n" + body


def told(status: str, *errors: tuple[str, str]) -> bytes:
    return answer(200, json.dumps({"Response Status": status, "Errors": errors}).encode())


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (told("200 OK"), None),
        (told("404 Not Found", ("/photos/x", "404 Not Found")), None),
        (told("400 Bad Request", ("/photos/x", "404 Not Found")), None),
        (told("400 Bad Request", ("/photos/x", "500 Internal Error")), StoreUnavailable),
        (told("400 Bad Request", ("/photos/x", "401 Unauthorized")), StoreRefused),
        (told("502 Bad Gateway"), StoreUnavailable),
        (answer(200, b"{"), StoreUnavailable),
        (answer(200, b"[]"), StoreUnavailable),
        (answer(200, b"{}"), StoreUnavailable),
    ],
)
async def test_a_bulk_deletion_is_judged_by_its_body(
    said: bytes, kind: type[Exception] | None
) -> None:
    async with Scripted([said]).store() as store:
        if kind is None:
            await store.delete(["x", "y"])
        else:
            with pytest.raises(kind):
                await store.delete(["x", "y"])


async def test_where_there_is_no_bulk_deletion_each_is_deleted() -> None:
    server = Scripted([answer(405), answer(204)])
    async with server.store() as store:
        await store.delete(["x", "y"])
    assert [asked.split()[0] for asked in server.asked] == [b"POST", b"DELETE", b"DELETE"]


@pytest.mark.parametrize("status", [429, 498, 503])
async def test_a_limit_of_rate_is_waited_for(status: int) -> None:
    seconds = 1 if status == 429 else 0
    wanted = f"Retry-After: {seconds}\r\n"
    server = Scripted([answer(status), answer(status, headers=wanted), answer(201)])
    async with server.store() as store:
        began = time.monotonic()
        await store.put_bytes("x", b"data", content_type="image/png")
        assert time.monotonic() - began > seconds
    assert len(server.asked) == 3


async def test_a_store_that_stays_busy_is_not_asked_a_multiple_of_what_it_was() -> None:
    server = Scripted([answer(503, headers="Retry-After: 3600\r\n")])
    async with server.store() as store:
        store._requests._budget._saved = 2.0
        for _ in range(20):
            with pytest.raises(StoreUnavailable, match="503"):
                await store.head("x")
    assert len(server.asked) <= 20 + 2 + 2


def page(*names: str) -> bytes:
    entries = [
        {"name": name, "bytes": 1, "hash": "h", "last_modified": "2026-11-26T13:00:00.000000"}
        for name in names
    ]
    return answer(200, json.dumps(entries).encode())


async def test_a_short_page_is_not_the_last() -> None:
    server = Scripted([page("photos/a"), page("photos/b", "photos/c"), page()])
    async with server.store() as store:
        found = [info.key async for info in store.list("photos/")]
    assert found == ["photos/a", "photos/b", "photos/c"]
    assert b"marker=photos%2Fc" in server.asked[2]


@pytest.mark.parametrize(
    "said", [page("photos/a"), answer(200, b"{}x"), answer(200, b'[{"a": 1}]')]
)
async def test_a_list_that_does_not_go_on_ends(said: bytes) -> None:
    async with Scripted([said]).store() as store:
        with pytest.raises(StoreUnavailable):
            assert [info async for info in store.list("photos/")]


@pytest.mark.parametrize("status", [302, 400, 429, 498, 500, 503, 507])
async def test_a_store_that_answers_with_failures(status: int) -> None:
    async with Scripted([answer(status)]).store() as store:
        store._requests._budget._saved = 0.0
        for call in calls(store):
            with pytest.raises(StoreUnavailable) as caught:
                await call()
            assert "token" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_store_that_refuses(status: int) -> None:
    async with Scripted([answer(status)]).store() as store:
        for call in calls(store):
            with pytest.raises(StoreRefused):
                await call()


async def test_an_answer_that_is_cut_is_none() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Timestamp: 1\r\n\r\nhalf"
    async with Scripted([cut]).store() as store:
        with pytest.raises(StoreUnavailable):
            await store.get("x")
        opened = await store.open("x")
        with pytest.raises(StoreUnavailable):
            await collect(opened.chunks)


async def test_an_answer_without_end_is_not_kept() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(9 * MIB)
    async with Scripted([endless]).store() as store:
        with pytest.raises(StoreUnavailable, match="over"):
            assert [info async for info in store.list("photos/")]
        with pytest.raises(StoreUnavailable, match="over"):  # of one that knows no Range
            await store.peek("photos/x", 32)


async def test_a_store_that_refuses_connections() -> None:
    async def fetch() -> Token:
        return Token("token", 3600)

    requests = SwiftRequests("http://127.0.0.1:9/v1/AUTH_x", Tokens(fetch))
    for call in calls(SwiftStore(requests, Containers("p", "s", "g"))):
        with pytest.raises(StoreUnavailable):
            await call()
