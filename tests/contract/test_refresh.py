"""Refresh tokens: rotation, lost answers, second tabs, theft, logout."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from tests.service import User


def refresh(user: User, token: str) -> httpx.Response:
    return user.api.post("/auth/refresh", json={"refresh_token": token})


def token_of(answer: httpx.Response) -> str:
    token: str = answer.raise_for_status().json()["refresh_token"]
    return token


def test_a_refreshed_token_works(alice: User) -> None:
    answer = refresh(alice, alice.tokens["refresh_token"])
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert alice.api.get("/auth/me", headers=headers).status_code == 200
    assert refresh(alice, token_of(answer)).status_code == 200


def test_a_lost_answer_can_be_asked_for_again(alice: User) -> None:
    first = alice.tokens["refresh_token"]
    successor = token_of(refresh(alice, first))
    assert token_of(refresh(alice, first)) == successor, "no second branch may begin"
    assert refresh(alice, successor).status_code == 200


def test_two_tabs_at_once_stay_logged_in(alice: User) -> None:
    first = alice.tokens["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refresh(alice, first), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({token_of(answer) for answer in answers}) == 1


@asynccontextmanager
async def tokens_of(user: User, database_url: str) -> AsyncIterator[Any]:
    """A function that makes the rotations of this user's tokens so many seconds older."""
    connection = await asyncpg.connect(database_url)

    async def age(seconds: int) -> None:
        await connection.execute(
            "UPDATE refresh_tokens SET rotated_at = rotated_at - make_interval(secs => $2)"
            " WHERE family_id IN (SELECT id FROM refresh_families WHERE user_id = $1)",
            user.account["id"],
            float(seconds),
        )

    try:
        yield age
    finally:
        await connection.close()


async def test_an_unused_successor_is_given_again_at_any_age(
    alice: User, stack: dict[str, Any]
) -> None:
    first = alice.tokens["refresh_token"]
    successor = token_of(refresh(alice, first))
    async with tokens_of(alice, stack["database_url"]) as age:
        await age(9 * 86400)
    assert token_of(refresh(alice, first)) == successor
    assert refresh(alice, successor).status_code == 200


async def test_a_slow_tab_is_refused_alone(alice: User, stack: dict[str, Any]) -> None:
    first = alice.tokens["refresh_token"]
    second = token_of(refresh(alice, first))
    third = token_of(refresh(alice, second))
    assert refresh(alice, first).status_code == 401
    async with tokens_of(alice, stack["database_url"]) as age:
        await age(50)
        assert refresh(alice, first).status_code == 401
    assert refresh(alice, third).status_code == 200


async def test_late_reuse_ends_the_session(alice: User, stack: dict[str, Any]) -> None:
    first = alice.tokens["refresh_token"]
    second = token_of(refresh(alice, first))
    third = token_of(refresh(alice, second))
    async with tokens_of(alice, stack["database_url"]) as age:
        await age(61)
    assert refresh(alice, first).status_code == 401
    assert refresh(alice, third).status_code == 401, "whoever holds the newest may be the thief"


async def test_other_sessions_live_on(alice: User, stack: dict[str, Any]) -> None:
    other = alice.login().json()["refresh_token"]
    first = alice.tokens["refresh_token"]
    second = token_of(refresh(alice, first))
    refresh(alice, second)
    async with tokens_of(alice, stack["database_url"]) as age:
        await age(61)
    assert refresh(alice, first).status_code == 401
    assert refresh(alice, second).status_code == 401
    assert refresh(alice, other).status_code == 200


def test_logout_ends_the_session(alice: User) -> None:
    token = alice.tokens["refresh_token"]
    assert alice.api.post("/auth/logout", json={"refresh_token": token}).status_code == 204
    assert refresh(alice, token).status_code == 401
    assert alice.api.post("/auth/logout", json={"refresh_token": token}).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "ünïcode"])
def test_a_token_that_was_never_given_is_401(alice: User, token: str) -> None:
    assert refresh(alice, token).status_code == 401


async def test_the_database_holds_no_token(alice: User, stack: dict[str, Any]) -> None:
    refresh(alice, alice.tokens["refresh_token"])
    connection = await asyncpg.connect(stack["database_url"])
    rows = await connection.fetch("SELECT t::text FROM refresh_tokens t")
    await connection.close()
    token = alice.tokens["refresh_token"]
    assert rows
    assert not [row for row in rows if token in row[0] or token.encode().hex() in row[0]]
