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


def test_registration_clears_what_was_counted_before_the_account(proxied: Service) -> None:
    """Wherever it was: people who try to log in first have a telephone too."""
    email, here, there = f"{uuid4().hex}@example.org", new_address(), new_address()
    for address in (here, there):
        answers = [login(proxied, email, PASSWORD, address).status_code for _ in range(6)]
        assert answers == [401] * 5 + [429]
    body = {"email": email.upper(), "username": "mina", "password": PASSWORD}
    headers = {"X-Forwarded-For": here}
    made = httpx.post(f"{proxied.url}/api/auth/register", json=body, headers=headers)
    assert made.status_code == 201
    for address in (here, there):
        assert login(proxied, email, PASSWORD, address).status_code == 200
        answers = [login(proxied, email, "wrong one", address).status_code for _ in range(6)]
        assert answers == [401] * 5 + [429], "and from then on it counts"


def test_a_registration_that_is_refused_clears_nothing(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user:
        here = new_address()
        for _ in range(5):
            login(proxied, user.email, "wrong one", here)
        body = {"email": user.email, "username": "mallory", "password": PASSWORD}
        headers = {"X-Forwarded-For": here}
        again = httpx.post(f"{proxied.url}/api/auth/register", json=body, headers=headers)
        assert again.json()["code"] == "duplicate_account"
        assert login(proxied, user.email, PASSWORD, here).status_code == 429


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
    """A client that sends X-Forwarded-For cannot choose the address by which it is counted."""
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


def test_no_spelling_of_an_email_has_counters_of_its_own(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user:
        here, name = new_address(), user.email
        spellings = [name, name.upper(), name.title(), name.replace("example", "ｅｘａｍｐｌｅ")]
        spellings += [
            name.replace("e", "E", 1),
            name.replace("e", "ｅ", 1),
            name.replace("o", "Ｏ"),
        ]
        answers = [login(proxied, one, "wrong one", here).status_code for one in spellings]
        assert answers == [401] * 5 + [429] * (len(spellings) - 5)


def test_two_accounts_do_not_differ_in_spelling_alone(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user:
        for other in (user.email.upper(), user.email.replace("e", "ｅ")):
            body = {"email": other, "username": "another", "password": PASSWORD}
            answer = httpx.post(f"{proxied.url}/api/auth/register", json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "duplicate_account")
            assert login(proxied, other, PASSWORD, new_address()).status_code == 200


async def test_accounts_of_the_release_before_log_in_and_are_folded(
    proxied: Service, stack: dict[str, str]
) -> None:
    """Two collide by our fold and not by PostgreSQL's: both keep their own."""
    import asyncpg

    connection = await asyncpg.connect(stack["database_url"])
    with proxied.new_user(new_address()) as user:
        other = user.email.replace("e", "ｅ")
        for email in (other, user.email):
            await connection.execute(
                "INSERT INTO users (email, username, password_hash)"
                " SELECT $1, 'before', password_hash FROM users WHERE id = $2 AND email <> $1",
                email, user.account["id"],
            )  # fmt: skip
        await connection.execute(
            "UPDATE users SET email_fold = NULL WHERE id = $1", user.account["id"]
        )
        ids = set()
        for email in (other, user.email):
            answer = login(proxied, email, PASSWORD, new_address()).raise_for_status()
            token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            ids.add(httpx.get(f"{proxied.url}/api/auth/me", headers=token).json()["email"])
        assert ids == {other, user.email}
        # A spelling that PostgreSQL's lower() alone takes for the account's finds nobody.
        strange = user.email.replace("i", "İ").replace("k", "K")
        assert strange == user.email or login(
            proxied, strange, PASSWORD, new_address()
        ).status_code in (200, 401)
    await connection.close()


async def test_attempts_of_a_worker_that_died_are_forgotten(
    proxied: Service, stack: dict[str, str]
) -> None:
    import asyncpg

    with proxied.new_user(new_address()) as user:
        here = new_address()
        login(proxied, user.email, "wrong one", here)
        connection = await asyncpg.connect(stack["database_url"])
        left = "ARRAY(SELECT now() - interval '31 s' FROM generate_series(1, 60))"
        await connection.execute(f"UPDATE login_attempts SET pending_at = {left}")
        await connection.close()
        assert login(proxied, user.email, PASSWORD, here).status_code == 200


def test_many_people_behind_one_address_are_served_or_told_to_wait(proxied: Service) -> None:
    with proxied.new_user(new_address()) as user, ThreadPoolExecutor(40) as pool:
        here = new_address()
        answers = list(pool.map(lambda _: login(proxied, user.email, PASSWORD, here), range(120)))
        found = {answer.status_code for answer in answers}
        assert found <= {200, 503}
        assert all(
            int(answer.headers["Retry-After"]) >= 1
            for answer in answers
            if answer.status_code == 503
        )


async def test_who_is_refused_writes_nothing(proxied: Service, stack: dict[str, str]) -> None:
    import asyncpg

    email, here = f"{uuid4().hex}@example.org", new_address()
    for _ in range(5):
        login(proxied, email, "wrong one", here)
    connection = await asyncpg.connect(stack["database_url"])
    rows = "SELECT kind, xmin::text, ctid::text FROM login_attempts ORDER BY kind, key"
    before = await connection.fetch(rows)
    for _ in range(3):
        assert login(proxied, email, "wrong one", here).status_code == 429
    assert await connection.fetch(rows) == before
    await connection.close()


async def test_who_waits_writes_nothing(proxied: Service, stack: dict[str, str]) -> None:
    """Five attempts of the pair are under way whose outcome does not come: 503 after 3 s."""
    import asyncpg

    email, here = f"{uuid4().hex}@example.org", new_address()
    login(proxied, email, "wrong one", here)
    connection = await asyncpg.connect(stack["database_url"])
    await connection.execute(
        "UPDATE login_attempts SET pending_at = ARRAY(SELECT now() FROM generate_series(1, 5))"
        " WHERE (kind, key) = (SELECT kind, key FROM login_attempts WHERE kind = 'pair'"
        " ORDER BY window_ends DESC LIMIT 1)"
    )
    rows = "SELECT kind, xmin::text, ctid::text FROM login_attempts ORDER BY kind, key"
    before = await connection.fetch(rows)
    answer = login(proxied, email, "wrong one", here)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert await connection.fetch(rows) == before
    await connection.close()


def test_one_address_opens_so_many_accounts_an_hour(start_service: Callable[..., Service]) -> None:
    service = start_service(REGISTRATIONS_PER_ADDRESS="3")

    def register(address: str) -> httpx.Response:
        body = {"email": f"{uuid4().hex}@example.org", "username": "mina", "password": PASSWORD}
        headers = {"X-Forwarded-For": address}
        return httpx.post(f"{service.url}/api/auth/register", json=body, headers=headers)

    here = new_address()
    answers = [register(here) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201] * 3 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 3600
    assert register(new_address()).status_code == 201


@pytest.mark.parametrize("field", ["email", "username"])
def test_invisible_letters_are_refused(proxied: Service, field: str) -> None:
    body = {"email": f"{uuid4().hex}@example.org", "username": "mina", "password": PASSWORD}
    for hidden in ("\u200b", "\u202e", "\u2066"):
        answer = httpx.post(
            f"{proxied.url}/api/auth/register", json=body | {field: f"a{hidden}{body[field]}"}
        )
        assert answer.status_code == 422
        assert "cannot be seen" in answer.text


def test_a_user_name_can_be_seen(proxied: Service) -> None:
    """Marks alone stand on whatever comes before them."""
    for name in ("\u0301" * 3, " \u0301\u20dd", "\u2800" * 3, "\ufffc" * 3, "\U0001d159" * 3):
        body = {"email": f"{uuid4().hex}@example.org", "username": name, "password": PASSWORD}
        answer = httpx.post(f"{proxied.url}/api/auth/register", json=body)
        assert (answer.status_code, "cannot be seen" in answer.text) == (422, True), name
