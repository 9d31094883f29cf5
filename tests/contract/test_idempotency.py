"""Idempotency-Key on every POST that creates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.service import User, jpeg, put

Request = Callable[[User, int, str, bool], httpx.Response]


def create_album(user: User, album: int, key: str, other: bool) -> httpx.Response:
    body = {"name": "other" if other else "one"}
    return user.api.post("/albums/", json=body, headers={"Idempotency-Key": key})


def create_share(user: User, album: int, key: str, other: bool) -> httpx.Response:
    body = {"expires_in_days": 2 if other else 1}
    headers = {"Idempotency-Key": key}
    return user.api.post(f"/albums/{album}/share", json=body, headers=headers)


def presign(user: User, album: int, key: str, other: bool) -> httpx.Response:
    body = {
        "album_id": album,
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "file_size": 11 if other else 10,
    }
    return user.api.post("/photos/presigned-url", json=body, headers={"Idempotency-Key": key})


def upload(user: User, album: int, key: str, other: bool) -> httpx.Response:
    data = jpeg(seed=8 if other else 7)
    return user.post_photo(data, album, headers={"Idempotency-Key": key})


CREATES = [create_album, create_share, presign, upload]


def created(answer: httpx.Response) -> int:
    body = answer.raise_for_status().json()
    number: int = body.get("photo_id") or body["id"]
    return number


@pytest.fixture
def album(alice: User) -> int:
    number: int = alice.album()["id"]
    return number


@pytest.mark.parametrize("request_once", CREATES)
def test_a_repeat_takes_effect_once(alice: User, album: int, request_once: Request) -> None:
    key = uuid4().hex
    first, second = (request_once(alice, album, key, False) for _ in range(2))
    assert first.status_code == second.status_code
    assert created(first) == created(second)
    assert created(request_once(alice, album, uuid4().hex, False)) != created(first)


@pytest.mark.parametrize("request_once", CREATES)
def test_the_same_key_with_another_body_is_422(
    alice: User, album: int, request_once: Request
) -> None:
    key = uuid4().hex
    request_once(alice, album, key, False).raise_for_status()
    answer = request_once(alice, album, key, True)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("request_once", CREATES)
def test_ten_at_once_create_one(alice: User, album: int, request_once: Request) -> None:
    key = uuid4().hex
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: request_once(alice, album, key, False), range(10)))
    done = [answer for answer in answers if answer.is_success]
    assert len({created(answer) for answer in done}) == 1
    for answer in answers:
        if not answer.is_success:
            assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
            assert int(answer.headers["Retry-After"]) >= 1


def test_keys_belong_to_a_user(alice: User, bob: User) -> None:
    key = uuid4().hex
    mine = created(create_album(alice, 0, key, False))
    assert created(create_album(bob, 0, key, False)) != mine


def test_a_failed_request_leaves_its_key_free(alice: User, album: int) -> None:
    key = uuid4().hex
    assert create_share(alice, 10**15, key, False).status_code == 404
    assert create_share(alice, album, key, False).status_code == 201
    key = uuid4().hex
    assert upload(alice, 10**15, key, False).status_code == 404
    assert upload(alice, album, key, False).status_code == 201


def test_a_repeated_presign_can_be_used(alice: User, album: int) -> None:
    data, key = jpeg(), uuid4().hex
    body = {
        "album_id": album,
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "file_size": len(data),
    }
    headers = {"Idempotency-Key": key}
    for _ in range(2):
        answer = alice.api.post("/photos/presigned-url", json=body, headers=headers).json()
    assert put(answer, data).is_success
    assert alice.confirm(answer["photo_id"]).status_code == 200


@pytest.mark.parametrize("end", ["- interval '1 second'", "+ interval '31 days'"])
async def test_a_dead_owner_is_taken_over(
    alice: User, album: int, stack: dict[str, Any], end: str
) -> None:
    """An upload whose instance died holds its key until its lease ends, and no longer: also where
    the database's clock was ahead."""
    key = uuid4().hex
    connection = await asyncpg.connect(stack["database_url"])
    await connection.execute(
        "INSERT INTO idempotency_keys (user_id, route, key, owner, lease_until)"
        " VALUES ($1, 'photos.upload', $2, gen_random_uuid(), now() + interval '1 hour')",
        alice.account["id"],
        key,
    )
    running = upload(alice, album, key, False)
    assert (running.status_code, running.json()["code"]) == (409, "request_in_progress")
    await connection.execute(
        f"UPDATE idempotency_keys SET lease_until = now() {end} WHERE key = $1", key
    )
    assert upload(alice, album, key, False).status_code == 201
    kept = await connection.fetchrow("SELECT * FROM idempotency_keys WHERE key = $1", key)
    await connection.close()
    assert kept is not None
    assert (kept["status"], kept["resource_id"] is not None) == (201, True)


async def test_after_24_hours_a_key_is_new(alice: User, stack: dict[str, Any]) -> None:
    key = uuid4().hex
    first = created(create_album(alice, 0, key, False))
    connection = await asyncpg.connect(stack["database_url"])
    await connection.execute(
        "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = $1", key
    )
    await connection.close()
    assert created(create_album(alice, 0, key, True)) != first


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a b", "ü".encode()])
def test_a_key_that_is_none_is_422(alice: User, key: bytes) -> None:
    headers = [(b"Idempotency-Key", key)]
    answer = alice.api.post("/albums/", json={"name": "x"}, headers=headers)
    assert answer.status_code == 422
