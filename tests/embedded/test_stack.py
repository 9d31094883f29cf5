import asyncio
import os
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart
from photo_local.ports import free_port
from photo_local.secrets import load_or_create
from photo_local.stack import EmbeddedStack, StoreOptions
from tests.embedded.servers import Bucket


@pytest.fixture
async def stack(data: Path) -> AsyncIterator[EmbeddedStack]:
    stack = EmbeddedStack(data, durable=False)
    yield stack
    await stack.stop()


async def rows(addresses: EmbeddedAddresses, statement: str) -> object:
    connection = await asyncpg.connect(addresses.database_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def mended(addresses: EmbeddedAddresses) -> None:
    """Wait until both answer again after they were killed."""
    deadline = time.monotonic() + 8
    url = Bucket(addresses).url("GET", "kept")
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            with suppress(OSError, asyncpg.PostgresError, httpx.TransportError):
                await rows(addresses, "SELECT 1")
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.1)
    raise AssertionError("not mended in time")


async def test_both_start_together_and_stop_at_once(stack: EmbeddedStack) -> None:
    before = time.monotonic()
    await stack.start()
    assert time.monotonic() - before < 6
    before = time.monotonic()
    await stack.stop()
    assert time.monotonic() - before < 1.5


async def test_a_killed_database_and_a_killed_store_come_back_with_all_data(
    stack: EmbeddedStack,
) -> None:
    addresses = await stack.start()
    bucket = Bucket(addresses)
    await rows(addresses, "CREATE TABLE kept AS SELECT 7 AS number")
    bucket.put("kept", b"seven")
    for pid in addresses.pids.values():
        os.kill(pid, signal.SIGKILL)
    await mended(addresses)
    assert await rows(addresses, "SELECT number FROM kept") == 7
    assert bucket.get("kept") == b"seven"
    assert not stack.failed.done()


async def test_a_server_that_cannot_be_kept_is_given_up(data: Path, stack: EmbeddedStack) -> None:
    addresses = await stack.start()
    (data / "postgres" / "cluster" / "global" / "pg_control").unlink()
    os.kill(addresses.pids["postgres"], signal.SIGKILL)
    reason = await asyncio.wait_for(asyncio.shield(stack.failed), 12)
    assert "PostgreSQL" in reason
    assert str(data / "logs") in reason


async def test_a_second_start_on_the_same_data_is_refused(data: Path, stack: EmbeddedStack) -> None:
    await stack.start()
    with pytest.raises(CannotStart, match="another photo-api runs on"):
        await EmbeddedStack(data).start()
    assert not stack.failed.done()


async def test_a_failed_part_ends_the_other(data: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        stack = EmbeddedStack(data, store=StoreOptions(port=taken.getsockname()[1]), durable=False)
        with pytest.raises(CannotStart, match="S3_PORT"):
            await stack.start()


async def test_another_host_reaches_only_the_store_and_the_same_signed_urls(data: Path) -> None:
    port = free_port()
    stack = EmbeddedStack(
        data,
        host="127.0.0.2",
        store=StoreOptions(port=port),
        public_host="127.0.0.2",
        durable=False,
    )
    try:
        addresses = await stack.start()
        assert addresses.s3_public_endpoint == f"http://127.0.0.2:{port}"
        assert addresses.s3_endpoint != addresses.s3_public_endpoint
        bucket, body = Bucket(addresses), os.urandom(3_000_000)
        async with httpx.AsyncClient() as browser:
            put = await browser.put(bucket.url("PUT", "big", public=True), content=body)
            got = await browser.get(bucket.url("GET", "big", public=True))
        assert put.status_code == 200
        assert got.content == body
    finally:
        await stack.stop()


def test_secrets_are_random_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path) == made
    assert load_or_create(tmp_path / "other.json").jwt_key != made.jwt_key
    assert made.jwt_key not in repr(made)


@pytest.mark.parametrize("text", ["", "[]", '{"jwt_key": "short"}', "{"])
def test_a_broken_secrets_file_is_explained_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text)
    with pytest.raises(CannotStart, match="put back a copy"):
        load_or_create(path)
    assert path.read_text() == text


async def test_addresses_do_not_print_secrets(stack: EmbeddedStack) -> None:
    addresses = replace(await stack.start())
    assert addresses.secret_key not in repr(addresses)
    assert stack.secrets.database_password not in repr(addresses)
