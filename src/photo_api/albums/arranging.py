"""Photos of an album moved by hand: one row written for each.

Positions are sparse, and who moves photos puts them between two others. Additions come last by
taking the sequence's next value, so photos that are moved to the end take it too; and where there
is no room between two photos, all of the album take new ones in their order.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from photo_api.errors import not_found

STEP = 2**20
"""Between two additions, as the sequence counts."""


Side = Literal["before", "after", "start", "end"]


class Where(NamedTuple):
    """Before or after another photo of the album, or to one of its ends."""

    side: Side
    photo_id: int | None = None


async def move(
    connection: Any, owner_id: int, album_id: int, photo_ids: Sequence[int], where: Where
) -> int | None:
    """How many were moved, in the order of these ids; None without such an album. Those that are
    not in it are skipped. Needs a transaction. Raises `ApiError` NOT_FOUND for the other photo.

    Whoever adds photos to the album or takes some out waits, and each that comes after it sees what
    this one has done: so the album is locked first, by a statement of its own."""
    if not await _lock(connection, owner_id, album_id):
        return None
    members, positions = await _places(connection, album_id, photo_ids, where)
    if members and positions is None:
        await _spread(connection, album_id)
        members, positions = await _places(connection, album_id, photo_ids, where)
    if not members or positions is None:
        return 0
    await _put(connection, album_id, members, positions)
    return len(members)


async def _lock(connection: Any, owner_id: int, album_id: int) -> bool:
    # Not NO KEY UPDATE, which does not keep uploads from taking a value of the sequence that is
    # below those of a spread and coming before all others with it.
    return await connection.fetchval(
        "SELECT true FROM albums WHERE id = $2 AND owner_id = $1 FOR UPDATE", owner_id, album_id
    ) is not None  # fmt: skip


async def _places(
    connection: Any, album_id: int, photo_ids: Sequence[int], where: Where
) -> tuple[list[int], list[int] | None]:
    """Which of the ids are in the album, in their order, and the positions for them; None where
    there is no room for them. Nobody has those: between the two bounds there is no photo."""
    row = await connection.fetchrow(
        """
        WITH other AS (
            -- By its place in the table: an index of the album's order has both, and would be read.
            SELECT position FROM album_photos WHERE ctid = (
                SELECT ctid FROM album_photos WHERE album_id = $1 AND photo_id = $3)
        )
        SELECT found.*, CASE WHEN upper IS NULL THEN nextval(
            pg_get_serial_sequence('album_photos', 'position')) END AS following
        FROM (SELECT ARRAY(SELECT m.photo_id FROM unnest($2::bigint[]) AS w (id)
                -- One by one: what else is in the album is not read.
                JOIN LATERAL (SELECT photo_id FROM album_photos
                    WHERE album_id = $1 AND photo_id = w.id OFFSET 0) m ON true) AS members,
            (SELECT position FROM other) AS other,
            CASE $4::text WHEN 'after' THEN (SELECT position FROM other)
                WHEN 'before' THEN (SELECT position FROM album_photos WHERE album_id = $1
                    AND position < (SELECT position FROM other) ORDER BY position DESC LIMIT 1)
            END AS lower,
            CASE $4 WHEN 'before' THEN (SELECT position FROM other)
                WHEN 'after' THEN (SELECT position FROM album_photos WHERE album_id = $1
                    AND position > (SELECT position FROM other) ORDER BY position LIMIT 1)
                WHEN 'start' THEN (SELECT position FROM album_photos WHERE album_id = $1
                    ORDER BY position LIMIT 1)
            END AS upper
        ) AS found
        """,
        album_id, photo_ids, where.photo_id, where.side,
    )  # fmt: skip
    if where.photo_id is not None and row["other"] is None:
        raise not_found("The other photo")
    held = set(row["members"])
    members = [one for one in dict.fromkeys(photo_ids) if one in held]
    return members, _between(row["lower"], row["upper"], row["following"], len(members))


def _between(
    lower: int | None, upper: int | None, following: int | None, count: int
) -> list[int] | None:
    """So many positions between these two; without an upper one at the end, the last of them
    `following`, the sequence's next value. None without room."""
    if upper is None:
        assert following is not None
        step = STEP // (count + 1)
        return [following - step * behind for behind in range(count - 1, -1, -1)]
    lowest = -1 if lower is None else lower
    step = (upper - lowest) // (count + 1)
    if lower is None:
        step = min(step, STEP)
    if step == 0:
        return None
    return [upper - step * behind for behind in range(count, 0, -1)]


async def _spread(connection: Any, album_id: int) -> None:
    """Give all photos of the album new positions, in their order; those in the trash keep theirs
    among them."""
    await connection.execute(
        """
        WITH spread AS MATERIALIZED (
            SELECT photo_id, nextval(pg_get_serial_sequence('album_photos', 'position')) AS position
            FROM (SELECT photo_id, position FROM album_photos WHERE album_id = $1
                UNION ALL SELECT photo_id, position FROM trashed_memberships
                WHERE album_id = $1 AND position IS NOT NULL ORDER BY position) AS in_order
        ), trashed AS (
            UPDATE trashed_memberships t SET position = s.position FROM spread s
            WHERE t.album_id = $1 AND t.photo_id = s.photo_id
        )
        UPDATE album_photos m SET position = s.position FROM spread s
        WHERE m.album_id = $1 AND m.photo_id = s.photo_id
        """,
        album_id,
    )


async def _put(
    connection: Any, album_id: int, members: Sequence[int], positions: Sequence[int]
) -> None:
    """Also has a job that looks through the shared album look here again: it may have passed
    the new position, and not come to the old one."""
    await connection.execute(
        """
        WITH moved AS (
            UPDATE album_photos m SET position = w.position
            FROM unnest($2::bigint[], $3::bigint[]) AS w (photo_id, position)
            JOIN LATERAL (SELECT ctid FROM album_photos
                WHERE album_id = $1 AND photo_id = w.photo_id OFFSET 0) one ON true
            WHERE m.ctid = one.ctid RETURNING m.position
        ), first AS (
            SELECT min(position) - 1 AS before FROM moved
        )
        SELECT look_through_album($1, before) FROM first
        WHERE EXISTS (SELECT FROM jobs WHERE subject_id = $1 AND kind = 'shared_album'
                AND state <> 'dead')
            AND EXISTS (SELECT FROM shares WHERE album_id = $1 AND is_active)
        """,
        album_id, members, positions,
    )  # fmt: skip
