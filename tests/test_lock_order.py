"""Rows are locked in one order (docs/decisions/0048): whoever waits for one holds none that comes
after it, so that nobody waits for somebody who waits for them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from photo_api.accounts import closing
from photo_api.albums.arranging import Where, move
from photo_api.albums.queries import add_photos, delete_album, remove_photos, update_album
from photo_api.db.pool import Database, open_database
from photo_api.photos import keeping, trash
from photo_api.photos.bulk import Bulk
from photo_api.photos.dating import BulkDate, date
from photo_api.photos.upload_queries import (
    NewPhoto,
    begin_upload,
    end_as_duplicate,
    insert_pending,
    insert_ready,
    link,
    lock_content,
    make_ready,
)
from photo_api.registry import leases
from photo_api.registry.leases import Lease
from photo_api.settings.loading import load
from photo_api.shares.queries import revoke_share
from tests.own_stage import own_database
from tests.service import User
from tests.trash_sums import check_sums

LIMITS: Any = SimpleNamespace(url_ttl=900, longest_put=900, max_pending=1000, quota=0)
PHOTOS = """
INSERT INTO photos (owner_id, status, original_filename, content_type, file_size, object_key,
    thumbnail_key, renditions)
SELECT $1, 'ready', 'a.jpg', 'image/jpeg', g, format('photos/%s/%s', $1::bigint, g),
    format('renditions/%s/%s', $1::bigint, g), 'ready' FROM generate_series(1, $2) g RETURNING id
"""
SAME_BYTES = """UPDATE photos SET sha256 = decode(lpad(to_hex(id), 64, '0'), 'hex')
WHERE id = ANY ($1)"""
"""Each its own, by which `digest` finds it."""


def digest(photo_id: int) -> bytes:
    return photo_id.to_bytes(32)


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
async def lease(db: Database) -> Lease:
    lease = await leases.acquire(db, f"trash-{uuid4().hex}", "tests", 120)
    assert lease is not None
    return lease


async def some_photos(user: User, db: Database, count: int, albums: int) -> list[int]:
    """In all of so many albums, of which the first is the cover."""
    ids = [row["id"] for row in await db.fetch(PHOTOS, user.account["id"], count)]
    await db.execute(SAME_BYTES, ids)
    for _ in range(albums):
        album = user.album()["id"]
        user.api.post(f"/albums/{album}/photos", json={"photo_ids": ids}).raise_for_status()
        user.api.patch(f"/albums/{album}", json={"cover_photo_id": ids[0]}).raise_for_status()
    return ids


def new_photo(owner: int, album: int) -> NewPhoto:
    return NewPhoto(owner, album, None, None, "a.jpg", "image/jpeg", 7, None)


class Body:
    """What `move` is told."""

    def __init__(self, photo_ids: list[int], album_id: int, from_album_id: int | None) -> None:
        self.photo_ids = photo_ids[::-1]
        self.album_id = album_id
        self.from_album_id = from_album_id if from_album_id != album_id else None


ORDER = ("places", "photos", "users", "albums", "album_photos", "trashed_memberships", "shares")
AWAITED = {
    "places WHERE kind = 'uploads'": "FOR UPDATE",
    "photos": "FOR NO KEY UPDATE",
    "users": "FOR UPDATE",
    "albums": "FOR UPDATE",
}
"""Rows that others have, and the strongest lock that anybody has of them."""
Act = Callable[[Any], Awaitable[object]]


class Undone(Exception):
    """What an act did is taken back."""


async def acts_of(user: User, db: Database, lease: Lease) -> dict[str, Act]:
    """Everything that locks rows of more than one kind, ready to be done."""
    owner = user.account["id"]
    ready, trashed, due, again, *more = await some_photos(user, db, 8, 2)
    album, other = (row["id"] for row in await db.fetch("SELECT id FROM albums ORDER BY id"))
    async with db.transaction() as connection:
        await trash.delete(connection, owner, [trashed, due, again], 30, "r")
    overdue = "UPDATE photos SET trashed_at = now() - interval '31 days' WHERE id = $1"
    await db.execute(overdue, due)
    share = user.api.post(f"/albums/{album}/share").raise_for_status().json()["id"]
    pending = user.presign(album, b"7")["photo_id"]
    new = new_photo(owner, album)
    next_id, key, _ = await begin_upload(db, owner, "new", 3600, None, 0)
    dated = BulkDate(operation="date", photo_ids=[ready, *more], shift_seconds=3600)
    moved = Bulk(owner, [ready, *more], Body([ready, *more], other, album), 30, "r")

    async def confirm(connection: Any, known: int) -> None:
        found = await lock_content(connection, owner, digest(known), other)
        assert found is not None
        assert await end_as_duplicate(connection, owner, pending, found["id"])
        await link(connection, owner, other, found["id"])

    async def delete_rows(connection: Any, photo_ids: list[int]) -> None:
        for statement in closing.OF_PHOTOS:
            await connection.execute(statement, photo_ids)

    return {
        "presign": lambda c: insert_pending(c, new, uuid4().hex, False, LIMITS),
        "upload": lambda c: insert_ready(c, new, next_id, key, 10**9),
        "confirm": lambda c: make_ready(c, owner, pending, key, "image/jpeg", None),
        "confirm what is known": lambda c: confirm(c, ready),
        "confirm what is trashed": lambda c: confirm(c, again),
        "add": lambda c: add_photos(c, owner, other, more[::-1]),
        "remove": lambda c: remove_photos(c, owner, album, more),
        "arrange": lambda c: move(c, owner, album, more, Where("start")),
        "cover": lambda c: update_album(c, owner, album, None, None, more[0], None),
        "delete": lambda c: trash.delete(c, owner, [ready, *more], 30, "r"),
        "delete at once": lambda c: trash.delete(c, owner, [ready, *more], 0, "r"),
        "restore": lambda c: trash.restore(c, owner, [trashed, due]),
        "purge": lambda c: trash.purge(c, owner, [trashed, due]),
        "purge due": lambda c: trash.purge_due(c, 30, lease),
        "move": lambda c: keeping.move(c, moved),
        "date": lambda c: date(c, Bulk(owner, [ready, *more], dated, 30, "r")),
        "delete the album": lambda c: delete_album(c, owner, album, "r"),
        "revoke the link": lambda c: revoke_share(c, owner, album, share, "r"),
        "close the account": lambda c: closing.close(c, owner, None),
        "delete its photos": lambda c: closing.delete_photos(c, owner),
        "delete its trash": lambda c: delete_rows(c, [trashed]),
    }


REFERS_TO_OWNER = "delete"
"""What remembers the deletion comes last, and waits for those alone who close the account: they
have the owner first, and wait for no photo and no album."""
WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"


async def test_whoever_waits_holds_nothing_that_comes_after(
    user: User, db: Database, lease: Lease
) -> None:
    acts = await acts_of(user, db, lease)
    waits = set()

    async def carry_out(name: str) -> None:
        async with db.transaction() as connection:
            await acts[name](connection)
            raise Undone

    async def look(holding: Any, acting: asyncio.Task[None], name: str, table: str) -> None:
        if not await is_waited_for(db, holding, acting):
            return
        waits.add((name, table))
        if (name, table) != (REFERS_TO_OWNER, "users"):
            assert await kept_by_others(holding, table) == [], (name, table)

    for rows, lock in AWAITED.items():
        for name in acts:
            async with db.acquire() as holding:
                held = holding.transaction()
                await held.start()
                await holding.execute(f"SELECT FROM {rows} {lock}")
                acting = asyncio.create_task(carry_out(name))
                await look(holding, acting, name, rows.partition(" ")[0])
                await held.rollback()
                with pytest.raises(Undone):
                    await acting
    for_albums = {name for name, table in waits if table == "albums"}
    assert for_albums == acts.keys() - {"presign", "revoke the link", "close the account"}
    assert {name for name, _ in waits} == acts.keys()


async def is_waited_for(db: Database, holding: Any, acting: asyncio.Task[Any]) -> bool:
    """False when it has ended without."""
    async with asyncio.timeout(20):
        while not await db.fetchval(WAITING, holding.get_server_pid()):
            if acting.done():
                return False
            await asyncio.sleep(0.005)
    return True


async def kept_by_others(holding: Any, table: str) -> list[str]:
    """Those tables behind this one of which somebody has a row."""
    kept = []
    for one in ORDER[ORDER.index(table) + 1 :]:
        there = await holding.fetchval(f"SELECT count(*) FROM {one}")
        if len(await holding.fetch(f"SELECT FROM {one} FOR UPDATE SKIP LOCKED")) < there:
            kept.append(one)
    return kept


async def test_who_puts_a_photo_into_an_album_has_locked_it(user: User, db: Database) -> None:
    """Or two that put in the same one would wait for each other: for its row, and for the album."""
    owner, (photo, *_) = user.account["id"], await some_photos(user, db, 1, 0)
    album = user.album()["id"]
    async with db.transaction() as adding:
        await adding.execute("SELECT FROM albums WHERE id = $1 FOR NO KEY UPDATE", album)
        linking = asyncio.create_task(link(db, owner, album, photo))
        assert await is_waited_for(db, adding, linking)
        assert await add_photos(adding, owner, album, [photo]) == 1
    assert dict(await linking) == {"album": True, "photo": True}


OPERATIONS = [
    *keeping.OPERATIONS, "deleted at once", "purge due", "reuse", "album deleted", "album added",
    "uploaded", "confirmed", "added", "removed", "arranged", "dated",
]  # fmt: skip


async def act(
    db: Database, lease: Lease, chance: random.Random, owner: int, ids: list[int]
) -> None:
    """One of everything that changes a photo's place, of some of them."""
    some = sorted(chance.sample(ids, chance.randint(1, 8)))
    name = chance.choice(OPERATIONS)
    albums = [
        row["id"] for row in await db.fetch("SELECT id FROM albums WHERE owner_id = $1", owner)
    ]
    if name in ("uploaded", "confirmed"):
        await upload(db, name, owner, chance.choice(albums), chance.choice(ids))
        return
    async with db.transaction() as connection:
        if name == "purge due":
            await trash.purge_due(connection, 3650 if chance.random() < 0.9 else 0, lease)
        elif name == "reuse":
            album = chance.choice(albums)
            known = await lock_content(connection, owner, digest(chance.choice(ids)), album)
            if known is not None:
                await link(connection, owner, album, known["id"])
        elif name == "added":
            await add_photos(connection, owner, chance.choice(albums), some[::-1])
        elif name == "removed":
            await remove_photos(connection, owner, chance.choice(albums), some)
        elif name == "arranged":
            await move(connection, owner, chance.choice(albums), some[::-1], Where("start"))
        elif name == "album deleted":
            if len(albums) > 3:
                await delete_album(connection, owner, chance.choice(albums), uuid4().hex)
        elif name == "album added":
            await connection.execute(
                "INSERT INTO albums (owner_id, name, cover_photo_id)"
                " SELECT $1, 'a', (SELECT id FROM photos WHERE id = $2 AND status = 'ready'"
                " FOR SHARE)",
                owner, chance.choice(some),
            )  # fmt: skip
        else:
            if name in ("purge", "deleted at once") and chance.random() < 0.9:
                name = "restore"
            body: Any = Body(some, chance.choice(albums), chance.choice([None, *albums]))
            if name == "dated":
                body = BulkDate(operation="date", photo_ids=some, shift_seconds=86_400)
            days = 0 if name == "deleted at once" else 30
            work = Bulk(owner, some, body, days, uuid4().hex)
            operations = {**keeping.OPERATIONS, "dated": date, "deleted at once": keeping.delete}
            await operations[name](connection, work)


async def upload(db: Database, how: str, owner: int, album: int, known: int) -> None:
    """Of a new photo through the server, or of one whose bytes may be known, as the requests do."""
    new = new_photo(owner, album)
    if how == "uploaded":
        photo_id, key, _ = await begin_upload(db, owner, uuid4().hex, 3600, 1, 0)
        await insert_ready(db, new, photo_id, key, 0)
        return
    pending = await insert_pending(db, new, uuid4().hex, True, LIMITS)
    async with db.transaction() as connection:
        found = await lock_content(connection, owner, digest(known), album)
        if pending is not None and found is not None:
            await end_as_duplicate(connection, owner, pending, found["id"])
            await link(connection, owner, album, found["id"])


@pytest.mark.slow
async def test_whoever_changes_the_same_photos_waits_and_never_for_each_other(
    user: User, db: Database, lease: Lease, settings: dict[str, str]
) -> None:
    """600 random changes, ten at a time: no deadlock, and afterwards everything agrees."""
    owner = user.account["id"]
    ids = await some_photos(user, db, 24, 4)
    seed = random.randrange(2**32)

    async def one(many: Database, number: int) -> None:
        chance = random.Random(seed + number)
        for _ in range(60):
            try:
                await act(many, lease, chance, owner, ids)
            except asyncpg.ForeignKeyViolationError:
                continue  # an album that was chosen is gone
            except Exception as error:
                if type(error).__name__ != "ApiError":
                    raise AssertionError(f"seed {seed}") from error

    async with open_database(load(settings).database, "tests", 10) as many:
        await asyncio.gather(*(one(many, number) for number in range(10)))
    await check_sums(db)
    statuses = await db.fetch("SELECT DISTINCT status FROM photos WHERE owner_id = $1", owner)
    assert len(statuses) >= 2
