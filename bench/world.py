"""What the database holds while it is measured: accounts made over HTTP, rows made by SQL."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from bench.load import Address
from photo_api.accounts.tokens import digest
from photo_api.db.pool import Database

PASSWORD = "a passphrase for the benchmark"
MANY = 10_000
SHOWN = 50
PER_BYSTANDER = 500
LINKS = 16

# In random order, so that one owner's photos are spread over the table as they are in real use.
FILL = """
WITH bystanders AS (
    INSERT INTO users (email, username, password_hash)
    SELECT format('bystander-%s@example.org', g), 'bystander', ''
    FROM generate_series(1, ceil($3::int / $4::int::float8)::int) AS g RETURNING id
), owned AS (
    SELECT owner_id FROM unnest($1::bigint[], $2::int[]) AS one (owner_id, number),
        generate_series(1, number)
    UNION ALL SELECT owner_id FROM (
        SELECT id AS owner_id FROM bystanders, generate_series(1, $4::int) LIMIT $3::int) AS others
), shuffled AS (
    SELECT owner_id, md5(random()::text) AS name FROM owned ORDER BY random()
)
INSERT INTO photos (owner_id, status, album_id, title, original_filename, content_type, file_size,
    object_key, renditions, thumbnail_key, preview_key, width, height, blurhash, taken_at, exif)
SELECT owner_id, 'ready', 1, 'Photo ' || left(name, 6), format('IMG_%s.jpg', left(name, 4)),
    'image/jpeg', 2345678, format('photos/%s/%s.jpg', owner_id, name), 'ready',
    format('renditions/%s/%s-1-thumbnail.webp', owner_id, name),
    format('renditions/%s/%s-1-preview.webp', owner_id, name), 4032, 3024,
    'LEHV6nWB2yk8pyo0adR*.7kCMdnj', '2025-12-31T07:26:00+09:00',
    '{"camera": "Canon EOS R6", "exposure_time": "1/200", "iso": 100}'
FROM shuffled
"""

# Of some 100 months, each by its metadata, whose order is not that of the uploads.
LARGE = """
INSERT INTO photos (owner_id, status, album_id, title, original_filename, content_type, file_size,
    object_key, renditions, thumbnail_key, preview_key, width, height, blurhash, taken_at, exif,
    favourite)
SELECT $1, 'ready', 1, CASE WHEN n % 40000 = 7 THEN '봉화' WHEN n % 10 = 0 THEN '서울에서'
        ELSE 'Photo ' || left(name, 6) END, format('IMG_%s.jpg', left(name, 4)),
    'image/jpeg', 2345678, format('photos/%s/%s.jpg', $1::bigint, name), 'ready',
    format('renditions/%s/%s-1-thumbnail.webp', $1::bigint, name),
    format('renditions/%s/%s-1-preview.webp', $1::bigint, name), 4032, 3024,
    'LEHV6nWB2yk8pyo0adR*.7kCMdnj', to_char('2016-01-01'::timestamp + make_interval(
        hours => (n::bigint * 7919 % 73000)::int), 'YYYY-MM-DD"T"HH24:MI:SS'),
    jsonb_build_object('camera', CASE WHEN n % 20 = 0 THEN 'Pixel 8' ELSE 'Canon EOS R6' END,
        'latitude', 35 + n % 300 / 100.0, 'longitude', 127), n % 33 = 0
FROM (SELECT n, md5(random()::text) AS name FROM generate_series(1, $2::int) n) AS named
"""

LINK = """
INSERT INTO album_photos (album_id, photo_id)
SELECT $1, id FROM photos WHERE owner_id = $2 ORDER BY id DESC LIMIT $3
"""

ALBUMS = """
INSERT INTO albums (owner_id, name) SELECT $1, 'Album' FROM generate_series(1, $2::int) RETURNING id
"""

# Each photo of an owner into one of the albums, so that all have as many.
SPREAD = """
INSERT INTO album_photos (album_id, photo_id)
SELECT ($1::bigint[])[1 + (number - 1) / $2::int], id FROM (
    SELECT id, row_number() OVER (ORDER BY id DESC)::int AS number FROM photos WHERE owner_id = $3
) AS numbered ORDER BY number
"""

SHARE = "INSERT INTO shares (album_id, token_hash, token_sealed, token_kid) VALUES ($1, $2, '', '')"

NEWEST = "SELECT id FROM photos WHERE owner_id = $1 ORDER BY id DESC"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Photos: of the two who are asked hot, of the one who is asked cold (more than a worker keeps
    presented or signed), of all together with those of others, of the one who is asked for many
    at another server; and of somebody besides who has the most, where that is measured."""

    few: int = 20
    many: int = MANY
    cold: int = 12_000
    total: int = 200_000
    of_other: int = MANY
    large: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """An account. The token is valid for the whole run."""

    id: int
    email: str
    token: str


@dataclass(frozen=True, slots=True)
class Cold:
    """The photos of somebody, newest first, and the albums of 50 that hold all of them, each with a
    link."""

    owner: Person
    photo_ids: Sequence[int]
    album_ids: Sequence[int]
    share_tokens: Sequence[str]


@dataclass(frozen=True, slots=True)
class World:
    """Accounts and what they own. `few` and `many` own so many photos, `uploader` owns the
    uploads into `target`; `album` holds 50 photos and is shared by `share_tokens`; `whole` holds
    all photos of `many`, at these positions."""

    few: Person
    many: Person
    uploader: Person
    album_id: int
    target_id: int
    share_tokens: Sequence[str]
    photo_id: int
    logins: Sequence[Person]
    whole_id: int
    whole_positions: Sequence[int]
    cold: Cold
    large: Person
    large_ids: Sequence[int]


class Api:
    """Our API as set-up uses it."""

    def __init__(self, address: Address) -> None:
        url = f"http://{address.host}:{address.port}/api"
        self._http = httpx.AsyncClient(base_url=url, trust_env=False)

    async def person(self, name: str) -> Person:
        """Register and log in."""
        email = f"{name}@example.org"
        account = {"email": email, "username": name, "password": PASSWORD}
        registered = await self._post("/auth/register", account)
        tokens = await self._post("/auth/login", {"email": email, "password": PASSWORD})
        return Person(registered["id"], email, tokens["access_token"])

    async def album(self, owner: Person) -> int:
        album: int = (await self._post("/albums/", {"name": "Album"}, owner))["id"]
        return album

    async def share(self, owner: Person, album_id: int) -> str:
        token: str = (await self._post(f"/albums/{album_id}/share", {}, owner))["token"]
        return token

    async def add(self, owner: Person, album_id: int, photo_ids: Sequence[int]) -> None:
        await self._post(f"/albums/{album_id}/photos", {"photo_ids": list(photo_ids)}, owner)

    async def get(self, path: str, owner: Person) -> Any:
        headers = {"Authorization": f"Bearer {owner.token}"}
        answer = await self._http.get(path, headers=headers, timeout=60)
        return answer.raise_for_status().json()

    async def _post(self, path: str, body: Any, who: Person | None = None) -> Any:
        headers = {"Authorization": f"Bearer {who.token}"} if who else {}
        answer = await self._http.post(path, json=body, headers=headers, timeout=30)
        return answer.raise_for_status().json()

    async def aclose(self) -> None:
        await self._http.aclose()


async def create_world(db: Database, address: Address, sizes: Sizes) -> World:
    """Fill an empty database, of a service that runs at `address`."""
    api = Api(address)
    try:
        few, many, reader, uploader, large = [
            await api.person(name) for name in ("few", "many", "reader", "uploader", "large")
        ]
        logins = [await api.person(f"login-{number}") for number in range(4)]
        album_id, whole_id = await api.album(many), await api.album(many)
        target_id = await api.album(uploader)
        share_tokens = [await api.share(many, album_id) for _ in range(LINKS)]
    finally:
        await api.aclose()
    async with db.acquire() as connection:
        owned = {few.id: sizes.few, many.id: sizes.many, reader.id: sizes.cold}
        others = sizes.total - sum(owned.values())
        await connection.execute(
            FILL, list(owned), list(owned.values()), others, PER_BYSTANDER, timeout=600
        )
        await connection.execute(LARGE, large.id, sizes.large, timeout=600)
        await connection.execute(LINK, album_id, many.id, SHOWN)
        await connection.execute(LINK, whole_id, many.id, sizes.many)
        positions = "SELECT position FROM album_photos WHERE album_id = $1 ORDER BY position"
        whole_positions = [row[0] for row in await connection.fetch(positions, whole_id)]
        cold = await _cold(connection, reader)
        # As maintenance leaves them, which does not run beside what is measured.
        await connection.execute("DELETE FROM timeline_changes")
        await connection.execute("SELECT count_timeline()", timeout=120)
        await connection.execute("VACUUM (ANALYZE)", timeout=120)
        photo_id = await connection.fetchval(NEWEST, few.id)
        large_ids = [row["id"] for row in await connection.fetch(NEWEST, large.id)]
    return World(
        few,
        many,
        uploader,
        album_id,
        target_id,
        share_tokens,
        photo_id,
        logins,
        whole_id,
        whole_positions,
        cold,
        large,
        large_ids,
    )


async def _cold(connection: Any, owner: Person) -> Cold:
    """By SQL: over HTTP it would take minutes."""
    photo_ids = [row["id"] for row in await connection.fetch(NEWEST, owner.id)]
    albums = await connection.fetch(ALBUMS, owner.id, len(photo_ids) // SHOWN)
    album_ids = [album["id"] for album in albums]
    links = [secrets.token_urlsafe(24) for _ in album_ids]
    await connection.execute(SPREAD, album_ids, SHOWN, owner.id)
    pairs = zip(album_ids, map(digest, links), strict=True)
    await connection.executemany(SHARE, list(pairs))
    return Cold(owner, photo_ids, album_ids, links)
