import os
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from photo_api.embedded import seaweed as module
from photo_api.embedded.ports import PortTaken, free_port, is_free
from photo_api.embedded.seaweed import BUCKET, REGION, Seaweed
from photo_api.embedded.stack import EmbeddedAddresses
from tests.embedded.servers import Bucket

ALLOWED, OTHER = "http://127.0.0.1:8000", "https://elsewhere.example"


def bucket_of(seaweed: Seaweed) -> Bucket:
    return Bucket(
        EmbeddedAddresses(
            database_url="",
            superuser_url="",
            s3_endpoint=seaweed.endpoint,
            s3_public_endpoint=seaweed.endpoint,
            bucket=BUCKET,
            region=REGION,
            access_key="key",
            secret_key="secret",
            pids={},
        )
    )


@pytest.fixture
async def seaweed(data: Path) -> AsyncIterator[Seaweed]:
    server = Seaweed(data, "key", "secret", cors_origins=[ALLOWED])
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        yield int(listening.getsockname()[1])


async def test_objects_outlive_a_restart_on_other_ports(data: Path, seaweed: Seaweed) -> None:
    bucket_of(seaweed).put("a/b", b"kept")
    before = time.monotonic()
    await seaweed.stop()
    assert time.monotonic() - before < 1.5
    (data / "ports.json").unlink()
    again = Seaweed(data, "key", "secret")
    try:
        await again.start()
        assert again.endpoint != seaweed.endpoint
        assert bucket_of(again).get("a/b") == b"kept"
    finally:
        await again.stop()


async def test_kill_9_loses_nothing_that_was_acknowledged(seaweed: Seaweed) -> None:
    endpoint, bucket = seaweed.endpoint, bucket_of(seaweed)
    sent: dict[str, bytes] = {}
    for time_killed in range(3):
        for number in range(10):
            key, body = f"{time_killed}/{number}", os.urandom(50_000)
            bucket.put(key, body)
            sent[key] = body
        os.kill(seaweed.pid, signal.SIGKILL)
        assert await seaweed.died() == -signal.SIGKILL
        before = time.monotonic()
        await seaweed.start()
        assert time.monotonic() - before < 4
    assert seaweed.endpoint == endpoint
    assert {key: bucket.get(key) for key in sent} == sent


async def test_everything_listens_on_loopback_only(seaweed: Seaweed) -> None:
    connections = psutil.Process(seaweed.pid).net_connections("inet")
    listening = [item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}


async def test_the_credentials_are_for_the_owner_only(data: Path, seaweed: Seaweed) -> None:
    assert stat.S_IMODE((data / "s3.json").stat().st_mode) == 0o600


def sockets_of(pid: int) -> list[str]:
    found = psutil.Process(pid).net_connections("unix")
    return [str(item.laddr) for item in found if item.laddr]


async def test_no_sockets_are_left_behind(seaweed: Seaweed) -> None:
    sockets = sockets_of(seaweed.pid)
    assert sockets
    await seaweed.stop()
    assert not [name for name in sockets if name.startswith("/") and Path(name).exists()]


async def test_sockets_are_for_the_owner_only(seaweed: Seaweed) -> None:
    named = [Path(name) for name in sockets_of(seaweed.pid) if name.startswith("/")]
    assert [name for name in named if stat.S_IMODE(name.stat().st_mode) & 0o077] == []


async def test_a_taken_port_is_named(data: Path, taken_port: int) -> None:
    with pytest.raises(PortTaken, match=rf"S3_PORT {taken_port} is taken .* S3_PORT=…"):
        await Seaweed(data, "key", "secret", s3_port=taken_port).start()


async def test_a_port_taken_since_it_was_checked_is_named(
    data: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True])
    monkeypatch.setattr(module, "is_free", lambda port: next(answers, None) or is_free(port))
    with pytest.raises(PortTaken):
        await Seaweed(data, "key", "secret", s3_port=taken_port).start()


@pytest.mark.parametrize("origin", ["null", ALLOWED, OTHER])
def test_any_origin_may_get(seaweed: Seaweed, origin: str) -> None:
    bucket = bucket_of(seaweed)
    bucket.put("seen", b"bytes")
    answer = httpx.get(bucket.url("GET", "seen"), headers={"Origin": origin})
    assert answer.content == b"bytes"
    assert answer.headers["Access-Control-Allow-Origin"] in (origin, "*")
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


def preflight(seaweed: Seaweed, origin: str, method: str) -> httpx.Headers:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-amz-checksum-sha256",
    }
    return httpx.options(bucket_of(seaweed).url(method, "new"), headers=asked).headers


async def test_configured_origins_may_put(seaweed: Seaweed) -> None:
    answer = preflight(seaweed, ALLOWED, "PUT")
    assert answer["Access-Control-Allow-Origin"] == ALLOWED
    assert "PUT" in answer["Access-Control-Allow-Methods"]
    assert "x-amz-checksum-sha256" in answer["Access-Control-Allow-Headers"]


async def test_other_origins_may_get_but_not_put(seaweed: Seaweed) -> None:
    assert "GET" in preflight(seaweed, OTHER, "GET")["Access-Control-Allow-Methods"]
    assert "PUT" not in preflight(seaweed, OTHER, "PUT").get("Access-Control-Allow-Methods", "")
