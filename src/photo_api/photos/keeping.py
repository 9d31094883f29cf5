"""Bulk operations of keeping: delete, restore, purge, mark, move.

They lock photos, then albums, each in the order of their ids: of those that run beside each other
one waits for the other, and none for one that waits for it.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from photo_api.errors import not_found
from photo_api.http.fields import in_range
from photo_api.photos import trash
from photo_api.photos.bulk import Bulk, Found, Operation, lock_ready, told


async def delete(connection: Any, bulk: Bulk) -> Found:
    """Into the trash."""
    ids = bulk.owner_id, bulk.photo_ids
    return told(await trash.delete(connection, *ids, bulk.days, bulk.request_id))


async def restore(connection: Any, bulk: Bulk) -> Found:
    """Out of the trash, back into albums."""
    return told(await trash.restore(connection, bulk.owner_id, bulk.photo_ids))


async def purge(connection: Any, bulk: Bulk) -> Found:
    """From the trash, for good."""
    return told(await trash.purge(connection, bulk.owner_id, bulk.photo_ids))


FAVOURITE = """UPDATE photos p SET favourite = $2, updated_at = now()
FROM unnest($1::bigint[]) AS mine (id) WHERE p.id = mine.id AND p.favourite <> $2 RETURNING p.id"""
ARCHIVED = """UPDATE photos p SET archived = $2, updated_at = now()
FROM unnest($1::bigint[]) AS mine (id) WHERE p.id = mine.id AND p.archived <> $2 RETURNING p.id"""


async def mark(statement: str, value: bool, connection: Any, bulk: Bulk) -> Found:
    """Give a mark this value, by its statement."""
    mine = await lock_ready(connection, bulk)
    changed = {row["id"] for row in await connection.fetch(statement, mine, value)}
    return told({photo_id: photo_id in changed for photo_id in mine})


LOCK_ALBUMS = """SELECT id FROM albums WHERE id = ANY ($2::bigint[]) AND owner_id = $1
ORDER BY id FOR NO KEY UPDATE"""

MOVE = """
WITH taken AS (
    -- By the photos, which are in few albums: the album's own indexes might be read whole.
    DELETE FROM album_photos WHERE album_id + 0 = $3 AND photo_id = ANY ($1::bigint[])
    RETURNING photo_id
), added AS (
    INSERT INTO album_photos (album_id, photo_id)
    SELECT $2, id FROM unnest($1) WITH ORDINALITY AS wanted (id, place)
    WHERE $3 IS NULL OR id IN (SELECT photo_id FROM taken) ORDER BY place
    ON CONFLICT DO NOTHING RETURNING photo_id
)
SELECT id, id IN (SELECT photo_id FROM taken) OR id IN (SELECT photo_id FROM added) AS changed
FROM unnest($1) AS id
WHERE id IN (SELECT photo_id FROM taken) OR id IN (SELECT photo_id FROM added)
OR (SELECT true FROM album_photos WHERE album_id = $2 AND photo_id = id)"""
"""Not EXISTS at the end, which might read all of the album once, to look the ids up in it."""


async def move(connection: Any, bulk: Bulk) -> Found:
    """Into an album, at its end in the order given, and out of another one if that is told: then
    those alone that are in it. Raises `ApiError` NOT_FOUND for an album."""
    to, from_ = bulk.body.album_id, bulk.body.from_album_id
    albums = {album_id for album_id in (to, from_) if album_id is not None}
    mine = set(await lock_ready(connection, bulk))
    wanted = list(filter(in_range, albums))
    found = await connection.fetch(LOCK_ALBUMS, bulk.owner_id, wanted)
    if len(found) < len(albums):
        raise not_found("Album")
    in_their_order = [one for one in dict.fromkeys(bulk.body.photo_ids) if one in mine]
    rows = await connection.fetch(MOVE, in_their_order, to, from_)
    return told({row["id"]: row["changed"] for row in rows})


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "delete": delete,
        "restore": restore,
        "purge": purge,
        "favourite": partial(mark, FAVOURITE, True),
        "unfavourite": partial(mark, FAVOURITE, False),
        "archive": partial(mark, ARCHIVED, True),
        "unarchive": partial(mark, ARCHIVED, False),
        "move": move,
    }
)
