"""Links that operators hand over, and who may open an account: `photo-api users`, and the routes
that take a token."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from photo_api.accounts import users_command
from photo_api.settings.loading import Settings, load
from tests.in_process import in_process
from tests.own_stage import ask
from tests.service import PASSWORD, Service, User, eventually, migrate_once, new_address

NEW = "another long pass phrase"
# In a transaction pg_stat_activity shows whom its first look found, pg_locks who is there now.
WAITED_FOR = """SELECT EXISTS (SELECT FROM pg_locks
    WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"""


@pytest.fixture
async def doors(environ: dict[str, str]) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A worker for each way of registration."""
    await asyncio.to_thread(migrate_once, environ)
    async with AsyncExitStack() as stack:
        made = {}
        for mode in ("open", "invitation", "closed"):
            settings = environ | {"PHOTO_API_REGISTRATION": mode}
            worker = await stack.enter_async_context(in_process(settings))
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app=worker),
                base_url="http://photos.example.org/api",
                headers={"X-Forwarded-For": new_address()},
            )
            made[mode] = await stack.enter_async_context(client)
        yield made


async def run(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], action: str, **options: Any
) -> Any:
    """What a command of `photo-api users` tells as JSON."""
    capsys.readouterr()
    invited: Settings = load(environ | {"PHOTO_API_REGISTRATION": "invitation"})
    assert await users_command.ACTIONS[action](invited, as_json=True, **options) == 0
    return json.loads(capsys.readouterr().out)


def token_in(link: str, page: str) -> str:
    before, _, token = link.partition("#token=")
    assert before == f"https://photos.example.org{page}"
    assert len(token) == 43
    return token


def person(**more: Any) -> dict[str, Any]:
    email = f"{uuid4().hex}@example.org"
    return {"email": email, "username": "mina", "password": PASSWORD} | more


async def test_an_invitation_opens_one_account(
    doors: dict[str, httpx.AsyncClient], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for mode, client in doors.items():
        assert (await client.get("/")).json()["registration"] == mode
    door = doors["invitation"]
    for closed, more in ((doors["closed"], {"token": "x"}), (door, {}), (door, {"token": None})):
        answer = await closed.post("/auth/register", json=person(**more))
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
    assert (await doors["open"].post("/auth/register", json=person(token="x"))).status_code == 201

    made = await run(environ, capsys, "invite", email=None, hours=1)
    token = token_in(made["link"], "/register")
    taken = person()
    assert (await doors["open"].post("/auth/register", json=taken)).status_code == 201
    duplicate = await door.post("/auth/register", json=taken | {"token": token})
    assert duplicate.json()["code"] == "duplicate_account", "which spends no invitation"
    answers = await asyncio.gather(
        *(door.post("/auth/register", json=person(token=token)) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 9
    assert {one.json()["code"] for one in answers if one.status_code == 400} == {"invalid_link"}
    for wrong in (token, token[:-1], "", "\0", "비밀", "x" * 200):
        answer = await door.post("/auth/register", json=person(token=wrong))
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_link")
    too_long = await door.post("/auth/register", json=person(token="x" * 201))
    assert too_long.status_code == 422


async def test_an_invitation_that_goes_while_it_is_used_lets_nobody_in(
    doors: dict[str, httpx.AsyncClient], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It was looked at, and is taken away before the account is there; or stays, in the end."""
    door = doors["invitation"]
    for stays, status in ((False, 400), (True, 201)):
        made = await run(environ, capsys, "invite", email=None, hours=1)
        mine = person(token=token_in(made["link"], "/register"))
        holding = await asyncpg.connect(environ["PHOTO_API_DATABASE_URL"], command_timeout=20)
        try:
            change = holding.transaction()
            await change.start()
            await holding.execute("DELETE FROM account_links WHERE kind = 'invitation'")
            registering = asyncio.create_task(door.post("/auth/register", json=mine))
            async with asyncio.timeout(20):
                while not await holding.fetchval(WAITED_FOR):
                    await asyncio.sleep(0.01)
            await (change.rollback() if stays else change.commit())
        finally:
            await holding.close()  # what waits for it would hold up the end of the worker
        answer = await registering
        assert answer.status_code == status, answer.text
        login = {"email": mine["email"], "password": PASSWORD}
        known = (await door.post("/auth/login", json=login)).status_code
        assert known == (200 if stays else 401)


async def test_two_invitations_for_one_e_mail_open_one_account(
    doors: dict[str, httpx.AsyncClient], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    door, mine = doors["invitation"], person()
    links = [await run(environ, capsys, "invite", email=None, hours=1) for _ in range(5)]
    tokens = [token_in(made["link"], "/register") for made in links]
    answers = await asyncio.gather(
        *(door.post("/auth/register", json=mine | {"token": token}) for token in tokens * 2)
    )
    codes = sorted(one.json().get("code", "opened") for one in answers)
    assert codes.count("opened") == 1
    assert set(codes) <= {"opened", "duplicate_account", "invalid_link"}
    unspent = [
        await door.post("/auth/register", json=person(token=token)) for token in tokens
    ]  # the others are good for somebody else
    assert sorted(answer.status_code for answer in unspent) == [201] * 4 + [400]


async def test_an_invitation_may_be_for_one_e_mail_and_expires(
    doors: dict[str, httpx.AsyncClient], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    door, email = doors["invitation"], f"Mina.{uuid4().hex}@example.org"
    made = await run(environ, capsys, "invite", email=email, hours=1)
    token = token_in(made["link"], "/register")
    other = await door.post("/auth/register", json=person(token=token))
    assert other.json()["code"] == "invalid_link"
    mine = person(token=token, email=email.upper())
    for moved, status in (("-1 s", 400), ("1 h", 201)):
        expire = f"UPDATE account_links SET expires_at = now() + '{moved}' WHERE email_fold = $1"
        await asyncio.to_thread(ask, environ, expire, email.lower())
        assert (await door.post("/auth/register", json=mine)).status_code == status


async def test_a_reset_link_sets_a_password_once_and_ends_all_sessions(
    service: Service, alice: User, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = service.environ
    before = await run(environ, capsys, "reset_password", email=alice.email, hours=1)
    made = await run(environ, capsys, "reset_password", email=alice.email.upper(), hours=1)
    token = token_in(made["link"], "/reset")
    stored = await asyncio.to_thread(ask, environ, "SELECT to_json(l)::text FROM account_links l")
    assert token not in str(stored)

    def reset(token: str, new: str = NEW) -> httpx.Response:
        return alice.api.post("/auth/reset-password", json={"token": token, "new_password": new})

    old = await asyncio.to_thread(reset, token_in(before["link"], "/reset"))
    assert old.json()["code"] == "invalid_link", "the later one takes its place"
    assert (await asyncio.to_thread(reset, token, "short")).status_code == 422
    for active in (False, True):
        await run(environ, capsys, "enable" if active else "disable", email=alice.email)
        if not active:
            assert (await asyncio.to_thread(reset, token)).status_code == 403
    answers = await asyncio.gather(*(asyncio.to_thread(reset, token) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 400, 400, 400]
    assert (await asyncio.to_thread(alice.login, NEW)).status_code == 200
    assert (await asyncio.to_thread(alice.login, PASSWORD)).status_code == 401
    ended = partial(eventually, lambda: alice.api.get("/auth/me").status_code == 401, 8)
    assert await asyncio.to_thread(ended)
    assert token not in service.log


async def test_a_changed_password_voids_a_reset_link(
    service: Service, bob: User, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await run(service.environ, capsys, "reset_password", email=bob.email, hours=1)
    change = {"current_password": PASSWORD, "new_password": NEW}
    assert (await asyncio.to_thread(bob.api.post, "/auth/password", json=change)).is_success
    reset = {"token": token_in(made["link"], "/reset"), "new_password": PASSWORD}
    answer = await asyncio.to_thread(bob.api.post, "/auth/reset-password", json=reset)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_link")


async def test_an_operator_opens_lists_and_closes_accounts(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    environ, email = service.environ, f"New.{uuid4().hex}@example.org"
    made = await run(environ, capsys, "create", email=email, username="새 사람", quota=5, hours=1)
    [found] = (await run(environ, capsys, "list", search=email.lower(), after=0, limit=9))["users"]
    assert (found["id"], found["quota_bytes"], found["used_bytes"]) == (made["id"], 5, 0)
    with service.new_user() as user:
        login = {"email": email, "password": ""}
        for password in ("", "!", PASSWORD):
            refused = await asyncio.to_thread(
                user.api.post, "/auth/login", json=login | {"password": password}
            )
            assert refused.status_code == 401
        reset = {"token": token_in(made["link"], "/reset"), "new_password": NEW}
        assert (
            await asyncio.to_thread(user.api.post, "/auth/reset-password", json=reset)
        ).is_success
        known = login | {"password": NEW}
        assert (await asyncio.to_thread(user.api.post, "/auth/login", json=known)).is_success
        quota = await run(environ, capsys, "quota", email=email, size=-1)
        assert quota["quota_bytes"] is None
        settings = load(environ)
        options: dict[str, Any] = {"email": email, "as_json": False}
        assert (
            await users_command.create(settings, username="aa", quota=None, hours=1, **options) == 1
        )
        assert await users_command.delete(settings, yes=False, **options) == 1
        assert await users_command.delete(settings, yes=True, **options) == 0
        assert await users_command.enable(settings, **options) == 1
        assert (
            await asyncio.to_thread(user.api.post, "/auth/login", json=known)
        ).status_code == 401
    for wrong, name in (("nobody", "mina"), ("a@example.org", "a")):
        options = {"email": wrong, "username": name, "as_json": False}
        assert await users_command.create(settings, quota=None, hours=1, **options) == 2


async def test_accounts_are_listed_page_by_page(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    tag = uuid4().hex
    for n in range(3):
        email = f"{n}.{tag}@example.org"
        await run(
            service.environ, capsys, "create", email=email, username="aa", quota=None, hours=1
        )
    after: Any = 0
    found = list[str]()
    for _ in range(2):
        page = await run(service.environ, capsys, "list", search=tag.upper(), after=after, limit=2)
        found += [user["email"][0] for user in page["users"]]
        after = page["next"]
    assert (found, after) == (["0", "1", "2"], None)
