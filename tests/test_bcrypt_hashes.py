"""People who come from another service keep their passwords: bcrypt hashes are verified once."""

from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher

from photo_api.accounts import bcrypt_hashes, queries
from photo_api.accounts.passwords import Passwords
from photo_api.db.pool import Database
from tests.own_stage import ask, own_database
from tests.service import PASSWORD, User

LONG = "가" * 24 + "나"
"""Of 75 bytes, of which bcrypt sees 72."""


def hashed(password: str, cost: int = 4, version: str = "2b") -> str:
    """As the other service made it: of the first 72 bytes."""
    made = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost)).decode()
    return f"${version}${made[4:]}"


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(1, 8)
    yield made
    made.close()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What was computed: verifications of Argon2id, and rounds of bcrypt."""
    done = {"argon2": 0, "bcrypt": 0}
    verify, spend, is_of = PasswordHasher.verify, bcrypt_hashes.spend, bcrypt_hashes.is_of

    def verified(self: Any, encoded: str, password: str) -> bool:
        done["argon2"] += 1
        return verify(self, encoded, password)

    def spent(cost: int) -> None:
        done["bcrypt"] += 2**cost
        spend(cost)

    def compared(encoded: str, password: str) -> bool:
        done["bcrypt"] += 2 ** int(encoded[4:6])
        return is_of(encoded, password)

    monkeypatch.setattr(PasswordHasher, "verify", verified)
    monkeypatch.setattr(bcrypt_hashes, "spend", spent)
    monkeypatch.setattr(bcrypt_hashes, "is_of", compared)
    return done


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
@pytest.mark.parametrize("password", ["plain old", "여행 사진", "ｗｉｄｅ", LONG])
async def test_hashes_of_another_service_verify(
    passwords: Passwords, version: str, password: str
) -> None:
    known = hashed(password, version=version)
    assert await passwords.verify(known, password, "client")
    assert not await passwords.verify(known, "x" + password, "client")


async def test_a_verified_hash_is_renewed(passwords: Passwords) -> None:
    for password in ("plain old", "여행 사진", "ｗｉｄｅ"):
        renewed = await passwords.renewed(hashed(password), password, "client")
        assert renewed is not None
        assert renewed.startswith("$argon2id$")
        assert await passwords.verify(renewed, password, "client")
        assert await passwords.renewed(renewed, password, "client") is None


async def test_a_password_that_bcrypt_does_not_see_whole_keeps_its_hash(
    passwords: Passwords,
) -> None:
    """Its end may be mistyped, today of all days."""
    known, mistyped = hashed(LONG), LONG[:-1] + "다"
    assert await passwords.verify(known, mistyped, "client")
    assert await passwords.renewed(known, mistyped, "client") is None
    assert await passwords.verify(known, LONG, "client")


@pytest.mark.parametrize(
    "encoded",
    [
        "$2b$15$" + "a" * 53,
        "$2b$31$" + "a" * 53,
        "$2b$03$" + "a" * 53,
        "$2x$04$" + "a" * 53,
        "$2b$04$short",
        "$2b$04$" + "a" * 52 + "\n",
        "$1$salt$hash",
        "$argon2id$nonsense",
        "",
    ],
)
async def test_what_cannot_be_verified_costs_as_much_as_nobody(
    passwords: Passwords, work: dict[str, int], encoded: str
) -> None:
    """A cost of 31 would keep a thread busy for a day."""
    assert not await passwords.verify(encoded, "password", "client")
    assert work == {"argon2": 1, "bcrypt": 0}


@pytest.mark.parametrize("password", ["plain", "ｗｉｄｅ"])
async def test_every_failure_costs_the_same_while_there_are_such_hashes(
    passwords: Passwords, work: dict[str, int], password: str
) -> None:
    """Of accounts with a bcrypt hash of any cost, renewed ones, those that are unknown."""
    ours = await passwords.hash("another", "client")
    costs = []
    for encoded in (hashed("another", 4), hashed("another", 5), hashed("another", 7), ours, None):
        work.update(argon2=0, bcrypt=0)
        assert not await passwords.verify(encoded, password, "client")
        await passwords.make_up(encoded, password, "client", 7)
        costs.append(dict(work))
    forms = 2 if password == "ｗｉｄｅ" else 1
    assert costs == [{"argon2": forms, "bcrypt": forms * 2**7}] * 5
    work.update(argon2=0, bcrypt=0)
    await passwords.make_up(None, password, "client", None)
    assert work == {"argon2": 0, "bcrypt": 0}, "there are none any more"


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


async def test_the_costliest_is_found_by_an_index(db: Database) -> None:
    insert = "INSERT INTO users (email, username, password_hash) VALUES ($1, 'u', $2)"
    assert await queries.costliest_bcrypt(db) is None
    for cost in ("05", "12", "10", "15", "31"):
        await db.execute(insert, cost, f"$2b${cost}${'a' * 53}")
    assert await queries.costliest_bcrypt(db) == 12
    await db.execute(
        "INSERT INTO users (email, username, password_hash)"
        " SELECT 'of' || n, 'u', '$argon2id$v=19' FROM generate_series(1, 2000) AS n"
    )
    await db.execute("ANALYZE users")
    assert "users_bcrypt" in str(await db.fetch(f"EXPLAIN {queries.COSTLIEST_BCRYPT}"))


def password_hash(db: dict[str, str], user: User) -> str:
    [row] = ask(db, "SELECT password_hash FROM users WHERE id = $1", user.account["id"])
    return str(row[0])


def test_a_login_renews_the_hash_and_a_wrong_one_does_not(
    environ: dict[str, str], alice: User
) -> None:
    known = hashed(PASSWORD)
    change = "UPDATE users SET password_hash = $2 WHERE id = $1"
    ask(environ, change, alice.account["id"], known)
    assert alice.login("wrong password").status_code == 401
    assert password_hash(environ, alice) == known
    for _ in range(2):
        assert alice.login().status_code == 200
        assert password_hash(environ, alice).startswith("$argon2id$")
    assert alice.login("wrong password").status_code == 401


async def test_a_hash_that_was_changed_meanwhile_stays(db: Database) -> None:
    user = await queries.insert_user(db, "a@example.org", "aa", "newer")
    assert user is not None
    await queries.replace_hash(db, user["id"], "known", "renewed")
    assert await db.fetchval("SELECT password_hash FROM users WHERE id = $1", user["id"]) == "newer"
