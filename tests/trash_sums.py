"""What must agree with the rows of photos, however they were changed."""

from typing import Any

EXACT = """
SELECT (SELECT coalesce(sum(rows), 0) FROM (SELECT name, rows FROM totals
            UNION ALL SELECT name, rows FROM total_changes) t WHERE name = 'trash'),
    (SELECT coalesce(sum(bytes), 0) FROM (SELECT name, bytes FROM totals
            UNION ALL SELECT name, bytes FROM total_changes) t WHERE name = 'trash'),
    (SELECT count(*) FROM photos WHERE status = 'trashed'),
    (SELECT coalesce(sum(file_size), 0) FROM photos WHERE status = 'trashed'),
    (SELECT count(*) FROM users u WHERE used_bytes <> (SELECT coalesce(sum(file_size), 0)
        FROM photos p WHERE p.owner_id = u.id AND p.status <> 'gone')),
    (SELECT count(*) FROM albums a WHERE photo_count <> (
        SELECT count(*) FROM album_photos m WHERE m.album_id = a.id)),
    (SELECT count(*) FROM album_photos m JOIN photos p ON p.id = m.photo_id
        WHERE p.status <> 'ready'),
    (SELECT count(*) FROM albums a JOIN photos p ON p.id = a.cover_photo_id
        WHERE p.status <> 'ready'),
    (SELECT count(*) FROM trashed_memberships m JOIN photos p ON p.id = m.photo_id
        WHERE p.status <> 'trashed'),
    (SELECT count(*) FROM unreferenced_objects u
        WHERE (delete_after = 'infinity') <> EXISTS (SELECT FROM photos p, files_of(p)
            WHERE p.status = 'trashed' AND key = u.object_key))
"""


async def check_sums(db: Any) -> None:
    """Totals, sums, counts and covers agree with the rows, and no file is noted wrongly."""
    rows, size, real_rows, real_size, *wrong = await db.fetchrow(EXACT)
    assert (rows, size) == (real_rows, real_size)
    assert wrong == [0] * len(wrong)
