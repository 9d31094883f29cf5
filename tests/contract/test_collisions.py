"""Two accounts of the release before whose e-mails collide by our fold: each keeps its own."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from photo_api import maintenance
from photo_api.accounts import queries
from photo_api.accounts.identities import fold
from photo_api.registry import leases
from tests.service import Service, new_address


@pytest.fixture
async def pair(service: Service, stack: dict[str, Any]) -> AsyncIterator[tuple[Any, str, str]]:
    """A connection, an e-mail that has its fold, and another spelling whose row has none."""
    connection = await asyncpg.connect(stack["database_url"])
    with service.new_user(new_address()) as user:
        other = user.email.replace("e", "ｅ")
        await connection.execute(
            "INSERT INTO users (email, username, password_hash)"
            " SELECT $1, 'before', password_hash FROM users WHERE id = $2",
            other, user.account["id"],
        )  # fmt: skip
        yield connection, user.email, other
    await connection.close()


@pytest.mark.parametrize("which", [0, 1], ids=["folded", "not folded"])
async def test_deactivation_hits_one(pair: tuple[Any, str, str], which: int) -> None:
    connection, *emails = pair
    assert await queries.set_active(connection, emails[which], False)
    rows = await connection.fetch(
        "SELECT email FROM users WHERE email = ANY($1) AND NOT is_active", emails
    )
    assert [row["email"] for row in rows] == [emails[which]]


@pytest.mark.parametrize("which", [0, 1], ids=["folded", "not folded"])
async def test_each_is_found_in_any_case(pair: tuple[Any, str, str], which: int) -> None:
    connection, *emails = pair
    assert fold(emails[0]) == fold(emails[1])
    for spelling in (emails[which], emails[which].upper()):
        found = await queries.user_by_email(connection, spelling)
        assert found is not None
        assert found["email"] == emails[which]


async def test_accounts_that_collide_do_not_keep_later_ones_from_their_fold(
    service: Service, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time, and three that stay as they are before one that need not."""
    monkeypatch.setattr(maintenance, "FOLDS_AT_ONCE", 2)
    connection = await asyncpg.connect(stack["database_url"])
    lease = await leases.acquire(connection, uuid4().hex, "test", 60.0)
    assert lease is not None
    with service.new_user(new_address()) as user:
        name = user.email.split("@")[0]
        emails = [
            user.email.replace(letter, wide) for letter, wide in zip("exa", "ｅｘａ", strict=True)
        ]
        emails.append(f"{name}.later@example.org")
        for email in emails:
            await connection.execute(
                "INSERT INTO users (email, username, password_hash) VALUES ($1, 'before', '')",
                email,
            )
        rounds = maintenance.Maintenance(connection, None, 60.0, 60, "test")  # type: ignore[arg-type]
        for _ in range(await connection.fetchval("SELECT count(*) FROM users")):
            await rounds._fill_folds(lease)
            folds = await connection.fetch(
                "SELECT email_fold FROM users WHERE email = ANY($1) ORDER BY id", emails
            )
            if folds[-1][0] is not None:
                break
    assert [row[0] for row in folds] == [None, None, None, fold(emails[-1])]
    await connection.close()
