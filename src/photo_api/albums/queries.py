"""SQL of albums. The owner is in every WHERE clause."""

from collections.abc import Sequence
from typing import Any

from photo_api.albums.orders import ORDERS, Order, photos_in
from photo_api.http.pages import below, ended_by_bytes
from photo_api.http.repeated_deletes import OWNER, remembered, was_carried_out

ALBUM_FIELDS = (
    "id", "owner_id", "name", "description", "cover_photo_id", "photo_count", "sort", "created_at",
    "updated_at",
)  # fmt: skip
ALBUM = ", ".join(f"a.{name}" for name in ALBUM_FIELDS)

FIRST = " ".join(
    f"WHEN '{order.name}' THEN (SELECT m.photo_id FROM album_photos m WHERE m.album_id = a.id"
    f" ORDER BY {order.by('m')} LIMIT 1)"
    for order in ORDERS.values()
)
COVER = f""" LEFT JOIN LATERAL (
    SELECT c.id AS cover_id, c.owner_id AS cover_owner_id, c.original_filename AS cover_filename,
        c.thumbnail_key AS cover_key, c.blurhash AS cover_blurhash
    FROM photos c WHERE c.id = coalesce(a.cover_photo_id, CASE a.sort {FIRST} END)
    AND c.status = 'ready') cover ON true"""
"""The cover of the album `a`: the one that was chosen, or the photo that it shows first."""

BELOW = below("SELECT id FROM albums WHERE owner_id = $1 AND id < $2")


def _albums(columns: str, cover: str) -> str:
    return ended_by_bytes(
        f"SELECT {columns} FROM albums a{cover} WHERE a.owner_id = $1 AND a.id < {BELOW}"
        " ORDER BY a.id DESC LIMIT $4",
        order="p.id DESC",
    )


ALBUMS = _albums(ALBUM, "")
COVERED = _albums(f"{ALBUM}, cover.*", COVER)


async def insert_album(db: Any, owner_id: int, name: str, description: str | None) -> int:
    album_id: int = await db.fetchval(
        "INSERT INTO albums (owner_id, name, description) VALUES ($1, $2, $3) RETURNING id",
        owner_id, name, description,
    )  # fmt: skip
    return album_id


async def album(db: Any, owner_id: int, album_id: int) -> Any | None:
    return await db.fetchrow(
        f"SELECT {ALBUM} FROM albums a WHERE a.id = $2 AND a.owner_id = $1", owner_id, album_id
    )


async def albums(
    db: Any, owner_id: int, before: int, skip: int, limit: int, *, covers: bool
) -> list[Any]:
    """Newest first, those with an id below `before`, as many as a page can hold."""
    if covers:
        return list(await db.fetch(COVERED, owner_id, before, skip, limit))
    rows: list[Any] = await db.fetch(ALBUMS, owner_id, before, skip, limit)
    return rows


async def albums_of_photo(
    db: Any, owner_id: int, photo_id: int, before: int, limit: int
) -> list[Any]:
    """The newest albums with an id below `before` that hold the photo: a row each, or one with `id`
    null for a photo in none; no row at all means that there is no such photo."""
    rows: list[Any] = await db.fetch(
        f"SELECT {ALBUM} FROM photos p LEFT JOIN LATERAL ("
        # One by one: which other albums the user has is not read.
        "  SELECT a.* FROM (SELECT album_id FROM album_photos WHERE photo_id = p.id OFFSET 0) m"
        "  JOIN LATERAL (SELECT * FROM albums WHERE id = m.album_id AND owner_id = $1 OFFSET 0) a"
        "  ON true WHERE a.id < $3 ORDER BY a.id DESC LIMIT $4"
        ") a ON true WHERE p.id = $2 AND p.owner_id = $1 AND p.status = 'ready' ORDER BY a.id DESC",
        owner_id, photo_id, before, limit,
    )  # fmt: skip
    return rows


PHOTOS = {
    order.name: photos_in(order, "$3", "$4", ("$5", "$6")[: len(order.keys)])
    for order in ORDERS.values()
}


async def album_page(
    db: Any,
    owner_id: int,
    album_id: int,
    order: Order,
    after: Sequence[Any],
    skip: int,
    limit: int,
    *,
    covers: bool,
) -> list[Any]:
    """The album with its photos in this order behind these keys, in one statement: a row for each
    photo, or one row with `id` null. No row at all means that there is no such album."""
    rows: list[Any] = await db.fetch(
        f"""
        SELECT a.owner_id AS album_owner_id, a.name, a.description AS album_description,
               a.cover_photo_id, a.photo_count, a.sort, a.created_at AS album_created_at,
               a.updated_at AS album_updated_at{", cover.*" if covers else ""}, p.*
        FROM albums a{COVER if covers else ""} LEFT JOIN LATERAL ({PHOTOS[order.name]}) p ON true
        WHERE a.id = $2 AND a.owner_id = $1 ORDER BY {order.by("p")}
        """,
        owner_id, album_id, limit, skip, *after,
    )  # fmt: skip
    return rows


async def update_album(
    db: Any,
    owner_id: int,
    album_id: int,
    name: str | None,
    description: str | None,
    cover_photo_id: int | None,
    sort: str | None,
) -> Any | None:
    """The changed album, or None. Null leaves a field as it is, a blank description clears it. A
    cover that is not a photo of the owner's changes nothing and gives `cover_ok` false."""
    return await db.fetchrow(
        f"""
        WITH photo AS MATERIALIZED (
            SELECT id FROM photos WHERE id = $5 AND owner_id = $1 AND status = 'ready' FOR SHARE
        ), cover AS (
            SELECT $5::bigint IS NULL OR EXISTS (SELECT FROM photo) AS ok
        ), changed AS (
            UPDATE albums a SET
                name = coalesce($3, a.name),
                description = CASE WHEN $4::text IS NULL THEN a.description
                                   ELSE nullif(btrim($4), '') END,
                cover_photo_id = coalesce($5, a.cover_photo_id),
                sort = coalesce($6, a.sort),
                updated_at = now()
            FROM cover WHERE a.id = $2 AND a.owner_id = $1 AND cover.ok
            RETURNING {ALBUM}
        )
        SELECT true AS cover_ok, changed.* FROM changed
        UNION ALL
        SELECT false, {ALBUM} FROM albums a, cover
        WHERE a.id = $2 AND a.owner_id = $1 AND NOT cover.ok
        """,
        owner_id, album_id, name, description, cover_photo_id, sort,
    )  # fmt: skip


async def delete_album(db: Any, owner_id: int, album_id: int, request_id: str) -> bool:
    """Whether there was such an album, or this request deleted it before. Its photos stay."""
    deleted = await db.fetchval(
        f"""
        WITH {OWNER}, mine AS (
            DELETE FROM albums a USING owner WHERE a.id = $2 AND a.owner_id = owner.id
            RETURNING a.id
        ), {remembered("album", "$3")}
        SELECT id FROM mine
        """,
        owner_id, album_id, request_id,
    )  # fmt: skip
    return deleted is not None or await was_carried_out(db, owner_id, "album", album_id, request_id)


async def add_photos(db: Any, owner_id: int, album_id: int, photo_ids: Sequence[int]) -> int | None:
    """How many were added, in the order given; None without such an album. Unknown, foreign and
    already contained photos are skipped."""
    count: int | None = await db.fetchval(
        """
        WITH wanted AS (
            SELECT p.id FROM unnest($3::bigint[]) WITH ORDINALITY AS w (id, place)
            -- One by one: what else the user has is not read.
            JOIN LATERAL (SELECT id FROM photos WHERE id = w.id AND owner_id = $1
                AND status = 'ready' OFFSET 0) p ON true
            GROUP BY p.id ORDER BY min(w.place)
        ), locked AS (
            SELECT p.id, w.place FROM photos p
            JOIN (SELECT id, row_number() OVER () AS place FROM wanted) w ON w.id = p.id
            WHERE p.status = 'ready' ORDER BY p.id FOR SHARE OF p
        ), album AS (
            -- After the photos, as in all statements that lock both.
            SELECT id FROM albums WHERE id = $2 AND owner_id = $1
            AND (SELECT count(*) FROM locked) >= 0 FOR NO KEY UPDATE
        ), added AS (
            INSERT INTO album_photos (album_id, photo_id)
            SELECT album.id, locked.id FROM album, locked ORDER BY locked.place
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT (SELECT count(*) FROM added) FROM album
        """,
        owner_id, album_id, photo_ids,
    )  # fmt: skip
    return count


async def remove_photos(
    db: Any, owner_id: int, album_id: int, photo_ids: Sequence[int]
) -> int | None:
    """How many were removed; None without such an album."""
    count: int | None = await db.fetchval(
        """
        WITH album AS (
            SELECT id FROM albums WHERE id = $2 AND owner_id = $1 FOR NO KEY UPDATE
        ), removed AS (
            -- By the photos, which are in few albums: the album's own indexes might be read whole.
            DELETE FROM album_photos m USING album
            WHERE m.album_id + 0 = album.id AND m.photo_id = ANY ($3::bigint[]) RETURNING 1
        )
        SELECT (SELECT count(*) FROM removed) FROM album
        """,
        owner_id, album_id, photo_ids,
    )  # fmt: skip
    return count
