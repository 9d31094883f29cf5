"""What anybody asks a store or a CDN, and how long that may take."""

import asyncio

import pytest

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.plain_requests import PlainRequests


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
async def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(begun: bytes) -> None:
    """Of its head, and of its body: each piece comes within the time for one."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun or b"HTTP/1.1 200 OK\r\nServer: ")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, PlainRequests() as plain, asyncio.timeout(30):
        with pytest.raises(StoreUnavailable, match="did not end within 2 s"):
            await plain.ask("GET", url, timeout=0.2)
