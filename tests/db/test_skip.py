"""What `skip` leaves out, by an index alone, is what would have been shown before it."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from photo_api.albums import queries as albums
from photo_api.albums.orders import POSITION
from photo_api.photos import queries as photos
from photo_api.shares import queries as shares
from tests.own_stage import own_database

EVERY = 2**62
LARGEST = 10**18 - 1
"""That `skip` may be: PostgreSQL takes a number that is compared with 0 for one of 32 bits."""


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.mark.parametrize("not_moved_yet", [False, True])
async def test_a_page_that_skips_is_that_part_of_the_whole_list(
    settings: dict[str, str], not_moved_yet: bool
) -> None:
    """Also while photos of another service are in its albums and not ready: they do not count."""
    db: Any = await asyncpg.connect(settings["PHOTO_API_DATABASE_URL"])
    user, other = [row["id"] for row in await db.fetch(USERS)]
    await db.execute(ALBUMS, user, other)
    album = await db.fetchval("SELECT max(id) FROM albums WHERE owner_id = $1", user)
    await db.execute(PHOTOS, [user, other], not_moved_yet)
    await db.execute(MEMBERS, album, user)
    token = sha256(b"").digest()
    await db.execute(SHARE, album, token)

    async def listed(skip: int, limit: int) -> list[list[int]]:
        start = POSITION.start
        page = await albums.album_page(db, user, album, POSITION, start, skip, limit, covers=False)
        view = await shares.view(db, token, POSITION, start, skip, limit, counts=False)
        return [
            [row["id"] for row in await photos.photos(db, user, EVERY, skip, limit)],
            [row["id"] for row in await albums.albums(db, user, EVERY, skip, limit, covers=False)],
            [row["id"] for row in page if row["id"] is not None],
            [row["id"] for row in view if row["id"] is not None],
        ]

    whole = await listed(0, 100)
    assert [len(ids) for ids in whole] == [10, 10, 10, 10]
    for skip in (0, 1, 4, 9, 10, 11, 2**31, LARGEST):
        assert await listed(skip, 3) == [ids[skip : skip + 3] for ids in whole], skip
    await db.close()


USERS = (
    "INSERT INTO users (email, username, password_hash) VALUES ('a', '', ''), ('b', '', '')"
    " RETURNING id"
)
ALBUMS = (
    "INSERT INTO albums (owner_id, name) SELECT CASE n % 2 WHEN 0 THEN $1::bigint ELSE $2 END, 'a'"
    " FROM generate_series(1, 20) n"
)
PHOTOS = (
    "INSERT INTO photos (owner_id, status, album_id, original_filename, content_type, file_size,"
    " object_key, staging_key) SELECT owner, state, 0, '', '', 1, key, key"
    " FROM generate_series(1, 10) n, unnest($1::bigint[]) owner,"
    " unnest(CASE WHEN $2 THEN ARRAY['ready', 'pending'] ELSE ARRAY['ready'] END) state,"
    " format('%s/%s/%s', owner, state, n) key"
)
MEMBERS = (
    "INSERT INTO album_photos (album_id, photo_id) SELECT $1, id FROM photos WHERE owner_id = $2"
    " ORDER BY md5(id::text)"
)
SHARE = "INSERT INTO shares (album_id, token_hash, token_sealed, token_kid) VALUES ($1, $2, '', '')"
