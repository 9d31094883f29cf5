"""SQL of photos as people see them: only confirmed ones, the owner in every WHERE clause."""

from datetime import datetime
from typing import Any, NamedTuple

from photo_api.http.pages import below, ended_by_bytes
from photo_api.http.repeated_deletes import remembered, was_carried_out
from photo_api.photos.presentation import COLUMNS, DETAIL

BELOW = below("SELECT id FROM photos WHERE owner_id = $1 AND status = 'ready' AND id < $2")
PHOTOS = ended_by_bytes(
    f"SELECT {COLUMNS} FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'"
    f" AND p.id < {BELOW} ORDER BY p.id DESC LIMIT $4",
    order="p.id DESC",
)


ALONE = f"{', '.join(f'p.{name}' for name in DETAIL)}, {COLUMNS}"
"""What is shown of a photo `p` by itself."""


class NewDate(NamedTuple):
    """When a photo was taken, by the clock on the wall there, and how many minutes that is ahead of
    UTC; None leaves each as it is. Or the date is given back to the file."""

    sort_at: datetime | None
    utc_offset: int | None
    from_file: bool


def dating(first: int) -> str:
    """The assignments of an UPDATE of photos `p` by a `NewDate`, its parameters from this one on.
    Triggers make the row's date of them."""
    at, offset, from_file = (f"${first + n}" for n in range(3))
    return f"""sort_at = coalesce({at}::timestamp, p.sort_at),
            utc_offset = coalesce({offset}::smallint, p.utc_offset),
            date_source = CASE WHEN {from_file}::boolean THEN 'file'
                WHEN {at} IS NOT NULL OR {offset} IS NOT NULL THEN 'user'
                ELSE p.date_source END"""


async def photos(db: Any, owner_id: int, before: int, skip: int, limit: int) -> list[Any]:
    """Newest first, those with an id below `before`, as many as a page can hold."""
    rows: list[Any] = await db.fetch(PHOTOS, owner_id, before, skip, limit)
    return rows


async def photo(db: Any, owner_id: int, photo_id: int) -> Any | None:
    return await db.fetchrow(
        f"SELECT {ALONE} FROM photos p"
        " WHERE p.id = $2 AND p.owner_id = $1 AND p.status = 'ready'",
        owner_id, photo_id,
    )  # fmt: skip


async def image(db: Any, owner_id: int, photo_id: int) -> Any | None:
    """What it takes to deliver a photo's bytes."""
    return await db.fetchrow(
        "SELECT object_key, object_key AS original_key, thumbnail_key, preview_key, display_key,"
        " display_type, renditions, original_filename, content_type"
        " FROM photos WHERE id = $2 AND owner_id = $1 AND status = 'ready'",
        owner_id, photo_id,
    )  # fmt: skip


async def update_photo(
    db: Any,
    owner_id: int,
    photo_id: int,
    title: str | None,
    description: str | None,
    date: NewDate,
) -> Any | None:
    """The changed photo, or None. Null leaves a field as it is, a blank text is cleared."""
    return await db.fetchrow(
        f"""
        UPDATE photos p SET
            title = CASE WHEN $3::text IS NULL THEN p.title ELSE nullif(btrim($3), '') END,
            description = CASE WHEN $4::text IS NULL THEN p.description
                               ELSE nullif(btrim($4), '') END,
            {dating(5)},
            updated_at = now()
        WHERE p.id = $2 AND p.owner_id = $1 AND p.status = 'ready' RETURNING {ALONE}
        """,
        owner_id, photo_id, title, description, *date,
    )  # fmt: skip


async def delete_photo(connection: Any, owner_id: int, photo_id: int, request_id: str) -> bool:
    """Whether there was such a photo, or this request deleted it before. It leaves all albums at
    once; a trigger leaves its bytes to the sweep. Needs a transaction, of which the second
    statement sees the albums that somebody put the photo into while the first one waited. All
    that lock both lock photos first, then albums in the order of their ids, then what is in
    them."""
    deleted = await connection.fetchval(
        f"""
        WITH mine AS (
            UPDATE photos SET status = 'gone', gone_at = now()
            WHERE id = $2 AND owner_id = $1 AND status = 'ready'
            RETURNING id
        ), {remembered("photo", "$3")}
        SELECT id FROM mine
        """,
        owner_id, photo_id, request_id,
    )  # fmt: skip
    if deleted is None:
        return await was_carried_out(connection, owner_id, "photo", photo_id, request_id)
    await connection.execute(
        # Not with OR, which reads all albums.
        "SELECT FROM albums WHERE id = ANY (ARRAY("
        " SELECT id FROM albums WHERE cover_photo_id = $1"
        " UNION SELECT album_id FROM album_photos WHERE photo_id = $1"
        ")) ORDER BY id FOR NO KEY UPDATE",
        photo_id,
    )
    await connection.execute(
        "WITH unlinked AS (DELETE FROM album_photos WHERE photo_id = $1)"
        " UPDATE albums SET cover_photo_id = NULL WHERE cover_photo_id = $1",
        photo_id,
    )
    return True
