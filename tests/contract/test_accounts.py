"""POST /auth/…, GET /auth/me."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unicodedata import normalize
from uuid import uuid4

import httpx
import pytest

from tests.service import PASSWORD, Service, User, cli


def register(service: Service, **changes: Any) -> httpx.Response:
    body = {"email": f"{uuid4().hex}@example.org", "username": "mina", "password": PASSWORD}
    return httpx.post(f"{service.url}/api/auth/register", json=body | changes)


def test_register_answers_the_user(service: Service) -> None:
    answer = register(service)
    assert answer.status_code == 201
    assert set(answer.json()) == {"id", "email", "username", "is_active", "created_at"}
    assert answer.json()["is_active"] is True
    assert answer.json()["created_at"].endswith("Z")


@pytest.mark.parametrize("username", ["이산", normalize("NFD", "이산"), "Bo"])
def test_a_user_name_may_have_two_characters(service: Service, username: str) -> None:
    answer = register(service, username=username)
    assert (answer.status_code, answer.json()["username"]) == (201, normalize("NFC", username))


def test_an_email_has_one_account_whatever_its_case(service: Service) -> None:
    email = f"Mina.{uuid4().hex}@Example.org"
    assert register(service, email=email).status_code == 201
    again = register(service, email=email.upper())
    assert (again.status_code, again.json()["code"]) == (400, "duplicate_account")


@pytest.mark.parametrize(
    ("before", "after"), [(" ", ""), ("", "\n"), ("\t ", " \r\n"), ("\u3000", "\xa0")]
)
def test_spaces_around_an_email_mean_nothing(service: Service, before: str, after: str) -> None:
    """Keyboards of phones put one behind what they complete."""
    email = f"{uuid4().hex}@example.org"
    spaced = f"{before}{email}{after}"
    answer = register(service, email=spaced)
    assert (answer.status_code, answer.json()["email"]) == (201, email)
    assert register(service, email=email).json()["code"] == "duplicate_account"
    for spelling in (email, spaced):
        login = {"email": spelling, "password": PASSWORD}
        assert httpx.post(f"{service.url}/api/auth/login", json=login).status_code == 200
    done = cli(service.environ, "users", "deactivate", spaced)
    assert done.returncode == 0, done.stderr


def test_a_password_is_the_same_from_every_keyboard(service: Service) -> None:
    """Composed or not, and in letters of any width: compared in NFKC form."""
    composed = "비밀번호 café ①"
    spellings = [composed, normalize("NFD", composed), "비밀번호 ｃａｆé 1"]
    for chosen in spellings:
        email = f"{uuid4().hex}@example.org"
        assert register(service, email=email, password=chosen).status_code == 201
        for spelling in spellings:
            login = {"email": email, "password": spelling}
            assert httpx.post(f"{service.url}/api/auth/login", json=login).status_code == 200
        login["password"] = "비밀번호 cafe 1"
        assert httpx.post(f"{service.url}/api/auth/login", json=login).status_code == 401


@pytest.mark.parametrize(("password", "status"), [("값" * 100, 201), ("값" * 7, 422)])
def test_a_password_is_as_long_as_it_looks(service: Service, password: str, status: int) -> None:
    assert register(service, password=normalize("NFD", password)).status_code == status


def test_ten_registrations_at_once_make_one_account(service: Service) -> None:
    email = f"{uuid4().hex}@example.org"
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: register(service, email=email), range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 9


@pytest.mark.parametrize(
    "change",
    [
        {"email": "nobody"},
        {"email": "a@b"},
        {"email": "a b@example.org"},
        {"email": "a\x00@example.org"},
        {"username": "a"},
        {"username": normalize("NFD", "산")},
        {"username": "a" * 101},
        {"username": "\ud800ab"},
        {"password": "short"},
        {"password": "a" * 101},
        {"password": None},
    ],
)
def test_register_refuses_what_is_not_an_account(service: Service, change: dict[str, Any]) -> None:
    body = {"email": "a@example.org", "username": "mina", "password": PASSWORD} | change
    import json

    answer = httpx.post(
        f"{service.url}/api/auth/register",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)
    assert PASSWORD not in answer.text, "a validation error must not send the password back"


def test_login_gives_tokens(service: Service, alice: User) -> None:
    answer = alice.login()
    assert answer.status_code == 200
    body = answer.json()
    assert body["token_type"] == "bearer"
    assert body["expires_in"] > 0
    assert {"access_token", "refresh_token"} <= set(body)


def test_login_compares_the_email_without_case(alice: User) -> None:
    body = {"email": alice.email.upper(), "password": alice.password}
    assert alice.api.post("/auth/login", json=body).status_code == 200


def test_wrong_password_and_unknown_user_look_the_same(alice: User) -> None:
    wrong = alice.login("not the password")
    unknown = alice.api.post(
        "/auth/login", json={"email": f"{uuid4().hex}@example.org", "password": "whatever it is"}
    )
    for answer in (wrong, unknown):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert wrong.json()["detail"] == unknown.json()["detail"]


def test_login_takes_json_only(service: Service, alice: User) -> None:
    form = {"email": alice.email, "password": alice.password}
    assert httpx.post(f"{service.url}/api/auth/login", data=form).status_code == 422


def test_me(alice: User) -> None:
    bytes_taken = {"used_bytes": 0, "quota_bytes": None}
    assert alice.api.get("/auth/me").json() == alice.account | bytes_taken


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "bearer", "Bearer x", "Basic abc", "Bearer a.b.c", "Bearer ünïcode"],
)
def test_a_bad_token_is_401(service: Service, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = httpx.get(f"{service.url}/api/auth/me", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_deactivated_user_is_403_within_the_cache_time(service: Service, alice: User) -> None:
    from tests.service import eventually

    assert alice.api.get("/auth/me").status_code == 200
    assert cli(service.environ, "users", "deactivate", alice.email).returncode == 0
    eventually(lambda: alice.api.get("/auth/me").status_code == 403, 8)
    assert alice.login().status_code == 403
    refresh = alice.api.post("/auth/refresh", json={"refresh_token": alice.tokens["refresh_token"]})
    assert refresh.status_code == 403
    assert cli(service.environ, "users", "activate", alice.email).returncode == 0
    # A deactivated user logs in again: a holder of the old tokens may be why it was deactivated.
    eventually(lambda: alice.api.get("/auth/me").status_code == 401, 8)
    refresh = alice.api.post("/auth/refresh", json={"refresh_token": alice.tokens["refresh_token"]})
    assert refresh.status_code == 401
    alice.login()
    assert alice.login().status_code == 200
