"""What one user may have at once: unconfirmed uploads and working share links, also when many are
asked for at the same moment."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from photo_api.accounts.throttle import REGISTER
from photo_api.photos.changes import MOST_OF_USER
from photo_api.photos.upload_queries import count_pending
from tests.own_stage import ask, own_database
from tests.service import Service, User, jpeg, put, running_service

MOST = 7


@pytest.fixture(scope="module")
def bounded(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    bounds = {"PHOTO_API_UPLOAD_MAX_PENDING": str(MOST), "PHOTO_API_SHARE_LINKS": str(MOST)}
    with own_database(stack, environ | bounds) as settings:
        folder = tmp_path_factory.mktemp("bounded")
        with running_service(settings, folder, "--no-jobs", "--workers", "2") as running:
            yield running


@pytest.fixture
def user(bounded: Service) -> Iterator[User]:
    with bounded.new_user() as user:
        yield user


def at_once(ask_for_one: Callable[[dict[str, str]], httpx.Response]) -> list[httpx.Response]:
    """Fifty answers, every other one to a request with an Idempotency-Key."""
    headers = [{"Idempotency-Key": uuid4().hex} if number % 2 else {} for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        return list(pool.map(ask_for_one, headers))


def presign(user: User, album: int, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"album_id": album, "filename": "a.jpg", "content_type": "image/jpeg", "file_size": 9}
    return user.api.post("/photos/presigned-url", json=body, headers=headers)


def test_uploads_that_are_not_confirmed(bounded: Service, user: User) -> None:
    album = user.album()["id"]
    answers = at_once(lambda headers: presign(user, album, headers))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 50 - MOST
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_uploads")
        assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert str(MOST) in refused[0].json()["detail"]
    count = "SELECT count(*) FROM photos WHERE owner_id = $1 AND status = 'pending'"
    assert ask(bounded.environ, count, user.account["id"])[0][0] == MOST
    assert user.post_photo(album_id=album).status_code == 201, "nothing is pending of it"
    with bounded.new_user() as other:
        assert presign(other, other.album()["id"]).status_code == 200


def test_a_confirmed_upload_and_an_expired_one_make_room(bounded: Service, user: User) -> None:
    album, data = user.album()["id"], jpeg()
    pending = [user.presign(album, data) for _ in range(MOST)]
    assert presign(user, album).status_code == 429
    put(pending[0], data).raise_for_status()
    user.confirm(pending[0]["photo_id"]).raise_for_status()
    key = {"Idempotency-Key": uuid4().hex}
    made = presign(user, album, key)
    assert made.status_code == 200
    assert presign(user, album).status_code == 429
    assert presign(user, album, key).json()["photo_id"] == made.json()["photo_id"], "a repeat"
    ended = "UPDATE photos SET upload_expires_at = now() WHERE id = $1"
    ask(bounded.environ, ended, pending[1]["photo_id"])
    assert presign(user, album).status_code == 200
    assert presign(user, album).status_code == 429


async def what_is_left(environ: dict[str, str], user: User) -> tuple[int, int]:
    """The seconds of an upload and of a window of registrations, both begun after the transaction
    that counts them."""
    url, key = environ["PHOTO_API_DATABASE_URL"], token_bytes(32)
    first, other = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        async with first.transaction():
            await first.execute("SELECT now(), pg_sleep(0.05)")
            await asyncio.to_thread(user.presign, user.album()["id"], jpeg())
            await other.fetch(REGISTER, key, 900.0)
            uploads = await count_pending(first, user.account["id"])
            [window] = await first.fetch(REGISTER, key, 900.0)
            return uploads[1], window["seconds_left"]
    finally:
        await first.close()
        await other.close()


def test_no_more_is_left_than_was_given(bounded: Service, user: User) -> None:
    assert all(0 < left <= 900 for left in asyncio.run(what_is_left(bounded.environ, user)))


def test_share_links_that_work(bounded: Service, user: User) -> None:
    albums = [user.album()["id"] for _ in range(2)]

    def share(headers: dict[str, str] | None = None, album: int = albums[0]) -> httpx.Response:
        return user.api.post(f"/albums/{album}/share", json={}, headers=headers)

    answers = at_once(share)
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 50 - MOST
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_links")
    assert str(MOST) in refused[0].json()["detail"]
    assert share(album=albums[1]).status_code == 409, "all of a user's albums count"
    links = [answer.json()["id"] for answer in answers if answer.is_success]
    user.api.delete(f"/albums/{albums[0]}/share/{links[0]}").raise_for_status()
    assert share().status_code == 201
    assert share().status_code == 409
    ask(bounded.environ, "UPDATE shares SET expires_at = now() WHERE id = $1", links[1])
    assert share().status_code == 201
    assert share().status_code == 409
    with bounded.new_user() as other:
        album = other.album()["id"]
        assert other.api.post(f"/albums/{album}/share").status_code == 201


def test_changes_of_many_photos_wait_without_a_connection(
    environ: dict[str, str], alice: User, bob: User
) -> None:
    """Alice's photos are locked, and more than she may have waiting want to change them."""
    photo, album = alice.upload()["id"], alice.album()["id"]
    bulk = {"operation": "favourite", "photo_ids": [photo]}
    paths = {"/photos/bulk": bulk, f"/albums/{album}/photos": {"photo_ids": [photo]}}

    async def answers() -> tuple[list[httpx.Response], list[httpx.Response]]:
        def waiting(path: str, count: int) -> list[asyncio.Future[httpx.Response]]:
            ask_for_it = partial(alice.api.post, path, json=paths[path])
            return [loop.run_in_executor(pool, ask_for_it) for _ in range(count)]

        loop, connection = (
            asyncio.get_running_loop(),
            await asyncpg.connect(environ["PHOTO_API_DATABASE_URL"]),
        )
        with ThreadPoolExecutor(MOST_OF_USER + 25) as pool:
            async with connection.transaction():
                await connection.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", photo)
                bulks = waiting("/photos/bulk", MOST_OF_USER + 5)
                while sum(one.done() for one in bulks) < 5:
                    await asyncio.sleep(0.01)
                additions = waiting(f"/albums/{album}/photos", 12)
                others = [await asyncio.to_thread(bob.api.get, "/photos/") for _ in range(5)]
                assert {answer.status_code for answer in others} == {200}
                assert not any(one.done() for one in additions)
            found = await asyncio.gather(*bulks), await asyncio.gather(*additions)
        await connection.close()
        return found

    bulks, additions = asyncio.run(answers())
    refused = [answer for answer in bulks if answer.status_code != 200]
    assert [answer.status_code for answer in refused] == [429] * 5
    assert refused[0].headers["Retry-After"] == "1"
    assert sum(answer.json()["changed"] for answer in bulks if answer not in refused) == 1
    assert sorted(answer.json()["count"] for answer in additions) == [0] * 11 + [1]
