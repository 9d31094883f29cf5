"""POST /auth/password, /auth/sessions…: what people do with an account of their own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.service import PASSWORD, Service, User, eventually

NEW = "another long pass phrase"


def change(user: User, current: str, new: str = NEW) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return user.api.post("/auth/password", json=body)


def another_session(user: User) -> httpx.Client:
    tokens = user.login().raise_for_status().json()
    other = httpx.Client(base_url=user.api.base_url, headers=user.api.headers, timeout=30)
    other.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return other


def test_a_new_password_ends_all_other_sessions(alice: User) -> None:
    with another_session(alice) as other:
        assert other.get("/auth/me").status_code == 200
        assert change(alice, PASSWORD).status_code == 204
        eventually(lambda: other.get("/auth/me").status_code == 401, 8)
    assert alice.api.get("/auth/me").status_code == 200
    token = {"refresh_token": alice.tokens["refresh_token"]}
    assert alice.api.post("/auth/refresh", json=token).status_code == 200
    assert alice.login(PASSWORD).status_code == 401
    assert alice.login(NEW).status_code == 200


def test_a_wrong_password_is_no_401_and_throttled_as_a_login(alice: User) -> None:
    """Clients drop their tokens on 401."""
    for _ in range(5):
        answer = change(alice, "not the password")
        assert (answer.status_code, answer.json()["code"]) == (400, "wrong_password")
    answer = change(alice, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) > 0
    assert alice.login().status_code == 429, "the same counters"
    farewell = alice.api.request("DELETE", "/auth/me", json={"password": PASSWORD})
    assert farewell.status_code == 429
    assert alice.api.get("/auth/me").status_code == 200


@pytest.mark.parametrize("new", ["short", "a" * 101, "a\0" * 8, None, 12345678])
def test_a_new_password_is_as_one_of_a_registration(alice: User, new: object) -> None:
    body = {"current_password": PASSWORD, "new_password": new}
    assert alice.api.post("/auth/password", json=body).status_code == 422
    assert alice.login().status_code == 200


def test_of_ten_changes_at_once_one_is_made(service: Service) -> None:
    with service.new_user() as user:
        passwords = [f"pass phrase number {n}" for n in range(10)]
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda new: change(user, PASSWORD, new), passwords))
        made = [new for new, answer in zip(passwords, answers, strict=True) if answer.is_success]
        assert len(made) == 1, [answer.text for answer in answers]
        assert {answer.status_code for answer in answers} <= {204, 400, 429, 503}
        with service.new_user() as other:  # of another address, which is not throttled
            body = {"email": user.email, "password": made[0]}
            assert other.api.post("/auth/login", json=body).status_code == 200


@pytest.mark.parametrize("login_first", [True, False])
async def test_a_login_at_the_moment_of_a_change_is_none(
    service: Service, alice: User, login_first: bool
) -> None:
    """Both have seen that the password is right, and wait for one another."""
    holder = await asyncpg.connect(service.environ["PHOTO_API_DATABASE_URL"])
    behind = (
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        " AND (relation = 'users'::regclass OR pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
    )

    async def waiting(number: int) -> None:
        async with asyncio.timeout(20):
            while await holder.fetchval(behind) < number:
                await asyncio.sleep(0.02)

    acts: list[Callable[[], httpx.Response]] = [alice.login, partial(change, alice, PASSWORD)]
    async with holder.transaction():
        lock = "SELECT FROM users WHERE id = $1 FOR UPDATE"
        await holder.execute(lock, alice.account["id"])
        begun = list[asyncio.Task[httpx.Response]]()
        for number, act in enumerate(acts if login_first else acts[::-1], 1):
            begun.append(asyncio.create_task(asyncio.to_thread(act)))
            await waiting(number)
    answers = await asyncio.gather(*begun)
    await holder.close()
    login, changed = answers if login_first else answers[::-1]
    assert changed.status_code == 204
    assert login.status_code == (200 if login_first else 401)
    if login_first:
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        answer = await asyncio.to_thread(alice.api.get, "/auth/me", headers=headers)
        assert answer.status_code == 401


def test_sessions_are_shown_with_where_they_are_used_from(service: Service) -> None:
    with service.new_user("203.0.113.77") as user:
        agent = b"caf\xe9\x9b\xad " + b"x" * 500
        body = {"email": user.email, "password": PASSWORD}
        user.api.post("/auth/login", json=body, headers={b"User-Agent": agent}).raise_for_status()
        shown = user.api.get("/auth/sessions").raise_for_status().json()
    newest, current = shown
    assert set(newest) == {"id", "created_at", "last_used_at", "current", "network", "agent"}
    assert [one["current"] for one in shown] == [False, True]
    assert newest["network"] == "203.0.113.0/24"
    assert newest["agent"].startswith("café xx")
    assert len(newest["agent"]) == 200
    assert current["agent"].startswith("python-httpx/")
    assert newest["last_used_at"].endswith("Z")


def test_a_refresh_says_where_a_session_is_now(service: Service) -> None:
    with service.new_user("203.0.113.78") as user:
        before = user.api.get("/auth/sessions").json()[0]
        elsewhere = {"X-Forwarded-For": "2001:db8:1:2:3::4", "User-Agent": ""}
        token = {"refresh_token": user.tokens["refresh_token"]}
        user.api.post("/auth/refresh", json=token, headers=elsewhere).raise_for_status()
        [after] = user.api.get("/auth/sessions").json()
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["last_used_at"] > before["last_used_at"]
    assert (after["network"], after["agent"]) == ("2001:db8:1::/48", None)


def test_sessions_are_ended_one_by_one_and_all_others(alice: User, bob: User) -> None:
    others = [another_session(alice) for _ in range(3)]
    shown = alice.api.get("/auth/sessions").json()
    assert [one["current"] for one in shown] == [False, False, False, True]
    path = f"/auth/sessions/{shown[0]['id']}"
    for stranger, code in ((bob.api, 404), (alice.api, 204), (alice.api, 204)):
        assert stranger.delete(path).status_code == code
    for unknown in (uuid4(), 42, "me", f"{shown[0]['id']}0", "%00"):
        assert alice.api.delete(f"/auth/sessions/{unknown}").status_code == 404
    assert len(alice.api.get("/auth/sessions").json()) == 3
    assert alice.api.delete("/auth/sessions").json() == {"count": 2}
    assert alice.api.delete("/auth/sessions").json() == {"count": 0}
    for other in others:
        eventually(lambda: other.get("/auth/me").status_code == 401, 8)  # noqa: B023
        other.close()
    assert [one["current"] for one in alice.api.get("/auth/sessions").json()] == [True]
    assert [one["current"] for one in bob.api.get("/auth/sessions").json()] == [True]


def test_an_ended_session_is_refused_within_the_cache_time(alice: User) -> None:
    [own] = alice.api.get("/auth/sessions").json()
    assert alice.api.delete(f"/auth/sessions/{own['id']}").status_code == 204
    eventually(lambda: alice.api.get("/auth/sessions").status_code == 401, 8)
    token = {"refresh_token": alice.tokens["refresh_token"]}
    assert alice.api.post("/auth/refresh", json=token).status_code == 401
