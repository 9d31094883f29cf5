"""What a user's originals may take: reserved with the upload's URL, settled by whatever becomes of
it, and exact beside others and beside the release before."""

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from photo_api.photos import sweep
from photo_api.registry import leases
from tests.own_stage import ask, database_of, own_database, store_of
from tests.service import Service, User, jpeg, put, running_service, serving

QUOTA = 1_000_000


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ | {"PHOTO_API_QUOTA": str(QUOTA)}) as settings:
        yield settings


def usage(user: User) -> tuple[int, int | None]:
    me = user.api.get("/auth/me").raise_for_status().json()
    return me["used_bytes"], me["quota_bytes"]


def presign(user: User, size: int, **more: Any) -> httpx.Response:
    headers = {"Idempotency-Key": uuid4().hex} if more.pop("keyed", False) else {}
    body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": size, **more}
    return user.api.post("/photos/presigned-url", json=body, headers=headers)


def is_refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) == (413, "quota_exceeded")


def counted(settings: dict[str, str], user: User) -> int:
    query = (
        "SELECT coalesce(sum(file_size), 0) FROM photos WHERE owner_id = $1 AND status <> 'gone'"
    )
    return int(ask(settings, query, user.account["id"])[0][0])


async def swept(settings: dict[str, str]) -> None:
    async with database_of(settings) as db:
        lease = await leases.acquire(db, f"sweep-{uuid4().hex}", "tests", 60)
        assert lease is not None
        await sweep.sweep(db, store_of(settings), 0, lease)


EXPIRE = """UPDATE photos SET upload_expires_at = now() - interval '1 day'
WHERE owner_id = $1 AND status = 'pending'"""


def test_uploads_that_are_begun_at_once_do_not_pass_it(
    settings: dict[str, str], user: User, own_service: Service
) -> None:
    assert usage(user) == (0, QUOTA)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: presign(user, 300_000, keyed=n % 2 == 0), range(20)))
    begun = [answer for answer in answers if answer.status_code == 200]
    assert len(begun) == 3
    assert sum(map(is_refused, answers)) == 17
    refused = next(answer for answer in answers if is_refused(answer)).json()["detail"]
    assert all(word in refused for word in ("900000", str(QUOTA), "300000", "delete"))
    assert usage(user) == (900_000, QUOTA)
    assert counted(settings, user) == 900_000
    assert presign(user, 100_000).status_code == 200, "to the last byte"
    assert is_refused(presign(user, 1))
    with own_service.new_user() as other:
        assert presign(other, QUOTA).status_code == 200
        assert is_refused(presign(other, 1))
    ask(settings, EXPIRE, user.account["id"])
    asyncio.run(swept(settings))
    assert usage(user) == (0, QUOTA), "the sweep gives back what never came"


def test_what_becomes_of_an_upload_settles_it(settings: dict[str, str], user: User) -> None:
    data, owner = jpeg(), user.account["id"]
    begun = presign(user, len(data), sha256=sha256(data).hexdigest()).json()
    put(begun, data).raise_for_status()
    user.confirm(begun["photo_id"]).raise_for_status()
    user.confirm(begun["photo_id"]).raise_for_status()
    assert usage(user)[0] == len(data), "once, however often it is confirmed"
    again = presign(user, len(data), on_duplicate="reuse").json()
    put(again, data).raise_for_status()
    assert usage(user)[0] == 2 * len(data)
    assert user.confirm(again["photo_id"]).json()["duplicate"] is True
    assert usage(user)[0] == len(data), "those bytes were there already"
    bound = "UPDATE users SET quota_bytes = $2 WHERE id = $1"
    ask(settings, bound, owner, len(data))
    assert usage(user) == (len(data), len(data))
    assert is_refused(presign(user, 1))
    form = {"on_duplicate": "reuse"}
    known = user.api.post("/photos/", data=form, files={"file": ("a.jpg", data, "image/jpeg")})
    assert (known.status_code, known.json()["id"]) == (200, begun["photo_id"]), "takes no room"
    ask(settings, bound, owner, 0)
    assert usage(user)[1] is None
    assert presign(user, 2 * QUOTA).status_code == 200


def form(data: bytes) -> dict[str, Any]:
    return {"files": {"file": ("a.jpg", data, "image/jpeg")}}


def test_uploads_through_the_server(settings: dict[str, str], user: User) -> None:
    large = jpeg() + bytes(QUOTA)
    objects = "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE $1"
    mine = f"photos/{user.account['id']}/%"
    assert is_refused(user.api.post("/photos/", **form(large + bytes(300_000))))
    assert ask(settings, objects, mine) == [], "its length told before anything was stored"
    request = user.api.build_request("POST", "/photos/", **form(large))
    body = request.read()
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    headers = {"Content-Type": request.headers["Content-Type"]}
    assert is_refused(user.api.post("/photos/", content=pieces, headers=headers)), "of no length"
    with ThreadPoolExecutor(6) as pool:
        half = jpeg() + bytes(400_000)
        answers = list(pool.map(lambda _: user.api.post("/photos/", **form(half)), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 413, 413, 413, 413]
    assert usage(user)[0] == 2 * len(half) == counted(settings, user)
    photo = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
    assert user.photo(photo)["file_size"] == len(half)


def test_uploads_into_no_album(user: User) -> None:
    data = jpeg()
    begun = presign(user, len(data), album_id=None).json()
    put(begun, data).raise_for_status()
    photos = [user.confirm(begun["photo_id"]).json()["photo_id"]]
    photos.append(user.api.post("/photos/", **form(jpeg())).raise_for_status().json()["id"])
    reused = presign(user, len(data), on_duplicate="reuse", sha256="0" * 64).json()
    assert reused["duplicate"] is False
    assert [item["id"] for item in user.api.get("/photos/").json()] == photos[::-1]
    assert user.api.get("/albums/").json() == []
    assert presign(user, 9, album_id=2**60).status_code == 404
    assert presign(user, 9, album_id="7").status_code == 422
    for wrong, status in (("", 422), ("x", 422), ("0", 404), (str(2**70), 404)):
        answer = user.api.post("/photos/", data={"album_id": wrong}, **form(data))
        assert answer.status_code == status, wrong


@pytest.mark.slow
def test_an_upload_whose_server_was_killed(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with running_service(settings, folder, "--no-jobs") as service, service.new_user() as user:
        assert presign(user, QUOTA).status_code == 200
        for child in service.children("photo_api"):
            child.kill()
        service.process.kill()
        service.process.wait()
        ask(settings, EXPIRE, user.account["id"])
        asyncio.run(swept(settings))
        with serving(settings, folder / "next.log", "--no-jobs") as following:
            user.api.base_url = httpx.URL(f"{following.url}/api")
            while not following.is_healthy():
                pass
            assert usage(user) == (0, QUOTA)
            assert presign(user, QUOTA).status_code == 200


OLD_PENDING = """WITH place AS (
    UPDATE places SET begun = begun + 1 WHERE user_id = $1 AND kind = 'uploads'
    AND begun - ended < 1000 AND EXISTS (SELECT FROM albums WHERE id = $2 AND owner_id = $1)
    RETURNING 1
), fresh AS (
    SELECT nextval(pg_get_serial_sequence('photos', 'id')) AS id FROM place
), pending AS (
    INSERT INTO photos (id, owner_id, album_id, status, original_filename, content_type, file_size,
        staging_key, upload_expires_at)
    OVERRIDING SYSTEM VALUE
    SELECT id, $1, $2, 'pending', 'a.jpg', 'image/jpeg', $3, 'staging/' || id,
        now() + interval '1 hour'
    FROM fresh RETURNING id)
SELECT id FROM pending"""
"""As the release before begins one."""

CHANGES = (
    ("UPDATE photos SET status = 'ready', object_key = 'photos/' || id WHERE status = 'pending'"),
    ("UPDATE photos SET status = 'gone', gone_at = now() WHERE status <> 'gone'"),
    ("UPDATE photos SET status = 'trashed', trashed_at = now() WHERE status = 'ready'"),
    ("UPDATE photos SET file_size = file_size + 3 WHERE status <> 'pending'"),
    ("UPDATE photos SET title = 'x' WHERE true"),
    ("DELETE FROM photos WHERE true"),
)


async def change(url: str, owners: list[tuple[int, int]], seed: int) -> None:
    """What the releases do, in random order; several users' photos in one statement too."""
    chance, connection = random.Random(seed), await asyncpg.connect(url)
    try:
        for _ in range(40):
            owner, album = chance.choice(owners)
            if chance.random() < 0.5:
                await connection.fetchval(OLD_PENDING, owner, album, chance.randrange(1, 999))
                continue
            if chance.random() < 0.1:
                await connection.execute("CALL count_used_bytes()")
            some = "AND id IN (SELECT id FROM photos WHERE owner_id = ANY ($1) ORDER BY id LIMIT $2"
            whose = [one for one, _ in owners] if chance.random() < 0.5 else [owner]
            statement = f"{chance.choice(CHANGES)} {some} FOR UPDATE SKIP LOCKED)"
            async with connection.transaction():
                await connection.execute(statement, whose, chance.randrange(1, 6))
                if chance.random() < 0.2:
                    await connection.execute("SELECT pg_sleep(0.01)")
    finally:
        await connection.close()


PERSON = "INSERT INTO users (email, username, password_hash) VALUES ($1, 'u', '') RETURNING id"


async def test_it_is_exact_beside_everybody(settings: dict[str, str]) -> None:
    """Six connections at once do what this release and the one before do."""
    url = settings["PHOTO_API_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    try:
        owners = []
        for _ in range(3):
            owner = await connection.fetchval(PERSON, uuid4().hex)
            album = "INSERT INTO albums (owner_id, name) VALUES ($1, 'A') RETURNING id"
            owners.append((owner, await connection.fetchval(album, owner)))
            await connection.execute("INSERT INTO places VALUES ($1, 'uploads', 0)", owner)
        await asyncio.gather(*(change(url, owners, seed) for seed in range(6)))
        wrong = """SELECT id, used_bytes, (SELECT coalesce(sum(file_size), 0) FROM photos
            WHERE owner_id = users.id AND status <> 'gone') AS counted
            FROM users ORDER BY id"""
        rows = [tuple(row) for row in await connection.fetch(wrong)]
        assert all(used == counted for _, used, counted in rows), rows
        assert any(used for _, used, _ in rows)
        await connection.execute("UPDATE users SET used_bytes = used_bytes + id")
        await connection.execute("CALL count_used_bytes()")
        assert [tuple(row) for row in await connection.fetch(wrong)] == rows
        await connection.execute("DELETE FROM users WHERE id = $1", owners[0][0])
    finally:
        await connection.close()
