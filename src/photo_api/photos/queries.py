"""SQL of photos as people see them: only confirmed ones, the owner in every WHERE clause."""

from typing import Any

from photo_api.http.pages import below, ended_by_bytes
from photo_api.http.repeated_deletes import remembered, was_carried_out
from photo_api.photos.presentation import COLUMNS

BELOW = below("SELECT id FROM photos WHERE owner_id = $1 AND status = 'ready' AND id < $2")
PHOTOS = ended_by_bytes(
    f"SELECT {COLUMNS} FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'"
    f" AND p.id < {BELOW} ORDER BY p.id DESC LIMIT $4",
    order="p.id DESC",
)


async def photos(db: Any, owner_id: int, before: int, skip: int, limit: int) -> list[Any]:
    """Newest first, those with an id below `before`, as many as a page can hold."""
    rows: list[Any] = await db.fetch(PHOTOS, owner_id, before, skip, limit)
    return rows


async def photo(db: Any, owner_id: int, photo_id: int) -> Any | None:
    return await db.fetchrow(
        f"SELECT p.exif, {COLUMNS} FROM photos p"
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
    db: Any, owner_id: int, photo_id: int, title: str | None, description: str | None
) -> Any | None:
    """The changed photo, or None. Null leaves a field as it is, a blank one is cleared."""
    return await db.fetchrow(
        f"""
        UPDATE photos p SET
            title = CASE WHEN $3::text IS NULL THEN p.title ELSE nullif(btrim($3), '') END,
            description = CASE WHEN $4::text IS NULL THEN p.description
                               ELSE nullif(btrim($4), '') END,
            updated_at = now()
        WHERE p.id = $2 AND p.owner_id = $1 AND p.status = 'ready' RETURNING p.exif, {COLUMNS}
        """,
        owner_id, photo_id, title, description,
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
