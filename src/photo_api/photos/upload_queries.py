"""SQL of the upload state machine: pending → ready, or gone.

An object's key stands in `unreferenced_objects` from before its bytes exist until the statement
that makes a photo point to it, so bytes without a photo are always known and always swept.
"""

from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from photo_api.db.places import count_anew, taking
from photo_api.db.quotas import Usage, fits, room
from photo_api.jobs.queue import enqueuing
from photo_api.photos import trash
from photo_api.settings.serving import UploadSettings
from photo_api.tracing import traceparent

PENDING = "uploads"
KEY_GRACE = 3600
"""Seconds after which a copy that no photo points to is taken for abandoned."""


class NewPhoto(NamedTuple):
    """What is known of a photo at its upload: the first parameters, in this order, of the
    statements that insert one. `size` in bytes."""

    owner_id: int
    album_id: int | None
    title: str | None
    description: str | None
    filename: str
    content_type: str
    size: int
    sha256: bytes | None
    modified: datetime | None = None
    modified_offset: int | None = None
    """That of `modified` from UTC, in minutes."""


WANTED = f"""SELECT FROM users WHERE id = $1 AND {fits("$7", "$16")} AND (
$2::bigint IS NULL OR EXISTS (SELECT FROM albums WHERE id = $2 AND owner_id = $1))"""
INSERT_PENDING = f"""
WITH {taking(PENDING, "$15", WANTED)},
-- After the place, which the release before locks first, too. It is lost where others have just
-- taken the room: until places are counted anew.
{room("$1", "$7", "$16", "EXISTS (SELECT FROM place)")},
fresh AS (
    SELECT nextval(pg_get_serial_sequence('photos', 'id')) AS id FROM room
), pending AS (
    INSERT INTO photos (id, owner_id, album_id, status, title, description,
        original_filename, content_type, file_size, sha256, file_modified_at,
        file_modified_offset, staging_key, upload_expires_at, reuse_duplicates)
    OVERRIDING SYSTEM VALUE
    SELECT id, $1, $2, 'pending', $3, $4, $5, $6, $7, $8, $9, $10,
        format('staging/%s/%s/%s', $1::bigint, id, $11::text),
        now() + make_interval(secs => $12), $14
    FROM fresh RETURNING id, staging_key, upload_expires_at
), noted AS (
    INSERT INTO unreferenced_objects (object_key, delete_after)
    SELECT staging_key, upload_expires_at + make_interval(secs => $13) FROM pending
)
SELECT id FROM pending
"""


async def insert_pending(
    db: Any, new: NewPhoto, secret: str, reuse: bool, limits: UploadSettings
) -> int | None:
    """The id of a new pending photo, or None: the album is not the owner's, the bytes do not fit
    into their quota, or by what was counted last they have `max_pending` uploads. `secret` ends its
    staging key."""
    photo_id: int | None = await db.fetchval(
        INSERT_PENDING,
        *new, secret, float(limits.url_ttl), float(limits.longest_put), reuse, limits.max_pending,
        limits.quota,
    )  # fmt: skip
    return photo_id


async def count_pending(db: Any, owner_id: int) -> tuple[int, int]:
    """How many uploads of theirs can still be confirmed, and in how many seconds (0: there are
    none) the first of them cannot."""
    row = await count_anew(
        db,
        owner_id,
        PENDING,
        "SELECT count(*) AS n,"
        # now() may be before the row was made: more would be left than was ever given.
        " extract(epoch FROM min(upload_expires_at) - clock_timestamp()) AS seconds"
        " FROM photos WHERE owner_id = $1 AND status = 'pending' AND upload_expires_at > now()",
    )
    return row["n"], ceil(row["seconds"] or 0)


async def staged(db: Any, owner_id: int, photo_id: int) -> Any | None:
    """A photo in whatever state, as the upload left it."""
    return await db.fetchrow(
        """
        SELECT id, status, album_id, original_filename, content_type, file_size, sha256,
               staging_key, object_key, reuse_duplicates, duplicate_of,
               floor(extract(epoch FROM upload_expires_at - clock_timestamp()))::int AS seconds_left
        FROM photos WHERE id = $2 AND owner_id = $1
        """,
        owner_id, photo_id,
    )  # fmt: skip


WITH_CONTENT = """SELECT id, object_key, original_filename, content_type, file_size FROM photos
WHERE owner_id = $1 AND sha256 = $2 AND status = 'ready' ORDER BY id LIMIT 1"""
TRASHED_WITH_CONTENT = """SELECT id FROM photos
WHERE owner_id = $1 AND sha256 = $2 AND status = 'trashed' ORDER BY id LIMIT 1"""

LOOKS = 10
"""Deletions and restorations that one upload may wait for, one after the other."""


async def ready_with_content(db: Any, owner_id: int, sha256: bytes) -> Any | None:
    """The owner's oldest photo with these bytes; it may be deleted at any moment."""
    return await db.fetchrow(WITH_CONTENT, owner_id, sha256)


async def trashed_with_content(db: Any, owner_id: int, sha256: bytes) -> int | None:
    """The oldest in the owner's trash with these bytes."""
    photo_id: int | None = await db.fetchval(TRASHED_WITH_CONTENT, owner_id, sha256)
    return photo_id


async def lock_content(
    connection: Any, owner_id: int, sha256: bytes, album_id: int | None
) -> Any | None:
    """The same, which then stays until the transaction's end; until then no other upload of these
    bytes gets past here, so that of several that would reuse each other one makes the photo. Where
    it is in the trash alone, it is restored. `album_id` is the album into which it will be put. A
    caller that waited for a deletion looks again: the statement sees no photo that came
    meanwhile."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::bigint || ':' || $2::text, 0))",
        owner_id, sha256.hex(),
    )  # fmt: skip
    for _ in range(LOOKS):
        row = await connection.fetchrow(
            f"WITH seen AS ({WITH_CONTENT}), locked AS ({WITH_CONTENT} FOR SHARE)"
            " SELECT locked.*, (SELECT count(*) FROM seen) AS seen,"
            f" ({TRASHED_WITH_CONTENT}) AS trashed"
            " FROM (SELECT) AS one LEFT JOIN locked ON true",
            owner_id, sha256,
        )  # fmt: skip
        if row["id"] is not None:
            return row
        if row["trashed"] is not None:
            await trash.restore(connection, owner_id, [row["trashed"]], [album_id])
        elif not row["seen"]:
            break
    return None


async def begin_upload(
    db: Any, owner_id: int, name: str, seconds: float, least: int | None, quota: int
) -> tuple[int, str, Usage]:
    """An id for a photo whose bytes are still coming in, the key of its object, which ends in
    `name`, and what the owner's take now. The key is written down as `note_object` does with
    `in_parts`, but where `least` bytes do not fit: then none may come."""
    row = await db.fetchrow(
        """
        WITH begun AS MATERIALIZED (
            SELECT nextval(pg_get_serial_sequence('photos', 'id')) AS id,
                coalesce(u.used_bytes, 0) AS used, coalesce(u.quota_bytes, $5) AS quota
            FROM (SELECT) AS one LEFT JOIN users u ON u.id = $1
        ), named AS (
            SELECT *, format('photos/%s/%s/%s', $1::bigint, id, $2::text) AS key FROM begun
        ), noted AS (
            INSERT INTO unreferenced_objects (object_key, delete_after, in_parts)
            SELECT key, now() + make_interval(secs => $3), true FROM named
            WHERE quota = 0 OR $4::bigint IS NULL OR used + $4 <= quota
        )
        SELECT id, key, used, quota FROM named
        """,
        owner_id, name, seconds, least, quota,
    )  # fmt: skip
    return row["id"], row["key"], Usage(row["used"], row["quota"])


async def note_object(
    db: Any, key: str, seconds: float, *, in_parts: bool = False, size: int | None = None
) -> None:
    """Write a key down before its bytes, `size` of them if that is known, are written; they are
    swept after `seconds` unless a photo points to them by then, and with `in_parts` so are the
    parts of a broken-off upload."""
    await db.execute(
        "INSERT INTO unreferenced_objects (object_key, delete_after, in_parts, bytes)"
        " VALUES ($1, now() + make_interval(secs => $2), $3, $4)",
        key, seconds, in_parts, size,
    )  # fmt: skip


async def make_ready(
    db: Any, owner_id: int, photo_id: int, key: str, content_type: str, sha256: bytes | None
) -> bool:
    """The one conditional UPDATE that decides which confirmation wins: False for a photo that is no
    longer pending, or when the sweep has taken the copy. Puts it into its album and enqueues its
    renditions."""
    return await db.fetchval(
        f"""
        WITH mine AS (
            SELECT id, owner_id, album_id FROM photos
            WHERE id = $2 AND owner_id = $1 AND status = 'pending' FOR UPDATE
        ), adopted AS (
            DELETE FROM unreferenced_objects
            WHERE object_key = $3 AND NOT taken AND EXISTS (SELECT FROM mine) RETURNING object_key
        ), ready AS (
            UPDATE photos p SET status = 'ready', object_key = adopted.object_key,
                content_type = $4, sha256 = coalesce($5, p.sha256), updated_at = now()
            FROM mine, adopted WHERE p.id = mine.id RETURNING p.id
        ), album AS (
            SELECT a.id FROM albums a, mine
            WHERE a.id = mine.album_id AND a.owner_id = mine.owner_id FOR KEY SHARE OF a
        ), linked AS (
            INSERT INTO album_photos (album_id, photo_id)
            SELECT album.id, ready.id FROM album, ready
        ), {enqueuing("renditions", "ready", "$6")}
        SELECT id FROM ready
        """,
        owner_id, photo_id, key, content_type, sha256, traceparent(),
    ) is not None  # fmt: skip


async def insert_ready(db: Any, new: NewPhoto, photo_id: int, key: str, quota: int) -> bool:
    """A photo that came through the server, at once ready and in its album. False when the album is
    gone, the bytes do not fit into the owner's quota, or the sweep has taken them."""
    return await db.fetchval(
        f"""
        WITH {room("$1", "$7", "$14")}, album AS MATERIALIZED (
            SELECT id FROM albums WHERE id = $2 AND owner_id = $1
            AND EXISTS (SELECT FROM room) FOR KEY SHARE
        ), adopted AS (
            DELETE FROM unreferenced_objects
            WHERE object_key = $12 AND NOT taken AND EXISTS (SELECT FROM room)
            AND ($2::bigint IS NULL OR EXISTS (SELECT FROM album)) RETURNING object_key
        ), ready AS (
            INSERT INTO photos (id, owner_id, album_id, status, title, description,
                original_filename, content_type, file_size, sha256, file_modified_at,
                file_modified_offset, object_key)
            OVERRIDING SYSTEM VALUE
            SELECT $11, $1, $2, 'ready', $3, $4, $5, $6, $7, $8, $9, $10, object_key FROM adopted
            RETURNING id
        ), linked AS (
            INSERT INTO album_photos (album_id, photo_id)
            SELECT album.id, ready.id FROM album, ready
        ), {enqueuing("renditions", "ready", "$13")}
        SELECT id FROM ready
        """,
        *new, photo_id, key, traceparent(), quota,
    ) is not None  # fmt: skip


async def has_album(db: Any, owner_id: int, album_id: int) -> bool:
    """Whether there is such an album of the owner's."""
    return await db.fetchval(
        "SELECT true FROM albums WHERE id = $2 AND owner_id = $1", owner_id, album_id
    ) is not None  # fmt: skip


async def room_for(db: Any, new: NewPhoto, quota: int) -> tuple[bool, bool, Usage]:
    """Whether there is the owner, and the album, if it names one, and what the owner's originals
    take; `quota` where nothing else is said of them."""
    row = await db.fetchrow(
        "SELECT u.id IS NOT NULL AS owner, $2::bigint IS NULL OR EXISTS ("
        "  SELECT FROM albums a WHERE a.id = $2 AND a.owner_id = $1) AS album,"
        " coalesce(u.used_bytes, 0) AS used, coalesce(u.quota_bytes, $3) AS quota"
        " FROM (SELECT) AS one LEFT JOIN users u ON u.id = $1",
        new.owner_id, new.album_id, quota,
    )  # fmt: skip
    return row["owner"], row["album"], Usage(row["used"], row["quota"])


async def link(db: Any, owner_id: int, album_id: int | None, photo_id: int) -> Any:
    """Put a photo into an album, if one is given; the row tells by `album` and `photo` which of
    them is the owner's and still there, and both must be. The photo is locked first, as wherever
    both are; then the album, before its row there: another that puts in the same photo has locked
    it too, and waits for that row."""
    return await db.fetchrow(
        """
        WITH photo AS MATERIALIZED (
            SELECT id FROM photos WHERE id = $3 AND owner_id = $1 AND status = 'ready' FOR SHARE
        ), album AS (
            SELECT id FROM albums WHERE id = $2 AND owner_id = $1
            AND (SELECT count(*) FROM photo) >= 0 FOR NO KEY UPDATE
        ), linked AS (
            INSERT INTO album_photos (album_id, photo_id)
            SELECT album.id, photo.id FROM album, photo ON CONFLICT DO NOTHING
        )
        SELECT $2 IS NULL OR EXISTS (SELECT FROM album) AS album,
            EXISTS (SELECT FROM photo) AS photo
        """,
        owner_id, album_id, photo_id,
    )  # fmt: skip


async def end_as_duplicate(db: Any, owner_id: int, photo_id: int, known_id: int) -> bool:
    """Whether the upload was still pending; it is gone now and has become the photo `known_id`. Its
    staged bytes are swept when their URL can no longer be used."""
    return await db.fetchval(
        "UPDATE photos SET status = 'gone', gone_at = now(), duplicate_of = $3"
        " WHERE id = $2 AND owner_id = $1 AND status = 'pending' RETURNING true",
        owner_id, photo_id, known_id,
    ) is not None  # fmt: skip


async def end_pending(db: Any, owner_id: int, photo_id: int) -> bool:
    """Whether the upload was still pending; it is gone now, without having become a photo."""
    return await db.fetchval(
        "UPDATE photos SET status = 'gone', gone_at = now()"
        " WHERE id = $2 AND owner_id = $1 AND status = 'pending' RETURNING true",
        owner_id, photo_id,
    ) is not None  # fmt: skip
