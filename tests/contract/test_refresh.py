"""Refresh tokens: rotation, lost answers, second tabs, theft, logout."""

from concurrent.futures import ThreadPoolExecutor
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


def test_reuse_after_the_successor_was_used_ends_the_session(alice: User) -> None:
    first = alice.tokens["refresh_token"]
    second = token_of(refresh(alice, first))
    third = token_of(refresh(alice, second))
    assert refresh(alice, first).status_code == 401
    assert refresh(alice, third).status_code == 401, "whoever holds the newest may be the thief"


async def test_the_preceding_token_works_for_30_seconds_only(
    alice: User, stack: dict[str, Any]
) -> None:
    first = alice.tokens["refresh_token"]
    successor = token_of(refresh(alice, first))
    connection = await asyncpg.connect(stack["database_url"])
    await connection.execute(
        "UPDATE refresh_tokens SET rotated_at = rotated_at - interval '31 seconds'"
        " WHERE rotated_at IS NOT NULL AND family_id IN"
        " (SELECT id FROM refresh_families WHERE user_id = $1)",
        alice.account["id"],
    )
    await connection.close()
    assert refresh(alice, first).status_code == 401
    assert refresh(alice, successor).status_code == 401


def test_other_sessions_live_on(alice: User) -> None:
    other = alice.login().json()["refresh_token"]
    first = alice.tokens["refresh_token"]
    refresh(alice, token_of(refresh(alice, first)))
    assert refresh(alice, first).status_code == 401
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
