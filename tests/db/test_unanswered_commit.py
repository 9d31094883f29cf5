"""A commit whose answer does not come: what it did is unknown, so nothing is settled on it.

The synchronous standby vanishes: the server carries out the commit and never says so.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.db.clusters import Cluster, Session
from tests.db.people import in_the_end, refused
from tests.service import PASSWORD, Service, User, jpeg, put, running_service

Act = Callable[[], httpx.Response]

RELOADED_WHILE_WAITED_FOR = """SELECT pg_reload_conf() WHERE EXISTS (
    SELECT FROM pg_stat_activity AS waiting, pg_stat_activity AS holding
    WHERE holding.state = 'idle in transaction' AND holding.application_name = 'psql'
    AND holding.pid = ANY (pg_blocking_pids(waiting.pid)))"""
"""As soon as somebody waits for what a test holds."""

COMMIT_UNANSWERED = """SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE application_name = 'photo-api web' AND wait_event = 'SyncRep')"""

ATTEMPTS = 5

OUTCOME = "SELECT status FROM idempotency_keys WHERE key = '{}'"


@pytest.fixture(scope="module")
def service(
    cluster: Cluster, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    own = {"DATABASE_URL": cluster.url, "DATABASE_STATEMENT_TIMEOUT": "4"}
    settings = environ | {f"PHOTO_API_{name}": value for name, value in own.items()}
    # What the tests themselves commit waits for no standby.
    cluster.sql("ALTER ROLE postgres SET synchronous_commit = off", "postgres")
    with running_service(settings, tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def user(service: Service) -> Iterator[User]:
    with service.new_user() as user:
        yield user


def _standby(cluster: Cluster, name: str) -> None:
    """From the next reload on."""
    cluster.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "postgres")


@contextmanager
def no_commit_is_answered(cluster: Cluster) -> Iterator[None]:
    _standby(cluster, "nobody")
    cluster.sql("SELECT pg_reload_conf()", "postgres")
    try:
        in_the_end(lambda: cluster.sql("SHOW synchronous_standby_names") == "nobody")
        yield
    finally:
        _answered_again(cluster)


def _answered_again(cluster: Cluster) -> None:
    _standby(cluster, "")
    cluster.sql("SELECT pg_reload_conf()", "postgres")


@contextmanager
def unanswered_at(cluster: Cluster, row: str, act: Act) -> Iterator[None]:
    """The act's statement that waits for this row is the first whose commit gets no answer; what
    it committed before is there, and its bytes are. Inside, no commit is answered either."""
    try:
        for _ in range(ATTEMPTS):
            if _comes_to_commit(cluster, row, act):
                break
            _answered_again(cluster)
        else:
            pytest.fail("it never comes to this commit")
        yield
    finally:
        _answered_again(cluster)


def _comes_to_commit(cluster: Cluster, row: str, act: Act) -> bool:
    """Whether the commit was carried out and its answer waited for. Else the act was refused and
    has done nothing: a commit that notifies waits for any other that does, and some process of the
    service may be waiting for the standby with one of its own."""
    held, answers = cluster.session(), list[httpx.Response]()

    def until_let_in() -> None:
        # One that came to its end, if not to its commit, keeps its key for a while.
        while (answer := act()).status_code == 409:
            time.sleep(0.5)
        answers.append(answer)

    acting = threading.Thread(target=until_let_in)
    try:
        held.say("BEGIN")
        held.say(f"SELECT 1 FROM {row} FOR UPDATE")
        _standby(cluster, "nobody")
        acting.start()
        came = asyncio.run(_leave_unanswered(cluster, held, acting))
        assert refused(answers[0]), answers[0].text
        return came
    finally:
        held.close()
        acting.join(30)


async def _leave_unanswered(cluster: Cluster, held: Session, acting: threading.Thread) -> bool:
    """In this process: the wait may be over before a busy machine starts a psql."""
    connection, came = await asyncpg.connect(cluster.superuser_url), False
    async with asyncio.timeout(60):
        while not await connection.fetchval(RELOADED_WHILE_WAITED_FOR):
            await asyncio.sleep(0.02)
        while await connection.fetchval("SHOW synchronous_standby_names") != "nobody":
            await asyncio.sleep(0.02)
        held.say("ROLLBACK")
        while acting.is_alive():
            came = await connection.fetchval(COMMIT_UNANSWERED) or came
            await asyncio.sleep(0.02)
    await connection.close()
    return came


def images(user: User) -> dict[int, bytes]:
    """The bytes of all photos; every one of them can be loaded."""
    listed = user.api.get("/photos/").raise_for_status().json()
    return {
        photo["id"]: user.api.get(photo["url"], follow_redirects=True).raise_for_status().content
        for photo in listed
    }


def repeated(act: Act) -> dict[str, Any]:
    """What the act gives in the end; it may still be running."""
    answers: list[httpx.Response] = []

    def again() -> bool:
        answers.append(act())
        assert answers[-1].is_success or answers[-1].status_code in (409, 503), answers[-1].text
        return answers[-1].is_success

    in_the_end(again)
    body: dict[str, Any] = answers[-1].json()
    return body


@pytest.mark.parametrize("key", [None, "a-key-of-this-test"])
def test_a_photo_through_the_server_is_the_one_photo(
    cluster: Cluster, user: User, key: str | None
) -> None:
    data, album = jpeg(200, 200), user.album()["id"]
    headers = {"Idempotency-Key": key} if key else {}

    def upload() -> httpx.Response:
        return user.post_photo(data, album, headers=headers)

    with unanswered_at(cluster, f"albums WHERE id = {album}", upload):
        if key:
            assert cluster.sql(OUTCOME.format(key)) == "201", "it came to its last commit"
            again = upload()
            assert refused(again) or again.status_code == 409, again.text
    in_the_end(lambda: bool(images(user)))
    [(photo, kept)] = images(user).items()
    assert kept == data
    if key:
        assert repeated(upload)["id"] == photo
    assert user.api.get(f"/albums/{album}").json()["photo_count"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("reuse", ["keep", "reuse"])
def test_a_confirmed_photo_is_the_one_photo(cluster: Cluster, user: User, reuse: str) -> None:
    data, album = jpeg(), user.album()["id"]
    presigned = user.presign(album, data, on_duplicate=reuse)
    put(presigned, data).raise_for_status()
    photo = presigned["photo_id"]

    def confirm() -> httpx.Response:
        return user.confirm(photo)

    with unanswered_at(cluster, f"photos WHERE id = {photo}", confirm):
        # The server has given up waiting for the standby, and shows what it has committed.
        assert confirm().json().get("photo_id", photo) == photo
    assert repeated(confirm)["photo_id"] == photo
    assert images(user) == {photo: data}
    assert user.api.get(f"/albums/{album}").json()["photo_count"] == 1


@pytest.mark.slow
def test_a_reused_photo_stays(cluster: Cluster, user: User) -> None:
    data, key = jpeg(), uuid4().hex
    # Its job is done, or it might be the job that waits for the row.
    photo, album = user.rendered(user.upload(data)["id"])["id"], user.album()["id"]

    def reuse() -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return user.post_photo(data, album, headers=headers, on_duplicate="reuse")

    with unanswered_at(cluster, f"photos WHERE id = {photo}", reuse):
        assert cluster.sql(OUTCOME.format(key)) == "200", "it came to its last commit"
        again = reuse()
        assert refused(again) or again.status_code == 409, again.text
    assert repeated(reuse)["id"] == photo
    assert images(user) == {photo: data}


@pytest.mark.slow
def test_a_link_is_used_once_and_what_it_did_is_done(
    cluster: Cluster, service: Service, user: User
) -> None:
    """Who asks again is told that the link has been used; what was asked for is there."""
    token, new = uuid4().hex, "another long pass phrase"
    link = f"account_links WHERE token_hash = sha256('{token}')"
    cluster.sql(
        "INSERT INTO account_links (token_hash, kind, user_id, expires_at)"
        f" VALUES (sha256('{token}'), 'reset', {user.account['id']}, now() + interval '1 h')"
    )

    def reset() -> httpx.Response:
        body = {"token": token, "new_password": new}
        return user.api.post("/auth/reset-password", json=body)

    with unanswered_at(cluster, link, reset):
        pass
    again = reset()
    assert (again.status_code, again.json()["code"]) == (400, "invalid_link")
    assert (user.login().status_code, user.login(new).status_code) == (401, 200)
    in_the_end(lambda: user.api.get("/auth/me").status_code == 401)


@pytest.mark.slow
def test_an_invitation_has_opened_the_one_account(
    cluster: Cluster, service: Service, tmp_path: Path
) -> None:
    """Who asks again is told that the invitation has been used; the account is there."""
    token, email = uuid4().hex, f"{uuid4().hex}@example.org"
    body = {"email": email, "username": "mina", "password": PASSWORD, "token": token}
    cluster.sql(
        "INSERT INTO account_links (token_hash, kind, expires_at)"
        f" VALUES (sha256('{token}'), 'invitation', now() + interval '1 h')"
    )
    invited = service.environ | {"PHOTO_API_REGISTRATION": "invitation"}
    with running_service(invited, tmp_path) as door, httpx.Client(base_url=door.url) as api:

        def register() -> httpx.Response:
            return api.post("/api/auth/register", json=body, timeout=30)

        with unanswered_at(
            cluster, f"account_links WHERE token_hash = sha256('{token}')", register
        ):
            pass
        again = register()
        assert (again.status_code, again.json()["code"]) == (400, "invalid_link")
        login = api.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        assert login.status_code == 200
    assert cluster.sql(f"SELECT count(*) FROM users WHERE email = '{email}'") == "1"


@pytest.mark.slow
def test_a_password_is_changed_once_and_the_one_before_lets_nobody_in(
    cluster: Cluster, service: Service, user: User
) -> None:
    """Who asks again is told that the password before is wrong; the session that asked goes on."""
    new, other = "another long pass phrase", user.login().json()["access_token"]
    account = user.account["id"]

    def change() -> httpx.Response:
        body = {"current_password": user.password, "new_password": new}
        return user.api.post("/auth/password", json=body)

    with unanswered_at(cluster, f"users WHERE id = {account}", change):
        pass
    again = change()
    assert (again.status_code, again.json()["code"]) == (400, "wrong_password")
    assert (user.login().status_code, user.login(new).status_code) == (401, 200)
    assert user.api.get("/auth/me").status_code == 200
    elsewhere = {"Authorization": f"Bearer {other}"}
    in_the_end(lambda: user.api.get("/auth/me", headers=elsewhere).status_code == 401)


@pytest.mark.slow
def test_creations_with_a_key_take_effect_once(cluster: Cluster, user: User) -> None:
    keys = {"Idempotency-Key": uuid4().hex}
    album, data = user.album()["id"], jpeg()
    upload = {
        "album_id": album, "filename": "a.jpg", "content_type": "image/jpeg",
        "file_size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    acts: list[tuple[Act, str, str]] = [
        (
            lambda: user.api.post("/albums/", json={"name": "once"}, headers=keys),
            "SELECT count(*) FROM albums WHERE name = 'once'", "id",
        ),
        (
            lambda: user.api.post(f"/albums/{album}/share", headers=keys),
            f"SELECT count(*) FROM shares WHERE album_id = {album}", "id",
        ),
        (
            lambda: user.api.post("/photos/presigned-url", json=upload, headers=keys),
            f"SELECT count(*) FROM photos WHERE album_id = {album}", "photo_id",
        ),
    ]  # fmt: skip
    with no_commit_is_answered(cluster):
        for act, _, _ in acts:
            assert refused(act())
    for act, count, name in acts:
        assert repeated(act)[name] == repeated(act)[name]
        assert cluster.sql(count) == "1"
