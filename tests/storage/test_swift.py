"""What is particular to Swift: large objects and their segments, answers that tell in their bodies,
listings, limits of rate, failing stores."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from photo_api.storage import swift as swift_store
from photo_api.storage import tokens
from photo_api.storage.base import (
    ObjectMissing,
    StoreRefused,
    StoreUnavailable,
)
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Token, Tokens
from tests.openstack.account import open_account
from tests.openstack.swift import Swift, ask
from tests.storage.test_contract import MIB, collect, stream
from tests.storage.test_s3 import calls

pytestmark = pytest.mark.needs("memcached")


async def test_what_is_listed_need_not_be_there(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    async with open_account(swift, containers) as (store, _):
        await store.put_bytes(prefix + "x", prefix.encode(), content_type="image/png")
        lose(swift, prefix.encode())
        assert [info.key async for info in store.list(prefix)] == [prefix + "x"]
        with pytest.raises(ObjectMissing):
            await store.head(prefix + "x")
        with pytest.raises(ObjectMissing):
            await store.copy(prefix + "x", prefix + "y")
        await store.delete([prefix + "x"])
        await store.delete([prefix + "x", prefix + "y"])


def lose(swift: Swift, content: bytes) -> None:
    """Take the object with these bytes off the disk."""
    [file] = [one for one in swift._folder.rglob("*.data") if one.read_bytes() == content]
    file.unlink()


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
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            self.asked.append(head + await reader.readexactly(int(length[1]) if length else 0))
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
        (told("400 Bad Request", ("/photos/x", "403 Forbidden")), StoreRefused),
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


@pytest.mark.parametrize("etag", ['"0123abcd"', "0123abcd", 'W/"0123abcd"'])
async def test_an_etag_is_bare_however_it_comes(etag: str) -> None:
    headers = f"ETag: {etag}\r\nX-Timestamp: 1764000000.00000\r\n"
    async with Scripted([answer(200, headers=headers)]).store() as store:
        assert (await store.head("x")).etag == "0123abcd"


async def test_a_store_that_is_busy_has_not_taken_the_token() -> None:
    """It is too busy before it looks at one."""
    async with Scripted([answer(498), answer(498), answer(498), answer(404)]).store() as store:
        with pytest.raises(StoreUnavailable):
            await store.ping()
        held = store._requests._tokens._held
        assert held is not None
        assert not held.accepted
        with pytest.raises(StoreUnavailable):
            await store.ping()
        assert held.accepted


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_store_that_tells_nothing_of_itself_is_not_asked_again(status: int) -> None:
    async with Scripted([answer(status)]).store() as store:
        assert await store._requests.info() == b""
    async with Scripted([answer(503)]).store() as store:
        with pytest.raises(StoreUnavailable):
            await store._requests.info()


async def test_a_void_token_in_a_bulk_deletion_is_replaced(
    swift: Swift, containers: Containers, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose own status is 200 all the same, so it does not show it."""
    monkeypatch.setattr(tokens, "FIRST_PAUSE", 0.05)
    async with open_account(swift, containers) as (store, keystone):
        for name in ("x", "y"):
            await store.put_bytes(prefix + name, b"data", content_type="image/png")
        await asyncio.sleep(0.1)
        swift.forget()
        await store.delete([prefix + "x", prefix + "y"])
        assert [info async for info in store.list(prefix)] == []
        assert keystone.asked == 2


async def test_many_are_deleted_in_several_requests() -> None:
    keys = [f"photos/{number}" for number in range(250)]
    server = Scripted([told("200 OK")])
    async with server.store() as store:
        await store.delete(keys)
    sent = b"".join(server.asked)
    assert [asked.split()[0] for asked in server.asked] == [b"POST"] * 3
    assert [sent.count(b"/" + key.encode() + b"\n") for key in keys] == [1] * 250


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
