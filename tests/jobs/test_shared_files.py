"""What visitors of a share link are given, from the first moment on: nothing that tells more than
the picture does, unless its owner wants it."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from photo_api.albums.queries import add_photos
from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.runner import Handler
from photo_api.photos.upload_queries import link
from photo_api.renditions.decoder import Decoder
from photo_api.renditions.decoder_pool import DecoderPool
from photo_api.renditions.job import DisplayJob, RenditionJob
from photo_api.shares.job import AT_ONCE, SharedAlbumJob
from photo_api.shares.queries import LOOKED_AT
from tests.jobs.stage import handling
from tests.own_stage import ask, database_of, store_of
from tests.photographs import Shot, cat, jpeg
from tests.service import User, eventually
from tests.service import jpeg as plain_jpeg

AT_HOME = Shot(place=(37.2411, 131.8647, 98.0), orientation=6)


@asynccontextmanager
async def working(settings: dict[str, str], *kinds: str) -> AsyncIterator[None]:
    """Jobs of these kinds are run here."""
    decoder, store = Decoder(), store_of(settings)
    async with database_of(settings) as db:
        pool = DecoderPool(store, [decoder])
        handlers: dict[str, Handler] = {
            "display": DisplayJob(db, store, pool),
            "shared_album": SharedAlbumJob(db),
        }
        chosen = {kind: handlers[kind] for kind in kinds if kind in handlers}
        rendering = RenditionJob(db, store, pool)
        async with handling(settings, db, rendering, **chosen):
            yield
    await decoder.aclose()


def share(user: User, album: int, **wanted: Any) -> str:
    """The address under which anybody sees the album."""
    made = user.api.post(f"/albums/{album}/share", json=wanted).raise_for_status().json()
    return f"{str(user.api.base_url).rstrip('/')}/share/{made['token']}"


def image(link: str, photo_id: int, size: str = "") -> httpx.Response:
    return httpx.get(
        f"{link}/photos/{photo_id}/image", params={"size": size} if size else {},
        follow_redirects=True,
    )  # fmt: skip


def is_cacheable(link: str, photo_id: int) -> bool:
    answer = httpx.get(f"{link}/photos/{photo_id}/image")
    return answer.status_code == 302 and "no-store" not in answer.headers["Cache-Control"]


def jobs(settings: dict[str, str], *kinds: str) -> list[int]:
    """Their subjects."""
    rows = ask(settings, "SELECT subject_id FROM jobs WHERE kind = ANY ($1)", kinds)
    return [row["subject_id"] for row in rows]


async def test_visitors_never_get_the_original(settings: dict[str, str], user: User) -> None:
    original = jpeg(cat(), AT_HOME)
    album = user.album()["id"]
    photo_id = user.upload(original, album)["id"]
    link, generous = share(user, album), share(user, album, allow_original=True)
    for size in ("", "auto", "display", "original", "preview", "thumbnail"):
        early = image(link, photo_id, size)
        assert (early.status_code, early.headers["Retry-After"]) == (404, "5")
    assert image(generous, photo_id, "original").content == original
    async with working(settings, "renditions"):
        await asyncio.to_thread(user.rendered, photo_id)
        for size in ("", "auto", "display", "original", "preview"):
            preview = image(link, photo_id, size)
            assert preview.headers["Content-Type"] == "image/webp"
            assert not Image.open(io.BytesIO(preview.content)).getexif()
        assert not is_cacheable(link, photo_id)
    async with working(settings, "shared_album", "display"):
        await asyncio.to_thread(eventually, lambda: is_cacheable(link, photo_id))
        await asyncio.to_thread(eventually, lambda: not jobs(settings, "shared_album", "display"))
    for where, size in ((link, ""), (link, "display"), (link, "original"), (generous, "")):
        full = image(where, photo_id, size)
        assert full.headers["Content-Disposition"].startswith('inline; filename="photo.jpg"')
        shown, before = (Image.open(io.BytesIO(data)) for data in (full.content, original))
        assert dict(shown.getexif()) == {274: 6}
        assert shown.tobytes() == before.tobytes()
    assert image(generous, photo_id, "original").content == original
    assert not await asyncio.to_thread(jobs, settings, "shared_album", "display")


async def test_what_cannot_be_shown_is_tried_once(settings: dict[str, str], user: User) -> None:
    album = user.album()["id"]
    photo_id = user.upload(plain_jpeg()[:200], album)["id"]
    link = share(user, album)
    async with working(settings, "renditions", "shared_album", "display"):
        dead = "SELECT error, state FROM jobs WHERE kind = 'display' AND state = 'dead'"
        await asyncio.to_thread(eventually, lambda: ask(settings, dead))
        await asyncio.to_thread(user.rendered, photo_id)
        share(user, album)
        await asyncio.to_thread(eventually, lambda: not jobs(settings, "shared_album"))
        [row] = await asyncio.to_thread(ask, settings, dead)
    assert row["error"] == "truncated"
    answer = image(link, photo_id)
    assert answer.status_code == 404
    assert "Retry-After" not in answer.headers, "it would be in vain"


def test_each_way_into_a_shared_album_has_the_file_made(
    settings: dict[str, str], user: User
) -> None:
    shared, other = user.album()["id"], user.album()["id"]
    share(user, shared)

    def asked_for(act: Callable[[], object]) -> bool:
        ask(settings, "DELETE FROM jobs")
        act()
        return jobs(settings, "shared_album") == [shared]

    data = plain_jpeg()
    assert asked_for(lambda: user.upload(data, shared))
    assert not asked_for(lambda: user.upload(plain_jpeg(), other))
    loose = user.upload(plain_jpeg(), other)["id"]
    add = {"photo_ids": [loose]}
    assert asked_for(lambda: user.api.post(f"/albums/{shared}/photos", json=add))
    assert not asked_for(lambda: user.api.post(f"/albums/{shared}/photos", json=add))
    for made in user.api.get(f"/albums/{shared}/share").json():
        user.api.delete(f"/albums/{shared}/share/{made['id']}").raise_for_status()
    assert not asked_for(lambda: user.upload(plain_jpeg(), shared))
    assert asked_for(lambda: share(user, shared))


async def fill(db: Any, user: User, album: int, count: int) -> None:
    """Put rows of photos into the album whose bytes nobody will ask for."""
    await db.execute(
        "WITH made AS (INSERT INTO photos (owner_id, status, album_id, original_filename,"
        "  content_type, file_size, object_key) SELECT $1, 'ready', $2, '', '', 1,"
        "  gen_random_uuid()::text FROM generate_series(1, $3) RETURNING id)"
        " INSERT INTO album_photos (album_id, photo_id) SELECT $2, id FROM made",
        user.account["id"], album, count,
    )  # fmt: skip


async def leased(db: Any, *kinds: str) -> queue.Job | None:
    return next(iter(await queue.lease(db, "tests", 60, kinds)), None)


async def test_a_large_album_leaves_its_owner_s_other_jobs_their_turn(
    settings: dict[str, str], user: User
) -> None:
    album = user.album()["id"]
    count = 2 * AT_ONCE + 5
    async with database_of(settings) as db:
        await fill(db, user, album, count)
        share(user, album)
        handler, done, waited = SharedAlbumJob(db), 0, None
        while (job := await leased(db, "shared_album", "display", "renditions")) is not None:
            if job.kind == "shared_album":
                await handler.run(job)
                if waited is None:
                    await db.execute("INSERT INTO jobs (kind, subject_id) VALUES ('renditions', 0)")
                    await db.execute("UPDATE jobs SET user_id = $1", user.account["id"])
                    waited = -1
                continue
            await db.execute("DELETE FROM jobs WHERE id = $1", job.id)
            if job.kind == "renditions":
                waited = done
            else:
                done += 1
                await db.execute(
                    "UPDATE photos SET display_key = id::text WHERE id = $1 AND status = 'ready'",
                    job.subject_id,
                )
    assert done == count
    assert waited is not None
    assert waited <= AT_ONCE


async def test_no_photo_falls_between_two_looks(
    settings: dict[str, str], user: User, connections: list[Any]
) -> None:
    """One that enters while the album's job is leased is seen by another job; a job that waits is
    not leased before the one that relies on it is done."""
    album = user.album()["id"]
    share(user, album)
    first, second, third = connections[:3]
    entering = first.transaction()
    await entering.start()
    await fill(first, user, album, 1)
    assert await leased(second, "shared_album") is None
    await entering.commit()
    held = await leased(second, "shared_album")
    assert held is not None
    await fill(third, user, album, 1)
    assert (await leased(third, "shared_album")) not in (None, held)


async def test_an_album_is_looked_through_once_and_not_anew_for_each_photo_that_enters(
    settings: dict[str, str], user: User
) -> None:
    album = user.album()["id"]
    async with database_of(settings) as db:
        await fill(db, user, album, 2 * LOOKED_AT + 5)
        await db.execute("UPDATE photos SET display_key = id::text")
        share(user, album)
        assert await looks(db) == 4, "three have photos, the last one has none"
        await fill(db, user, album, 1)
        [entered] = await db.fetch("SELECT id FROM photos WHERE display_key IS NULL")
        assert await looks(db) == 2
        assert await db.fetchval("SELECT subject_id FROM jobs") == entered["id"]
        share(user, album)
        assert await looks(db) == 4, "a new link may follow one that had expired"
        # One whose job waits in front of what enters, and one that has passed it already.
        for progress in (0, 10**9):
            share(user, album)
            await db.execute("UPDATE jobs SET progress = $1 WHERE kind = 'shared_album'", progress)
            await fill(db, user, album, 1)
            assert await looks(db) > 1
        waiting = await db.fetchval("SELECT count(*) FROM jobs WHERE kind = 'display'")
        assert waiting == 3


async def looks(db: Any) -> int:
    """How often an album is looked at until no job of its is left."""
    handler, number = SharedAlbumJob(db), 0
    while (job := await leased(db, "shared_album")) is not None:
        await handler.run(job)
        number += 1
    return number


async def test_who_enters_a_shared_album_waits_for_no_turn_of_another(
    user: User, connections: list[Any]
) -> None:
    """An upload that has enqueued its first job wants the album; its holder enqueues one."""
    shared, other = user.album()["id"], user.album()["id"]
    share(user, shared)
    loose = user.upload(plain_jpeg(), other)["id"]
    uploading, adding = connections[:2]
    owner = user.account["id"]
    await uploading.execute("DELETE FROM jobs; DELETE FROM job_turns")
    async with uploading.transaction():
        await uploading.execute(
            "WITH made AS (INSERT INTO photos (owner_id, status, album_id, original_filename,"
            "  content_type, file_size, object_key) VALUES ($1, 'ready', $2, '', '', 1, 'x')"
            "  RETURNING id) INSERT INTO jobs (kind, subject_id) SELECT 'renditions', id FROM made",
            owner, shared,
        )  # fmt: skip
        async with asyncio.timeout(5):
            assert await add_photos(adding, owner, shared, [loose]) == 1
            assert dict(await link(uploading, owner, shared, loose)) == {
                "album": True, "photo": True,
            }  # fmt: skip
    assert await adding.fetchval("SELECT count(*) FROM jobs") == 2


async def test_two_at_work_on_one_photo_leave_one_file(
    settings: dict[str, str], user: User
) -> None:
    photo_id = user.upload()["id"]
    decoder, store = Decoder(), store_of(settings)
    async with database_of(settings) as db:
        handler = DisplayJob(db, store, DecoderPool(store, [decoder]))
        both = []
        for _ in range(2):
            await db.execute("INSERT INTO jobs (kind, subject_id) VALUES ('display', $1)", photo_id)
            both.append(await leased(db, "display"))
        await asyncio.gather(*[handler.run(job) for job in both if job is not None])
        await decoder.aclose()
        kept = await db.fetchval(
            "SELECT display_key FROM photos WHERE id = $1 AND status = 'ready'", photo_id
        )
        noted = await db.fetch(
            "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE '%-display%'"
        )
    assert kept
    assert kept not in [row["object_key"] for row in noted]
    assert len(noted) == 1, "the sweep knows the other"


async def test_what_the_release_before_deletes_leaves_nothing_behind(
    settings: dict[str, str], user: User
) -> None:
    """It does not know of the file that was made for visitors."""
    photo_id = user.upload()["id"]
    async with database_of(settings) as db:
        await db.execute(
            "UPDATE photos SET display_key = 'renditions/1/1/x-display.jpg'"
            " WHERE id = $1 AND status = 'ready'",
            photo_id,
        )
        await delete_as_before(db, photo_id)
        noted = await db.fetch("SELECT object_key FROM unreferenced_objects")
    assert "renditions/1/1/x-display.jpg" in [row["object_key"] for row in noted]


async def delete_as_before(db: Database, photo_id: int) -> None:
    await db.execute(
        "WITH mine AS (UPDATE photos SET status = 'gone', gone_at = now()"
        "  WHERE id = $1 AND status = 'ready' RETURNING id, object_key)"
        " INSERT INTO unreferenced_objects (object_key, delete_after)"
        " SELECT object_key, now() FROM mine ON CONFLICT DO NOTHING",
        photo_id,
    )


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_originals_are_allowed_by_a_clear_word_only(user: User, wrong: object) -> None:
    album = user.album()["id"]
    answer = user.api.post(f"/albums/{album}/share", json={"allow_original": wrong})
    assert answer.status_code == 422
