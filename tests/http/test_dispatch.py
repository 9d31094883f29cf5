"""Each direct route answers as FastAPI would have it answer, whatever comes.

Two workers have one database; one of them lacks the dispatch, and everything goes FastAPI's way.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from photo_api import app as composition
from photo_api.app import add_routes
from photo_api.db.pool import DatabaseUnavailable
from photo_api.errors import ApiError, Code
from photo_api.http.direct_route import DirectRoute, Dispatch
from photo_api.metrics.declared import OBJECTIVE_REQUESTS, REQUESTS, TOKEN_CHECKS
from photo_api.storage.base import StoreUnavailable
from tests.in_process import Asked, Headers, Worker, in_process
from tests.service import PASSWORD, migrate_once, new_address

PHOTOS = """
INSERT INTO photos (owner_id, status, album_id, title, original_filename, content_type, file_size,
    object_key, renditions, thumbnail_key, preview_key, width, height)
SELECT $1::bigint, 'ready', $2::bigint, 'Photo', 'IMG.jpg', 'image/jpeg', 1234,
    format('photos/%s/%s', $1::bigint, g), 'ready', format('t/%s', g), format('p/%s', g), 40, 30
FROM generate_series(1, 3) g RETURNING id
"""
COSTLY = ("/api/auth/login", "/api/auth/register", "/api/auth/password")
"""They hash a password each time."""

JSON = (b"content-type", b"application/json")
BY_CHANCE = re.compile(r"[\w-]{20,}|[\w-]*\d[\w-]*")


@dataclass(frozen=True, slots=True)
class World:
    """Somebody's objects; both workers show them."""

    token: bytes
    ids: dict[str, Any]
    bodies: dict[tuple[str, str], Any]

    @property
    def bearer(self) -> tuple[bytes, bytes]:
        return b"authorization", b"Bearer " + self.token


@dataclass(frozen=True, slots=True)
class Ways:
    direct: Worker
    usual: Worker
    world: World


@asynccontextmanager
async def _ways(environ: dict[str, str]) -> AsyncIterator[Ways]:
    async with AsyncExitStack() as stack:
        direct = await stack.enter_async_context(in_process(environ))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(composition, "Dispatch", lambda app: app)
            usual = await stack.enter_async_context(in_process(environ))
        yield Ways(direct, usual, await _world(direct))


@pytest.fixture
async def ways(environ: dict[str, str]) -> AsyncIterator[Ways]:
    migrate_once(environ)
    async with _ways(environ) as ways:
        yield ways


async def _world(worker: Worker) -> World:
    email = f"{uuid4().hex}@example.org"
    login = {"email": email, "password": PASSWORD}
    account = await worker.json("POST", "/api/auth/register", {**login, "username": "somebody"})
    tokens = await worker.json("POST", "/api/auth/login", login)
    bearer = (b"authorization", b"Bearer " + tokens["access_token"].encode())
    album = (await worker.json("POST", "/api/albums", {"name": "Album"}, bearer))["id"]
    share = await worker.json("POST", f"/api/albums/{album}/share", {}, bearer)
    rows = await worker.parts.db.fetch(PHOTOS, account["id"], album)
    photo_ids = [row["id"] for row in rows]
    add = f"/api/albums/{album}/photos"
    await worker.json("POST", add, {"photo_ids": photo_ids}, bearer)
    new = {"album_id": album, "filename": "a.jpg", "content_type": "image/jpeg", "file_size": 9}
    bodies: dict[tuple[str, str], Any] = {
        ("POST", "/api/photos/presigned-url"): new,
        ("POST", "/api/photos/confirm"): {"photo_id": photo_ids[0]},
        ("PATCH", "/api/photos/{photo_id}"): {"title": "Title"},
        ("POST", "/api/photos/tiles"): {"photo_ids": photo_ids[:2]},
        ("POST", "/api/photos/bulk"): {"operation": "unfavourite", "photo_ids": photo_ids[:1]},
        ("POST", "/api/photos/trash/empty"): {},
        ("POST", "/api/photos/check"): {"sha256": ["00" * 32]},
        ("POST", "/api/albums"): {"name": "Another"},
        ("PATCH", "/api/albums/{album_id}"): {"name": "Album", "cover_photo_id": photo_ids[1]},
        ("POST", "/api/albums/{album_id}/photos"): {"photo_ids": [photo_ids[0], 2**70]},
        ("DELETE", "/api/albums/{album_id}/photos"): {"photo_ids": [2**70]},
        ("POST", "/api/albums/{album_id}/photos/move"): {"photo_ids": photo_ids[:1], "to": "end"},
        ("POST", "/api/albums/{album_id}/share"): {"expires_in_days": 3},
        ("POST", "/api/auth/login"): login,
        ("POST", "/api/auth/register"): {**login, "username": "somebody"},
        ("POST", "/api/auth/refresh"): {"refresh_token": tokens["refresh_token"]},
        ("POST", "/api/auth/password"): {"current_password": PASSWORD, "new_password": PASSWORD},
        ("POST", "/api/auth/reset-password"): {"token": "unknown", "new_password": PASSWORD},
        ("POST", "/api/auth/logout"): {"refresh_token": "unknown"},
    }
    # What is deleted is unknown from the start: both ways would delete one thing only once.
    ids = {"photo_id": photo_ids[0], "album_id": album, "token": share["token"], "share_id": 1}
    ids["month"] = "2024-05"
    ids["session_id"] = uuid4()
    return World(tokens["access_token"].encode(), ids, bodies)


def _direct_routes() -> Iterator[tuple[str, DirectRoute]]:
    app = FastAPI()
    add_routes(app)
    for route in app.router.routes:
        if isinstance(route, DirectRoute) and route.direct:
            for method in sorted(route.methods or ()):
                yield method, route


ROUTES = list(_direct_routes())


def _plain(world: World, method: str, route: DirectRoute) -> Asked:
    """A request of this route as clients send it; one that deletes names nothing that exists."""
    ids = world.ids if method != "DELETE" else {**world.ids, "photo_id": 2**50, "album_id": 2**50}
    body = world.bodies.get((method, route.path))
    content = b"" if body is None else json.dumps(body).encode()
    headers = [world.bearer, *([JSON] if body is not None else [])]
    return Asked(method, route.path.format(**ids), b"", headers, content)


QUERIES = (
    b"limit=2", b"limit=2&skip=1", b"limit=2&limit=1", b"limit=x", b"limit=-1", b"limit=%32",
    b"skip=1&", b"&", b"limit", b"limit=", b"unknown=1", b"size=preview", b"size=nothing",
    b"cursor=AAAAAAAAACo", b"cursor=!", b"cursor=" + b"A" * 5000, b"limit=%00", b"\xff=1",
    b"limit=" + b"9" * 30, b"Limit=1", b"photo_id=5", b"q=%EC%84%9C+i", b"q=%FF", b"q=%",
    b"q=%zz", b"bbox=1,2,3,4&taken_from=2020-01-01T00:00", b"camera=a%00",
    b"order=taken&q=%26%3D", b"q=+",
)  # fmt: skip
HEADERS: tuple[Headers, ...] = (
    [],
    [(b"authorization", b"Bearer not-a-token")],
    [(b"authorization", b"Basic abc")],
    [(b"authorization", b"Bearer ")],
    [(b"authorization", b"Bearer \xff")],
    [(b"authorization", b"Bearer one"), (b"authorization", b"Bearer two")],
)
MORE: tuple[Headers, ...] = (
    [(b"origin", b"https://front.example.org")],
    [(b"origin", b"https://elsewhere.example.org")],
    [(b"idempotency-key", b"one")],
    [(b"idempotency-key", b"")],
    [(b"idempotency-key", b"a b")],
    [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")],
    [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
    [(b"x-forwarded-for", b"203.0.113.7"), (b"range", b"bytes=0-1")],
    [(b"if-none-match", b"*"), (b"user-agent", b"Twitterbot/1.0")],
)
BODIES = (
    b"", b"null", b"{", b"[]", b"{}", b"5", b"NaN", b'{"name": NaN}', b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}", b"[" * 5000, b'{"photo_id": 18446744073709551617}', b'{"name": "\\ud800"}',
    b'{"name": "a", "name": "b"}', b'{"name": "\x00"}',
    b"a=1", b'{"photo_ids": "x", "unknown": 1}',
)  # fmt: skip
KINDS = (b"", b"text/plain", b"application/json; charset=utf-8", b"Application/JSON",
    b"application/problem+json", b"multipart/form-data; boundary=x")  # fmt: skip


def _odd_paths(asked: Asked) -> Iterator[Asked]:
    """The same request as nearly nobody sends it; so below."""
    yield replace(asked, http_version="1.0")
    yield replace(asked, path=f"{asked.path}/")
    yield replace(asked, path=f"{asked.path}//")
    yield replace(asked, path=asked.path.replace("/api/", "/api//"))
    yield replace(asked, path=f"/{asked.path}")
    yield replace(asked, path=f"{asked.path}\n")
    yield replace(asked, path=asked.path.removeprefix("/api"))
    yield replace(asked, body=asked.body or b'{"limit": 1}')
    for method in ("OPTIONS", "PUT", "TRACE", "get"):
        yield replace(asked, method=method)
    preflight = [(b"origin", b"https://front.example.org")]
    preflight += [(b"access-control-request-method", asked.method.encode())]
    yield replace(asked, method="OPTIONS", headers=preflight)


def _odd_ids(route: DirectRoute, world: World, asked: Asked) -> Iterator[Asked]:
    for name in route.param_convertors:
        for text in ("0", "007", "x", "-1", "9" * 40, "5/6", "a b", "١", "presigned-url", "\n"):
            yield replace(asked, path=route.path.format(**{**world.ids, name: text}))


def _odd_headers(asked: Asked) -> Iterator[Asked]:
    others = [one for one in asked.headers if one[0] != b"authorization"]
    for headers in HEADERS:
        yield replace(asked, headers=[*headers, *others])
    for headers in MORE:
        yield replace(asked, headers=[*asked.headers, *headers])


def _odd_kinds(asked: Asked) -> Iterator[Asked]:
    without = [one for one in asked.headers if one[0] != b"content-type"]
    for kind in KINDS:
        yield replace(asked, headers=[*without, (b"content-type", kind)])
    yield replace(asked, headers=without)
    yield replace(asked, headers=[*asked.headers, JSON])


def _odd(route: DirectRoute, world: World, plain: Asked) -> Iterator[tuple[Any, Iterable[Asked]]]:
    """Odd requests of this route, and of what in its declaration their answers depend: of routes
    that are the same in it, one is asked."""
    needs = route.dependant
    query, headers = (
        [(field.alias, repr(field.field_info)) for field in fields]
        for fields in (needs.query_params, needs.header_params)
    )
    caller = [item.call for item in needs.dependencies]
    ids = [*route.param_convertors]
    yield ("path", caller, route.takes_body), _odd_paths(plain)
    yield ("ids", ids, plain.method, caller), _odd_ids(route, world, plain)
    yield ("query", query), (replace(plain, query=query) for query in QUERIES)
    yield ("headers", headers, caller, route.takes_body), _odd_headers(plain)
    if plain.body:
        yield ("body", route.path, plain.method), (replace(plain, body=body) for body in BODIES)
        yield ("kind", caller), _odd_kinds(plain)


async def _seen(worker: Worker, asked: Asked) -> dict[str, Any]:
    """All that one can see of an answer; of one that creates something, nothing that is another
    each time."""
    sums = worker.counts.sums
    for metric in (REQUESTS, OBJECTIVE_REQUESTS, TOKEN_CHECKS):
        sums[metric].clear()
    worker.lines.clear()
    start, *pieces = await worker.ask(asked)
    (line,) = worker.lines
    text = b"".join(piece["body"] for piece in pieces).decode()
    counted = {m: sums[m].copy() for m in (REQUESTS, OBJECTIVE_REQUESTS, TOKEN_CHECKS)}
    created = start["status"] < 300 and asked.method not in ("GET", "HEAD")
    if created:
        text = BY_CHANCE.sub("…", text)
    return {
        "status": start["status"],
        "headers": [one for one in start["headers"] if not created or one[0] != b"content-length"],
        "body": text,
        "messages": len(pieces),
        "counted": {key: value for key, value in counted.items() if key is not TOKEN_CHECKS},
        # The first to ask has the token verified.
        "tokens checked": sum(counted[TOKEN_CHECKS].values()),
        "line": {k: v for k, v in line.items() if k not in ("ms", "span_id", "bytes")},
        "in flight": worker.phase.in_flight,
    }


async def _compare(ways: Ways, asked: Asked) -> int:
    client = (b"x-forwarded-for", new_address().encode())  # nobody is throttled for others
    asked = replace(asked, headers=[(b"x-request-id", b"the-same"), client, *asked.headers])
    usual = await _seen(ways.usual, asked)
    assert await _seen(ways.direct, asked) == usual, asked
    return int(usual["status"])


def test_the_routes_that_are_asked_for_most_are_direct() -> None:
    direct = {(method, route.path) for method, route in ROUTES}
    reads = ("photos", "photos/{photo_id}", "photos/{photo_id}/image", "albums/{album_id}")
    for path in (*reads, "share/{token}", "share/{token}/photos/{photo_id}/image"):
        assert {("GET", f"/api/{path}"), ("HEAD", f"/api/{path}")} <= direct
    assert ("POST", "/api/photos/presigned-url") in direct


def test_the_table_chooses_as_the_router_does() -> None:
    app = FastAPI()
    add_routes(app)
    dispatch = Dispatch(app)
    world = World(
        b"",
        {
            "photo_id": 5,
            "album_id": 5,
            "share_id": 5,
            "token": "abc",
            "month": "2024-05",
            "session_id": 5,
        },
        {},
    )
    for method, route in ROUTES:
        asked = _plain(world, method, route)
        for one in (asked, *_odd_paths(asked), *_odd_ids(route, world, asked)):
            scope = {"type": "http", "method": one.method, "path": one.path, "headers": []}
            full = [r for r in app.router.routes if r.matches(scope)[0] is Match.FULL]
            expected = full[0] if full and getattr(full[0], "direct", False) else None
            assert dispatch.find(scope) is expected, one
            if expected is not None:
                assert scope["path_params"] == expected.matches(scope)[1]["path_params"]


async def test_both_ways_answer_the_same(ways: Ways) -> None:
    walked = list[Any]()
    for method, route in ROUTES:
        plain = _plain(ways.world, method, route)
        assert await _compare(ways, plain) in (200, 201, 204, 302, 400, 401, 404, 422), plain
        if route.path in COSTLY:
            plain = replace(plain, body=b"{}")
        for kind, requests in _odd(route, ways.world, plain):
            if kind not in walked:
                walked.append(kind)
                for odd in requests:
                    await _compare(ways, odd)
    for worker in (ways.direct, ways.usual):
        worker.phase.drain()
    for method, route in ROUTES:
        await _compare(ways, _plain(ways.world, method, route))


class Failing:
    """In place of a database or a store: all that is asked of it raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        raise self.error


FAILURES: tuple[tuple[Exception, int], ...] = (
    (ApiError(Code.NOT_FOUND, "Not there"), 404),
    (ApiError(Code.OVERLOADED, "Busy", retry_after=3), 503),
    (HTTPException(408, "Slow", {"Connection": "close"}), 408),
    (HTTPException(404, "Not Found"), 404),
    (DatabaseUnavailable("gone"), 503),
    (asyncpg.ReadOnlySQLTransactionError("only reading"), 503),
    (asyncpg.DeadlockDetectedError("deadlock"), 503),
    (StoreUnavailable("gone"), 503),
    (TimeoutError(), 503),
    (ClientDisconnect(), 499),
    (KeyError("a bug"), 500),
)


async def test_both_ways_fail_the_same(ways: Ways, caplog: pytest.LogCaptureFixture) -> None:
    routes = {route.path: (method, route) for method, route in ROUTES if method != "HEAD"}
    paths = ("/api/photos", "/api/photos/presigned-url", "/api/share/{token}")
    plain = [_plain(ways.world, *routes[path]) for path in paths]
    workers = (ways.direct, ways.usual)
    for worker in workers:
        await worker.ask(plain[0])  # from here on its token is known
    for error, status in FAILURES:
        for worker in workers:
            worker.parts.db = Failing(error)  # type: ignore[assignment]
        for asked in plain:
            for headers in MORE[:2]:
                caplog.clear()
                failing = replace(asked, headers=[*asked.headers, *headers])
                assert await _compare(ways, failing) == status
                told = [(one.name, one.levelname, one.getMessage()) for one in caplog.records]
                assert told[: len(told) // 2] == told[len(told) // 2 :]
