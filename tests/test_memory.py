"""Uploads through the server pass by: a worker's memory does not grow with the file."""

import asyncio
import gc
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from photo_api.storage.buffers import Parts
from tests.in_process import Asked, in_process
from tests.service import PASSWORD, Service, User, eventually, free_port, jpeg, migrate_once

MB = 1024 * 1024
LARGE = 49 * MB
ALLOWED = 20 * MB
BUDGET = 64 * MB
WEB = "photo_api.web_worker"
S3_ONLY = pytest.mark.s3_only("its endpoint is one where nobody listens")


class Peak:
    """How far a process's resident memory has risen above where it was, in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        # proc(5): 5 resets the peak (VmHWM) to what is resident now.
        (self._folder / "clear_refs").write_text("5")
        self._before = self._field("VmRSS")

    @property
    def rise(self) -> int:
        return self._field("VmHWM") - self._before

    def above(self, earlier: "Peak") -> int:
        """How much more was resident at first than at that time."""
        return self._before - earlier._before

    def _field(self, name: str) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        [kilobytes] = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
        return int(kilobytes) * 1024


def web_worker(service: Service) -> int:
    [worker] = service.children(WEB)
    return int(worker.pid)


@pytest.fixture
def fresh(start_service: Callable[..., Service]) -> Iterator[tuple[Service, User]]:
    """A service that has done little so far; one small upload has loaded all the code."""
    service = start_service("--no-jobs")
    with service.new_user() as user:
        user.upload()
        yield service, user


def large_jpeg() -> bytes:
    return jpeg() + bytes(LARGE)


def test_the_peak_is_seen() -> None:
    """So that the other tests mean something."""
    program = "input(); b'x' * 30_000_000; print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        eventually(lambda: Path(f"/proc/{process.pid}/status").exists())
        sleep(0.3)
        peak = Peak(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        assert 25 * MB < peak.rise < 40 * MB
        process.stdin.write("\n")


def test_large_uploads_raise_memory_by_a_few_parts(fresh: tuple[Service, User]) -> None:
    """The first of them, and the next no further."""
    service, user = fresh
    data, album = large_jpeg(), user.album()["id"]
    peak = Peak(web_worker(service))
    for _ in range(3):
        assert user.post_photo(data, album).status_code == 201
        assert peak.rise <= ALLOWED


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="no huge pages here"
)
def test_a_hash_does_not_fetch_its_memory_page_by_page(fresh: tuple[Service, User]) -> None:
    """19 MiB are 4,864 pages of 4 KiB. proc(5): the tenth field is minflt."""
    service, user = fresh
    stat = Path(f"/proc/{web_worker(service)}/stat")

    def faults() -> int:
        return int(stat.read_text().rpartition(")")[2].split()[7])

    before, logins = faults(), 4
    for _ in range(logins):
        assert user.login().status_code == 200
    assert (faults() - before) / logins < 2000


@contextmanager
def upload_in_progress(service: Service, user: User, size: int) -> Iterator[socket.socket]:
    """A form whose file is still to be sent."""
    head = b'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n'
    head += str(user.album()["id"]).encode()
    head += b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    length = len(head) + size + len(TAIL)
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname or "", address.port or 0), 30) as connection:
        connection.sendall(
            b"POST /api/photos/ HTTP/1.1\r\nHost: photos\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n"
            + f"Authorization: {user.api.headers['Authorization']}\r\n".encode()
            + f"X-Forwarded-For: {user.api.headers['X-Forwarded-For']}\r\n".encode()
            + f"Content-Length: {length}\r\n\r\n".encode()
            + head
        )
        yield connection


TAIL = b"\r\n--b--\r\n"


def test_a_slow_sender_fills_no_buffer(fresh: tuple[Service, User]) -> None:
    """Not while it sends, and not while it makes a pause in the middle."""
    service, user = fresh
    data = large_jpeg()
    peak = Peak(web_worker(service))
    with upload_in_progress(service, user, len(data)) as connection:
        for at in range(0, len(data), MB):
            connection.sendall(data[at : at + MB])
            sleep(0.05)
        assert peak.rise <= ALLOWED
        connection.sendall(TAIL)
        assert connection.recv(4096).startswith(b"HTTP/1.1 201")
    assert peak.rise <= ALLOWED


@pytest.mark.slow
def test_many_at_once_share_a_budget_and_give_it_back(fresh: tuple[Service, User]) -> None:
    """Of one address, which has half of it. What a connection has read ahead comes on top."""
    service, user = fresh
    data, album, pid = jpeg() + bytes(11 * MB), user.album()["id"], web_worker(service)
    peak = Peak(pid)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: user.post_photo(data, album).status_code, range(16)))
    assert answers == [201] * 16
    assert peak.rise <= BUDGET // 2 + ALLOWED
    eventually(lambda: Peak(pid).above(peak) <= ALLOWED)


def test_ten_stalled_senders_cost_little(fresh: tuple[Service, User]) -> None:
    """Each has sent less than a part, and so holds no more than it has sent."""
    service, user = fresh
    data = jpeg() + bytes(MB)
    peak = Peak(web_worker(service))
    with ExitStack() as stalled:
        for _ in range(10):
            connection = stalled.enter_context(upload_in_progress(service, user, LARGE))
            connection.sendall(data)
        assert user.post_photo().status_code == 201
        assert peak.rise <= ALLOWED
    eventually(lambda: user.api.get("/photos/").status_code == 200)
    assert len(user.api.get("/photos/").json()) == 2, "the broken-off ones became no photos"


@pytest.mark.slow
def test_who_hardly_sends_gives_its_memory_to_who_waits(
    start_service: Callable[..., Service],
) -> None:
    """There is room for one part of an address."""
    service = start_service("--no-jobs", UPLOAD_MEMORY=str(16 * MB))
    with service.new_user() as user, upload_in_progress(service, user, LARGE) as slow:
        slow.sendall(jpeg())
        sleep(0.5)
        assert user.post_photo(jpeg() + bytes(4 * MB)).status_code == 201
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_body_that_nobody_wants_is_not_read(fresh: tuple[Service, User]) -> None:
    service, _ = fresh
    peak = Peak(web_worker(service))
    for path in ("/api/photos/", "/api/nothing"):
        with suppress(httpx.TransportError):  # it may be sent away while it still speaks
            answer = httpx.post(f"{service.url}{path}", content=bytes(LARGE), timeout=30)
            assert answer.status_code in (401, 404, 413)
    assert peak.rise <= ALLOWED


@pytest.mark.parametrize(
    ("size", "down"), [(MB, False), (6 * MB, False), pytest.param(MB, True, marks=S3_ONLY)]
)
async def test_a_failed_upload_leaves_no_part_to_the_garbage_collector(
    environ: dict[str, str], size: int, down: bool
) -> None:
    """Which comes seldom: until then, errors that go in a circle with their frames kept a part of
    each form that is wrong at its end, or whose store does not answer."""
    migrate_once(environ)
    own = (
        {**environ, "PHOTO_API_S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"} if down else environ
    )
    async with in_process(own) as worker:
        login = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}
        await worker.json("POST", "/api/auth/register", {**login, "username": "somebody"})
        token = (await worker.json("POST", "/api/auth/login", login))["access_token"]
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        headers = [
            (b"authorization", b"Bearer " + token.encode()),
            (b"content-type", b"multipart/form-data; boundary=b"),
        ]
        body = form + jpeg() + bytes(size) + (TAIL if down else b"\r\n--bx")
        gc.collect()
        gc.disable()
        try:
            start, *_ = await worker.ask(Asked("POST", "/api/photos", b"", headers, body))
            assert start["status"] == (503 if down else 400)
            await asyncio.sleep(0.1)
            assert not [one for one in gc.get_objects() if isinstance(one, Parts)]
        finally:
            gc.enable()
