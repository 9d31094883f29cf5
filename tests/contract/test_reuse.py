"""`on_duplicate=reuse` while others upload the same bytes, or delete the photo that has them."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import httpx
import pytest

from tests.service import User, jpeg, put

DATABASE = "PHOTO_API_DATABASE_URL"
GONE = "UPDATE photos SET status = 'gone', gone_at = now() WHERE id = $1"
AWAY = "UPDATE photos SET status = 'pending' WHERE id = $1"
COMES = "UPDATE photos SET status = 'ready' WHERE id = $1"
"""Neither changes what its owner's photos take, whose number the deletion has locked."""
WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE $1 = ANY (pg_blocking_pids(pid)) AND query LIKE '%sha256 = $2%FOR SHARE%'"""


def photos(user: User, album: int) -> list[int]:
    found = user.api.get(f"/albums/{album}").raise_for_status().json()
    assert found["photo_count"] == len(found["photos"])
    return [photo["id"] for photo in found["photos"]]


def staged(user: User, album: int, data: bytes) -> int:
    presigned = user.presign(album, data, on_duplicate="reuse")
    put(presigned, data).raise_for_status()
    number: int = presigned["photo_id"]
    return number


def test_ten_uploads_of_the_same_bytes_at_once_end_in_one_photo(alice: User) -> None:
    data, album = jpeg(), alice.album()["id"]
    pending = [staged(alice, album, data) for _ in range(5)]

    def end(number: int) -> httpx.Response:
        if number < len(pending):
            return alice.confirm(pending[number])
        return alice.post_photo(data, album, on_duplicate="reuse")

    with ThreadPoolExecutor(10) as pool:
        answers = [answer.raise_for_status().json() for answer in pool.map(end, range(10))]
    [photo] = photos(alice, album)
    assert {answer.get("photo_id", answer.get("id")) for answer in answers} == {photo}
    assert sum(not answer["duplicate"] for answer in answers) == 1


def test_an_upload_that_became_another_photo_confirms_again(alice: User) -> None:
    data, album = jpeg(), alice.album()["id"]
    first = alice.upload(data)["id"]
    pending = staged(alice, album, data)
    answers = [alice.confirm(pending) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (answers[1].json()["photo_id"], answers[1].json()["duplicate"]) == (first, True)
    alice.api.delete(f"/photos/{first}").raise_for_status()
    assert alice.confirm(pending).status_code == 404


def test_bytes_whose_photo_is_being_deleted_are_never_lost(alice: User) -> None:
    """In either order: an upload that is told of a photo gets one that is there, restored if it
    was deleted before, or was deleted after it was asked for; afterwards the album shows what can
    be loaded, and counts it right."""
    album = alice.album()["id"]
    for attempt in range(12):
        data = jpeg()
        known = alice.upload(data)["id"]
        pending = staged(alice, album, data)

        def act(number: int, known: int = known, pending: int = pending) -> httpx.Response:
            if number == 0:
                return alice.api.delete(f"/photos/{known}")
            return alice.confirm(pending)

        order = (0, 1) if attempt % 2 else (1, 0)
        with ThreadPoolExecutor(2) as pool:
            deleted, confirmed = sorted(
                pool.map(act, order), key=lambda answer: answer.request.method != "DELETE"
            )
        assert deleted.status_code == 204
        body: dict[str, Any] = confirmed.raise_for_status().json()
        assert (body["duplicate"], body["photo_id"]) == (True, known)
        image = alice.api.get(f"/photos/{known}/image", follow_redirects=True)
        assert (image.status_code, known in photos(alice, album)) in ((200, True), (404, False))
        assert image.status_code == 404 or image.content == data
    for photo in photos(alice, album):
        assert alice.api.get(f"/photos/{photo}/image", follow_redirects=True).status_code == 200


async def test_an_upload_that_waited_for_a_deletion_sees_who_came_meanwhile(
    alice: User, environ: dict[str, str]
) -> None:
    data, album = jpeg(), alice.album()["id"]
    oldest, second = (alice.upload(data)["id"] for _ in range(2))
    pending = staged(alice, album, data)
    deleting, watching = [await asyncpg.connect(environ[DATABASE]) for _ in range(2)]
    try:
        await watching.execute(AWAY, second)
        async with deleting.transaction():
            await deleting.execute(GONE, oldest)
            confirming = asyncio.create_task(asyncio.to_thread(alice.confirm, pending))
            async with asyncio.timeout(20):
                while not await watching.fetchval(WAITING, deleting.get_server_pid()):
                    await asyncio.sleep(0.02)
            await watching.execute(COMES, second)
        answer = await confirming
        if answer.status_code == 503:  # on a busy machine the lock may have been waited for in vain
            answer = await asyncio.to_thread(alice.confirm, pending)
        body = answer.raise_for_status().json()
    finally:
        await deleting.close()
        await watching.close()
    assert (body["photo_id"], body["duplicate"]) == (second, True)


@pytest.mark.parametrize("whose", ["nobody", "bob"])
def test_reuse_into_an_album_of_another_is_404(alice: User, bob: User, whose: str) -> None:
    data = jpeg()
    alice.upload(data)
    album = bob.album()["id"] if whose == "bob" else 2**50
    body = {
        "album_id": album, "filename": "a.jpg", "content_type": "image/jpeg",
        "file_size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        "on_duplicate": "reuse",
    }  # fmt: skip
    assert alice.api.post("/photos/presigned-url", json=body).status_code == 404
    assert alice.post_photo(data, album, on_duplicate="reuse").status_code == 404


def test_a_key_holds_also_for_bytes_that_were_known(alice: User) -> None:
    data, other = jpeg(), jpeg()
    album, first = alice.album()["id"], alice.upload(data)["id"]
    alice.api.headers["Idempotency-Key"] = "one"
    answers = [alice.presign(album, data, **reusing(data)) for _ in range(2)]
    assert [(one["photo_id"], one["duplicate"]) for one in answers] == [(first, True)] * 2
    with pytest.raises(httpx.HTTPStatusError) as refused:
        alice.presign(album, other, **reusing(other))
    assert refused.value.response.json()["code"] == "idempotency_key_reused"


def reusing(data: bytes) -> dict[str, str]:
    return {"on_duplicate": "reuse", "sha256": hashlib.sha256(data).hexdigest()}
