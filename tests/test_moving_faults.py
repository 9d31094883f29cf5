"""`photo-api import` while it is broken off, run twice, and the store keeps single objects back."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from photo_api.moving import objects
from tests.own_stage import ask, database_of, own_bucket, own_database, store_of
from tests.service import jpeg


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, own_bucket(stack, environ)) as settings:
        yield settings


async def to_be_moved(settings: dict[str, str], old: dict[str, str], count: int = 1) -> list[int]:
    """Photos as move.sql leaves them, whose objects are in the bucket of `old`."""
    ids = []
    store = store_of(old)
    async with database_of(settings) as db:
        owner = await db.fetchval(
            "INSERT INTO users (email, username, password_hash) VALUES ($1, 'mina', '')"
            " RETURNING id",
            uuid4().hex,
        )
        for _ in range(count):
            key, data = f"old/{uuid4().hex}.jpg", jpeg()
            await store.put_bytes(key, data, content_type="image/jpeg")
            ids.append(
                await db.fetchval(
                    "INSERT INTO photos (owner_id, album_id, status, original_filename,"
                    " content_type, file_size, staging_key)"
                    " VALUES ($1, 0, 'pending', 'a.jpg', 'image/jpeg', $2, $3) RETURNING id",
                    owner, len(data), key,
                )  # fmt: skip
            )
    await store.aclose()
    return ids


async def test_a_run_whose_last_commit_is_not_over_yet_loses_no_photo_by_the_next(
    settings: dict[str, str], stack: dict[str, Any], environ: dict[str, str]
) -> None:
    """Killed while its commit waits, for a standby say: the next run sees the photo wait, and the
    commit comes after its look."""
    [photo_id] = await to_be_moved(settings, own_bucket(stack, environ))
    key = f"photos/1/{photo_id}/x.jpg"
    async with database_of(settings) as db:
        assert await objects._note(db, photo_id, key)
        async with db.transaction() as killed:
            assert await objects._make_photo(killed, photo_id, key, "image/jpeg", 5)
            noted = asyncio.create_task(objects._note(db, photo_id, key))
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            async with asyncio.timeout(20):
                while not await db.fetchval(f"{waiting} AND datname = current_database()"):
                    await asyncio.sleep(0.02)
        assert not await noted
    left = "SELECT FROM unreferenced_objects WHERE object_key = $1"
    assert await asyncio.to_thread(ask, settings, left, key) == [], "the sweep would delete it"
