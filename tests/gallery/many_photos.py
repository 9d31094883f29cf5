"""Very many photos of one user: rows that share the files of a few."""

import asyncio
from datetime import datetime
from typing import Any

import asyncpg

from tests.chromium import loop_of_ones_own
from tests.db.test_flat_statements import as_superuser
from tests.service import Service, User, jpeg

FEW = (
    (360, 240, 0x4A7AB5),
    (240, 360, 0xB5714A),
    (320, 240, 0x5F9E6E),
    (640, 200, 0xC9A227),
    (240, 240, 0x7D5BA6),
)
"""Width, height and colour."""

FILL = """INSERT INTO photos (owner_id, status, original_filename, content_type, file_size,
    object_key, sort_at, date_source, width, height, renditions, thumbnail_key, preview_key,
    blurhash, favourite)
SELECT $1, 'ready', format('IMG_%s.jpg', n), 'image/jpeg', 1, format('many/%s/%s', $1::bigint, n),
    $3::timestamp - make_interval(mins => n * $4::int), 'exif', p.width, p.height, 'ready',
    p.thumbnail_key, p.preview_key, p.blurhash, n % 25 = 0
FROM generate_series(1, $2::int) n
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS number, count(*) OVER () AS of_all
    FROM photos WHERE owner_id = $1 AND renditions = 'ready') p
    ON p.number = 1 + n * 7919 % p.of_all"""


def many_photos(
    stack: dict[str, Any], service: Service, user: User, photos: int, minutes: int
) -> None:
    """Let `user` have a few real photos of today, and so many more, one every so many minutes
    before June 2024."""
    album = user.album()["id"]
    few = [user.upload(jpeg(*picture), album_id=album)["id"] for picture in FEW]
    for photo_id in few:
        user.rendered(photo_id)
    with loop_of_ones_own():
        asyncio.run(_fill(stack, service, user, photos, minutes))


async def _fill(
    stack: dict[str, Any], service: Service, user: User, photos: int, minutes: int
) -> None:
    db = await asyncpg.connect(as_superuser(stack, service.environ))
    try:
        await db.execute("SET session_replication_role = replica")
        owner = user.account["id"]
        await db.execute(FILL, owner, photos, datetime(2024, 5, 31, 12), minutes)
        await db.execute("SET session_replication_role = origin")
        await db.execute("SELECT count_timeline()")
        await db.execute("VACUUM ANALYZE photos")
    finally:
        await db.close()
