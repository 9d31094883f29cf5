"""What is in no album is found, whoever changes albums beside."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from photo_api.albums.queries import add_photos, delete_album, insert_album, remove_photos
from photo_api.photos import finding
from photo_api.photos.filters import Filters
from tests.own_stage import own_database

PHOTOS, TURNS, AT_ONCE = 6, 60, 5


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


async def found(db: Any, user: int) -> set[int]:
    query, values, _ = finding.statement(user, finding.Page(Filters(in_no_album=True)))
    return {row["id"] for row in await db.fetch(query, *values)}


async def test_no_photo_without_an_album_is_missing(settings: dict[str, str]) -> None:
    """Two take it out of its last two albums at once, one deletes an album, one takes it back."""
    url = settings["PHOTO_API_DATABASE_URL"]
    connections: list[Any] = [await asyncpg.connect(url) for _ in range(AT_ONCE)]
    db = connections[0]
    user = await db.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ('a', 'a', '') RETURNING id"
    )
    ids = [
        row["id"]
        for row in await db.fetch(
            "INSERT INTO photos (owner_id, status, original_filename, content_type, file_size,"
            " object_key) SELECT $1, 'ready', 'x', 'image/jpeg', 1, gen_random_uuid()"
            " FROM generate_series(1, $2) RETURNING id",
            user, PHOTOS,
        )
    ]  # fmt: skip
    albums = [await insert_album(db, user, "a", None) for _ in range(3)]

    async def change(db: Any, chance: random.Random) -> None:
        for _ in range(TURNS):
            some = chance.sample(ids, chance.randint(1, PHOTOS))
            album = chance.choice(albums)
            way = chance.random()
            try:
                if way < 0.4:
                    await add_photos(db, user, album, some)
                elif way < 0.8:
                    await remove_photos(db, user, album, some)
                elif way < 0.9:
                    async with db.transaction():
                        await remove_photos(db, user, album, some)
                        await asyncio.sleep(0.002)
                        if chance.random() < 0.3:
                            raise asyncio.InvalidStateError
                else:
                    albums[albums.index(album)] = await insert_album(db, user, "a", None)
                    await delete_album(db, user, album, "r")
            except (asyncio.InvalidStateError, ValueError):
                pass

    await add_photos(db, user, albums[0], ids)
    await add_photos(db, user, albums[1], ids)
    one, other = connections[1:3]
    async with one.transaction():
        await remove_photos(one, user, albums[0], ids[:2])
        beside = asyncio.create_task(remove_photos(other, user, albums[1], ids[1:3]))
        await asyncio.sleep(0.2)
    await beside
    await remove_photos(db, user, albums[1], ids[:1])
    assert await found(db, user) == set(ids[:2])
    for seed in range(3):
        await asyncio.gather(
            *(change(one, random.Random(seed * 100 + n)) for n, one in enumerate(connections))
        )
        missing = await db.fetch(
            "SELECT id FROM photos p WHERE status = 'ready'"
            " AND NOT EXISTS (SELECT FROM album_photos WHERE photo_id = p.id)"
        )
        assert await found(db, user) == {row["id"] for row in missing}
    await db.execute("UPDATE photos SET status = 'gone', gone_at = now() WHERE id = $1", ids[0])
    await db.execute("DELETE FROM users WHERE id = $1", user)
    for table in ("photo_search", "photos_in_no_album"):
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0
    for connection in connections:
        await connection.close()
