"""Many rows of everything, made by the server itself; and what a statement reads of them."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from bench.every_statement import BOOT, Ids
from photo_api.registry import leases

SMALL, MIDDLE, LARGE = 3, 5, 1
"""Users: of the first two there are 20 and 980 photos, however many there are in all, and as many
links and albums (1 and 1097); of the last one photo in `Rows.share`, all in one album."""

GROWING = (
    "users", "photos", "photo_search", "photos_in_no_album", "albums", "album_photos", "shares",
    "jobs", "refresh_families", "refresh_tokens", "idempotency_keys", "login_attempts", "deletions",
    "unreferenced_objects",
)  # fmt: skip
"""Tables that grow with users and what they do. Of the registry there is a row for each boot of the
last week, of `job_turns` and `places` a row for each user who was at work."""

FILL = (
    "INSERT INTO users (email, email_fold, username, password_hash) SELECT 'u' || i || '@x',"
    " 'u' || i || '@x', 'u' || i, '' FROM generate_series({before.users} + 1, {rows.users}) i",
    "INSERT INTO photos (owner_id, status, album_id, original_filename, content_type, file_size,"
    " sha256, object_key, renditions, thumbnail_key, metadata_reader, display_key, sort_at,"
    " camera, latitude, longitude, search_text)"
    " SELECT CASE WHEN i <= 20 THEN 3 WHEN i <= 1000 THEN 5 WHEN i % {rows.share} = 0 THEN 1"
    "   ELSE 6 + i::bigint * 7919 % ({rows.users} - 5) END,"
    " 'ready', 0, 'IMG.jpg', 'image/jpeg', 3000000, sha256(i::text::bytea), 'photos/' || i,"
    " 'ready', 'renditions/' || i, 1, 'd' || i,"
    " '2010-01-01'::timestamp + make_interval(hours => (i::bigint * 7919 % 20000)::int),"
    " 'Camera ' || i % 5,"
    " CASE WHEN i % 2 = 0 THEN i % 180 - 90 END, CASE WHEN i % 2 = 0 THEN i % 360 - 180 END,"
    " CASE WHEN i = 500 OR i % 12500 = 0 THEN '봉화' ELSE 'img' END"
    " FROM generate_series({before.photos} + 1, {rows.photos}) i",
    "INSERT INTO photo_search (photo_id, owner_id, keys)"
    " SELECT id, owner_id, search_keys(owner_id, search_text)"
    " FROM photos WHERE id > {before.photos}",
    "INSERT INTO albums (owner_id, name) SELECT CASE WHEN i IN (1, 3) THEN i"
    "  WHEN i <= 1100 THEN 5 ELSE i END, 'a'"
    " FROM generate_series({before.users} + 1, {rows.users}) i",
    "INSERT INTO album_photos (album_id, photo_id, sort_at)"
    " SELECT CASE WHEN owner_id IN (1, 3, 5) THEN owner_id"
    "   ELSE 1101 + id % ({rows.users} - 1101) END, id, sort_at"
    " FROM photos WHERE id > {before.photos}",
    "INSERT INTO shares (album_id, token_hash, token_sealed, token_kid, expires_at, expiry_counted)"
    " SELECT i, sha256(i::text::bytea), '', 'k', CASE WHEN i % 2 = 0 THEN now()"
    "   + make_interval(days => i % 200 - 100) END, i % 2 = 0 AND i % 200 <= 100"
    " FROM generate_series({before.users} + 1, {rows.users}) i",
    "INSERT INTO jobs (kind, subject_id, user_id, state, available_at)"
    " SELECT CASE WHEN i % 3 = 0 THEN 'display' ELSE 'renditions' END, i, i % 100 + 1,"
    " CASE WHEN i % 10 = 0 THEN 'dead' ELSE 'queued' END, now() - make_interval(secs => i)"
    " FROM generate_series(5 * {before.users} + 1, 5 * {rows.users}) i",
    "INSERT INTO job_turns (user_id) SELECT generate_series(1, 100) ON CONFLICT DO NOTHING",
    "INSERT INTO refresh_families (user_id, created_at) SELECT i / 5 + 1, now() - interval '1 day'"
    " FROM generate_series(5 * {before.users}, 5 * {rows.users} - 1) i",
    "INSERT INTO refresh_tokens (token_hash, family_id, expires_at) SELECT"
    " sha256(f.id::text::bytea), f.id, now() + interval '9 days' FROM refresh_families f"
    " JOIN users u ON u.id = f.user_id WHERE u.id > {before.users} AND u.id <= {rows.users}",
    "INSERT INTO idempotency_keys (user_id, route, key, owner) SELECT i, 'r', 'k',"
    " gen_random_uuid() FROM generate_series({before.users} + 1, {rows.users}) i",
    "INSERT INTO login_attempts (kind, key, window_ends) SELECT 'pair', sha256(i::text::bytea),"
    " now() + interval '1 hour' FROM generate_series({before.users} + 1, {rows.users}) i",
    "INSERT INTO deletions (user_id, kind, object_id, request_id, at) SELECT i, 'photo', i, 'r',"
    " now() + interval '1 hour'"
    " FROM generate_series({before.users} + 1, {rows.users}) i",
    "INSERT INTO unreferenced_objects (object_key, delete_after) SELECT 'o' || i,"
    " now() + interval '1 hour' FROM generate_series({before.users} + 1, {rows.users}) i",
)
"""For what there is from `before` to `rows`; needs a superuser, since no trigger works."""


NO_GAP = """
SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 1), count(*) > 0)
FROM {table}"""
"""What was taken back has used numbers up."""


class Rows(NamedTuple):
    """How many there are, at least 1,200 and 1,000. Of most other things there are some a user."""

    users: int
    photos: int
    share: int = 25


NONE = Rows(0, 0)


async def fill(superuser: Any, before: Rows, rows: Rows) -> None:
    """Let there be so many rows, where there are those of `before`."""
    async with superuser.transaction():
        await rows_for(superuser, before, rows)
    await superuser.execute("VACUUM ANALYZE")


async def rows_for(superuser: Any, before: Rows, rows: Rows) -> None:
    """The same, in the caller's transaction, of which the planner knows nothing yet."""
    await superuser.execute("SET LOCAL session_replication_role = replica")
    for table in ("users", "photos", "albums", "shares", "jobs"):
        await superuser.execute(NO_GAP.format(table=table))
    for statement in FILL:
        await superuser.execute(statement.format(before=before, rows=rows))
    await superuser.execute("DELETE FROM total_changes; SELECT count_totals(), count_timeline()")
    await superuser.execute(
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers)"
        " VALUES ($1, 'i', 'n', '1', 'a', 1, 1) ON CONFLICT DO NOTHING",
        BOOT,
    )
    await superuser.execute("SET LOCAL session_replication_role = origin")


async def ids_of(db: Any, user: int) -> Ids:
    """A user's own things, and a lease."""
    lease = await leases.acquire(db, "maintenance", "tests", 600)
    assert lease is not None
    photo, digest = await db.fetchrow(
        "SELECT id, sha256 FROM photos WHERE owner_id = $1 AND status = 'ready'"
        " ORDER BY id DESC LIMIT 1", user,
    )  # fmt: skip
    family, token = await db.fetchrow(
        "SELECT f.id, t.token_hash FROM refresh_families f JOIN refresh_tokens t"
        " ON t.family_id = f.id WHERE f.user_id = $1 LIMIT 1", user,
    )  # fmt: skip
    album = await db.fetchval(
        "SELECT album_id FROM shares s JOIN albums a ON a.id = s.album_id WHERE a.owner_id = $1"
        " AND s.expires_at IS NULL ORDER BY album_id LIMIT 1", user,
    )  # fmt: skip
    share = await db.fetchval("SELECT id FROM shares WHERE album_id = $1", album)
    link = sha256(str(album).encode()).digest()
    return Ids(user, album, photo, share, link, digest, family, token, lease)


async def explained(connection: Any, query: str, args: tuple[object, ...], options: str) -> Any:
    """The root of the plan that the service has of a statement, whose effect is taken back."""
    await connection.execute(f"PREPARE looked_at AS {query}")
    attempt = connection.transaction()
    await attempt.start()
    try:
        told = await connection.fetchval(
            f"EXPLAIN ({options}, FORMAT JSON) EXECUTE looked_at{literals(args)}"
        )
    finally:
        await attempt.rollback()
        await connection.execute("DEALLOCATE looked_at")
    return (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]


def literals(args: tuple[object, ...]) -> str:
    """The arguments of a prepared statement."""
    return f"({', '.join(map(_literal, args))})" if args else ""


def _literal(value: object) -> str:
    """As PostgreSQL reads it where the type is known."""
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        text = "{" + ",".join(_element(item) for item in value) + "}"
    elif isinstance(value, bytes):
        text = "\\x" + value.hex()
    else:
        text = str(value)
    return "'" + text.replace("'", "''") + "'"


def _element(value: object) -> str:
    text = "\\x" + value.hex() if isinstance(value, bytes) else str(value)
    return json.dumps(text, ensure_ascii=False)


def nodes(plan: Any, under_limit: bool = False) -> Iterator[tuple[Any, bool]]:
    """Each node of a plan, and whether a limit is above it."""
    yield plan, under_limit
    for child in plan.get("Plans", []):
        limited = under_limit or plan["Node Type"] == "Limit"
        # What is sorted or counted is read to its end.
        if plan["Node Type"] in ("Sort", "Aggregate", "Hash", "WindowAgg"):
            limited = False
        yield from nodes(child, limited)


def buffers(plan: Any) -> int:
    """Pages that a statement has read, in memory or not. A scan of a common table expression
    repeats what that has read."""
    read = 0
    for node, _ in nodes(plan):
        if node["Node Type"] in ("CTE Scan", "Subquery Scan", "WorkTable Scan"):
            continue
        below = sum(_pages(child) for child in node.get("Plans", []))
        read += max(_pages(node) - below, 0)
    return read


def _pages(node: Any) -> int:
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


WHOLE_INDEXES = """
SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text FROM pg_index i
WHERE coalesce(pg_get_expr(i.indpred, i.indrelid), '') IN ('', '(status = ''ready''::text)')
AND i.indrelid::regclass::text = ANY ($1)"""
"""Name and table of those that hold all rows of a growing table, or nearly all."""


def scanned(plan: Any, whole_indexes: dict[str, str]) -> set[str]:
    """Growing tables that a statement reads from one end to the other, by themselves or by an
    index without a condition."""
    found = set()
    for node, limited in nodes(plan):
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING:
            found.add(node["Relation Name"])
        index = node.get("Index Name")
        if index in whole_indexes and "Index Cond" not in node and not limited:
            found.add(whole_indexes[index])
    return found
