"""What a Keystone may say, or not say: each answer comes to an end, in seconds and in bytes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from photo_api.cloud import keystone as module
from photo_api.cloud.keystone import Account
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.keystone import fetch_token
from tests.openstack.account import account_of
from tests.openstack.keystone_v2 import KeystoneV2, serving

MIB = 1024 * 1024


def nothing() -> tuple[str, str]:
    return "token", "http://127.0.0.1:9/v1/AUTH_x"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"access": {}},
        {"access": {"token": {"id": "x"}}},
        {"access": {"token": {"id": "x", "expires": "soon"}}},
        {"access": {"token": {"expires": "2030-01-01T00:00:00Z"}}},
        {"access": {"token": {"id": "", "expires": "2030-01-01T00:00:00Z"}}},
        {"access": None},
    ],
)
async def test_an_answer_that_is_none_is_a_failure(answer: object) -> None:
    class Other(KeystoneV2):
        async def answer(self, body: bytes) -> tuple[int, object]:
            return 200, answer

    async with serving(Other(nothing)) as keystone:
        with pytest.raises(StoreUnavailable):
            await asyncio.to_thread(fetch_token, account_of(keystone))


@pytest.mark.parametrize("token", ["tökén", "a\r\nX-Evil: 1", "a b", 7, None])
async def test_a_token_that_no_header_can_have_is_none(token: object) -> None:
    access = {"token": {"id": token, "expires": "2030-01-01T00:00:00Z"}}

    class Other(KeystoneV2):
        async def answer(self, body: bytes) -> tuple[int, object]:
            return 200, {"access": access}

    async with serving(Other(nothing)) as keystone:
        with pytest.raises(StoreUnavailable):
            await asyncio.to_thread(fetch_token, account_of(keystone))


@pytest.mark.parametrize(
    "expires", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", "1969-07-20T00:00:00Z"]
)
async def test_an_absurd_end_is_no_bug(expires: str) -> None:
    class Other(KeystoneV2):
        async def answer(self, body: bytes) -> tuple[int, object]:
            return 200, {"access": {"token": {"id": "x", "expires": expires}}}

    async with serving(Other(nothing)) as keystone:
        token = await asyncio.to_thread(fetch_token, account_of(keystone))
    assert token.value == "x"


async def test_the_life_of_a_token_is_by_keystones_clock() -> None:
    """Which may be hours from ours; version 2.0 need not say when a token was issued."""
    async with serving(KeystoneV2(nothing, clock_ahead=7200.0)) as keystone:
        token = await asyncio.to_thread(fetch_token, account_of(keystone))
    assert 3590 < token.life < 3605


async def test_nobody_there_is_a_failure() -> None:
    account = Account("http://127.0.0.1:9/v3", "u", "p", "t")
    with pytest.raises(StoreUnavailable):
        await asyncio.to_thread(fetch_token, account)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class Odd:
    """Gives `first` for an answer, then `again` without end, each after `pause` seconds."""

    first: bytes
    again: bytes = b""
    pause: float = 0.0
    sent: int = 0

    @asynccontextmanager
    async def account(self) -> AsyncIterator[Account]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.first)
                while self.again and not writer.transport.is_closing():
                    await asyncio.sleep(self.pause)
                    writer.write(self.again)
                    self.sent += len(self.again)
                    await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield Account(f"{url}/v3", "u", "do-not-show-this", "t")
        finally:
            server.close()


@pytest.mark.parametrize(
    "odd",
    [
        Odd(OK + b"\r\n", b" " * MIB),
        Odd(OK + b"\r\n", b" ", 0.05),
        Odd(OK, b"X-Header: 1\r\n", 0.05),
        Odd(OK + b"X-Subject-Token: t\r\n\r\n" + b"[" * 500_000),
        Odd(OK + b"Content-Length: 100\r\nX-Subject-Token: t\r\n\r\n{}"),
        Odd(b"SSH-2.0-OpenSSH_9.2\r\n"),
        Odd(b""),
        Odd(b"HTTP/1.1 302 It\r\nLocation: http://127.0.0.1:9/v3\r\nContent-Length: 0\r\n\r\n"),
        Odd(b"HTTP/1.1 500 It\r\n\r\n", b"do-not-show-this", 0.01),
    ],
    ids=["endless", "slow", "head", "deep", "cut", "other", "none", "elsewhere", "failing"],
)
async def test_an_answer_of_any_kind_comes_to_an_end(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes and in seconds, and nothing of it is told."""
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    async with odd.account() as account, asyncio.timeout(5):
        with pytest.raises(StoreUnavailable) as caught:
            await asyncio.to_thread(fetch_token, account)
    assert "do-not-show" not in str(caught.value)
    assert odd.sent < 20 * MIB


async def test_nobodys_end_waits_for_a_keystone_that_hangs() -> None:
    hangs = Odd(b"", b" ", 0.05)
    script = """
import asyncio
from photo_api.cloud.keystone import Account
from photo_api.storage.keystone import Keystone
async def main():
    asyncio.create_task(Keystone(Account("URL", "u", "p", "t")).fetch())
    await asyncio.sleep(0.3)
asyncio.run(main())
"""
    async with hangs.account() as account:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script.replace("URL", account.auth_url)
        )
        began = asyncio.get_running_loop().time()
        assert await process.wait() == 0
        assert asyncio.get_running_loop().time() - began < module.TIMEOUT
    assert hangs.sent
