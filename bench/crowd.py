"""Photos of many others: copies of real ones under keys and of owners of their own, and what they
take in tables and indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PER_OWNER = 500

OWNERS = """
INSERT INTO users (email, email_fold, username, password_hash)
SELECT name, name, 'other', '' FROM generate_series(1, $1::int) g,
    LATERAL (SELECT format('other-%s@example.org', g) AS name) n RETURNING id
"""
ALBUMS = "INSERT INTO albums (owner_id, name) SELECT unnest($1::bigint[]), 'Album'"

# In random order, so that one owner's photos are spread over the table as they are in real use.
COPIES = """
INSERT INTO photos ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM (
    SELECT *, row_number() OVER () AS place, count(*) OVER () AS of_all FROM photos
    WHERE status = 'ready'
) p JOIN generate_series(1, $1::int) g ON g % of_all = place - 1,
    LATERAL (SELECT md5(g::text) AS name) n ORDER BY n.name
"""
LINKS = """
INSERT INTO album_photos (album_id, photo_id)
SELECT a.id, p.id FROM photos p JOIN albums a USING (owner_id)
WHERE p.owner_id = ANY ($1) AND p.status = 'ready' ORDER BY p.id
"""
OWN = {
    "id": "nextval(pg_get_serial_sequence('photos', 'id'))",
    "owner_id": "($2::bigint[])[1 + g % cardinality($2::bigint[])]",
    "sha256": "sha256(n.name::bytea)",
}
"""What a copy has of its own, besides a name in each of its keys."""

SIZES = """
SELECT relname AS name, pg_table_size(oid)::float8 AS data, pg_indexes_size(oid)::float8 AS indexes
FROM pg_class WHERE relname = ANY ($1) ORDER BY relname DESC
"""


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes for each photo of a table, and of its indexes."""

    table: str
    data: float
    indexes: float


async def crowd(connection: Any, number: int) -> None:
    """So many photos more, each in an album of its owner's."""
    rows = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'photos'::regclass AND attnum > 0"
        " AND NOT attisdropped"
    )
    columns = [row["attname"] for row in rows]
    text = COPIES.format(columns=", ".join(columns), values=", ".join(map(_value, columns)))
    owners = [row["id"] for row in await connection.fetch(OWNERS, max(1, number // PER_OWNER))]
    await connection.execute(ALBUMS, owners)
    await connection.execute(text, number, owners, timeout=600)
    await connection.execute(LINKS, owners, timeout=600)
    await connection.execute("VACUUM (ANALYZE)", timeout=600)


def _value(column: str) -> str:
    if column.endswith("_key"):
        return f"overlay(p.{column} PLACING n.name FROM 20)"
    return OWN.get(column, f"p.{column}")


async def sizes(connection: Any) -> Sequence[Size]:
    """Of the tables that have a row for each photo, however often it has changed."""
    number = await connection.fetchval("SELECT count(*) FROM photos")
    rows = await connection.fetch(SIZES, ["photos", "album_photos"])
    return [Size(row["name"], row["data"] / number, row["indexes"] / number) for row in rows]
