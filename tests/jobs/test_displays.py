"""What browsers cannot show has a file at full size that they can."""

import asyncio
import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from photo_api.photos import remaking
from photo_api.photos.remaking import enqueue_displays, remake
from photo_api.registry import leases
from tests.jobs.stage import Worker
from tests.jobs.test_shared_files import image as shared_image
from tests.jobs.test_shared_files import is_cacheable, jobs, share, working
from tests.own_stage import ask, database_of
from tests.photographs import cat, good
from tests.photographs import heic as photograph
from tests.renditions.test_images import difference
from tests.service import User, eventually, heic, jpeg

FULL = ("", "auto", "display")
SMALL = ("preview", "thumbnail")


def path(photo_id: int, size: str = "") -> str:
    return f"/photos/{photo_id}/image" + (f"?size={size}" if size else "")


def shown(user: User, photo_id: int, size: str = "") -> httpx.Response:
    """The image itself, whose `extensions` tell whether the way there may be kept."""
    way = user.api.get(path(photo_id, size))
    assert way.status_code == 302, way.text
    found = httpx.get(way.headers["Location"])
    found.extensions["cacheable"] = way.headers["Cache-Control"] != "private, no-store"
    return found


def refusal(answer: httpx.Response) -> tuple[int, str | None]:
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.headers.get("Retry-After")


def has_display(user: User, photo_id: int) -> bool:
    return "-display." in user.api.get(path(photo_id)).headers.get("Location", "")


async def test_a_heic_is_shown_by_every_browser(settings: dict[str, str], user: User) -> None:
    original = photograph()
    photo_id = user.upload(original, filename="바다.HEIC")["id"]
    for size in (*FULL, *SMALL):
        for method in ("GET", "HEAD"):
            assert refusal(user.api.request(method, path(photo_id, size))) == (404, "5")
    assert shown(user, photo_id, "original").content == original
    async with working(settings, "renditions"):
        photo = await asyncio.to_thread(user.rendered, photo_id)
    assert photo["url"] == path(photo_id)
    assert await asyncio.to_thread(jobs, settings, "display") == [photo_id], "though nobody shares"
    for size in (*FULL, *SMALL):
        early = shown(user, photo_id, size)
        assert early.headers["Content-Type"] == "image/webp"
        assert early.extensions["cacheable"] == (size in SMALL)
    async with working(settings, "display"):
        await asyncio.to_thread(eventually, lambda: has_display(user, photo_id))
    for size in FULL:
        full = shown(user, photo_id, size)
        assert (full.headers["Content-Type"], full.extensions["cacheable"]) == ("image/webp", True)
        assert full.headers["Content-Disposition"].endswith("%EB%B0%94%EB%8B%A4.webp")
        picture = Image.open(io.BytesIO(full.content))
        assert (picture.format, picture.size) == ("WEBP", cat().size)
        assert difference(picture, cat()) < 30
        assert not picture.getexif()
    untouched = shown(user, photo_id, "original")
    assert untouched.content == original
    assert untouched.headers["Content-Type"] == "image/heic"
    assert not await asyncio.to_thread(jobs, settings, "renditions", "display")


async def test_what_a_webp_cannot_hold_is_shown_as_a_jpeg(
    settings: dict[str, str], user: User
) -> None:
    """A WebP has 16,383 pixels a side at most."""
    wide = user.upload(heic(16_384, 64))["id"]
    async with working(settings, "renditions", "display"):
        await asyncio.to_thread(eventually, lambda: has_display(user, wide), 30)
    full = shown(user, wide)
    assert full.headers["Content-Disposition"].startswith('inline; filename="photo.jpg"')
    picture = Image.open(io.BytesIO(full.content))
    assert (full.headers["Content-Type"], picture.format) == ("image/jpeg", "JPEG")
    assert picture.size == (16_384, 64)


async def test_what_browsers_show_is_the_original_from_the_first_moment(
    settings: dict[str, str], user: User
) -> None:
    album = user.album()["id"]
    for kind in ("jpeg", "gif", "webp", "avif", "png"):
        content_type, data = good()[kind]
        photo_id = user.upload(data, album)["id"]
        for size in (*FULL, "original"):
            found = shown(user, photo_id, size)
            assert (found.headers["Content-Type"], found.content) == (content_type, data)
            assert found.extensions["cacheable"]
        for size in SMALL:
            assert refusal(user.api.get(path(photo_id, size))) == (404, "5")
    await asyncio.to_thread(ask, settings, "DELETE FROM jobs WHERE subject_id <> $1", photo_id)
    async with working(settings, "renditions"):
        await asyncio.to_thread(user.rendered, photo_id)
    assert not await asyncio.to_thread(jobs, settings, "display")
    await asyncio.to_thread(
        ask, settings, "INSERT INTO jobs (kind, subject_id) VALUES ('display', $1)", photo_id
    )
    async with working(settings, "display"):
        await asyncio.to_thread(eventually, lambda: not jobs(settings, "display"))
    assert shown(user, photo_id).content == data
    assert shown(user, photo_id, "display").headers["Content-Type"] == "image/webp"


async def test_what_cannot_be_decoded_is_left_to_those_who_may_know_better(
    settings: dict[str, str], user: User
) -> None:
    """Safari has a decoder of its own, and may change its mind as we may."""
    data = photograph()
    data = data[: len(data) // 2]
    album = user.album()["id"]
    photo_id = user.upload(data, album)["id"]
    link, generous = share(user, album), share(user, album, allow_original=True)
    async with working(settings, "renditions"):
        photo = await asyncio.to_thread(user.rendered, photo_id)
    assert (photo["renditions"], photo["thumbnail_url"], photo["preview_url"]) == (
        "failed", None, None,
    )  # fmt: skip
    assert not await asyncio.to_thread(jobs, settings, "display")
    for size in FULL:
        file = shown(user, photo_id, size)
        assert (file.content, file.extensions["cacheable"]) == (data, False)
    for size in SMALL:
        answer = user.api.get(path(photo_id, size))
        assert refusal(answer) == (404, None), "it would be in vain"
        assert "size=original" in answer.json()["detail"]
        assert refusal(shared_image(link, photo_id, size)) == (404, None)
    assert refusal(shared_image(link, photo_id)) == (404, None)
    assert shared_image(generous, photo_id, "original").content == data


async def test_a_small_size_is_never_the_large_file(settings: dict[str, str], user: User) -> None:
    """Not of a visitor either, whose file is as large as the original."""
    album = user.album()["id"]
    photo_id = user.upload(jpeg(), album)["id"]
    link = share(user, album)
    await asyncio.to_thread(ask, settings, "DELETE FROM jobs WHERE kind = 'renditions'")
    async with working(settings, "shared_album", "display"):
        await asyncio.to_thread(eventually, lambda: is_cacheable(link, photo_id))
    for size in SMALL:
        assert refusal(shared_image(link, photo_id, size)) == (404, "5")
        assert refusal(user.api.get(path(photo_id, size))) == (404, "5")


async def test_a_dead_job_leaves_the_preview_until_somebody_has_it_done_again(
    settings: dict[str, str], user: User
) -> None:
    photo_id = user.upload(heic())["id"]
    async with working(settings, "renditions"):
        await asyncio.to_thread(user.rendered, photo_id)
    async with database_of(settings) as db:
        await db.execute("UPDATE jobs SET state = 'dead', error = 'corrupt'")
        assert not await enqueue_of(db)
        early = shown(user, photo_id)
        assert (early.headers["Content-Type"], early.extensions["cacheable"]) == (
            "image/webp", False,
        )  # fmt: skip
        await db.execute(
            "UPDATE photos SET thumbnail_key = NULL WHERE id = $1 AND status = 'ready'", photo_id
        )
        assert await remake(db, 0, None, 0.0) == [photo_id]
    async with working(settings, "renditions", "display"):
        await asyncio.to_thread(eventually, lambda: has_display(user, photo_id))
    assert not await asyncio.to_thread(jobs, settings, "renditions", "display")


async def enqueue_of(db: Any) -> int:
    """One round of the maintenance."""
    lease = await leases.acquire(db, uuid4().hex, "tests", 60)
    assert lease is not None
    return await enqueue_displays(db, lease)


async def fill(db: Any, owner: int, count: int, **values: object) -> list[int]:
    """Rows of photos whose bytes nobody will ask for, HEICs of the release before by default; the
    newest first."""
    row = {
        "owner_id": owner, "status": "ready", "album_id": 0, "original_filename": "",
        "content_type": "image/heic", "file_size": 1, "renditions": "ready", "display_key": None,
    } | values  # fmt: skip
    made = await db.fetch(
        f"INSERT INTO photos ({', '.join(row)}, object_key)"
        f" SELECT {', '.join(f'${n}' for n in range(2, len(row) + 2))}, gen_random_uuid()::text"
        " FROM generate_series(1, $1) RETURNING id",
        count, *row.values(),
    )  # fmt: skip
    return sorted((row["id"] for row in made), reverse=True)


async def test_photos_of_the_release_before_get_theirs_some_at_a_time(
    settings: dict[str, str], user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remaking, "DISPLAYS", 3)
    owner = user.account["id"]
    async with database_of(settings) as db:
        for values in (
            {"content_type": "image/jpeg"}, {"renditions": "failed"}, {"renditions": "pending"},
            {"display_key": "made"}, {"status": "gone"},
        ):  # fmt: skip
            await fill(db, owner, 1, **values)
        old = await fill(db, owner, 5) + await fill(db, owner, 1, content_type="image/heif")
        old.sort(reverse=True)
        assert (await enqueue_of(db), jobs_of(await waiting(db))) == (3, old[:3])
        assert await enqueue_of(db) == 0, "until some of them are done"
        await db.execute("UPDATE jobs SET state = 'dead' WHERE subject_id = $1", old[0])
        await db.execute("DELETE FROM jobs WHERE subject_id = $1", old[1])
        await db.execute(
            "UPDATE photos SET display_key = 'x' WHERE id = $1 AND status = 'ready'", old[1]
        )
        assert (await enqueue_of(db), jobs_of(await waiting(db))) == (2, old[2:5])


async def waiting(db: Any) -> list[Any]:
    rows: list[Any] = await db.fetch(
        "SELECT subject_id FROM jobs WHERE kind = 'display' AND state <> 'dead'"
        " ORDER BY subject_id DESC"
    )
    return rows


def jobs_of(rows: list[Any]) -> list[int]:
    return [row["subject_id"] for row in rows]


async def test_what_waits_is_found_without_reading_all_photos(
    settings: dict[str, str], user: User
) -> None:
    async with database_of(settings) as db:
        await fill(db, user.account["id"], 5000, content_type="image/jpeg")
        await fill(db, user.account["id"], 5000, display_key="made")
        old = await fill(db, user.account["id"], 2)
        await db.execute("ANALYZE photos, jobs")
        read = (
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'photos'"
        )
        async with db.transaction() as connection:
            assert await enqueue_of(connection) == len(old)
            assert await connection.fetchval(read) < 100


def test_a_worker_sees_to_photos_of_the_release_before(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    photo_id = user.upload(heic())["id"]
    start_worker(SWEEP_INTERVAL="0.2")
    eventually(lambda: has_display(user, photo_id), 30)
    ask(
        settings,
        "UPDATE photos SET display_key = NULL, display_type = NULL"
        " WHERE id = $1 AND status = 'ready'",
        photo_id,
    )
    eventually(lambda: has_display(user, photo_id), 30)
