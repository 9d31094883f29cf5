"""An account that is closed goes with everything that is its, whatever happens meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event
from typing import Any

import asyncpg
import httpx
import pytest

from photo_api.accounts import closing
from photo_api.accounts.deletion_job import DeletionJob
from photo_api.db import totals
from photo_api.jobs import queue
from tests.jobs.stage import LEASE, Worker
from tests.own_stage import ask, own_bucket, own_database, store_of
from tests.service import PASSWORD, Service, User, eventually, jpeg, put

pytestmark = pytest.mark.slow

ROUNDS = 3
PHOTOS = """
INSERT INTO photos (owner_id, status, album_id, original_filename, content_type, file_size,
    object_key, thumbnail_key, renditions)
SELECT $1, (ARRAY['ready', 'pending', 'ready', 'gone'])[1 + g % 4], $2, 'a.jpg', 'image/jpeg', 1,
    format('photos/%s/made-%s.jpg', $1::bigint, g), format('renditions/%s/%s', $1::bigint, g),
    'ready'
FROM generate_series(1, $3::int) g RETURNING id
"""
OWNED = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name IN ('owner_id', 'user_id')
UNION ALL VALUES ('users', 'id')
"""


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """With a store of their own, since ids of users are those of another database too."""
    changed = {"JOB_LEASE": str(LEASE), "SWEEP_INTERVAL": "0.3"}
    own = own_bucket(stack, environ) | {
        f"PHOTO_API_{name}": value for name, value in changed.items()
    }
    with own_database(stack, own) as settings:
        yield settings


def farewell(user: User, password: str = PASSWORD) -> httpx.Response:
    return user.api.request("DELETE", "/auth/me", json={"password": password})


def keys_of(settings: dict[str, str], user_id: int) -> list[str]:
    """Of all objects in the store that are theirs."""

    async def listed() -> list[str]:
        store = store_of(settings)
        try:
            return [
                one.key async for one in store.list("") if one.key.split("/")[1] == str(user_id)
            ]
        finally:
            await store.aclose()

    return asyncio.run(listed())


def rows_of(settings: dict[str, str], user_id: int) -> dict[str, int]:
    """How many rows of each table are theirs, of those that have any."""
    found = {}
    for table, column in ask(settings, OWNED):
        [[number]] = ask(settings, f"SELECT count(*) FROM {table} WHERE {column} = $1", user_id)
        found[table] = number
    return {table: number for table, number in found.items() if number}


def is_swept(settings: dict[str, str], user_id: int) -> bool:
    """Whether the store has nothing of theirs, once what is noted is due; what the trash keeps
    never is."""
    ask(
        settings,
        "UPDATE unreferenced_objects SET delete_after = now() - interval '1 s'"
        " WHERE NOT taken AND delete_after < 'infinity' AND split_part(object_key, '/', 2) = $1",
        str(user_id),
    )
    return not keys_of(settings, user_id)


def assert_totals_are_exact(settings: dict[str, str]) -> None:
    [found] = ask(
        settings,
        f"SELECT coalesce(json_object_agg(name, rows), '{{}}') FROM {totals.KNOWN} AS known"
        " WHERE rows <> CASE name WHEN 'users' THEN (SELECT count(*) FROM users)"
        " WHEN 'albums' THEN (SELECT count(*) FROM albums)"
        " WHEN 'photos' THEN (SELECT count(*) FROM photos WHERE status = 'ready')"
        " WHEN 'trash' THEN (SELECT count(*) FROM photos WHERE status = 'trashed')"
        " WHEN 'shares' THEN (SELECT count(*) FROM shares WHERE is_active AND NOT expiry_counted)"
        " WHEN 'jobs' THEN (SELECT count(*) FROM jobs WHERE kind = known.kind AND state <> 'dead')"
        " ELSE rows END",
    )
    assert found[0] == "{}"


def settle(user: User) -> tuple[int, str]:
    """Photos of each way of uploading, of which one waits and one has expired; an album, a link."""
    album = user.album()["id"]
    user.upload(album_id=album)
    user.post_photo(album_id=album, headers={"Idempotency-Key": "k"}).raise_for_status()
    for confirmed in (True, False):
        data = jpeg()
        presigned = user.presign(album, data)
        put(presigned, data).raise_for_status()
        if confirmed:
            user.confirm(presigned["photo_id"]).raise_for_status()
    user.api.delete(f"/photos/{user.upload()['id']}").raise_for_status()
    user.api.post(f"/albums/{album}/share").raise_for_status()
    token: str = user.api.post(f"/albums/{album}/share").json()["token"]
    return album, token


def test_an_account_goes_at_once_and_all_of_it_soon(
    settings: dict[str, str], own_service: Service, start_worker: Callable[..., Worker]
) -> None:
    with own_service.new_user() as user, own_service.new_user() as other:
        worker = start_worker()
        (album, token), (_, kept) = settle(user), settle(other)
        user_id, other_id = user.account["id"], other.account["id"]
        waiting = user.presign(album, data := jpeg())
        assert farewell(user, "not the password").json()["code"] == "wrong_password"
        with ThreadPoolExecutor(2) as pool:  # one of them is told that it is gone already
            answers = sorted(pool.map(lambda _: farewell(user).status_code, range(2)))
        assert answers == [202, 401]
        assert user.login().status_code == 401
        assert user.api.get(f"/share/{token}").status_code == 404
        refresh = {"refresh_token": user.tokens["refresh_token"]}
        assert user.api.post("/auth/refresh", json=refresh).status_code in (401, 403)
        again = {"email": user.email.upper(), "username": "somebody", "password": PASSWORD}
        assert user.api.post("/auth/register", json=again).status_code == 201
        put(waiting, data).raise_for_status()
        eventually(lambda: not rows_of(settings, user_id), 30)
        eventually(lambda: is_swept(settings, user_id), 30)
        eventually(lambda: user.api.get("/auth/me").status_code == 401, 8)
        told = eventually(
            lambda: [one for one in worker.log.splitlines() if "account_deleted" in one]
        )
        assert len(told) == 1
        assert '"photos":6' in told[0].replace(" ", "")
        assert rows_of(settings, other_id) != {}
        assert len(other.api.get("/photos/").json()) == 3
        assert other.api.get(f"/share/{kept}").status_code == 200
        assert_totals_are_exact(settings)


BLOCK = """
CREATE FUNCTION block() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM photos WHERE owner_id = {user}) < {photos} THEN
        PERFORM pg_advisory_xact_lock_shared(42);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER block BEFORE DELETE ON photos FOR EACH STATEMENT EXECUTE FUNCTION block();
"""
WAITS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"


@contextmanager
def blocked(
    settings: dict[str, str], user_id: int, photos: int
) -> Iterator[Callable[[], list[Any]]]:
    """While this is open, the second round waits; the backends that do."""
    with asyncio.Runner() as loop:
        holder = loop.run(asyncpg.connect(settings["PHOTO_API_DATABASE_URL"]))
        loop.run(holder.execute(BLOCK.format(user=user_id, photos=photos)))
        loop.run(holder.execute("SELECT pg_advisory_lock(42)"))
        try:
            yield lambda: loop.run(holder.fetch(WAITS))
        finally:
            loop.run(holder.execute("SELECT pg_advisory_unlock_all()"))
            loop.run(holder.execute("DROP FUNCTION block CASCADE"))
            loop.run(holder.close())


def test_a_deletion_that_is_cut_off_and_killed_goes_on(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """Its job is not there; in the middle of a round the database ends the connection, then the
    worker is killed."""
    photos, user_id = closing.PHOTOS_AT_ONCE * (ROUNDS - 1) + 1, user.account["id"]
    album = user.album()["id"]
    ids = [row["id"] for row in ask(settings, PHOTOS, user_id, album, photos)]
    trash = (
        "UPDATE photos SET status = 'trashed', trashed_at = now() WHERE id = ANY ($1) AND status"
    )
    ask(settings, f"{trash} = 'ready'", ids[::2])
    ask(settings, "INSERT INTO album_photos SELECT $1, unnest($2::bigint[])", album, ids)
    with blocked(settings, user_id, photos) as waiting:
        assert farewell(user).status_code == 202
        ask(settings, "DELETE FROM jobs")  # maintenance begins another
        doomed = start_worker()
        [[backend]] = eventually(waiting, 20)
        assert rows_of(settings, user_id)["photos"] == photos - closing.PHOTOS_AT_ONCE
        ask(settings, "SELECT pg_terminate_backend($1)", backend)
        eventually(lambda: [row for row in waiting() if row["pid"] != backend], 20)
        doomed.kill()
        start_worker()
    eventually(lambda: not rows_of(settings, user_id), 30)
    assert ask(settings, "SELECT FROM jobs WHERE state = 'dead'") == []
    assert eventually(lambda: is_swept(settings, user_id), 20)
    assert_totals_are_exact(settings)


def test_who_goes_on_beside_a_deletion_leaves_nothing_behind(
    settings: dict[str, str], own_service: Service, start_worker: Callable[..., Worker]
) -> None:
    """Uploads of both kinds, albums, links and logins, for as long as anybody is let in."""
    ends, seen = Event(), list[int]()
    start_worker()
    with own_service.new_user() as user:
        user_id, album = user.account["id"], user.album()["id"]

        def told(answer: httpx.Response) -> httpx.Response:
            seen.append(answer.status_code)
            assert answer.status_code < 500 or answer.status_code == 503, answer.text
            return answer

        def upload() -> None:
            told(user.post_photo(album_id=album, headers={"Idempotency-Key": str(next(numbers))}))

        def presign() -> None:
            data = jpeg()
            body = {"album_id": album, "filename": "a.jpg", "content_type": "image/jpeg"}
            answer = told(
                user.api.post("/photos/presigned-url", json=body | {"file_size": len(data)})
            )
            if answer.is_success:
                put(answer.json(), data)
                told(user.confirm(answer.json()["photo_id"]))

        def organise() -> None:
            answer = told(user.api.post("/albums/", json={"name": "another"}))
            if answer.is_success:
                told(user.api.post(f"/albums/{answer.json()['id']}/share"))

        def repeat(act: Callable[[], Any]) -> None:
            while not ends.is_set():
                act()

        numbers, acts = count(), (upload, presign, organise, lambda: told(user.login()))
        with ThreadPoolExecutor(len(acts)) as pool:
            at_work = [pool.submit(repeat, act) for act in acts]
            try:
                time.sleep(1)
                assert farewell(user).status_code == 202
                eventually(lambda: user.api.get("/auth/me").status_code == 401, 12)
                eventually(lambda: not rows_of(settings, user_id), 30)
            finally:
                ends.set()
            for one in at_work:
                one.result()
        assert {201, 401} <= set(seen)
    eventually(lambda: not rows_of(settings, user_id), 30)
    eventually(lambda: is_swept(settings, user_id), 30)
    assert_totals_are_exact(settings)


async def test_the_last_round_waits_for_what_is_under_way(
    settings: dict[str, str], user: User, db: Any, connections: list[Any]
) -> None:
    """A photo whose transaction began before the user's row goes leaves its bytes to the sweep."""
    user_id, key = user.account["id"], f"photos/{user.account['id']}/late.jpg"
    assert await closing.close(db, user_id, None)
    handler = DeletionJob(db)

    async def rounds() -> None:
        while jobs := await queue.lease(db, "worker", 60, ["closed_account"]):
            await handler.run(jobs[0])

    late, observer = connections[:2]
    async with late.transaction():
        await late.execute(
            "INSERT INTO photos (owner_id, status, original_filename, content_type, file_size,"
            " object_key) VALUES ($1, 'ready', 'a.jpg', 'image/jpeg', 1, $2)",
            user_id, key,
        )  # fmt: skip
        deleting = asyncio.create_task(rounds())
        pid = late.get_server_pid()
        async with asyncio.timeout(20):
            blocked = (
                "SELECT true FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))"
            )
            while await observer.fetchval(blocked, pid) is None:
                await asyncio.sleep(0.02)
    await deleting
    noted = "SELECT true FROM unreferenced_objects WHERE object_key = $1"
    assert await db.fetchval(noted, key)
    assert await db.fetchval("SELECT true FROM users WHERE id = $1", user_id) is None


LOCKED = "SELECT FROM users WHERE id = $1 FOR KEY SHARE SKIP LOCKED"
SLOWLY = """CREATE FUNCTION change_slowly() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN PERFORM pg_sleep(0.3); IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END'"""
SLOW_LINKS = """CREATE TRIGGER changed_slowly BEFORE UPDATE OR DELETE ON shares FOR EACH ROW
EXECUTE FUNCTION change_slowly()"""


def test_links_and_albums_go_while_their_account_is_closed(
    settings: dict[str, str], own_service: Service
) -> None:
    with own_service.new_user() as user:
        places = [f"/albums/{user.album()['id']}" for _ in range(4)]
        links = [user.api.post(f"{place}/share").json()["id"] for place in places]
        ask(settings, SLOWLY)
        ask(settings, SLOW_LINKS)
        try:
            with ThreadPoolExecutor(3) as pool:
                end = pool.submit(farewell, user)
                eventually(lambda: not ask(settings, LOCKED, user.account["id"]))
                paths = f"{places[-1]}/share/{links[-1]}", places[-2]
                acts = [pool.submit(user.api.delete, path) for path in paths]
                assert end.result().status_code == 202
                assert {act.result().status_code for act in acts} <= {204, 401, 404}
        finally:
            ask(settings, "DROP FUNCTION change_slowly CASCADE")
