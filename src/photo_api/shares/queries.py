"""SQL of share links. A token is found by its hash; the token itself is only there sealed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg

from photo_api.albums.orders import ORDERS, Order, photos_in
from photo_api.db.places import count_anew, taking
from photo_api.http.repeated_deletes import OWNER, remembered, was_carried_out
from photo_api.jobs.queue import enqueuing
from photo_api.photos.presentation import COLUMNS

LINKS = "links"
SHARE = """s.id, s.album_id, s.token_sealed, s.token_kid, s.token_hash, s.is_active, s.expires_at,
 s.view_count, s.allow_original, s.created_at"""


LIVE = "shares s JOIN albums o ON o.id = s.album_id JOIN users u ON u.id = o.owner_id"
"""Links with their album and its owner, whose account must be active too."""


class NewLink(NamedTuple):
    """A link to be: the first parameters, in this order, of the statement that inserts it. The
    token itself is only there sealed, by the key `token_kid`."""

    owner_id: int
    album_id: int
    token_hash: bytes
    token_kid: str
    token_sealed: bytes
    lifetime: timedelta | None
    allow_original: bool


INSERT_SHARE = f"""
WITH album AS MATERIALIZED (
    SELECT id FROM albums WHERE id = $2 AND owner_id = $1 FOR KEY SHARE
), {taking(LINKS, "$8", "SELECT FROM album")}
INSERT INTO shares (album_id, token_hash, token_kid, token_sealed, expires_at, allow_original)
SELECT id, $3, $4, $5, now() + $6::interval, $7 FROM album, place RETURNING id
"""


async def insert_share(db: Any, new: NewLink, most: int) -> int | None:
    """The new link's id, or None: the album is not the owner's, or by what was counted last `most`
    links of theirs work."""
    share_id: int | None = await db.fetchval(INSERT_SHARE, *new, most)
    return share_id


async def count_working(db: Any, owner_id: int) -> int:
    """How many links of theirs are neither revoked nor expired."""
    row = await count_anew(
        db,
        owner_id,
        LINKS,
        "SELECT count(*) AS n FROM shares s JOIN albums a ON a.id = s.album_id"
        " WHERE a.owner_id = $1 AND s.is_active AND coalesce(s.expires_at > now(), true)",
    )
    return int(row["n"])


async def share(db: Any, owner_id: int, share_id: int) -> Any | None:
    return await db.fetchrow(
        f"SELECT {SHARE} FROM shares s JOIN albums a ON a.id = s.album_id"
        " WHERE s.id = $2 AND a.owner_id = $1",
        owner_id, share_id,
    )  # fmt: skip


async def shares(db: Any, owner_id: int, album_id: int, before: int, limit: int) -> list[Any]:
    """The album's newest links with an id below `before`: a row each, or one with `id` null for an
    album without any; no row at all means that there is no such album."""
    rows: list[Any] = await db.fetch(
        f"SELECT {SHARE} FROM albums a LEFT JOIN shares s ON s.album_id = a.id AND s.id < $3"
        " WHERE a.id = $2 AND a.owner_id = $1 ORDER BY s.id DESC LIMIT greatest($4, 1)",
        owner_id, album_id, before, limit,
    )  # fmt: skip
    return rows


async def revoke_share(
    db: Any, owner_id: int, album_id: int, share_id: int, request_id: str
) -> bool:
    """Whether there was such an active link, or this request revoked it before."""
    revoked = await db.fetchval(
        f"""
        WITH {OWNER}, mine AS (
            UPDATE shares s SET is_active = false FROM albums a, owner
            WHERE s.id = $3 AND s.album_id = $2 AND a.id = s.album_id AND a.owner_id = owner.id
            AND s.is_active RETURNING s.id
        ), {remembered("share", "$4")}
        SELECT id FROM mine
        """,
        owner_id, album_id, share_id, request_id,
    )  # fmt: skip
    if revoked is not None:
        return True
    of_album = "SELECT true FROM shares WHERE id = $1 AND album_id = $2"
    return bool(await db.fetchval(of_album, share_id, album_id)) and await was_carried_out(
        db, owner_id, "share", share_id, request_id
    )


LOOKED_AT = 500
"""Photos of an album at once."""


async def enqueue_displays(db: Any, album_id: int, after: int, limit: int) -> int | None:
    """Have the album's next photos behind the position `after` made ready for visitors, if it has a
    link that works: up to `limit` of the next 500. The position that was come to; None behind the
    last. One whose job is dead is left alone."""
    seen: int | None = await db.fetchval(
        f"""
        WITH members AS (
            SELECT photo_id, position FROM album_photos WHERE album_id = $1 AND position > $2
            AND EXISTS (SELECT FROM shares s WHERE s.album_id = $1 AND s.is_active
                        AND coalesce(s.expires_at > now(), true))
            ORDER BY position LIMIT {LOOKED_AT}
        ), next AS (
            SELECT m.photo_id AS id, m.position FROM members m
            -- One by one: no plan reads other photos.
            JOIN LATERAL (SELECT FROM photos WHERE id = m.photo_id AND status = 'ready'
                AND display_key IS NULL OFFSET 0) p ON true
            WHERE NOT EXISTS (
                SELECT FROM jobs j WHERE j.subject_id = m.photo_id AND j.kind = 'display')
            ORDER BY m.position LIMIT $3
        ), {enqueuing("display", "next")}
        SELECT max(position) FROM next HAVING (SELECT count(*) FROM job) = $3
        UNION ALL (SELECT position FROM members ORDER BY position DESC LIMIT 1)
        LIMIT 1
        """,
        album_id, after, limit,
    )  # fmt: skip
    return seen


COUNT_VIEW = """, counted AS (
    UPDATE shares s SET view_count = s.view_count + 1 FROM share
    WHERE s.id = share.id AND NOT share.expired
)"""


PHOTOS = {
    order.name: photos_in(
        order, "$2", "$3", ("$4", "$5")[: len(order.keys)], condition=" AND NOT share.expired"
    )
    for order in ORDERS.values()
}


async def view(
    db: Any,
    token_hash: bytes,
    order: Order,
    after: Sequence[Any],
    skip: int,
    limit: int,
    *,
    counts: bool,
) -> list[Any]:
    """The shared album with its photos in this order behind these keys, the view counted if it
    `counts`, in one statement. No row: unknown, revoked or of a deactivated account; a row with
    `expired`: nothing was counted. A database that takes no writes for the moment still shows the
    album, and the view is not counted."""
    args = (token_hash, limit, skip, *after)
    try:
        return await _view(db, COUNT_VIEW if counts else "", order, *args)
    except asyncpg.ReadOnlySQLTransactionError:
        return await _view(db, "", order, *args)


async def _view(db: Any, count: str, order: Order, *args: object) -> list[Any]:
    rows: list[Any] = await db.fetch(
        f"""
        WITH share AS (
            SELECT s.id, s.album_id, coalesce(s.expires_at <= now(), false) AS expired
            FROM {LIVE} WHERE s.token_hash = $1 AND s.is_active AND u.is_active
        ){count}
        SELECT share.expired, a.name, a.description AS album_description, a.photo_count, a.sort,
               a.cover_photo_id, a.created_at AS album_created_at, p.*
        FROM share JOIN albums a ON a.id = share.album_id
        LEFT JOIN LATERAL ({PHOTOS[order.name]}) p ON true ORDER BY {order.by("p")}
        """,
        *args,
    )
    return rows


async def shared_image(db: Any, token_hash: bytes, photo_id: int) -> Any | None:
    """What it takes to deliver a shared photo's bytes; `object_key` null when the share has no such
    photo, `original_key` when visitors may not have the original."""
    return await db.fetchrow(
        "SELECT coalesce(s.expires_at <= now(), false) AS expired, p.object_key, p.thumbnail_key,"
        " p.preview_key, p.display_key, p.display_type, p.original_filename, p.content_type,"
        " p.renditions, CASE WHEN s.allow_original THEN p.object_key END AS original_key"
        f" FROM {LIVE} LEFT JOIN (album_photos m JOIN photos p ON p.id = m.photo_id"
        "   AND p.status = 'ready') ON m.album_id = s.album_id AND m.photo_id = $2"
        " WHERE s.token_hash = $1 AND s.is_active AND u.is_active",
        token_hash, photo_id,
    )  # fmt: skip


def _beside(order: Order, *, before: bool) -> str:
    """The photo next to `m` in its album, by the keys of this ascending order."""
    compared, way = ("<", " DESC") if before else (">", "")
    return (
        "(SELECT x.photo_id FROM album_photos x JOIN photos q ON q.id = x.photo_id"
        " AND q.status = 'ready' WHERE x.album_id = m.album_id"
        f" AND ({order.columns('x')}) {compared} ({order.columns('m')})"
        f" ORDER BY {', '.join(f'x.{key}{way}' for key in order.keys)} LIMIT 1)"
    )


def _either(*, before: bool) -> str:
    """By the keys that the album's order has, whichever its direction."""
    by_position, by_date = (_beside(ORDERS[name], before=before) for name in ("position", "taken"))
    return f"CASE WHEN o.sort IN ('position', '-position') THEN {by_position} ELSE {by_date} END"


SHARED_PHOTO = f"""
SELECT coalesce(s.expires_at <= now(), false) AS expired, s.allow_original, o.sort,
       {_either(before=True)} AS before, {_either(before=False)} AS after, {COLUMNS}
FROM {LIVE} LEFT JOIN (album_photos m JOIN photos p ON p.id = m.photo_id AND p.status = 'ready')
    ON m.album_id = s.album_id AND m.photo_id = $2
WHERE s.token_hash = $1 AND s.is_active AND u.is_active
"""


async def shared_photo(db: Any, token_hash: bytes, photo_id: int) -> Any | None:
    """A photo of the share with those beside it, in ascending order of its album's keys; `id` null
    when the share has no such photo. No row: unknown, revoked or of a deactivated account."""
    return await db.fetchrow(SHARED_PHOTO, token_hash, photo_id)
