"""Login throttling: by pair, by address, by account; counted on failures, in the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.service import PASSWORD, Service, new_address


@pytest.fixture(scope="module")
def proxied(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A service that believes X-Forwarded-For from loopback, and one hop beyond."""
    from tests.service import running_service

    changed = environ | {"PHOTO_API_TRUSTED_PROXIES": "127.0.0.0/8,10.9.0.0/16"}
    with running_service(changed, tmp_path_factory.mktemp("proxied")) as running:
        yield running


def login(service: Service, email: str, password: str, forwarded: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/api/auth/login",
        json={"email": email, "password": password},
        headers={"X-Forwarded-For": forwarded},
        timeout=30,
    )


def test_five_failures_of_a_pair_then_429(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user:
        here, there = new_address(), new_address()
        for _ in range(5):
            assert login(proxied, user.email, "wrong password", here).status_code == 401
        refused = login(proxied, user.email, PASSWORD, here)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60
        assert refused.json()["code"] == "too_many_requests"
        assert login(proxied, user.email.upper(), PASSWORD, here).status_code == 429
        assert login(proxied, user.email, PASSWORD, there).status_code == 200


def test_an_unknown_email_is_throttled_alike(proxied: Service) -> None:
    email, here = f"{uuid4().hex}@example.org", new_address()
    answers = [login(proxied, email, "wrong password", here).status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]


def test_successes_do_not_count(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user:
        here = new_address()
        answers = {login(proxied, user.email, PASSWORD, here).status_code for _ in range(12)}
        assert answers == {200}


def test_parallel_right_logins_are_not_refused(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user, ThreadPoolExecutor(12) as pool:
        here = new_address()
        answers = pool.map(lambda _: login(proxied, user.email, PASSWORD, here), range(24))
        assert {answer.status_code for answer in answers} == {200}


def test_a_parallel_burst_gets_no_more_guesses_than_a_sequence(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user, ThreadPoolExecutor(20) as pool:
        here = new_address()
        answers = list(
            pool.map(lambda _: login(proxied, user.email, "wrong password", here), range(20))
        )
        assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 15


def test_an_ipv6_network_of_64_bits_is_one_client(proxied: Service) -> None:
    email, network = f"{uuid4().hex}@example.org", new_address().removesuffix("::1")
    answers = [
        login(proxied, email, "wrong one", f"{network}::{n:x}").status_code for n in range(6)
    ]
    assert answers == [401] * 5 + [429]


def test_fifty_failures_of_an_address_then_429(proxied: Service) -> None:
    here = new_address()
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda n: login(proxied, f"{uuid4().hex}@example.org", "wrong one", here), range(50)
            )
        )
    assert {answer.status_code for answer in answers} == {401}
    assert login(proxied, f"{uuid4().hex}@example.org", "wrong one", here).status_code == 429


def test_only_trusted_hops_are_believed(
    start_service: Callable[..., Service], proxied: Service
) -> None:
    """Whoever sends X-Forwarded-For itself cannot choose what it is counted as."""
    email = f"{uuid4().hex}@example.org"
    real = "203.0.113.7"
    answers = [
        login(proxied, email, "wrong one", f"198.51.100.{n}, {real}, 10.9.0.1").status_code
        for n in range(6)
    ]
    assert answers == [401] * 5 + [429]
    untrusting = start_service(TRUSTED_PROXIES="")
    email = f"{uuid4().hex}@example.org"
    answers = [
        login(untrusting, email, "wrong one", f"198.51.100.{n}").status_code for n in range(6)
    ]
    assert answers == [401] * 5 + [429]


async def test_an_account_under_attack_is_slowed_and_never_locked(
    proxied: Service, stack: dict[str, str]
) -> None:
    """100 failures in an hour from everywhere: the right password still works, a little later."""
    import asyncpg

    with proxied.new_user(new_address()) as user:
        login(proxied, user.email, "wrong one", new_address())
        connection = await asyncpg.connect(stack["database_url"])
        changed = await connection.fetchval(
            "WITH c AS (UPDATE login_attempts SET failures = 130 WHERE kind = 'account'"
            " AND failures = 1 AND window_ends > now() + interval '59 minutes 50 seconds'"
            " RETURNING 1) SELECT count(*) FROM c"
        )
        await connection.close()
        assert changed >= 1
        answer = login(proxied, user.email, PASSWORD, new_address())
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() >= 1.9


async def test_the_database_knows_no_email_and_no_address(
    proxied: Service, stack: dict[str, str]
) -> None:
    import asyncpg

    email, here = f"{uuid4().hex}@example.org", new_address()
    login(proxied, email, "wrong one", here)
    connection = await asyncpg.connect(stack["database_url"])
    text = "\n".join(
        row[0] for row in await connection.fetch("SELECT a::text FROM login_attempts a")
    )
    await connection.close()
    for secret in (email, here):
        assert secret not in text
        assert secret.encode().hex() not in text
