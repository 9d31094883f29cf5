"""The wire by which one part of a stage reaches the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from photo_fleet.drill.stage.standby import NAME
from photo_fleet.drill.stage.wire import Wire
from photo_local import standby as embedded_standby
from tests.service import free_port

SILENCE = 0.3
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def wired(folder: Path) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to a server that echoes, and its address."""
    far = await asyncio.start_unix_server(_echo, folder / ".s.PGSQL.5432")
    wire = Wire(free_port())
    await wire.start()
    try:
        yield wire, wire.through(f"postgresql://me:secret@/photos?host={folder}")
    finally:
        await wire.stop()
        far.close()


async def connected(url: str) -> Ends:
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port)


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 10) == b""
    except ConnectionError:
        return True


async def test_it_passes_bytes_on_under_an_address_of_its_own(tmp_path: Path) -> None:
    async with wired(tmp_path) as (_, url):
        assert url.startswith("postgresql://me:secret@127.0.0.1:")
        assert url.endswith("/photos")
        reader, writer = await connected(url)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_cut_it_is_silent_and_mended_it_goes_on(tmp_path: Path) -> None:
    async with wired(tmp_path) as (wire, url):
        before = await connected(url)
        before[1].write(b"1")
        assert await before[0].readexactly(1) == b"1"
        wire.cut()
        anew = await connected(url)
        for _, writer in (before, anew):
            writer.write(b"2")
        for reader, _ in (before, anew):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), SILENCE)
        wire.mend()
        for reader, _ in (before, anew):
            assert await reader.readexactly(1) == b"2"


async def test_it_can_lead_nowhere_and_then_to_another_server(tmp_path: Path) -> None:
    async with wired(tmp_path) as (wire, url):
        wire.leads_nowhere()
        reader, _ = await connected(url)
        assert await ended(reader)
        other = tmp_path / "other"
        other.mkdir()
        async with await asyncio.start_unix_server(_echo, other / ".s.PGSQL.5432"):
            assert wire.through(f"postgresql://me:secret@/photos?host={other}") == url
            reader, writer = await connected(url)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            await wire.stop()


async def test_stopped_it_leaves_no_connection(tmp_path: Path) -> None:
    async with wired(tmp_path) as (wire, url):
        reader, _ = await connected(url)
        await wire.stop()
        with pytest.raises((ConnectionError, EOFError)):
            await reader.readexactly(1)


def test_a_database_without_a_socket_in_a_folder_is_not_wired() -> None:
    with pytest.raises(LookupError, match="no socket"):
        Wire(1).through("postgresql://me:secret@127.0.0.1:5432/photos")


def test_the_primary_is_told_the_name_by_which_its_standby_comes() -> None:
    assert NAME == embedded_standby.NAME
