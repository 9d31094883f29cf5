"""Readers of a database that hangs, makes no sense, or is left with a transaction."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from photo_base.postgres import FAILURES, only_reading
from photo_fleet.doctor.looks import registry
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.report import reading
from photo_fleet.report.history import Wanted
from photo_fleet.spec.fleet import Fleet
from tests.db.clusters import Cluster

READY = b"Z" + struct.pack("!I", 5) + b"T"
SOON = 10.0
"""Seconds, on a busy machine."""


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


GREETING = (
    message(b"R", struct.pack("!I", 0))
    + message(b"S", b"server_version\x0015.1\x00")
    + message(b"S", b"client_encoding\x00UTF8\x00")
    + message(b"K", struct.pack("!II", 1, 1))
)


@asynccontextmanager
async def server(greeting: bytes, answer: bytes = b"") -> AsyncIterator[str]:
    """It greets, takes simple statements, and has one answer to every question, or none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(greeting + READY)
        with suppress(asyncio.CancelledError):
            while asked := await reader.read(1000):
                if asked[:1] == b"Q":
                    writer.write(message(b"C", b"BEGIN\x00") + READY)
                else:
                    writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"postgresql://reader:word@127.0.0.1:{port}/photos?sslmode=disable"
    finally:
        listening.close()


async def test_a_database_that_hangs_after_the_first_word_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photo_fleet.doctor.looks.database.READING", 0.3)
    monkeypatch.setattr(reading, "LONGEST_REGISTRY", 0.3)
    began = time.monotonic()
    async with server(GREETING) as url, asyncio.timeout(SOON):
        reach = Reach(Fleet(), "fleet.toml", database=lambda: url)
        with pytest.raises(Unseen, match="no answer in time"):
            await registry.take(reach, Seen(Fleet(), 0.0, {}))
        wanted = Wanted("daily", Fleet(), time.time(), database=lambda: url)
        assert await reading._registry(wanted) == "no answer within 0.3 s"
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    "greeting",
    [
        message(b"R", struct.pack("!I", 0)),  # without a version
        GREETING + message(b"S", b"application_name\x00photo\xa7\x00"),
        GREETING + message(b"S", b"server_version\x00never\x00"),
    ],
    ids=["nothing told", "no text", "no version"],
)
async def test_what_makes_no_sense_is_a_failure_of_the_database(greeting: bytes) -> None:
    async with server(greeting) as url, asyncio.timeout(SOON):
        with pytest.raises(FAILURES):
            async with only_reading(url, {}, connecting=5, reading=0.3, statement=1):
                await asyncio.sleep(SOON)


async def test_columns_that_are_cut_short_are_a_failure_of_the_database() -> None:
    columns = message(b"1", b"") + message(b"t", b"\0\0") + message(b"T", b"\0\1A") + READY
    async with server(GREETING, columns) as url, asyncio.timeout(SOON):
        with pytest.raises(ConnectionError, match="not understood"):
            async with only_reading(url, {}, connecting=5, reading=5, statement=5) as connection:
                await connection.fetch("SELECT 1")


async def test_a_reader_that_stands_still_leaves_no_transaction(cluster: Cluster) -> None:
    database_url = cluster.url
    async with only_reading(database_url, {}, connecting=5, reading=60, statement=5) as connection:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "1min"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with only_reading(database_url, {}, connecting=5, reading=5, statement=5) as other:
            await other.execute("CREATE TABLE written (id int)")
