"""What of an upload is signed, as the store reads it."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from tests.certificates import Authority
from tests.storage.test_contract import content, stream

SIZE = 100_000
ELSEWHERE = "http://store.example.org"


@asynccontextmanager
async def noting(heads: list[str], context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A store that takes everything; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        await reader.readexactly(SIZE)
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def upload(endpoint: str, authorities: str = "") -> None:
    store = S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", "b" * 32), authorities)
    await store.put("x", stream(SIZE), content_type="image/png")
    await store.aclose()


def payload(heads: list[str]) -> str:
    [head] = heads
    [line] = [line for line in head.split("\r\n") if line.startswith("x-amz-content-sha256:")]
    return line.partition(":")[2].strip()


async def test_to_this_machine_it_is_not_hashed_once_more() -> None:
    heads: list[str] = []
    async with noting(heads) as port:
        await upload(f"http://127.0.0.1:{port}")
    assert payload(heads) == "unsigned-payload"


async def test_nor_where_tls_keeps_it(tmp_path: Path) -> None:
    heads: list[str] = []
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.server("127.0.0.1"))
    async with noting(heads, context) as port:
        await upload(f"https://127.0.0.1:{port}", authority.certificate.read_text())
    assert payload(heads) == "unsigned-payload"


async def test_on_a_network_where_others_may_change_it_it_is_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads: list[str] = []
    async with noting(heads) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        await upload(ELSEWHERE)
    assert heads[0].startswith(f"put {ELSEWHERE}")
    assert payload(heads) == hashlib.sha256(content(SIZE)).hexdigest()
