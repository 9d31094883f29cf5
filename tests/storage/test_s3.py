"""What is particular to S3: unfinished multipart uploads, failing stores, memory."""

import asyncio
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from photo_api.storage import bucket as bucket_requests
from photo_api.storage.base import ObjectStore, StoreUnavailable
from photo_api.storage.bucket import Bucket, abort_uploads
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store

MIB = 1024 * 1024
SECRET = "do-not-show-this-secret"


async def test_a_cancelled_upload_leaves_no_parts(s3: S3Store, bucket: Bucket, prefix: str) -> None:
    started = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * MIB
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(s3.put(prefix + "x", stalled(), content_type="image/png"))
    await started.wait()
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(abort_uploads, bucket, prefix + "x") == 0
    assert [info async for info in s3.list(prefix)] == []


def test_stray_variables_of_the_environment_do_not_redirect(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    made = S3Store(bucket.endpoint, bucket.name, bucket.region, bucket.credentials)
    asyncio.run(made.ping())


async def test_wrong_credentials(bucket: Bucket) -> None:
    source = StaticCredentials("test-access-key", SECRET)
    store = S3Store(bucket.endpoint, bucket.name, bucket.region, source)
    for call in calls(store):
        with pytest.raises(StoreUnavailable, match="refused by the store") as caught:
            await call()
        shown = "".join(traceback.format_exception(caught.value))
        assert SECRET not in shown
        assert "StringToSign" not in shown


async def test_a_missing_bucket_is_not_a_missing_object(bucket: Bucket) -> None:
    store = S3Store(bucket.endpoint, "no-such-bucket", bucket.region, bucket.credentials)
    with pytest.raises(StoreUnavailable, match="bucket"):
        await store.get("x")


def calls(store: ObjectStore) -> list[Callable[[], Awaitable[object]]]:
    async def listed() -> object:
        return [info async for info in store.list("a/")]

    return [
        lambda: store.get("x"),
        lambda: store.head("x"),
        lambda: store.peek("x", 10),
        lambda: store.open("x"),
        lambda: store.delete(["x", "y"]),
        lambda: store.put_bytes("x", b"data", content_type="image/png"),
        lambda: store.copy("x", "y"),
        lambda: store.ping(),
        listed,
    ]


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that gives every request this answer; None: takes it and never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with serving(serve) as endpoint:
        yield endpoint


@asynccontextmanager
async def serving(serve: Callable[..., Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does this with every connection; its address."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def failure(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    "status", ["500 Internal Server Error", "503 Slow Down", "429 Too Many Requests"]
)
async def test_a_store_that_answers_with_failures(status: str) -> None:
    async with answering(failure(status)) as endpoint:
        for call in calls(S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", SECRET))):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable) as caught:
                await call()
            assert time.monotonic() - began < 5
            assert SECRET not in str(caught.value)


async def test_a_store_that_refuses_connections() -> None:
    store = S3Store("http://127.0.0.1:9", "b", "us-east-1", StaticCredentials("a", SECRET))
    for call in calls(store):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await call()
        assert time.monotonic() - began < 5


async def test_a_store_that_hangs() -> None:
    async with answering(None) as endpoint:
        store = S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", SECRET))
        began = time.monotonic()
        reads = [*calls(store)[:4], store.ping]
        found = await asyncio.gather(*(call() for call in reads), return_exceptions=True)
        assert [type(result) for result in found] == [StoreUnavailable] * len(reads)
        assert time.monotonic() - began < 6


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "begin", [HEAD + b"X-Slow: ", HEAD + b"\r\n", b"", HEAD.replace(b"200 OK", b"404 No") + b"\r\n"]
)
async def test_an_answer_that_comes_byte_by_byte_ends_in_time(
    begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No socket waits long for the next byte: only a deadline of the whole ends it."""
    monkeypatch.setattr(bucket_requests, "_COPY_TIMEOUT", 0.5)
    gone = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        with suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.1)
        gone.set()

    async with serving(trickle) as endpoint:
        store = S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", SECRET))
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                await store.copy("x", "y", content_type="image/png")
            await gone.wait()


async def test_an_answer_that_is_cut_is_none() -> None:
    """A copy that failed is told of at its end."""
    async with answering(HEAD + b"Content-Length: 9\r\n\r\n<Copy") as endpoint:
        store = S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", SECRET))
        with pytest.raises(StoreUnavailable, match="IncompleteRead"):
            await store.copy("x", "y", content_type="image/png")


async def test_an_answer_without_end_is_not_kept() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(MIB))
                await writer.drain()

    async with serving(flood) as endpoint:
        store = S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", SECRET))
        async with asyncio.timeout(15):
            with pytest.raises(StoreUnavailable, match="over 4194304 bytes"):
                await store.copy("x", "y", content_type="image/png")


@pytest.mark.slow
async def test_a_store_that_hangs_while_written_to() -> None:
    async with answering(None) as endpoint:
        store = S3Store(endpoint, "b", "us-east-1", StaticCredentials("a", SECRET))
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.put_bytes("x", b"data", content_type="image/png")
        assert time.monotonic() - began < 25


UPLOAD = """
import asyncio, re, sys
from photo_api.storage.s3 import S3Store
from photo_api.storage.credentials import StaticCredentials

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

async def stream(total):
    for _ in range(total // 65536):
        yield bytes(65536)

async def main():
    endpoint, bucket, region, key = sys.argv[1:]
    source = StaticCredentials("test-access-key", "test-secret-key")
    store = S3Store(endpoint, bucket, region, source)
    await store.put_bytes(key, b"warm", content_type="image/png")
    before = peak()
    await store.put(key, stream(50_000_000), content_type="image/png")
    print(peak() - before)
    await store.aclose()

asyncio.run(main())
"""


def test_a_large_upload_takes_little_memory(bucket: Bucket, prefix: str) -> None:
    """Two parts in flight and one that fills are 15 MiB; the rest is allowance."""
    arguments = [bucket.endpoint, bucket.name, bucket.region, prefix + "x"]
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, *arguments], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 20 * 1024, f"{done.stdout} kB"
