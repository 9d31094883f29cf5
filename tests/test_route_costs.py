"""What a request of each route sends to PostgreSQL and to the store: the table of docs/scale.md,
counted by relays in front of the real ones."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.statements import Sent, StatementRelay
from photo_api.accounts.links import RESET_PAGE, Link, allow_reset
from photo_api.photos.thumbnail_urls import ThumbnailUrls
from tests.documents import rows_under
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.own_stage import ask, database_of, endpoint_in, reached_at
from tests.service import (
    PASSWORD,
    Service,
    User,
    eventually,
    free_port,
    jpeg,
    migrate_once,
    new_address,
    put,
    serving,
)

PAGE = Path(__file__).parent.parent / "docs/scale.md"
HEAD = "| request | statements | not hot | transactions | round trips | store |"
Made = tuple[str, dict[str, Any]]
"""The address of a request below its route, and what else `httpx` is given."""
TRIES = 5
"""Of reads: on a machine that is very busy the supervisor has no metrics in time, for instance."""

LOOKED = "SELECT name, value, at FROM statistics"
"""What a worker sends now and then for the metrics of the fleet, whatever is asked of it."""

OPERATOR = {"Authorization": "Bearer b7e151628aed2a6abf7158809cf4f3c7"}


@dataclass
class Stage:
    """A service between relays, and somebody with an album of a photo and a link to it."""

    service: Service
    relay: StatementRelay
    store: FaultyStore
    user: User
    ids: dict[str, Any] = field(default_factory=dict)
    leaving: User | None = None

    def __post_init__(self) -> None:
        self.ids["album"] = self.user.album()["id"]
        self.ids["photo"] = self.user.upload(album_id=self.ids["album"])["id"]
        self.ids["token"] = self.share()["token"]

    def share(self) -> dict[str, Any]:
        """A link whose visitors need not wait for files without metadata."""
        path, wanted = f"/albums/{self.ids['album']}/share", {"allow_original": True}
        made: dict[str, Any] = self.user.api.post(path, json=wanted).json()
        return made

    def staged(self) -> int:
        """A photo whose bytes wait for their confirmation."""
        data = jpeg()
        presigned = self.user.presign(self.ids["album"], data)
        put(presigned, data).raise_for_status()
        photo_id: int = presigned["photo_id"]
        return photo_id

    def refresh(self) -> None:
        """A token that the worker does not know."""
        for user in filter(None, (self.user, self.leaving)):
            old = {"refresh_token": user.tokens["refresh_token"]}
            user.tokens = user.api.post("/auth/refresh", json=old).json()
            user.api.headers["Authorization"] = f"Bearer {user.tokens['access_token']}"

    def ask(self, route: str, made: Made) -> tuple[Sent, str]:
        """What one request sends."""
        method, _, path = route.partition(" ")
        address, more = made
        url = f"{self.service.url}{address or path.format(**self.ids)}"
        for _ in range(TRIES if method in ("GET", "HEAD") else 1):
            self.relay.take(), self.store.told()
            answer = self.user.api.request(method, url, **more)
            if answer.status_code != 503:
                break
        assert answer.is_success or answer.is_redirect, f"{route}: {answer.text}"
        return self.relay.take(), self.store.told()


def plain(stage: Stage) -> Made:
    return "", {}


def body(**fields: Any) -> Made:
    return "", {"json": fields}


def presign(stage: Stage) -> dict[str, Any]:
    size = len(jpeg(seed=1))
    about = {"album_id": stage.ids["album"], "filename": "a.jpg", "file_size": size}
    return about | {"content_type": "image/jpeg"}


def form(stage: Stage) -> dict[str, Any]:
    file = ("photo.jpg", jpeg(), "image/jpeg")
    return {"data": {"album_id": str(stage.ids["album"])}, "files": {"file": file}}


def person(stage: Stage) -> dict[str, Any]:
    """Of an address of its own, since few may register from one."""
    account = {"email": f"{uuid4().hex}@example.org", "username": "me", "password": PASSWORD}
    return {"json": account, "headers": {"X-Forwarded-For": new_address()}}


def login(stage: Stage) -> Made:
    account = {"email": stage.user.email, "password": PASSWORD}
    return body(**account)


def other_session(stage: Stage) -> Made:
    return body(refresh_token=stage.user.login().json()["refresh_token"])


def reset(stage: Stage) -> Made:
    """Of somebody else, whose sessions end."""
    link, environ, user = Link.to(RESET_PAGE), stage.service.environ, stage.service.new_user()

    async def allow() -> None:
        async with database_of(environ) as db:
            await allow_reset(db, user.account["id"], link.token_hash, 60)

    asyncio.run(allow())
    return body(token=link.token, new_password=PASSWORD)


def ended_session(stage: Stage) -> Made:
    stage.user.login().raise_for_status()
    return f"/api/auth/sessions/{stage.user.api.get('/auth/sessions').json()[0]['id']}", {}


def farewell(stage: Stage) -> Made:
    """Of somebody else, whom the worker knows until they refresh their token."""
    leaving = stage.leaving = stage.service.new_user()
    leaving.api.get("/auth/me").raise_for_status()

    def sign(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = leaving.api.headers["Authorization"]
        return request

    return "", {"json": {"password": PASSWORD}, "auth": sign}


def keyed(made: Mapping[str, Any]) -> Made:
    return "", {**made, "headers": {"Idempotency-Key": uuid4().hex}}


def other_album(stage: Stage) -> Made:
    return f"/api/albums/{stage.user.album()['id']}", {}


def other_photo(stage: Stage) -> Made:
    return f"/api/photos/{stage.user.upload(album_id=stage.ids['album'])['id']}", {}


def other_upload(stage: Stage) -> Made:
    return f"/api/photos/{stage.staged()}/upload", {}


def other_link(stage: Stage) -> Made:
    return f"/api/albums/{stage.ids['album']}/share/{stage.share()['id']}", {}


def to_add(stage: Stage) -> Made:
    return body(photo_ids=[stage.user.upload()["id"]])


def tiles_thumbnail(stage: Stage) -> Made:
    """Signed here, as an instance would that streams images."""
    settings, owner = stage.service.environ, stage.user.account["id"]
    uncounted = f"{settings['PHOTO_API_DATABASE_URL']}?application_name=tests"
    ask(
        {"PHOTO_API_DATABASE_URL": uncounted},
        "UPDATE photos SET thumbnail_key = object_key WHERE status = 'ready'",
    )
    kid, _, key = settings["PHOTO_API_SECRET_KEYS"].partition(":")
    return "/api" + ThumbnailUrls({kid: key}, 3600).url(owner, stage.ids["photo"]), {}


def to_remove(stage: Stage) -> Made:
    return body(photo_ids=[stage.user.upload(album_id=stage.ids["album"])["id"]])


def in_bulk(stage: Stage) -> Made:
    return body(operation="delete", photo_ids=[stage.user.upload()["id"]])


def empty_trash(stage: Stage) -> Made:
    stage.user.api.delete(f"/photos/{stage.user.upload()['id']}").raise_for_status()
    return body()


KEY = ", with an Idempotency-Key"
FILTERED = ", by several filters"
MADE: Mapping[str, Callable[[Stage], Made]] = {
    "POST /api/auth/register": lambda stage: ("", person(stage)),
    "POST /api/auth/login": login,
    "POST /api/auth/refresh": other_session,
    "POST /api/auth/logout": other_session,
    "POST /api/auth/password": lambda stage: body(current_password=PASSWORD, new_password=PASSWORD),
    "POST /api/auth/reset-password": reset,
    "DELETE /api/auth/sessions/{session_id}": ended_session,
    "DELETE /api/auth/me": farewell,
    "POST /api/photos/presigned-url": lambda stage: body(**presign(stage)),
    f"POST /api/photos/presigned-url{KEY}": lambda stage: keyed({"json": presign(stage)}),
    "POST /api/photos/confirm": lambda stage: body(photo_id=stage.staged()),
    "POST /api/photos": lambda stage: ("", form(stage)),
    f"POST /api/photos{KEY}": lambda stage: keyed(form(stage)),
    f"GET /api/photos{FILTERED}": lambda stage: ("", {"params": {"q": "x", "archived": "false"}}),
    "PATCH /api/photos/{photo_id}": lambda stage: body(title="Dokdo"),
    "POST /api/photos/bulk": in_bulk,
    f"POST /api/photos/bulk{KEY}": lambda stage: keyed(in_bulk(stage)[1]),
    "POST /api/photos/trash/empty": empty_trash,
    "POST /api/photos/check": lambda stage: body(sha256=["00" * 32]),
    "DELETE /api/photos/{photo_id}": other_photo,
    "DELETE /api/photos/{photo_id}/upload": other_upload,
    "POST /api/photos/tiles": lambda stage: body(photo_ids=[stage.ids["photo"]]),
    "GET /api/photos/{photo_id}/thumbnail": tiles_thumbnail,
    "GET /api/timeline/{month}": lambda stage: ("/api/timeline/2024-05", {}),
    "POST /api/albums": lambda stage: body(name="Dokdo"),
    f"POST /api/albums{KEY}": lambda stage: keyed({"json": {"name": "Dokdo"}}),
    "PATCH /api/albums/{album_id}": lambda stage: body(name="Ulleungdo"),
    "DELETE /api/albums/{album_id}": other_album,
    "POST /api/albums/{album_id}/photos": to_add,
    "DELETE /api/albums/{album_id}/photos": to_remove,
    "POST /api/albums/{album_id}/photos/move": lambda stage: body(
        photo_ids=[stage.ids["photo"]], to="start"
    ),
    f"POST /api/albums/{{album_id}}/share{KEY}": lambda stage: keyed({}),
    "DELETE /api/albums/{album_id}/share/{share_id}": other_link,
    "GET /api/share/{token}/photos/{photo_id}/image": lambda stage: (
        "",
        {"params": {"size": "original"}},
    ),
    "GET /health/detailed": lambda stage: ("", {"headers": OPERATOR}),
}
"""Requests that are more than the route's address with the stage's ids in it."""


@contextmanager
def in_a_thread(relay: StatementRelay) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(relay.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(relay.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def user_of(service: Service) -> User:
    eventually(service.is_healthy, 30)
    return service.new_user()


@pytest.fixture
def stage(environ: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    migrate_once(environ)
    relay = StatementRelay(free_port(), environ["PHOTO_API_DATABASE_URL"], ["photo-api web"])
    with faulty_store(endpoint_in(environ)) as store, in_a_thread(relay):
        settings = reached_at(environ, store.endpoint) | {"PHOTO_API_DATABASE_URL": relay.url}
        with (
            serving(settings, tmp_path / "service.log", "--no-jobs") as service,
            user_of(service) as user,
        ):
            yield Stage(service, relay, store, user)


def routes(stage: Stage) -> list[str]:
    """Of the OpenAPI document, and those of them that are asked in another way too."""
    paths = httpx.get(f"{stage.service.url}/openapi.json").json()["paths"]
    known = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    named = {name: name.partition(",")[0] for name in MADE if name.endswith((KEY, FILTERED))}
    assert set(named.values()) <= known
    return sorted(route for route in known | set(named) if not route.startswith("HEAD "))


@pytest.mark.s3_only("both stores are counted by test_store_requests.py")
def test_what_a_request_of_each_route_sends(stage: Stage) -> None:
    written = {as_row(row) for row in rows_under(PAGE, HEAD)}
    counted = {route: cost(stage, route) for route in routes(stage)}
    # Once more: where a machine stands still for seconds, nothing is hot.
    others = [route for route, row in counted.items() if row not in written]
    counted |= {route: cost(stage, route) for route in others}
    assert sorted(counted.values()) == sorted(written), "write down what it costs, if that is meant"
    covers_cost_no_statement(stage)


def covers_cost_no_statement(stage: Stage) -> None:
    """However many albums there are, and photos in them."""
    asked: Made = ("", {"params": {"covers": "true"}})
    for _ in range(2):
        for route in ("GET /api/albums", "GET /api/albums/{album}"):
            stage.ask(route, asked)
            sent = undisturbed(lambda: [stage.ask(route, asked)[0]])[0]  # noqa: B023
            assert len(sent.statements) == 1, route
        stage.user.upload(album_id=stage.user.album()["id"])


def undisturbed(measure: Callable[[], list[Sent]]) -> list[Sent]:
    """Of tries, the first in which the worker has not looked at the fleet's numbers; or the last:
    it may be the request that looks."""
    for _ in range(TRIES):
        sent = measure()
        if not any(text.startswith(LOOKED) for one in sent for text in one.statements):
            break
    return sent


def as_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cost(stage: Stage, route: str) -> str:
    """The row of a route, of which HEAD costs what GET does."""
    name, make = route.partition(",")[0], MADE.get(route, plain)
    stage.ids |= {"album_id": stage.ids["album"], "photo_id": stage.ids["photo"]}
    store = ""

    def measure() -> list[Sent]:
        nonlocal store
        stage.ask(name, make(stage))  # the connection has prepared its statements then
        made = make(stage)
        stage.refresh()
        cold, _ = stage.ask(name, made)
        hot, store = stage.ask(name, make(stage))
        stage.leaving = None
        more = [f"HEAD {name[4:]}"] if name.startswith("GET ") else []
        return [cold, hot, *(stage.ask(head, make(stage))[0] for head in more)]

    cold, hot, *heads = undisturbed(measure)
    assert all(len(head.statements) <= len(hot.statements) for head in heads), name
    numbers = len(hot.statements), len(cold.statements), len(hot.transactions), hot.round_trips
    return as_row([f"`{route}`", *map(str, numbers), store])
