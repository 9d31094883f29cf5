"""Names that the release before has kept decomposed are composed by maintenance."""

import asyncio
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

import pytest

from photo_api.db.pool import Database
from photo_api.http.composed_names import COLUMNS, compose_names, decomposed
from photo_api.maintenance import Maintenance
from photo_api.registry import leases
from photo_api.settings.loading import load
from photo_api.storage.base import ObjectStore
from tests.own_stage import at_work, database_of, own_database
from tests.service import User

WHOLE = "서울 나들이 café"
APART = normalize("NFD", WHOLE)


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


async def test_maintenance_composes_them(
    settings: dict[str, str], user: User, db: Database, store: ObjectStore
) -> None:
    album = user.album()["id"]
    photo = user.upload(album_id=album)["id"]
    for statement, row in (
        ("UPDATE users SET username = $2 WHERE id = $1", user.account["id"]),
        ("UPDATE albums SET name = $2, description = $2 WHERE id = $1", album),
        ("UPDATE photos SET original_filename = $2, title = $2 WHERE id = $1", photo),
    ):
        await db.execute(statement, row, APART)
    image = user.api.get(f"/photos/{photo}/image", follow_redirects=True)
    assert unquote(image.headers["Content-Disposition"]).endswith(f"UTF-8''{WHOLE}"), "at once"
    maintenance = Maintenance(db, store, 0.2, load(settings).uploads, "tests")
    async with at_work(maintenance.run()), asyncio.timeout(20):
        while user.photo(photo)["original_filename"] != WHOLE:
            await asyncio.sleep(0.05)
    assert (user.photo(photo)["title"], user.photo(photo)["description"]) == (WHOLE, None)
    shown = user.api.get(f"/albums/{album}").json()
    assert (shown["name"], shown["description"]) == (WHOLE, WHOLE)
    assert user.api.get("/auth/me").json()["username"] == WHOLE


async def test_in_batches_under_the_lease_without_waiting(user: User, db: Database) -> None:
    albums = [user.album()["id"] for _ in range(4)]
    await db.execute("UPDATE albums SET name = $2 WHERE id = ANY($1)", albums, APART)
    lease = await leases.acquire(db, "names", "tests", 60.0)
    assert lease is not None

    async def left() -> list[int]:
        apart = f"SELECT id FROM albums WHERE {decomposed('albums')} ORDER BY id"
        return [row["id"] for row in await db.fetch(apart)]

    await compose_names(db, lease._replace(token=lease.token + 1), 9)
    assert await left() == albums, "a lease that is lost changes nothing"
    await compose_names(db, lease, 2)
    assert await left() == albums[2:]
    async with db.transaction() as connection:
        lock = "SELECT FROM albums WHERE id = $1 FOR NO KEY UPDATE"
        await connection.execute(lock, albums[2])
        async with asyncio.timeout(20):
            await compose_names(db, lease, 9)
    assert await left() == albums[2:3], "it is changed by somebody, and comes next"
    await compose_names(db, lease, 9)
    assert await left() == []


@pytest.mark.slow
async def test_names_that_take_long_go_one_by_one(settings: dict[str, str], user: User) -> None:
    """Marks out of order, which cost the server quadratic time."""
    album = user.album()["id"]
    worst = "a" + "\u0301\u0316" * 4000
    impatient = settings | {"PHOTO_API_DATABASE_STATEMENT_TIMEOUT": "4"}
    async with database_of(impatient) as db:
        await db.execute(
            "INSERT INTO albums (owner_id, name, description)"
            " SELECT owner_id, 'worst', $2 FROM albums, generate_series(1, 100) WHERE id = $1",
            album, worst,
        )  # fmt: skip
        lease = await leases.acquire(db, "long names", "tests", 60.0)
        assert lease is not None
        await compose_names(db, lease, 2000)
        shorter = "SELECT count(*) FROM albums WHERE name = 'worst' AND description <> $1"
        assert await db.fetchval(shorter, worst) == 1
        await db.execute("DELETE FROM albums WHERE name = 'worst'")


async def test_what_is_composed_costs_nothing_to_look_for(user: User, db: Database) -> None:
    """Each condition is that of its index, in the same words."""
    async with db.transaction() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        for table in COLUMNS:
            plan = await connection.fetch(
                f"EXPLAIN SELECT id FROM {table} WHERE {decomposed(table)} ORDER BY id LIMIT 2000"
            )
            assert f"{table}_decomposed" in "\n".join(row[0] for row in plan)
