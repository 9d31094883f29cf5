"""`photo-api import` while it is broken off, run twice, and the store keeps single objects back."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from photo_api.moving import objects
from tests.outages.faulty_store import faulty_store
from tests.own_stage import (
    ask,
    bucket_in,
    database_of,
    endpoint_in,
    own_bucket,
    own_database,
    reached_at,
    store_of,
)
from tests.service import cli, jpeg


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
                    owner,
                    len(data),
                    key,
                )
            )
    await store.aclose()
    return ids


async def test_a_run_whose_last_commit_is_not_over_yet_loses_no_photo_by_the_next(
    settings: dict[str, str], stack: dict[str, Any], environ: dict[str, str]
) -> None:
    """Killed while its commit waits, for a standby say: the next run sees the photo wait, and the
    commit comes after its look."""
    [photo_id] = await to_be_moved(settings, await asyncio.to_thread(own_bucket, stack, environ))
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


async def test_objects_that_the_store_keeps_back_stop_no_others(
    settings: dict[str, str], stack: dict[str, Any], environ: dict[str, str]
) -> None:
    """Archived ones say 403. More of them than make a breaker think of an outage."""
    old = await asyncio.to_thread(own_bucket, stack, environ)
    kept = await to_be_moved(settings, old, 8)
    sound = await to_be_moved(settings, old, 3)
    async with database_of(settings) as db:
        await db.execute(
            "UPDATE photos SET staging_key = 'archive/' || staging_key WHERE id = ANY ($1)", kept
        )
    with faulty_store(endpoint_in(settings)) as relay:
        relay.answers(403, "InvalidObjectState", "/archive/")
        behind = reached_at(settings, relay.endpoint)
        done = await asyncio.to_thread(cli, behind, "import", "--bucket", bucket_in(old), "--json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert (report["photos"], report["missing"]) == (len(sound), [])
    assert {int(told.partition(":")[0]) for told in report["to_try_again"]} == set(kept)


async def test_a_store_that_goes_away_in_the_middle_ends_the_run(
    settings: dict[str, str], stack: dict[str, Any], environ: dict[str, str]
) -> None:
    """Or one that hands out nothing at all, though it lists; and the next run takes up the rest."""
    old = await asyncio.to_thread(own_bucket, stack, environ)
    waiting = await to_be_moved(settings, old, 3)
    arguments = ("import", "--bucket", bucket_in(old))
    with faulty_store(endpoint_in(settings)) as relay:
        behind = reached_at(settings, relay.endpoint)
        relay.answers(503, "SlowDown")
        done = await asyncio.to_thread(cli, behind, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "the store failed" in done.stderr or "has been failing" in done.stderr
        relay.passes()
        done = await asyncio.to_thread(cli, behind, *arguments, "--json")
    report = json.loads(done.stdout)
    assert report["photos"] == len(waiting)
    async with database_of(settings) as db:
        states = "SELECT DISTINCT status FROM photos WHERE id = ANY ($1)"
        assert await db.fetchval(states, waiting) == "ready"
