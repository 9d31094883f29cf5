"""Refresh tokens: rotation, lost answers, second tabs, theft, logout."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from photo_api.accounts.tokens import AccessTokens
from tests.lifecycle.databases import SlowPath, socket_of, through
from tests.service import Service, User, eventually, serving


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


def reuses(service: Service, user: User) -> list[dict[str, Any]]:
    """What its log says of refresh tokens of this user that were used again."""
    lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    found = [line for line in lines if "used again" in line["message"]]
    return [line for line in found if line["user_id"] == user.account["id"]]


async def test_every_repetition_is_told_with_its_reason(
    service: Service, alice: User, stack: dict[str, Any]
) -> None:
    """A second request for the same successor is a lost answer or a second tab; one that comes when
    the successor has been used holds a token that somebody else has too."""
    first = alice.tokens["refresh_token"]
    second = token_of(refresh(alice, first))
    assert refresh(alice, first).status_code == 200
    third = token_of(refresh(alice, second))
    assert refresh(alice, first).status_code == 401
    async with tokens_of(alice, stack["database_url"]) as age:
        await age(61)
    for _ in range(2):
        assert token_of(refresh(alice, second)) == third
    assert refresh(alice, first).status_code == 401
    assert refresh(alice, first).status_code == 401
    found = eventually(lambda: reuses(service, alice) if len(reuses(service, alice)) > 5 else [])
    told = [(event["level"], event["reason"]) for event in found]
    assert told == [
        ("INFO", "answered_again"),
        ("WARNING", "superseded"),
        ("WARNING", "answered_again_late"),
        ("WARNING", "answered_again_late"),
        ("WARNING", "session_ended"),
        ("WARNING", "after_the_session"),
    ]
    for token in (first, second, third):
        assert token not in service.log


async def test_late_reuse_ends_the_session(
    service: Service, alice: User, stack: dict[str, Any]
) -> None:
    first = alice.tokens["refresh_token"]
    second = token_of(refresh(alice, first))
    third = token_of(refresh(alice, second))
    async with tokens_of(alice, stack["database_url"]) as age:
        await age(61)
    assert refresh(alice, first).status_code == 401
    assert refresh(alice, third).status_code == 401, "the holder of the newest may be the thief"
    eventually(lambda: alice.api.get("/auth/me").status_code == 401, 8)
    [event] = eventually(lambda: reuses(service, alice))
    sent = ip_address(alice.api.headers["X-Forwarded-For"])
    assert ip_address(event["client"]) == sent
    for token in (first, second, third):
        assert token not in service.log


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
    assert alice.api.get("/auth/me").status_code == 200
    assert alice.api.post("/auth/logout", json={"refresh_token": token}).status_code == 204
    assert refresh(alice, token).status_code == 401
    assert alice.api.post("/auth/logout", json={"refresh_token": token}).status_code == 401
    eventually(lambda: alice.api.get("/auth/me").status_code == 401, 8)
    again = alice.login().json()["access_token"]
    headers = {"Authorization": f"Bearer {again}"}
    assert alice.api.get("/auth/me", headers=headers).status_code == 200


async def test_a_session_lasts_its_time_however_often_it_is_refreshed(
    alice: User, stack: dict[str, Any]
) -> None:
    token = token_of(refresh(alice, alice.tokens["refresh_token"]))
    connection = await asyncpg.connect(stack["database_url"])
    older = "UPDATE refresh_families SET created_at = created_at - interval '90 days'"
    await connection.execute(f"{older} WHERE user_id = $1", alice.account["id"])
    await connection.close()
    assert refresh(alice, token).status_code == 401


async def test_another_user_s_session_is_none(
    service: Service, alice: User, bob: User, stack: dict[str, Any]
) -> None:
    """Ids that a restored database gives again lead nobody into somebody else's account."""
    keys = AccessTokens(keys_of(service), 60)
    connection = await asyncpg.connect(stack["database_url"])
    query = "SELECT id FROM refresh_families WHERE user_id = $1"
    session = await connection.fetchval(query, bob.account["id"])
    await connection.close()
    for holder, status in ((alice, 401), (bob, 200)):
        headers = {"Authorization": f"Bearer {keys.issue(holder.account['id'], session)}"}
        assert alice.api.get("/auth/me", headers=headers).status_code == status


def test_a_token_of_the_release_before_names_no_session_and_is_good(
    service: Service, alice: User
) -> None:
    now = int(time.time())
    claims: dict[str, Any] = {"iss": "photo-api", "aud": "photo-api"}
    claims |= {"sub": str(alice.account["id"]), "iat": now, "exp": now + 60}
    [(kid, secret), *_] = keys_of(service).items()
    token = jwt.encode({"alg": "HS256", "kid": kid}, claims, OctKey.import_key(secret))
    headers = {"Authorization": f"Bearer {token}"}
    assert alice.api.get("/auth/me", headers=headers).status_code == 200


def keys_of(service: Service) -> dict[str, str]:
    text = service.environ["PHOTO_API_JWT_KEYS"]
    return dict(part.split(":", 1) for part in text.split(","))


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


def tells_of_the_fleet(service: Service) -> bool:
    return "photo_api_fleet_users" in httpx.get(f"{service.url}/metrics").text


async def test_a_verdict_that_comes_late_is_trusted_from_its_question_on(
    service: Service, environ: dict[str, str], tmp_path: Path
) -> None:
    """A slow way to the database does not add to the time for which a session outlives its end."""
    assert service.is_healthy()
    path = SlowPath(socket_of(environ))
    directly = await asyncpg.connect(environ["PHOTO_API_DATABASE_URL"])
    end = "UPDATE refresh_families SET revoked_at = now() WHERE user_id = $1"
    async with path.open() as port:
        changed = {"PHOTO_API_DATABASE_URL": through(environ, port), "PHOTO_API_USER_CACHE": "2"}
        with serving(environ | changed, tmp_path / "slow.log", "--no-jobs") as slow:
            await asyncio.to_thread(eventually, slow.is_healthy, 60)
            user = await asyncio.to_thread(slow.new_user)
            headers = user.api.headers
            # The next of its looks at the fleet's numbers is 9 s away then.
            await asyncio.to_thread(eventually, partial(tells_of_the_fleet, slow), 30)
            async with httpx.AsyncClient(base_url=slow.url, headers=headers, timeout=30) as client:
                no_photo = f"/api/photos/{10**16}"  # known without a statement
                path.delay = 1.1  # there and back again takes longer than a verdict is trusted
                assert (await client.get(no_photo)).status_code == 404
                await directly.execute(end, user.account["id"])
                assert (await client.get(no_photo)).status_code == 401
            path.delay = 0.0
    await directly.close()
