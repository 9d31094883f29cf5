"""What the database holds while it is measured: accounts made over HTTP, rows made by SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from bench.load import Address
from photo_api.db.pool import Database

PASSWORD = "a passphrase for the benchmark"
FEW, MANY, TOTAL = 20, 10_000, 200_000
PER_BYSTANDER = 500
SHOWN = 50
LINKS = 16

# In random order, so that one owner's photos are spread over the table as they are in real use.
FILL = """
WITH bystanders AS (
    INSERT INTO users (email, username, password_hash)
    SELECT format('bystander-%s@example.org', g), 'bystander', ''
    FROM generate_series(1, ceil($3::int / $4::int::float8)::int) AS g RETURNING id
), owned AS (
    SELECT $1::bigint AS owner_id FROM generate_series(1, $5::int)
    UNION ALL SELECT $2::bigint FROM generate_series(1, $6::int)
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

LINK = """
INSERT INTO album_photos (album_id, photo_id)
SELECT $1, id FROM photos WHERE owner_id = $2 ORDER BY id DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Person:
    """An account. The token is valid for the whole run."""

    id: int
    email: str
    token: str


@dataclass(frozen=True, slots=True)
class World:
    """Accounts and what they own. `few` and `many` own so many photos, `uploader` owns the
    uploads into `target`; `album` holds 50 photos and is shared by `share_tokens`."""

    few: Person
    many: Person
    uploader: Person
    album_id: int
    target_id: int
    share_tokens: Sequence[str]
    photo_id: int
    logins: Sequence[Person]


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

    async def _post(self, path: str, body: Any, who: Person | None = None) -> Any:
        headers = {"Authorization": f"Bearer {who.token}"} if who else {}
        answer = await self._http.post(path, json=body, headers=headers, timeout=30)
        return answer.raise_for_status().json()

    async def aclose(self) -> None:
        await self._http.aclose()


async def create_world(db: Database, address: Address) -> World:
    """Fill an empty database, of a service that runs at `address`."""
    api = Api(address)
    try:
        few, many, uploader = [await api.person(name) for name in ("few", "many", "uploader")]
        logins = [await api.person(f"login-{number}") for number in range(4)]
        album_id, target_id = await api.album(many), await api.album(uploader)
        share_tokens = [await api.share(many, album_id) for _ in range(LINKS)]
    finally:
        await api.aclose()
    async with db.acquire() as connection:
        others = TOTAL - FEW - MANY
        await connection.execute(
            FILL, few.id, many.id, others, PER_BYSTANDER, FEW, MANY, timeout=120
        )
        await connection.execute(LINK, album_id, many.id, SHOWN)
        await connection.execute("VACUUM (ANALYZE)", timeout=120)
    newest = "SELECT max(id) FROM photos WHERE owner_id = $1"
    photo_id = await db.fetchval(newest, few.id)
    return World(few, many, uploader, album_id, target_id, share_tokens, photo_id, logins)
