"""What the release before read of photos is read anew, without making a rendition and behind the
jobs of users."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from photo_api.jobs import queue
from photo_api.maintenance import Maintenance
from photo_api.photos.remaking import remake
from photo_api.registry import leases
from photo_api.renditions import rereading
from photo_api.renditions.decoder import Decoder
from photo_api.renditions.decoder_pool import DecoderPool
from photo_api.renditions.job import RenditionJob
from photo_api.renditions.rereading import READER, UNREAD, MetadataJob, enqueue_unread
from photo_api.settings.loading import load
from tests.jobs.stage import handling
from tests.metadata_blocks import jpeg_with, segment, short, text, tiff
from tests.outages.faulty_store import faulty_store
from tests.own_stage import (
    ask,
    at_work,
    database_of,
    endpoint_in,
    execute,
    reached_at,
    store_of,
)
from tests.service import User, eventually

EDITED = jpeg_with(
    segment(
        0xE1,
        b"Exif\0\0" + tiff({0x0132: text("2025:01:01 00:00:00"), 0x4746: short(4)}, {}),
    )
)
AS_IN_0_1_0 = {"taken_at": "2025-01-01T00:00:00", "camera": "Canon EOS R6"}
ANEW = {"modified_at": "2025-01-01T00:00:00", "rating": 4}
FORGET = (
    "UPDATE photos SET metadata_reader = 0, taken_at = '2025-01-01T00:00:00',"
    """ exif = '{"taken_at": "2025-01-01T00:00:00", "camera": "Canon EOS R6"}'"""
)


@asynccontextmanager
async def working(settings: dict[str, str]) -> AsyncIterator[None]:
    decoder, store = Decoder(), store_of(settings)
    async with database_of(settings) as db:
        pool = DecoderPool(store, [decoder])
        async with handling(
            settings, db, RenditionJob(db, store, pool), metadata=MetadataJob(db, pool)
        ):
            yield
    await decoder.aclose()


@asynccontextmanager
async def maintained(settings: dict[str, str]) -> AsyncIterator[None]:
    async with database_of(settings) as db:
        uploads = load(settings).uploads
        async with at_work(Maintenance(db, store_of(settings), 5.0, uploads, "tests").run()):
            yield


def unread(settings: dict[str, str]) -> list[int]:
    rows = ask(settings, f"SELECT id FROM photos WHERE status = 'ready' AND {UNREAD} ORDER BY id")
    return [row["id"] for row in rows]


def waiting(settings: dict[str, str]) -> list[Any]:
    return ask(settings, "SELECT * FROM jobs WHERE kind = 'metadata' ORDER BY id")


async def read_by_0_1_0(settings: dict[str, str], user: User, count: int = 1) -> list[int]:
    """Photos as that release has left them."""
    ids = [int(user.upload(EDITED)["id"]) for _ in range(count)]
    async with working(settings):
        for photo_id in ids:
            await asyncio.to_thread(user.rendered, photo_id)
    assert not await asyncio.to_thread(unread, settings), "this release has read them"
    mine = f"{FORGET} WHERE id = ANY ('{set(ids)}')"
    await execute(settings["PHOTO_API_DATABASE_URL"], mine)
    return ids


async def test_an_edit_s_date_ends_to_pose_as_the_capture_s(
    settings: dict[str, str], user: User
) -> None:
    [photo_id, failed] = await read_by_0_1_0(settings, user, 2)
    no_size = (
        "UPDATE photos SET renditions = 'failed', width = NULL, height = NULL, exif = NULL"
        f" WHERE id = {failed}"
    )
    await execute(settings["PHOTO_API_DATABASE_URL"], no_size)
    before = user.photo(photo_id)
    assert (before["taken_at"], before["exif"]) == (AS_IN_0_1_0["taken_at"], AS_IN_0_1_0)
    keys = "SELECT thumbnail_key, preview_key, sha256 FROM photos WHERE id = $1"
    made = await asyncio.to_thread(ask, settings, keys, photo_id)
    async with maintained(settings), working(settings):
        await asyncio.to_thread(eventually, lambda: not unread(settings), 30)
        await asyncio.to_thread(eventually, lambda: not waiting(settings), 30)
    after = user.photo(photo_id)
    assert (after["taken_at"], after["exif"]) == (None, ANEW)
    for kept in ("width", "height", "updated_at", "renditions", "blurhash"):
        assert after[kept] == before[kept]
    assert await asyncio.to_thread(ask, settings, keys, photo_id) == made
    undecoded = user.photo(failed)
    assert (undecoded["width"], undecoded["height"]) == (before["width"], before["height"])
    assert (undecoded["renditions"], undecoded["exif"]) == ("failed", ANEW)


async def test_a_store_that_is_down_leaves_it_to_be_done(
    settings: dict[str, str], user: User
) -> None:
    [photo_id] = await read_by_0_1_0(settings, user)
    with faulty_store(endpoint_in(settings)) as relay:
        relay.answers(503, "SlowDown")
        behind = reached_at(settings, relay.endpoint)
        async with maintained(behind), working(behind):
            await asyncio.to_thread(
                eventually, lambda: any(job["handed_back"] for job in waiting(settings)), 30
            )
            assert await asyncio.to_thread(unread, settings) == [photo_id]
            relay.passes()
            await asyncio.to_thread(eventually, lambda: not unread(settings), 30)
    assert user.photo(photo_id)["exif"] == ANEW


async def test_an_original_that_is_not_found_keeps_what_was_read_and_is_read_when_it_is(
    settings: dict[str, str], user: User, caplog: pytest.LogCaptureFixture
) -> None:
    [photo_id] = await read_by_0_1_0(settings, user)
    [row] = await asyncio.to_thread(
        ask, settings, "SELECT object_key FROM photos WHERE id = $1", photo_id
    )
    store, key = store_of(settings), row["object_key"]
    await store.delete([key])
    async with maintained(settings), working(settings):
        await asyncio.to_thread(eventually, lambda: missed(settings), 30)
        assert user.photo(photo_id)["exif"] == AS_IN_0_1_0
        await store.put_bytes(key, EDITED, content_type="image/jpeg")
        await asyncio.to_thread(eventually, lambda: not unread(settings), 30)
    assert user.photo(photo_id)["exif"] == ANEW
    assert not await asyncio.to_thread(waiting, settings)
    told = [record for record in caplog.records if "job failed" in record.message]
    assert {record.message for record in told} == {f"job failed: ObjectMissing: {key}"}
    assert not any(record.exc_info for record in told), "a traceback says nothing of a store"


def missed(settings: dict[str, str]) -> bool:
    """Whether a job has looked for its original in vain."""
    return any("ObjectMissing" in (job["error"] or "") for job in waiting(settings))


async def test_users_jobs_come_first(
    settings: dict[str, str], user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with the whole library waiting to be read: a job of nobody's gives way."""
    [photo_id] = await read_by_0_1_0(settings, user)
    monkeypatch.setattr(rereading, "GIVES_WAY", (3600.0, 3600.0))
    user.upload(EDITED)
    async with database_of(settings) as db:
        lease = await leases.acquire(db, "reading", "tests", 60.0)
        assert lease is not None
        await enqueue_unread(db, lease)
        [job] = await queue.lease(db, "tests", 60.0, ["metadata"])
        async with asyncio.timeout(30):  # it reads nothing, for which there is no decoder
            await MetadataJob(db, DecoderPool(store_of(settings), [])).run(job)
        [row] = await asyncio.to_thread(waiting, settings)
        assert (row["state"], row["user_id"], row["handed_back"]) == ("queued", 0, 1)
        assert await queue.lease(db, "tests", 60.0, ["metadata"]) == [], "it rests"
    assert photo_id in await asyncio.to_thread(unread, settings)


async def test_some_at_a_time_the_newest_first_under_the_lease(
    settings: dict[str, str], user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await read_by_0_1_0(settings, user, 4)
    monkeypatch.setattr(rereading, "AT_ONCE", 2)
    async with database_of(settings) as db:
        lease = await leases.acquire(db, "some", "tests", 60.0)
        assert lease is not None
        await enqueue_unread(db, lease._replace(token=lease.token + 1))
        assert not await asyncio.to_thread(waiting, settings), "a lease that is lost does nothing"
        for _ in range(3):
            await enqueue_unread(db, lease)
        subjects = [row["subject_id"] for row in await asyncio.to_thread(waiting, settings)]
        assert sorted(subjects) == ids[2:]
        await db.execute("UPDATE jobs SET state = 'dead' WHERE subject_id = $1", ids[3])
        await enqueue_unread(db, lease)
        subjects = [row["subject_id"] for row in await asyncio.to_thread(waiting, settings)]
        assert sorted(subjects) == ids[1:], "a dead job is the record, and blocks nobody"
        async with db.transaction() as connection:
            await connection.execute("SET LOCAL enable_seqscan = off")
            plan = await connection.fetch(
                f"EXPLAIN SELECT id FROM photos WHERE status = 'ready' AND {UNREAD}"
                " ORDER BY id DESC LIMIT 9"
            )
        assert "photos_to_read" in "\n".join(row[0] for row in plan)
    assert READER == 1


async def test_what_is_made_anew_counts_as_read_only_by_who_knows_how(
    settings: dict[str, str], user: User
) -> None:
    """In a rolling deploy the release before may make it, which does not say that it read it."""
    [photo_id] = await read_by_0_1_0(settings, user)
    state = f"metadata_reader = {READER}, renditions = 'failed' WHERE id = {photo_id}"
    by_0_1_0 = "UPDATE photos SET renditions = 'ready' WHERE status = 'ready' AND id = $1"
    async with database_of(settings) as db:
        await db.execute(f"UPDATE photos SET {state} AND status = 'ready'")
        assert await remake(db, photo_id - 1, None, 0.0) == [photo_id]
        await db.execute("DELETE FROM jobs")
        await db.execute(by_0_1_0, photo_id)
        assert await asyncio.to_thread(unread, settings) == [photo_id]
        await db.execute(f"UPDATE photos SET {state} AND status = 'ready'")
        dead = "INSERT INTO jobs (kind, subject_id, state) VALUES ('renditions', $1, 'dead')"
        await db.execute(dead, photo_id)
        assert len(await queue.revive(db, queue.Filter(kind="renditions"), 0)) == 1
        await db.execute(by_0_1_0, photo_id)
        assert await asyncio.to_thread(unread, settings) == [photo_id]
