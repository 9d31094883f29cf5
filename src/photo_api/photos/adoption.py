"""Photos made of originals that no row knows, as after the database was restored from a backup."""

import re
from typing import Any

from photo_api.http.fields import MAX_ID
from photo_api.jobs.queue import enqueuing
from photo_api.photos.formats import SNIFF_LENGTH, sniff
from photo_api.photos.upload_queries import make_ready
from photo_api.storage.base import ObjectMissing, ObjectStore

OWN_KEY = re.compile(r"photos/([1-9][0-9]{0,15})/([1-9][0-9]{0,15})/[0-9a-f]{32}\.[a-z]+")

LOST_IDS = 1_000_000_000
"""Ids that may have been handed out since the backup: a thousand a second for eleven days. The ids
that there are would do for nine million such adoptions."""


async def adopt(connection: Any, store: ObjectStore, key: str) -> int | None:
    """The id of the photo that the original at `key` belongs to now; None for what is no original
    of a user that there is. Needs the temporary table `listed` (key, modified); for keys with
    `far_ids` it is not.

    An upload that the table has as pending is confirmed, with its title and album. Otherwise the
    photo is as old as its object, and has the id in the key unless another photo has it."""
    match = OWN_KEY.fullmatch(key)
    if match is None:
        return None
    owner_id, photo_id = map(int, match.groups())
    try:
        info, head = await store.peek(key, SNIFF_LENGTH)
    except ObjectMissing:
        return None
    content_type = sniff(head)
    if content_type is None:
        return None
    if await _confirm(connection, owner_id, photo_id, key, content_type):
        return photo_id
    return await _insert(connection, owner_id, photo_id, key, content_type, info.size)


async def _confirm(
    connection: Any, owner_id: int, photo_id: int, key: str, content_type: str
) -> bool:
    """Whether there was such a pending upload, which has ended as a confirmation ends it."""
    change = connection.transaction()
    await change.start()
    await connection.execute(
        "INSERT INTO unreferenced_objects (object_key, delete_after) VALUES ($1, now())"
        " ON CONFLICT DO NOTHING",
        key,
    )
    done = await make_ready(connection, owner_id, photo_id, key, content_type, None)
    # Otherwise the sweep would take the key for an upload that was given up.
    await (change.commit() if done else change.rollback())
    return done


async def _insert(
    connection: Any, owner_id: int, photo_id: int, key: str, content_type: str, size: int
) -> int | None:
    adopted: int | None = await connection.fetchval(
        f"""
        WITH adopted AS (
            INSERT INTO photos (id, owner_id, album_id, status, original_filename, content_type,
                file_size, object_key, created_at)
            OVERRIDING SYSTEM VALUE
            SELECT CASE WHEN EXISTS (SELECT FROM photos WHERE id = $2)
                        THEN nextval(pg_get_serial_sequence('photos', 'id')) ELSE $2 END,
                $1, 0, 'ready', $3, $4, $5, $6,
                (SELECT modified FROM listed WHERE listed.key = $6)
            WHERE EXISTS (SELECT FROM users WHERE id = $1)
            AND NOT EXISTS (SELECT FROM unreferenced_objects WHERE object_key = $6 AND taken)
            ON CONFLICT DO NOTHING RETURNING id
        ), known AS (
            DELETE FROM unreferenced_objects WHERE object_key = $6 AND EXISTS (SELECT FROM adopted)
        ), {enqueuing("renditions", "adopted")}
        SELECT id, CASE WHEN id >= last_value THEN setval('photos_id_seq', id) END
        FROM adopted, photos_id_seq
        """,
        owner_id, photo_id, key.rsplit("/", 1)[-1], content_type, size, key,
    )  # fmt: skip
    return adopted


async def far_ids(connection: Any, keys: list[str]) -> list[str]:
    """Those of these keys whose id nobody can have handed out: it is out of range, or `LOST_IDS`
    beyond the newest. To believe one would leave no id for new photos."""
    newest: int = await connection.fetchval("SELECT last_value FROM photos_id_seq")
    largest = min(newest + LOST_IDS, MAX_ID)
    return [key for key in keys if (match := OWN_KEY.fullmatch(key)) and int(match[2]) > largest]


async def reserve_ids(connection: Any, keys: list[str]) -> None:
    """See to it that no new photo gets an id that stands in one of these keys."""
    ids = [int(match[2]) for key in keys if (match := OWN_KEY.fullmatch(key))]
    newest = max(ids, default=0)
    await connection.execute(
        "SELECT setval('photos_id_seq', $1) FROM photos_id_seq WHERE last_value < $1", newest
    )
