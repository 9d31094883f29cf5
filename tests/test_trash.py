"""The trash in its tables and the store: nothing goes too early, everything goes once, and whoever
changes the same photos at the same moment waits for the other."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from photo_api.db.clocks import own_time
from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.photos import trash
from photo_api.photos.reconcile import reconcile
from photo_api.photos.sweep import sweep
from photo_api.photos.upload_queries import note_object
from photo_api.registry import leases
from photo_api.registry.leases import Lease
from photo_api.renditions.decoder import Decoder
from photo_api.renditions.decoder_pool import DecoderPool
from photo_api.renditions.job import RenditionJob
from photo_api.storage.base import ObjectMissing, ObjectStore
from tests.own_stage import own_database
from tests.service import User, running_service
from tests.trash_sums import check_sums

KEYS = """SELECT key FROM photos p, files_of(p) WHERE p.id = $1"""
STATUS = "SELECT status FROM photos WHERE id = $1"
NOTED = """SELECT object_key FROM unreferenced_objects
WHERE object_key = ANY ($1) AND delete_after = 'infinity'"""


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
async def lease(db: Database) -> Lease:
    lease = await leases.acquire(db, f"trash-{uuid4().hex}", "tests", 120)
    assert lease is not None
    return lease


async def exists(store: ObjectStore, key: str) -> bool:
    try:
        await store.head(key)
    except ObjectMissing:
        return False
    return True


async def make_renditions(db: Database, store: ObjectStore) -> str | None:
    """By the next job; what it says."""
    [job] = await queue.lease(db, "tests", 60, ["renditions"])
    decoder = Decoder()
    try:
        return await RenditionJob(db, store, DecoderPool(store, [decoder])).run(job)
    finally:
        await decoder.aclose()


async def keys_of(db: Database, photo_id: int) -> list[str]:
    return [row["key"] for row in await db.fetch(KEYS, photo_id)]


async def age(db: Database, photo_id: int, days: float) -> None:
    await db.execute(
        "UPDATE photos SET trashed_at = trashed_at - make_interval(secs => $2) WHERE id = $1",
        photo_id, 86_400 * days,
    )  # fmt: skip


async def test_bytes_stay_for_their_time_and_then_go_once(
    user: User, db: Database, store: ObjectStore, lease: Lease
) -> None:
    photo, other = (user.upload()["id"] for _ in range(2))
    for _ in range(2):
        assert await make_renditions(db, store) is None
    keys = await keys_of(db, photo)
    assert len(keys) == 3
    for one in (photo, other):
        user.api.delete(f"/photos/{one}").raise_for_status()
    await age(db, photo, 29.99)
    await trash.purge_all_due(db, 30, lease)
    assert await db.fetchval(STATUS, photo) == "trashed"
    await sweep(db, store, 3600, lease)
    assert all([await exists(store, key) for key in keys])
    assert len(await db.fetch(NOTED, keys)) == 3, "no release's sweep or reconcile takes them"
    report = await reconcile(
        db, store, staged_for=0, repair=False, adopt=False, force=False, restored=True
    )
    assert not {*keys, *await keys_of(db, other)} & {*report.orphans, *report.missing_originals}
    await check_sums(db)
    await age(db, photo, 0.02)
    await trash.purge_all_due(db, 30, lease)
    assert await db.fetchval(STATUS, photo) == "gone"
    await check_sums(db)
    noted = "SELECT count(*), sum(bytes) FROM unreferenced_objects WHERE object_key = ANY ($1)"
    noticed = await db.fetchrow(noted, keys)
    assert noticed is not None
    rows, size = noticed
    assert rows == 3
    assert size > await db.fetchval("SELECT file_size FROM photos WHERE id = $1", photo)
    await sweep(db, store, 3600, lease)
    assert not any([await exists(store, key) for key in keys])
    assert await db.fetchval(noted, keys) == 0
    assert user.api.post("/photos/bulk", json={"operation": "restore", "photo_ids": [photo, other]}
        ).json()["changed"] == 1  # fmt: skip
    assert await db.fetch(NOTED, await keys_of(db, other)) == []


@pytest.mark.parametrize("ahead", ["the database", "this machine"])
async def test_a_clock_that_jumps_ahead_by_31_days_deletes_nothing(
    user: User,
    db: Database,
    store: ObjectStore,
    lease: Lease,
    monkeypatch: pytest.MonkeyPatch,
    ahead: str,
) -> None:
    month, photo = 31 * 86_400, user.upload()["id"]
    keys = await keys_of(db, photo)
    noted = f"quarantine/{uuid4().hex}"
    await store.put_bytes(noted, b"x", content_type="image/jpeg")
    await note_object(db, noted, 30 * 86_400)
    pending = user.presign(user.album()["id"], b"x")["photo_id"]
    user.api.delete(f"/photos/{photo}").raise_for_status()
    off = -month if ahead == "the database" else month
    for module in ("trash", "sweep"):
        monkeypatch.setattr(f"photo_api.photos.{module}.own_time", lambda: own_time() + off)
    if ahead == "the database":  # it says that all was long ago, and this machine that it was not
        await age(db, photo, 31)
        await db.execute(
            "UPDATE unreferenced_objects SET delete_after = now() - interval '1 day'"
            " WHERE object_key = $1",
            noted,
        )
        await db.execute(
            "UPDATE photos SET upload_expires_at = now() - interval '30 days' WHERE id = $1",
            pending,
        )
    await trash.purge_all_due(db, 30, lease)
    await sweep(db, store, 3600, lease)
    assert await db.fetchval(STATUS, photo) == "trashed"
    assert await db.fetchval(STATUS, pending) == "pending"
    assert all([await exists(store, key) for key in (noted, *keys)])
    monkeypatch.undo()
    if ahead == "the database":  # what was held up is done when both agree
        await trash.purge_all_due(db, 30, lease)
        await sweep(db, store, 3600, lease)
        assert [await db.fetchval(STATUS, one) for one in (photo, pending)] == ["gone", "gone"]
        assert not await exists(store, noted)


async def test_what_is_deleted_by_a_database_s_clock_behind_is_kept_for_its_time(
    user: User, db: Database, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is right again in a moment; here this machine's is ahead of it instead. All of it is
    emptied by whoever has another clock."""
    month, owner = 31 * 86_400, user.account["id"]
    photo, other = user.upload()["id"], user.upload()["id"]
    since = "SELECT extract(epoch FROM trashed_at - now())::float8 FROM photos WHERE id = $1"
    for one, off in ((photo, month), (other, 60)):
        moment = own_time() + off
        monkeypatch.setattr("photo_api.photos.trash.own_time", lambda moment=moment: moment)
        async with db.transaction() as connection:
            await trash.delete(connection, owner, [one], 30, "r")
    assert await db.fetchval(since, photo) == pytest.approx(month, abs=60)
    assert -30 < await db.fetchval(since, other) <= 0, "a usual difference changes no order"
    await db.execute(  # the database's clock is right again: what was is longer ago
        "UPDATE photos SET trashed_at = trashed_at - interval '31 days' WHERE id = $1", photo
    )
    monkeypatch.undo()
    await trash.purge_all_due(db, 30, lease)
    assert await db.fetchval(STATUS, photo) == "trashed"
    await age(db, photo, -1)
    until = await trash.now(db, owner)
    assert set(await trash.oldest(db, owner, until)) == {photo, other}


async def test_a_missing_original_of_the_trash_is_told(
    user: User, db: Database, store: ObjectStore
) -> None:
    photo = user.upload()["id"]
    user.api.delete(f"/photos/{photo}").raise_for_status()
    await db.execute("UPDATE photos SET updated_at = now() - interval '1 day' WHERE id = $1", photo)
    [key] = await keys_of(db, photo)
    await store.delete([key])
    report = await reconcile(db, store, staged_for=0, repair=False, adopt=False, force=False)
    assert key in report.missing_originals


async def test_a_job_waits_for_a_photo_that_comes_back(
    user: User, db: Database, store: ObjectStore
) -> None:
    """One that comes meanwhile makes nothing, and restoring has another made; a job that still
    waits is enough."""
    jobs = "SELECT count(*) FROM jobs WHERE subject_id = $1 AND kind = 'renditions'"
    await db.execute("DELETE FROM jobs")
    photo = user.upload()["id"]
    user.api.delete(f"/photos/{photo}").raise_for_status()
    assert await make_renditions(db, store) == "not_wanted"
    assert await db.fetchval(jobs, photo) == 0
    for _ in range(2):
        async with db.transaction() as connection:
            assert await trash.restore(connection, user.account["id"], [photo]) == {photo: True}
        assert await db.fetchval(jobs, photo) == 1
        user.api.delete(f"/photos/{photo}").raise_for_status()
    async with db.transaction() as connection:
        await trash.restore(connection, user.account["id"], [photo])
    assert await make_renditions(db, store) is None
    assert user.photo(photo)["renditions"] == "ready"


async def test_a_place_that_is_taken_gives_the_next_free_one(user: User, db: Database) -> None:
    album = user.album()["id"]
    ids = [user.upload(album_id=album)["id"] for _ in range(5)]
    order = "SELECT photo_id, position FROM album_photos WHERE album_id = $1 ORDER BY position"
    places = [row["position"] for row in await db.fetch(order, album)]
    both, owner = ids[1:3], user.account["id"]
    async with db.transaction() as connection:
        await trash.delete(connection, owner, both, 30, "r")
        await connection.execute("UPDATE trashed_memberships SET position = $1", places[0])
        await connection.execute(
            "UPDATE album_photos SET position = $1 WHERE photo_id = $2", places[0] + 1, ids[3]
        )
        await connection.execute("UPDATE albums SET cover_photo_id = NULL WHERE id = $1", album)
        await connection.execute("UPDATE trashed_memberships SET was_cover = true")
        await trash.restore(connection, owner, both)
    rows = [tuple(row) for row in await db.fetch(order, album)]
    assert rows == [
        (ids[0], places[0]), (ids[3], places[0] + 1), (ids[1], places[0] + 2),
        (ids[2], places[0] + 3), (ids[4], places[4]),
    ]  # fmt: skip
    assert await db.fetchval("SELECT cover_photo_id FROM albums WHERE id = $1", album) == ids[2]
    await check_sums(db)


INSERT = """
INSERT INTO photos (owner_id, status, original_filename, content_type, file_size, sha256,
    object_key, thumbnail_key, renditions)
SELECT $1, 'ready', 'a.jpg', 'image/jpeg', g, NULL, format('photos/%s/%s', $1::bigint, g),
    format('renditions/%s/%s', $1::bigint, g), 'ready' FROM generate_series(1, $2) g RETURNING id
"""


MANY, ROUND = 3000, 1000
SLOWLY = """
CREATE FUNCTION purge_slowly() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END';
CREATE TRIGGER purged_slowly AFTER UPDATE OF status ON photos FOR EACH STATEMENT
    EXECUTE FUNCTION purge_slowly()
"""
FASTER = "DROP FUNCTION purge_slowly CASCADE"


@pytest.mark.slow
@pytest.mark.s3_only("a Swift on the same machine takes minutes to delete 6,000 files")
async def test_a_purge_that_is_killed_goes_on_and_takes_everything_once(
    settings: dict[str, str], user: User, db: Database, tmp_path: Path
) -> None:
    owner = user.account["id"]
    ids = [row["id"] for row in await db.fetch(INSERT, owner, MANY)]
    album = user.album()["id"]
    await db.execute(
        "INSERT INTO album_photos (album_id, photo_id) SELECT $1, unnest($2::bigint[])", album, ids
    )
    for first in range(0, MANY, ROUND):
        async with db.transaction() as connection:
            await trash.delete(connection, owner, ids[first : first + ROUND], 30, "r")
    await db.execute(
        "UPDATE photos SET trashed_at = now() - interval '31 days' WHERE id = ANY ($1)", ids
    )
    await db.execute(SLOWLY)
    left = "SELECT count(*) FROM photos WHERE id = ANY ($1) AND status = 'trashed'"
    often = settings | {"PHOTO_API_SWEEP_INTERVAL": "0.2"}
    with running_service(often, tmp_path) as service:
        async with asyncio.timeout(60):
            while await db.fetchval(left, ids) > MANY - ROUND:
                await asyncio.sleep(0.02)
        [worker] = service.children("photo_api.job_worker")
        worker.kill()
        remaining = await db.fetchval(left, ids)
        assert remaining, "it was killed in the middle"
        assert remaining % ROUND == 0, "a round is done or not"
        await db.execute(FASTER)
        # What it was about to delete would be taken again in five minutes.
        await db.execute("UPDATE unreferenced_objects SET delete_after = now() WHERE taken")
        async with asyncio.timeout(90):
            while await db.fetchval(left, ids) or await db.fetchval(FILES_LEFT, f"%/{owner}/%"):
                await asyncio.sleep(0.1)
    await check_sums(db)
    kept = "SELECT count(*) FROM trashed_memberships WHERE album_id = $1"
    assert await db.fetchval(kept, album) == 0


FILES_LEFT = "SELECT count(*) FROM unreferenced_objects WHERE object_key LIKE $1"
