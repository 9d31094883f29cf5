"""An upload that was begun and is given up: its room is free at once, its bytes go, and beside a
confirmation or the sweep exactly one of them happens."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from photo_api.db.pool import Database
from photo_api.errors import ApiError, Code
from photo_api.photos.direct_upload import Outcome, _begin
from photo_api.photos.server_upload import _insert
from photo_api.photos.upload_queries import NewPhoto
from photo_api.settings.serving import UploadSettings
from photo_api.storage.base import ObjectStore
from tests.own_stage import own_database
from tests.service import Service, User, jpeg, put
from tests.test_sweep import exists, let_time_pass, sweep, uploaded

QUOTA = 100_000
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    bounds = {"PHOTO_API_QUOTA": str(QUOTA), "PHOTO_API_UPLOAD_MAX_PENDING": "2"}
    with own_database(stack, environ | bounds) as settings:
        yield settings


def begin(user: User, key: str, size: int = 9) -> httpx.Response:
    body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": size}
    return user.api.post("/photos/presigned-url", json=body, headers={"Idempotency-Key": key})


def cancel(user: User, photo_id: int) -> tuple[int, str]:
    answer = user.api.delete(f"/photos/{photo_id}/upload")
    return answer.status_code, answer.json()["code"] if answer.content else ""


def used(user: User) -> int:
    return int(user.api.get("/auth/me").json()["used_bytes"])


DONE, CONFIRMED, UNKNOWN = (204, ""), (409, "upload_confirmed"), (404, "not_found")


def test_its_room_and_its_place_are_free_at_once(user: User, own_service: Service) -> None:
    key = uuid4().hex
    photo_id = begin(user, key, QUOTA).json()["photo_id"]
    assert begin(user, uuid4().hex, 1).json()["code"] == "quota_exceeded"
    with own_service.new_user() as other:
        assert cancel(other, photo_id) == UNKNOWN
    assert used(user) == QUOTA
    assert cancel(user, photo_id) == DONE
    assert used(user) == 0
    assert cancel(user, photo_id) == DONE, "its answer may have been lost"
    assert user.confirm(photo_id).status_code == 404
    assert begin(user, key, QUOTA).json()["code"] == "upload_expired"
    places = [begin(user, uuid4().hex).json()["photo_id"] for _ in range(2)]
    assert begin(user, uuid4().hex).json()["code"] == "too_many_uploads"
    assert cancel(user, places[0]) == DONE
    assert begin(user, uuid4().hex).status_code == 200
    assert user.api.get("/photos/").json() == []


def test_what_was_confirmed_stays(user: User) -> None:
    data = jpeg()
    photo_id = user.upload(data)["id"]
    again = begin(user, uuid4().hex, len(data)).json()
    assert cancel(user, photo_id) == CONFIRMED
    assert user.api.get(f"/photos/{photo_id}").status_code == 200
    put(again, data).raise_for_status()
    assert user.confirm(again["photo_id"]).status_code == 200
    assert cancel(user, again["photo_id"]) == CONFIRMED
    user.api.delete(f"/photos/{photo_id}").raise_for_status()
    assert cancel(user, photo_id) == CONFIRMED, "it is in the trash"
    body = {"operation": "purge", "photo_ids": [photo_id]}
    user.api.post("/photos/bulk", json=body).raise_for_status()
    assert [cancel(user, one) for one in (photo_id, 2**60)] == [UNKNOWN, UNKNOWN]


def test_beside_a_confirmation_exactly_one_happens(user: User) -> None:
    data, kept = jpeg(), 0
    for number in range(12):
        photo_id = uploaded(user, data)["photo_id"]
        with ThreadPoolExecutor(3) as pool:
            ended = [pool.submit(cancel, user, photo_id) for _ in range(number % 2)]
            confirmed = pool.submit(user.confirm, photo_id)
            ended += [pool.submit(cancel, user, photo_id)]
        stays = confirmed.result().status_code == 200
        assert {one.result() for one in ended} == {CONFIRMED if stays else DONE}
        assert user.api.get(f"/photos/{photo_id}").is_success == stays
        kept += stays
        assert used(user) == kept * len(data)


async def test_what_an_upload_would_have_restored_stays_in_the_trash(
    user: User, db: Database
) -> None:
    """It is given up while its confirmation waits for the photo in the trash that it would be."""
    data, album = jpeg(), user.album()["id"]
    known = user.upload(data, album)["id"]
    begun = user.presign(album, data, on_duplicate="reuse")
    put(begun, data).raise_for_status()
    user.api.delete(f"/photos/{known}").raise_for_status()
    async with db.transaction() as holding:
        await holding.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", known)
        holder = await holding.fetchval("SELECT pg_backend_pid()")
        confirming = asyncio.create_task(asyncio.to_thread(user.confirm, begun["photo_id"]))
        async with asyncio.timeout(20):
            while not await db.fetchval(BLOCKED, holder):
                await asyncio.sleep(0.02)
        assert await asyncio.to_thread(cancel, user, begun["photo_id"]) == DONE
    assert (await confirming).status_code == 404
    assert await db.fetchval("SELECT status FROM photos WHERE id = $1", known) == "trashed"
    assert user.api.get(f"/albums/{album}").json()["photo_count"] == 0
    assert used(user) == len(data)


async def test_bytes_that_come_later_are_swept(
    user: User, db: Database, store: ObjectStore
) -> None:
    data = jpeg()
    begun = begin(user, uuid4().hex, len(data)).json()
    assert cancel(user, begun["photo_id"]) == DONE
    put(begun, data).raise_for_status()
    assert user.confirm(begun["photo_id"]).status_code == 404
    await sweep(db, store, 3600)
    assert await exists(store, begun["object_key"]), "its URL is good still: more may come"
    await let_time_pass(db)
    await sweep(db, store, 3600)
    assert not await exists(store, begun["object_key"])
    assert used(user) == 0


async def test_beside_the_sweep_its_room_comes_back_once(
    user: User, db: Database, store: ObjectStore
) -> None:
    for _ in range(4):
        photo_id = begin(user, uuid4().hex, QUOTA // 2).json()["photo_id"]
        await let_time_pass(db)
        swept = asyncio.create_task(sweep(db, store, 3600))
        assert await asyncio.to_thread(cancel, user, photo_id) == DONE
        await swept
        assert used(user) == 0


async def test_there_is_no_room_for_an_account_that_is_gone(db: Database) -> None:
    new = NewPhoto(2**40, None, None, None, "a.jpg", "image/jpeg", 9, None)
    mine = Outcome(1, "photos/none", "a.jpg", "image/jpeg", 9, duplicate=False)
    limits = UploadSettings(QUOTA, 0, 900, 900, 2, QUOTA, 1)
    with pytest.raises(ApiError) as direct:
        await _begin(db, new, "", False, limits)
    with pytest.raises(ApiError) as through_the_server:
        await _insert(db, new, mine, QUOTA)
    assert {direct.value.code, through_the_server.value.code} == {Code.UNAUTHENTICATED}
