import asyncio
import os
import re
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_base.origins import LOOPBACK
from photo_base.processes import CannotStart
from photo_local import closed_store
from photo_local import seaweed as module
from photo_local.bucket import BucketAdmin
from photo_local.machine_folders import ACCOUNT
from photo_local.ports import PortTaken, free_port, is_free
from photo_local.seaweed import BUCKET, REGION, SOCKETS, Seaweed
from tests.embedded.servers import Bucket, confinement, eventually

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account made")

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


@pytest.fixture(scope="module")
def lasting_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lasting") / "data"


@pytest.fixture(scope="module")
def lasting(lasting_data: Path) -> Iterator[Seaweed]:
    """One for all tests that only look at it."""
    with asyncio.Runner() as runner:
        server = Seaweed(lasting_data, "key", "secret", cors_origins=[ALLOWED])
        runner.run(server.start())
        yield server
        runner.run(server.stop())


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


async def test_it_is_far_from_its_limit_of_memory(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near it, an idle store would collect garbage all the time."""
    monkeypatch.setenv("GODEBUG", "gctrace=1")
    server = Seaweed(data, "key", "secret", log=data.parent / "seaweed.log")
    await server.start()
    try:
        bucket_of(server).put("a", os.urandom(5_000_000))
    finally:
        await server.stop()
    traced = (data.parent / "seaweed.log").read_text()
    [*_, live] = re.findall(r"^gc \d+ .*->(\d+) MB, \d+ MB goal", traced, re.MULTILINE)
    assert 0 < int(live) <= module.MEMORY_LIMIT_MIB / 1.5


def test_everything_listens_on_loopback_only(lasting: Seaweed) -> None:
    connections = psutil.Process(lasting.pid).net_connections("inet")
    listening = [item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}


def test_the_credentials_are_for_the_owner_only(lasting_data: Path, lasting: Seaweed) -> None:
    """Root's account, in a group of its own, reads what root alone changes."""
    found = (lasting_data / "s3.json").stat()
    assert found.st_uid == os.geteuid()
    assert stat.S_IMODE(found.st_mode) == (0o640 if os.geteuid() == 0 else 0o600)


@root
def test_for_root_it_runs_as_an_account_of_its_own_without_capabilities(
    lasting_data: Path, lasting: Seaweed
) -> None:
    assert confinement(lasting.pid) == ({ACCOUNT}, {0}, "1")
    assert lasting_data.parent.stat().st_mode & 0o077 == 0, (
        "it needs no right to what is above its folder"
    )


@root
async def test_a_store_of_the_release_before_is_taken_over(
    data: Path, seaweed: Seaweed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket_of(seaweed).put("kept", b"kept")
    await seaweed.stop()
    for place in (data, *data.rglob("*")):
        os.chown(place, 0, 0)
    await seaweed.start()
    assert bucket_of(seaweed).get("kept") == b"kept"
    assert f"belongs to the account {ACCOUNT}" in capsys.readouterr().err


async def test_a_store_that_would_answer_everybody_does_not_start(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a `security.toml` that it cannot read for none."""
    close_store = closed_store.close_store

    def lost(folder: Path) -> None:
        close_store(folder)
        (folder / "security.toml").write_text("")

    monkeypatch.setattr(closed_store, "close_store", lost)
    monkeypatch.setattr(module, "START_ATTEMPTS", 1)
    with pytest.raises(CannotStart, match="open to everybody"):
        await Seaweed(data, "key", "secret").start()


async def test_sockets_of_stores_that_are_gone_are_removed(data: Path, seaweed: Seaweed) -> None:
    """Those of ours, made a while ago, on which nobody listens: never one that somebody may use."""
    ours = [SOCKETS / f"seaweedfs-{name}-0.sock" for name in ("gone", "grpc-new", "grpc-used")]
    live = [Path(name) for name in sockets_of(seaweed.pid) if name.startswith("/")]
    with ExitStack() as closing:
        for path in ours:
            path.unlink(missing_ok=True)
            closing.callback(path.unlink, missing_ok=True)
            made = closing.enter_context(socket.socket(socket.AF_UNIX))
            made.bind(str(path))
            if path == ours[2]:
                made.listen()
        for path in (ours[0], ours[2], *live):
            os.utime(path, (0, 0))
        other = Seaweed(data.with_name("other"), "key", "secret")
        await other.start()
        await other.stop()
        assert [path.exists() for path in ours] == [False, True, True]
        assert all(path.exists() for path in live)


def sockets_of(pid: int) -> list[str]:
    found = psutil.Process(pid).net_connections("unix")
    return [str(item.laddr) for item in found if item.laddr]


async def test_no_sockets_are_left_behind(seaweed: Seaweed) -> None:
    sockets = sockets_of(seaweed.pid)
    assert sockets
    await seaweed.stop()
    assert not [name for name in sockets if name.startswith("/") and Path(name).exists()]


def test_sockets_are_for_the_owner_only(lasting: Seaweed) -> None:
    named = [Path(name) for name in sockets_of(lasting.pid) if name.startswith("/")]
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
def test_any_origin_may_get(lasting: Seaweed, origin: str) -> None:
    bucket = bucket_of(lasting)
    bucket.put("seen", b"bytes")
    answer = httpx.get(bucket.url("GET", "seen"), headers={"Origin": origin})
    assert answer.content == b"bytes"
    assert answer.headers["Access-Control-Allow-Origin"] in (origin, "*")
    for header in ("ETag", "Content-Range", "Content-Disposition"):
        assert header in answer.headers["Access-Control-Expose-Headers"]


def preflight(seaweed: Seaweed, origin: str, method: str) -> httpx.Headers:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-amz-checksum-sha256",
    }
    return httpx.options(bucket_of(seaweed).url(method, "new"), headers=asked).headers


def test_configured_origins_may_put(lasting: Seaweed) -> None:
    answer = preflight(lasting, ALLOWED, "PUT")
    assert answer["Access-Control-Allow-Origin"] == ALLOWED
    assert "PUT" in answer["Access-Control-Allow-Methods"]
    assert "x-amz-checksum-sha256" in answer["Access-Control-Allow-Headers"]


def test_other_origins_may_get_but_not_put(lasting: Seaweed) -> None:
    assert "GET" in preflight(lasting, OTHER, "GET")["Access-Control-Allow-Methods"]
    assert "PUT" not in preflight(lasting, OTHER, "PUT").get("Access-Control-Allow-Methods", "")


def test_where_any_port_is_allowed_its_front_ends_may_put(seaweed: Seaweed) -> None:
    BucketAdmin(seaweed.endpoint, BUCKET, REGION, "key", "secret").prepare([ALLOWED, *LOOPBACK])

    def may_put(origin: str) -> bool:
        answer = preflight(seaweed, origin, "PUT")
        methods = answer.get("Access-Control-Allow-Methods", "")
        return answer["Access-Control-Allow-Origin"] in (origin, "*") and "PUT" in methods

    # The store keeps what it knew of the bucket for a moment.
    assert eventually(lambda: may_put("http://localhost:5173"), 10)
    assert may_put("http://[::1]:3000")
    assert may_put(ALLOWED)
