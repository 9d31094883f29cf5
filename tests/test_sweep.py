"""The sweep: what nobody points to goes, in time, and nothing else ever does."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.metrics.counts import Counts
from photo_api.photos import sweep as one_round
from photo_api.photos.sweep import Swept
from photo_api.photos.upload_queries import (
    KEY_GRACE,
    NewPhoto,
    insert_ready,
    make_ready,
    note_object,
)
from photo_api.registry import leases
from photo_api.renditions.decoder import Decoder
from photo_api.renditions.decoder_pool import DecoderPool, TakenBySweep
from photo_api.renditions.job import DisplayJob, RenditionJob
from photo_api.storage.base import ObjectMissing, ObjectStore, StoreUnavailable
from photo_api.storage.measured import MeasuredStore
from tests.own_stage import database_of, own_database, reached_at, store_of
from tests.service import User, jpeg, put


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings | {"PHOTO_API_TRASH_DAYS": "0"}


async def sweep(db: Database, store: ObjectStore, longest_put: int) -> Swept:
    """One round under a lease of its own."""
    lease = await leases.acquire(db, f"sweep-{uuid4().hex}", "tests", 60)
    assert lease is not None
    return await one_round.sweep(db, store, longest_put, lease)


async def exists(store: ObjectStore, key: str) -> bool:
    try:
        await store.head(key)
    except ObjectMissing:
        return False
    return True


async def object_keys(db: Database, photo_id: int) -> list[str]:
    row = await db.fetchrow(
        "SELECT object_key, thumbnail_key, preview_key, display_key FROM photos WHERE id = $1",
        photo_id,
    )
    assert row is not None
    return [key for key in row.values() if key is not None]


async def let_time_pass(db: Database, seconds: int = 2 * 86_400) -> None:
    """Everything that the sweep waits for comes nearer."""
    await db.execute(
        "UPDATE unreferenced_objects SET delete_after = delete_after - make_interval(secs => $1)",
        float(seconds),
    )
    await db.execute(
        "UPDATE photos SET upload_expires_at = upload_expires_at - make_interval(secs => $1)",
        float(seconds),
    )


def uploaded(user: User, data: bytes) -> dict[str, Any]:
    """A presigned upload after its PUT."""
    presigned = user.presign(user.album()["id"], data)
    assert put(presigned, data).is_success
    return presigned


async def test_a_copy_whose_confirm_died_is_swept_after_its_grace(
    user: User, db: Database, store: ObjectStore
) -> None:
    data = jpeg()
    presigned = uploaded(user, data)
    copy = f"photos/{user.account['id']}/{presigned['photo_id']}/{uuid4().hex}.jpg"
    await note_object(db, copy, KEY_GRACE)
    await store.copy(presigned["object_key"], copy)
    await sweep(db, store, 3600)
    assert await exists(store, copy)
    await db.execute(
        "UPDATE unreferenced_objects SET delete_after = now() WHERE object_key = $1", copy
    )
    assert (await sweep(db, store, 3600)).objects == 1
    assert not await exists(store, copy)
    assert user.confirm(presigned["photo_id"]).status_code == 200, "the upload itself is untouched"


async def test_what_a_photo_points_to_is_never_swept(
    user: User, db: Database, store: ObjectStore
) -> None:
    data = jpeg()
    presigned = uploaded(user, data)
    user.confirm(presigned["photo_id"])
    through_server = user.upload(data)["id"]
    await let_time_pass(db)
    await sweep(db, store, 3600)
    for photo_id in (presigned["photo_id"], through_server):
        image = user.api.get(f"/photos/{photo_id}/image", follow_redirects=True)
        assert image.content == data
    assert not await exists(store, presigned["object_key"]), "the staged bytes are of no more use"


async def test_staged_bytes_stay_while_somebody_may_still_put(
    user: User, db: Database, store: ObjectStore
) -> None:
    """The URL's validity, and then the longest PUT that began just before its end."""
    presigned = uploaded(user, jpeg())
    await let_time_pass(db, presigned["expires_in"] + 3600 - 60)
    await sweep(db, store, 3600)
    assert await exists(store, presigned["object_key"])
    assert user.confirm(presigned["photo_id"]).status_code == 200
    await let_time_pass(db, 120)
    await sweep(db, store, 3600)
    assert not await exists(store, presigned["object_key"])


async def test_an_abandoned_upload_is_gone_with_its_bytes(
    user: User, db: Database, store: ObjectStore
) -> None:
    presigned = uploaded(user, jpeg())
    await let_time_pass(db)
    swept = await sweep(db, store, 3600)
    assert swept.uploads >= 1
    assert user.confirm(presigned["photo_id"]).status_code == 404
    assert not await exists(store, presigned["object_key"])


async def test_a_deleted_photo_s_bytes_and_renditions_go(
    user: User, db: Database, store: ObjectStore
) -> None:
    photo_id = user.upload()["id"]
    await make_renditions(db, store, photo_id)
    await make_display(db, store, photo_id)
    keys = await object_keys(db, photo_id)
    assert len(keys) == 4
    await sweep(db, store, 3600)
    assert [await exists(store, key) for key in keys] == [True] * 4
    user.api.delete(f"/photos/{photo_id}").raise_for_status()
    await sweep(db, store, 3600)
    assert [await exists(store, key) for key in keys] == [False] * 4


async def make_display(db: Database, store: ObjectStore, photo_id: int) -> None:
    await db.execute("INSERT INTO jobs (kind, subject_id) VALUES ('display', $1)", photo_id)
    [job] = await queue.lease(db, "tests", 60, ["display"])
    decoder = Decoder()
    try:
        await DisplayJob(db, store, DecoderPool(store, [decoder])).run(job)
    finally:
        await decoder.aclose()


async def make_renditions(db: Database, store: ObjectStore, photo_id: int) -> None:
    await db.execute("DELETE FROM jobs WHERE subject_id <> $1", photo_id)
    [job] = await queue.lease(db, "tests", 60, ["renditions"])
    assert job.subject_id == photo_id
    decoder = Decoder()
    try:
        await RenditionJob(db, store, DecoderPool(store, [decoder])).run(job)
    finally:
        await decoder.aclose()


async def test_renditions_made_too_slowly_are_not_adopted(
    user: User, db: Database, store: ObjectStore
) -> None:
    """Once the sweep has taken one, a photo that points to it would have a hole."""
    photo_id = user.upload()["id"]
    await db.execute(
        "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.taken := true; RETURN NEW; END $$"
    )
    await db.execute(
        "CREATE TRIGGER take BEFORE INSERT ON unreferenced_objects FOR EACH ROW"
        " WHEN (NEW.object_key LIKE '%-thumbnail.webp') EXECUTE FUNCTION take()"
    )
    try:
        with pytest.raises(TakenBySweep):
            await make_renditions(db, store, photo_id)
    finally:
        await db.execute("DROP FUNCTION take CASCADE")
    assert user.photo(photo_id)["renditions"] == "pending"
    assert await db.fetchval("SELECT count(*) FROM jobs WHERE subject_id = $1", photo_id) == 1


async def test_an_upload_whose_bytes_the_sweep_took_is_to_be_sent_again(
    user: User, db: Database
) -> None:
    await db.execute(
        "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.taken := true; RETURN NEW; END $$"
    )
    await db.execute(
        "CREATE TRIGGER take BEFORE INSERT ON unreferenced_objects FOR EACH ROW"
        " WHEN (NEW.object_key LIKE 'photos/%') EXECUTE FUNCTION take()"
    )
    try:
        answer = await asyncio.to_thread(user.post_photo)
        assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")
    finally:
        await db.execute("DROP FUNCTION take CASCADE")


async def test_two_sweeps_at_once_share_the_work(
    settings: dict[str, str], db: Database, store: ObjectStore
) -> None:
    prefix = f"photos/0/{uuid4().hex}"
    await db.execute(
        "INSERT INTO unreferenced_objects (object_key, delete_after)"
        " SELECT $1 || '/' || n, now() - interval '1 day' FROM generate_series(1, 1300) n",
        prefix,
    )
    for number in (1, 700, 1300):
        await store.put_bytes(f"{prefix}/{number}", b"x", content_type="image/jpeg")
    async with database_of(settings) as other:
        swept = await asyncio.gather(sweep(db, store, 3600), sweep(other, store_of(settings), 3600))
    assert sum(one.objects for one in swept) >= 1300
    left = "SELECT count(*) FROM unreferenced_objects WHERE object_key LIKE $1 || '%'"
    assert await db.fetchval(left, prefix) == 0
    assert [info.key async for info in store.list(f"{prefix}/")] == []


class PausingStore(MeasuredStore):
    """The real store, whose deletions wait until they may go on."""

    def __init__(self, settings: dict[str, str]) -> None:
        super().__init__(store_of(settings), Counts())
        self.deleting = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def delete(self, keys: Sequence[str]) -> None:
        self.deleting.set()
        await self.may_go_on.wait()
        await super().delete(keys)


async def test_nobody_can_adopt_what_a_sweep_has_taken(
    settings: dict[str, str], user: User, db: Database, store: ObjectStore
) -> None:
    """A confirm and a server upload that were away for an hour come back while the sweep is
    deleting their bytes."""
    data, album = jpeg(), user.album()["id"]
    presigned = user.presign(album, data)
    owner, photo_id = user.account["id"], presigned["photo_id"]
    copies = [f"photos/{owner}/{photo_id}/{uuid4().hex}.jpg" for _ in range(2)]
    for copy in copies:
        await note_object(db, copy, -1)
        await store.put_bytes(copy, data, content_type="image/jpeg")
    pausing = PausingStore(settings)
    sweeping = asyncio.create_task(sweep(db, pausing, 3600))
    await pausing.deleting.wait()
    assert not await make_ready(db, owner, photo_id, copies[0], "image/jpeg", None)
    sha256 = hashlib.sha256(data).digest()
    new = NewPhoto(owner, album, None, None, "a.jpg", "image/jpeg", len(data), sha256)
    assert not await insert_ready(db, new, photo_id + 10**6, copies[1], 0)
    pausing.may_go_on.set()
    await sweeping
    assert [await exists(store, copy) for copy in copies] == [False, False]
    assert user.api.get("/photos/").json() == []
    put(presigned, data)
    assert user.confirm(photo_id).status_code == 200, "another attempt makes another copy"


async def test_what_was_adopted_in_time_the_sweep_does_not_take(
    user: User, db: Database, store: ObjectStore
) -> None:
    data = jpeg()
    presigned = user.presign(user.album()["id"], data)
    owner, photo_id = user.account["id"], presigned["photo_id"]
    copy = f"photos/{owner}/{photo_id}/{uuid4().hex}.jpg"
    await note_object(db, copy, -1)
    await store.put_bytes(copy, data, content_type="image/jpeg")
    assert await make_ready(db, owner, photo_id, copy, "image/jpeg", None)
    await sweep(db, store, 3600)
    assert await exists(store, copy)


async def test_young_objects_and_unknown_ones_are_left_alone(
    db: Database, store: ObjectStore
) -> None:
    """The sweep knows what it deletes by name; strangers are `reconcile`'s business."""
    young, stranger = (f"photos/1/1/{uuid4().hex}.jpg" for _ in range(2))
    await note_object(db, young, 60)
    for key in (young, stranger):
        await store.put_bytes(key, b"x", content_type="image/jpeg")
    await sweep(db, store, 3600)
    assert await exists(store, young)
    assert await exists(store, stranger)


async def test_what_a_dead_sweep_had_taken_is_taken_again(db: Database, store: ObjectStore) -> None:
    key = f"photos/1/1/{uuid4().hex}.jpg"
    await store.put_bytes(key, b"x", content_type="image/jpeg")
    await db.execute(
        "INSERT INTO unreferenced_objects VALUES ($1, now() + interval '5 minutes', true)", key
    )
    await sweep(db, store, 3600)
    assert await exists(store, key), "that sweep may still be at work"
    await let_time_pass(db, 301)
    await sweep(db, store, 3600)
    assert not await exists(store, key)


async def test_with_the_store_down_nothing_is_forgotten(
    settings: dict[str, str], db: Database, store: ObjectStore
) -> None:
    key = f"photos/1/1/{uuid4().hex}.jpg"
    await note_object(db, key, -1)
    await store.put_bytes(key, b"x", content_type="image/jpeg")
    down = store_of(reached_at(settings, "http://127.0.0.1:9"))
    with pytest.raises(StoreUnavailable):
        await sweep(db, down, 3600)
    await let_time_pass(db, 301)
    await sweep(db, store, 3600)
    assert not await exists(store, key)
    assert (
        await db.fetchval("SELECT 1 FROM unreferenced_objects WHERE object_key = $1", key) is None
    )
