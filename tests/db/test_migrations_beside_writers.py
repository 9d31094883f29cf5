"""What migrations fill in is right though the release before writes between any two statements."""

import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from photo_api.db.migrations import Migration, known_migrations, migrate
from photo_api.settings.loading import load
from tests.own_stage import empty_database

LAST_OF_BEFORE = "0027"
"""The last migration of the release before."""

THERE = """
INSERT INTO users (email, username, password_hash) VALUES ('a', 'a', '');
INSERT INTO albums (owner_id, name) SELECT id, 'one' FROM users;
INSERT INTO photos (owner_id, album_id, status, original_filename, content_type, file_size,
    object_key, renditions, created_at)
SELECT u.id, a.id, 'ready', 'IMG_20240512_153000.jpg', 'image/jpeg', 1000 + n, 'there/' || n,
    'ready', '2025-01-01' FROM users u, albums a, generate_series(1, 400) n;
INSERT INTO album_photos (album_id, photo_id) SELECT album_id, id FROM photos"""

ADDED = """WITH added AS (
    INSERT INTO photos (owner_id, album_id, status, original_filename, content_type, file_size,
        object_key, renditions)
    SELECT owner_id, id, 'ready', 'x.jpg', 'image/jpeg', 7, 'added/' || $1::int, 'ready' FROM albums
    RETURNING id, album_id)
INSERT INTO album_photos (album_id, photo_id) SELECT album_id, id FROM added RETURNING photo_id"""

CHANGES = (
    "UPDATE photos SET title = 'Jeju' WHERE id = $1",
    """UPDATE photos SET taken_at = '2019-02-03T04:05:06', exif = '{"camera": "R6"}'
        WHERE id = $1""",
    "DELETE FROM album_photos WHERE photo_id = $1",
    "WITH out AS (DELETE FROM album_photos WHERE photo_id = $1)"
    " UPDATE photos SET status = 'gone', gone_at = now() WHERE id = $1",
)

WRONG = {
    "dates": """SELECT p.id FROM photos p, date_of_file(taken_at, exif ->> 'taken_at_source',
        original_filename, NULL, NULL, created_at) AS told
        WHERE status <> 'gone' AND p.sort_at <> told.sort_at""",
    "text": """SELECT id FROM photos WHERE status <> 'gone' AND search_text IS DISTINCT FROM
        search_form(concat_ws(E'\\n', title, original_filename, exif ->> 'camera'))""",
    "keys": """SELECT p.id FROM photos p LEFT JOIN photo_search s ON s.photo_id = p.id
        CROSS JOIN search_keys(p.owner_id, p.search_text) AS told
        WHERE p.status = 'ready' AND (s.keys @> told AND s.keys <@ told) IS NOT TRUE
        OR p.status <> 'ready' AND s.photo_id IS NOT NULL""",
    "in no album": """SELECT p.id FROM photos p LEFT JOIN photos_in_no_album n ON n.photo_id = p.id
        WHERE (p.status = 'ready' AND p.id NOT IN (SELECT photo_id FROM album_photos))
            <> (n.photo_id IS NOT NULL)""",
    "dates in albums": "SELECT p.id FROM album_photos m JOIN photos p ON p.id = m.photo_id"
    " WHERE m.sort_at IS DISTINCT FROM p.sort_at",
    "bytes": "SELECT id FROM users WHERE used_bytes <>"
    " (SELECT sum(file_size) FROM photos WHERE status <> 'gone')",
    "months": """SELECT month FROM (SELECT month, shown FROM timeline_months
        UNION ALL SELECT month, shown FROM timeline_changes
        UNION ALL SELECT date_trunc('month', sort_at)::date, -1 FROM photos WHERE status = 'ready')
        AS told GROUP BY month HAVING sum(shown) <> 0""",
    "album": "SELECT id FROM albums WHERE photo_count <> (SELECT count(*) FROM album_photos)",
}


@pytest.fixture
def empty(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with empty_database(stack, environ) as settings:
        yield settings


class Writer:
    """The release before, which changes photos that were there and some that came since."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._there = 0
        self._added: list[int] = []

    async def write(self) -> None:
        for change in CHANGES:
            self._there += 1
            await self._connection.execute(change, self._there)
            self._added.append(await self._connection.fetchval(ADDED, self._there))
        for change in CHANGES:
            await self._connection.execute(change, self._added.pop(0))
            self._added = self._added[-len(CHANGES) :]


def statements(item: Migration) -> list[str]:
    """What is carried out at once, each; without indexes, which tell what tables tell. Files that
    may be begun anew have theirs twice."""
    if not item.outside:
        return [item.sql]
    parts = filter(None, (part.strip() for part in item.sql.split(";\n")))
    return [part for part in parts if "INDEX CONCURRENTLY" not in part] * 2


@pytest.mark.slow
async def test_nothing_is_missed_that_happens_between_two_statements(empty: dict[str, str]) -> None:
    known = known_migrations()
    older = [item for item in known if item.name <= "0033"]
    settings = load({key: value for key, value in empty.items() if key != "PATH"}).database
    await migrate(settings, migrations=older)
    connection = await asyncpg.connect(empty["PHOTO_API_DATABASE_URL"])
    try:
        await connection.execute(THERE)
        writer = Writer(connection)
        for item in known[len(older) :]:
            for statement in statements(item):
                await connection.execute(statement)
                await writer.write()
        wrong = {name: await connection.fetch(query) for name, query in WRONG.items()}
    finally:
        await connection.close()
    assert {name: rows[:5] for name, rows in wrong.items() if rows} == {}


def test_none_waits_for_a_table_while_it_keeps_others_from_another() -> None:
    """Statements that read both would wait for it, and it for them."""
    for item in known_migrations():
        made = set(re.findall(r"CREATE TABLE (\w+)", item.sql))
        altered = set(re.findall(r"^ALTER TABLE (\w+)", item.sql, re.MULTILINE)) - made
        assert item.outside or item.name < LAST_OF_BEFORE or len(altered) <= 1, item.name
