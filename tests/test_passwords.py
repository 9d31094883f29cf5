"""Password hashing: as much work for strangers as for users, bounded, and out of others' way."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher

from photo_api.accounts.passwords import Passwords
from photo_api.errors import ApiError, Code
from photo_api.supervisor.spawning import MALLOC
from tests.contract.test_cross_origin import FRONT
from tests.service import Service

WITHOUT_MEMORY = """
import asyncio, psutil, resource
from photo_api.accounts.passwords import Passwords
from photo_api.errors import ApiError

def limit(more):
    most = resource.RLIM_INFINITY if more is None else psutil.Process().memory_info().data + more
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))

async def main():
    passwords = Passwords(1, 8)
    known = await passwords.hash("right", "client")
    right, new = (known, "right", "client"), ("new one", "client")
    limit(17 << 20)
    late = Passwords(1, 8)
    unknown = None, "wrong", "client"
    for work in (passwords.verify(*right), passwords.hash(*new), late.verify(*unknown)):
        try:
            print(await work)
        except ApiError as error:
            print(error.code.name, error.retry_after)
    limit(None)
    print(await passwords.verify(*right), await late.verify(*unknown))
    passwords.close()
    late.close()

asyncio.run(main())
"""
"""With 17 MiB more than it has, where a hash takes 19 and the stack of a thread 8."""


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes of which Argon2 was asked."""
    asked: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: Any, encoded: str, password: str) -> bool:
        asked.append(encoded)
        return verify(self, encoded, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    return asked


async def test_an_unknown_user_costs_one_verification_too(verified: list[str]) -> None:
    passwords = Passwords(1, 8)
    known = await passwords.hash("right", "client")
    assert await passwords.verify(known, "right", "client")
    assert not await passwords.verify(known, "wrong", "client")
    assert not await passwords.verify(None, "wrong", "client")
    passwords.close()
    parameters = {encoded.rsplit("$", 2)[0] for encoded in verified}
    assert (len(verified), parameters) == (3, {"$argon2id$v=19$m=19456,t=2,p=1"})


async def test_hashes_of_the_release_before_still_verify() -> None:
    """They were made of what was sent, in whatever form."""
    sent = "ｐａｓｓ ①②③ cafe\u0301"
    passwords, before = Passwords(1, 8), PasswordHasher(memory_cost=64).hash(sent)
    assert await passwords.verify(before, sent, "client")
    assert not await passwords.verify(before, sent + "!", "client")
    now = await passwords.hash(sent, "client")
    for spelling in (sent, "pass 123 café", "pass 123 cafe\u0301"):
        assert await passwords.verify(now, spelling, "client")
    passwords.close()


@pytest.mark.parametrize(("password", "forms"), [("plain", 1), ("가나다", 1), ("ｗｉｄｅ", 2)])
async def test_an_unknown_user_costs_as_much_in_every_form(
    verified: list[str], password: str, forms: int
) -> None:
    passwords = Passwords(1, 8)
    known = await passwords.hash("another", "client")
    for encoded in (known, None):
        verified.clear()
        assert not await passwords.verify(encoded, password, "client")
        assert len(verified) == forms
    passwords.close()


async def test_a_full_queue_is_refused_at_once() -> None:
    passwords = Passwords(1, 2)
    answers = await asyncio.gather(
        *(passwords.verify(None, "password", str(number)) for number in range(5)),
        return_exceptions=True,
    )
    passwords.close()
    refused = [answer for answer in answers if isinstance(answer, ApiError)]
    assert len(refused) == 2
    assert {(error.code, error.retry_after) for error in refused} == {(Code.OVERLOADED, 1)}


async def test_hashing_leaves_the_event_loop_free() -> None:
    passwords = Passwords(1, 100)
    hashing = asyncio.gather(
        *(passwords.hash("password", str(number)) for number in range(20)), return_exceptions=True
    )
    for _ in range(40):  # in which a loop that hashed by itself would be done
        await asyncio.sleep(0)
    assert not hashing.done()
    passwords.close()
    hashing.cancel()


def test_a_machine_without_memory_calls_no_password_wrong() -> None:
    asked = [sys.executable, "-c", WITHOUT_MEMORY]
    environ = os.environ | MALLOC  # as a web worker has it: a hash's memory is not kept
    answer = subprocess.run(asked, env=environ, capture_output=True, text=True, timeout=60)
    assert answer.stdout == "OVERLOADED 1\n" * 3 + "True False\n", answer.stderr


def test_a_flood_of_logins_is_refused_politely(start_service: Callable[..., Service]) -> None:
    service = start_service(HASH_QUEUE="1")
    with service.new_user() as user, ThreadPoolExecutor(16) as pool:
        user.api.headers["Origin"] = FRONT
        answers = list(pool.map(lambda _: user.login(), range(48)))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert (refused.json()["code"], refused.headers["Retry-After"]) == ("overloaded", "1")
        assert refused.headers["Access-Control-Allow-Origin"] == FRONT, "who is elsewhere reads it"
        assert user.login().status_code == 200, "and nobody was throttled for it"


async def test_new_passwords_leave_room_for_those_who_have_one() -> None:
    passwords = Passwords(1, 5)
    known = await passwords.hash("right", "client")
    new = [asyncio.create_task(passwords.hash(f"new {number}", "client")) for number in range(48)]
    await asyncio.sleep(0)
    assert await passwords.verify(known, "right", "another")
    answers = await asyncio.gather(*new, return_exceptions=True)
    passwords.close()
    assert sum(isinstance(answer, str) for answer in answers) == 3


async def test_one_client_leaves_room_for_others() -> None:
    passwords = Passwords(1, 7)
    many = [asyncio.create_task(passwords.verify(None, "x", "greedy")) for _ in range(48)]
    await asyncio.sleep(0)
    assert not await passwords.verify(None, "x", "modest")
    answers = await asyncio.gather(*many, return_exceptions=True)
    passwords.close()
    assert sum(answer is False for answer in answers) == 4
