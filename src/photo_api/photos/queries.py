"""SQL of photos as people see them: only confirmed ones, the owner in every WHERE clause."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from photo_api.http.pages import below, ended_by_bytes
from photo_api.http.repeated_deletes import was_carried_out
from photo_api.photos import trash
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

    @property
    def is_nothing(self) -> bool:
        """Whether it changes no date."""
        return self.sort_at is None and self.utc_offset is None and not self.from_file


def dating(first: int, shift: str = "NULL") -> str:
    """The assignments of an UPDATE of photos `p` by a `NewDate`, its parameters from this one on,
    and by a `shift` in seconds. Triggers make the row's date of them."""
    at, offset, from_file = (f"${first + n}" for n in range(3))
    shifted = f"p.sort_at + make_interval(secs => {shift}::float8)"
    return f"""sort_at = coalesce({at}::timestamp, {shifted}, p.sort_at),
            utc_offset = coalesce({offset}::smallint, p.utc_offset),
            date_source = CASE WHEN {from_file}::boolean THEN 'file'
                WHEN coalesce({at}, {shifted}) IS NOT NULL OR {offset} IS NOT NULL THEN 'user'
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


IMAGE = """SELECT object_key, object_key AS original_key, thumbnail_key, preview_key, display_key,
 display_type, renditions, original_filename, content_type
FROM photos WHERE id = $2 AND owner_id = $1 AND status IN ({statuses})"""


async def image(db: Any, owner_id: int, photo_id: int) -> Any | None:
    """What it takes to deliver a photo's bytes."""
    return await db.fetchrow(IMAGE.format(statuses="'ready'"), owner_id, photo_id)


async def thumbnail_of(db: Any, owner_id: int, photo_id: int) -> Any | None:
    """The same of one that may be in the trash."""
    return await db.fetchrow(IMAGE.format(statuses="'ready', 'trashed'"), owner_id, photo_id)


async def update_photo(
    db: Any,
    owner_id: int,
    photo_id: int,
    title: str | None,
    description: str | None,
    date: NewDate,
    favourite: bool | None,
    archived: bool | None,
) -> Any | None:
    """The changed photo, or None. Null leaves a field as it is, a blank text is cleared."""
    return await db.fetchrow(
        f"""
        UPDATE photos p SET
            title = CASE WHEN $3::text IS NULL THEN p.title ELSE nullif(btrim($3), '') END,
            description = CASE WHEN $4::text IS NULL THEN p.description
                               ELSE nullif(btrim($4), '') END,
            {dating(5)}, favourite = coalesce($8, p.favourite),
            archived = coalesce($9, p.archived), updated_at = now()
        WHERE p.id = $2 AND p.owner_id = $1 AND p.status = 'ready' RETURNING {ALONE}
        """,
        owner_id, photo_id, title, description, *date, favourite, archived,
    )  # fmt: skip


async def delete_photo(
    connection: Any, owner_id: int, photo_id: int, days: int, request_id: str
) -> bool:
    """Whether there was such a photo, or this request deleted it before; see `trash.delete`."""
    deleted = await trash.delete(connection, owner_id, [photo_id], days, request_id)
    return deleted.get(photo_id, False) or await was_carried_out(
        connection, owner_id, "photo", photo_id, request_id
    )


WITH_CONTENTS = """
SELECT coalesce(r.id, t.id) AS photo_id, CASE WHEN r.id IS NOT NULL THEN 'present'
    WHEN t.id IS NOT NULL THEN 'trashed' ELSE 'absent' END AS status
FROM unnest($2::bytea[]) WITH ORDINALITY AS file (sha256, place)
LEFT JOIN LATERAL (SELECT id FROM photos WHERE owner_id = $1 AND sha256 = file.sha256
    AND status = 'ready' ORDER BY id LIMIT 1) r ON true
LEFT JOIN LATERAL (SELECT id FROM photos WHERE owner_id = $1 AND sha256 = file.sha256
    AND status = 'trashed' AND r.id IS NULL ORDER BY id LIMIT 1) t ON true
ORDER BY file.place"""


async def with_contents(db: Any, owner_id: int, digests: Iterable[bytes]) -> list[Any]:
    """For each of these SHA-256 the oldest photo with such bytes and where it is: `present`,
    `trashed` or, without an id, `absent`. Two indexes tell it alone."""
    rows: list[Any] = await db.fetch(WITH_CONTENTS, owner_id, list(digests))
    return rows
