"""A commit whose answer does not come: what it did is unknown, so nothing is settled on it.

The synchronous standby vanishes: the server carries out the commit and never says so.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.db.clusters import Cluster
from tests.db.people import in_the_end, refused
from tests.service import User, jpeg, put, running_service

Act = Callable[[], httpx.Response]


@pytest.fixture(scope="module")
def user(
    cluster: Cluster, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    own = {"DATABASE_URL": cluster.url, "DATABASE_STATEMENT_TIMEOUT": "1"}
    settings = environ | {f"PHOTO_API_{name}": value for name, value in own.items()}
    folder = tmp_path_factory.mktemp("service")
    with running_service(settings, folder) as service, service.new_user() as user:
        yield user


def _standby(cluster: Cluster, name: str) -> None:
    cluster.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "postgres")
    cluster.sql("SELECT pg_reload_conf()", "postgres")


@contextmanager
def no_commit_is_answered(cluster: Cluster) -> Iterator[None]:
    cluster.sql("ALTER ROLE postgres SET synchronous_commit = off", "postgres")
    _standby(cluster, "nobody")
    in_the_end(lambda: cluster.sql("SHOW synchronous_standby_names") == "nobody")
    try:
        yield
    finally:
        _standby(cluster, "")


def images(user: User) -> dict[int, bytes]:
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


def unanswered(cluster: Cluster, act: Act, times: int = 2) -> None:
    with no_commit_is_answered(cluster):
        for _ in range(times):
            answer = act()
            assert refused(answer) or answer.status_code == 409, answer.text


def test_a_photo_through_the_server_is_the_one_photo(cluster: Cluster, user: User) -> None:
    data, album, key = jpeg(200, 200), user.album()["id"], uuid4().hex
    before = images(user)
    last = threading.Event()
    head = (
        f'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n--b\r\n'
        'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    ).encode()

    def slowly() -> Iterator[bytes]:
        yield head + data[:-10]
        assert last.wait(30)
        yield data[-10:] + b"\r\n--b--\r\n"

    def send(body: Any) -> httpx.Response:
        headers = {
            "Content-Type": "multipart/form-data; boundary=b",
            "Idempotency-Key": key,
        }
        return user.api.post("/photos/", content=body, headers=headers)

    answers: list[httpx.Response] = []
    sending = threading.Thread(target=lambda: answers.append(send(slowly())))
    sending.start()
    in_the_end(
        lambda: cluster.sql(f"SELECT count(*) FROM idempotency_keys WHERE key = '{key}'") == "1"
    )
    with no_commit_is_answered(cluster):
        last.set()
        sending.join(30)
        assert refused(answers[0]), answers[0].text
        again = send(head + data + b"\r\n--b--\r\n")
        assert refused(again) or again.status_code == 409, again.text
    photo = repeated(lambda: send(head + data + b"\r\n--b--\r\n"))
    new = {number: kept for number, kept in images(user).items() if number not in before}
    assert new == {photo["id"]: data}
    assert user.api.get(f"/albums/{album}").json()["photo_count"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("reuse", ["keep", "reuse"])
def test_a_confirmed_photo_is_the_one_photo(cluster: Cluster, user: User, reuse: str) -> None:
    data, album = jpeg(), user.album()["id"]
    before = images(user)
    presigned = user.presign(album, data, on_duplicate=reuse)
    put(presigned, data).raise_for_status()
    with no_commit_is_answered(cluster):
        # Its first statement, which notes the copy's key, is the first that gets no answer.
        assert refused(user.confirm(presigned["photo_id"]))
    assert repeated(lambda: user.confirm(presigned["photo_id"]))["photo_id"] in images(user)
    new = {number: kept for number, kept in images(user).items() if number not in before}
    assert new == {presigned["photo_id"]: data}
    assert user.api.get(f"/albums/{album}").json()["photo_count"] == 1


@pytest.mark.slow
def test_a_reused_photo_stays(cluster: Cluster, user: User) -> None:
    data, key = jpeg(), uuid4().hex
    photo, album = user.upload(data)["id"], user.album()["id"]

    def reuse() -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return user.post_photo(data, album, headers=headers, on_duplicate="reuse")

    unanswered(cluster, reuse)
    assert repeated(reuse)["id"] == photo
    assert images(user)[photo] == data


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
