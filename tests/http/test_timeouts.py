"""What a client may hold open, and for how long; and what it is told when its time is over."""

import asyncio
import json
import random
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from itertools import repeat
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.own_stage import endpoint_in, store_of
from tests.service import Service, User, eventually, jpeg, running_service

MB = 1024 * 1024
KEEP_ALIVE = 3
ALIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def strict(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose patience is short."""
    limits = {"HEADER": "1", "BODY": "2", "SEND": "2"}
    changed = environ | {f"PHOTO_API_{name}_TIMEOUT": value for name, value in limits.items()}
    changed |= {"PHOTO_API_KEEP_ALIVE": str(KEEP_ALIVE), "PHOTO_API_DELIVERY": "stream"}
    with running_service(changed, tmp_path_factory.mktemp("strict")) as running:
        yield running


@pytest.fixture
def dave(strict: Service) -> Iterator[User]:
    """Somebody with an account there."""
    with strict.new_user() as user:
        yield user


@pytest.fixture
def client(strict: Service) -> Iterator[socket.socket]:
    """A connection that has sent nothing yet."""
    with connect(strict) as connection:
        yield connection


def connect(service: Service, receive_buffer: int = 0) -> socket.socket:
    address = urlsplit(service.url)
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20)
    connection.connect((address.hostname, address.port))
    return connection


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """(status, headers by lower-case name, body) of the next answer."""
    response = HTTPResponse(connection)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return response.status, headers, response.read()


def assert_refused(connection: socket.socket, status: int, code: str) -> None:
    """The contract's error, and no more on this connection."""
    given, headers, body = answer(connection)
    error = json.loads(body)
    assert (given, error["code"], headers["connection"]) == (status, code, "close")
    assert error["request_id"] == headers["x-request-id"]
    assert error["detail"]
    assert connection.recv(1) == b""


def post(path: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join([f"POST /api{path} HTTP/1.1", "Host: x", *headers])
    return head.encode() + b"\r\n\r\n" + body


def test_a_head_that_does_not_come_in_time_is_408(client: socket.socket) -> None:
    started = time.monotonic()
    client.sendall(HALF_A_HEAD)
    assert_refused(client, 408, "request_timeout")
    assert time.monotonic() - started > 0.9


def test_dripping_buys_a_head_no_more_time(client: socket.socket) -> None:
    client.sendall(HALF_A_HEAD)
    client.settimeout(0.1)
    received = b""
    deadline = time.monotonic() + 15
    while not received and time.monotonic() < deadline:
        with suppress(OSError):
            client.sendall(b"a: b\r\n")
        with suppress(TimeoutError):
            received = client.recv(12)
    assert received == b"HTTP/1.1 408"


def test_every_head_on_a_connection_has_its_time(client: socket.socket) -> None:
    client.sendall(ALIVE)
    assert answer(client)[0] == 200
    client.sendall(ALIVE + HALF_A_HEAD)
    assert answer(client)[0] == 200
    assert_refused(client, 408, "request_timeout")


def test_a_connection_opened_ahead_may_wait_longer_than_a_head(client: socket.socket) -> None:
    """Balancers open connections before they need them."""
    time.sleep(1.5)
    client.sendall(ALIVE)
    assert answer(client)[0] == 200


@pytest.mark.parametrize("said", [b"", b"\r\n", ALIVE])
def test_an_idle_connection_is_closed_without_a_word(client: socket.socket, said: bytes) -> None:
    """Before its first request, after a stray line end, after an answer."""
    client.sendall(said)
    if said == ALIVE:
        assert answer(client)[0] == 200
    assert client.recv(1) == b""


def test_a_head_may_be_large_but_not_endless(strict: Service) -> None:
    for filler in (b"x: " + b"a" * 60_000, b"x: a\r\n" * 9_000):
        with connect(strict) as client:
            client.sendall(HALF_A_HEAD + filler.rstrip() + b"\r\n\r\n")
            assert answer(client)[0] == 200
    for head in (
        HALF_A_HEAD + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
        HALF_A_HEAD + b"x: a\r\n" * 12_000 + b"\r\n",
        HALF_A_HEAD + b"x: a\r\n" * 12_000,
        b"GET /" + b"a" * 70_000,
        ALIVE + HALF_A_HEAD + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
    ):
        with connect(strict) as client:
            client.sendall(head)
            if head.startswith(ALIVE):
                assert answer(client)[0] == 200, "what came before is answered"
                assert client.recv(1) == b""
            else:
                assert_refused(client, 431, "headers_too_large")


def test_what_is_no_http_gets_the_contracts_400(client: socket.socket) -> None:
    client.sendall(b"hello\r\n\r\n")
    assert_refused(client, 400, "bad_request")


def test_a_body_that_stops_is_408(client: socket.socket) -> None:
    declared = ("Content-Type: application/json", "Content-Length: 100")
    client.sendall(post("/auth/login", *declared, body=b"{"))
    assert_refused(client, 408, "request_timeout")


def test_a_body_that_is_read_as_a_whole_has_its_time_as_a_whole(client: socket.socket) -> None:
    body = json.dumps({"email": "nobody@example.org", "password": "x" * 200}).encode()
    declared = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    client.sendall(post("/auth/login", *declared))
    with suppress(OSError):
        for at in range(0, len(body), 4):
            time.sleep(0.18)
            client.sendall(body[at : at + 4])
    assert_refused(client, 408, "request_timeout")


def test_an_upload_that_goes_on_is_taken_however_slow(client: socket.socket, dave: User) -> None:
    album = dave.album()["id"]
    body = f'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'.encode()
    body += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body += jpeg() + b"\r\n--b--\r\n"
    client.sendall(
        post(
            "/photos/",
            "Content-Type: multipart/form-data; boundary=b",
            f"Content-Length: {len(body)}",
            f"Authorization: {dave.api.headers['Authorization']}",
        )
    )
    step = len(body) // 14
    for at in range(0, len(body), step):
        time.sleep(0.25)
        client.sendall(body[at : at + step])
    assert answer(client)[0] == 201


@pytest.mark.parametrize("sent", [0, 6 * MB], ids=["one part", "several parts"])
def test_an_upload_that_stops_leaves_nothing_and_may_be_repeated(
    strict: Service, dave: User, sent: int
) -> None:
    album, key = dave.album()["id"], uuid4().hex
    of_dave = f"photos/{dave.account['id']}/"
    there = stored(strict, of_dave)  # by tests with databases of their own, in the same bucket
    form = f'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'.encode()
    form += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    head = post(
        "/photos/",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {20 * MB}",
        f"Authorization: {dave.api.headers['Authorization']}",
        f"Idempotency-Key: {key}",
    )
    with connect(strict) as client:
        client.sendall(head + form + jpeg() + bytes(sent))
        assert_refused(client, 408, "request_timeout")
    assert dave.api.get("/photos/").json() == []
    eventually(lambda: stored(strict, of_dave) == there)
    again = dave.post_photo(album_id=album, headers={"Idempotency-Key": key})
    assert again.status_code == 201
    assert len(stored(strict, of_dave)) > len(there)
    assert "Traceback" not in strict.log


def stored(service: Service, prefix: str) -> list[str]:
    """Keys of the objects that are there."""

    async def keys() -> list[str]:
        store = store_of(service.environ)
        return [item.key async for item in store.list(prefix)]

    return asyncio.run(keys())


def test_the_rest_of_a_refused_body_is_not_waited_for(client: socket.socket) -> None:
    client.sendall(post("/photos/", f"Content-Length: {20 * MB}", body=b"x"))
    assert answer(client)[0] == 401
    client.sendall(b"x")
    with suppress(ConnectionResetError):
        assert client.recv(1) == b""


@pytest.fixture
def photo(dave: User) -> str:
    """The path of one that is larger than what the kernel buffers."""
    path: str = dave.upload(jpeg() + bytes(24 * MB))["url"]
    return path


def download(strict: Service, dave: User, path: str) -> socket.socket:
    reader = connect(strict, receive_buffer=64 * 1024)
    head = f"GET /api{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    authorization = f"Authorization: {dave.api.headers['Authorization']}\r\n\r\n"
    reader.sendall((head + authorization).encode())
    assert reader.recv(1024).startswith(b"HTTP/1.1 200")
    return reader


def unread() -> set[int]:
    """Ports of this machine at which bytes have come that nobody has taken yet (proc(5))."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if int(line[4][9:], 16)}


def test_an_answer_that_nobody_takes_is_cut(strict: Service, dave: User, photo: str) -> None:
    """The request ends with it, and so does what it read from the store."""
    [worker] = strict.children("photo_api.web_worker")
    store = urlsplit(endpoint_in(strict.environ)).port

    def connected() -> set[int]:
        """Our ends of the worker's connections to the store, which keeps some for later."""
        with suppress(psutil.NoSuchProcess):
            return {
                item.laddr.port
                for item in worker.net_connections("tcp")
                if item.raddr
                and item.raddr.port == store
                and item.status == psutil.CONN_ESTABLISHED
            }
        return set()

    with download(strict, dave, photo) as reader:
        during = eventually(lambda: connected() & unread())
        route = '"route":"/api/photos/{photo_id}/image"'
        eventually(lambda: route in strict.log, 20)
        eventually(lambda: not during & connected(), 20)
        received = 0
        with suppress(ConnectionResetError):
            while piece := reader.recv(MB):
                received += len(piece)
        assert received < 24 * MB
    assert "Traceback" not in strict.log


def test_answers_that_nobody_takes_end_a_pipeline(strict: Service) -> None:
    """However small each of them is."""
    with connect(strict, receive_buffer=4096) as reader:
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        reader.sendall(b"".join(repeat(ask, 200)))
        [worker] = strict.children("photo_api.web_worker")
        own = reader.getsockname()

        def is_held() -> bool:
            return any(item.raddr == own for item in worker.net_connections("tcp"))

        eventually(is_held)
        eventually(lambda: not is_held(), 20)


def test_requests_that_are_sent_ahead_take_no_memory(strict: Service) -> None:
    """Each takes a hundred times its bytes once it is parsed."""
    [worker] = strict.children("photo_api.web_worker")
    before = worker.memory_info().rss
    ahead = b"GET / HTTP/1.1\r\nHost:a\r\n\r\n" * 8000
    with ExitStack() as open_ones:
        for _ in range(8):
            sender = open_ones.enter_context(connect(strict, receive_buffer=4096))
            sender.setblocking(False)
            sender.send(ahead)
        for _ in range(3):  # whatever came before has been read
            assert httpx.get(f"{strict.url}/health/live").status_code == 200
        assert worker.memory_info().rss - before < 64 * MB


def test_requests_that_are_sent_ahead_are_answered_in_their_order(client: socket.socket) -> None:
    ids = [f"ahead-{number}" for number in range(1000)]
    head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    body = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = [
        f"{head}X-Request-ID: {name}\r\nContent-Length: {len(body) + at}\r\n\r\n{body}{' ' * at}"
        for at, name in enumerate(ids)
    ]
    Thread(target=client.sendall, args=("".join(sent).encode(),), daemon=True).start()
    answers = b""
    while answers.count(b'"request_id":"') < len(ids):
        answers += (piece := client.recv(MB))
        assert piece, answers[-500:]
    assert re.findall(r'"request_id":"(.+?)"', answers.decode()) == ids
    assert answers.count(b"HTTP/1.1 422 ") == len(ids)


def test_a_reader_that_goes_on_gets_all(strict: Service, dave: User, photo: str) -> None:
    """Also when it is so slow that the kernel takes nothing more from the worker for longer than
    an answer may stand still."""
    received = 0
    slow_until = time.monotonic() + 6
    with download(strict, dave, photo) as reader:
        while piece := reader.recv(64 * 1024):
            received += len(piece)
            if time.monotonic() < slow_until:
                time.sleep(0.25)
    assert received > 24 * MB


class Lane(asyncio.Protocol):
    """A client's kept connection: `answered` ends with whether the answer said close, or with an
    error when the connection ended instead."""

    def __init__(self) -> None:
        self.lost = False
        self.received = b""
        self.answered: asyncio.Future[bool] | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.lower().partition(b"\r\n\r\n")
        if end and self.answered is not None:
            length = int(head.partition(b"content-length:")[2].split()[0])
            if len(body) == length:
                self.received = b""
                self.answered.set_result(b"connection: close" in head)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(exc or ConnectionError("closed without an answer"))


async def keep_asking(port: int, pauses: Iterator[float]) -> str:
    """Until the service ends the connection; how it did so."""
    loop = asyncio.get_running_loop()
    transport, lane = await loop.create_connection(Lane, "127.0.0.1", port)
    while True:
        await asyncio.sleep(next(pauses))
        if lane.lost:
            return "closed while idle"
        lane.answered = loop.create_future()
        transport.write(ALIVE)
        try:
            if await lane.answered:
                transport.close()
                return "told to close"
        except OSError as error:
            return repr(error)


def test_stopping_resets_no_request_that_was_sent_in_time(
    start_service: Callable[..., Service],
) -> None:
    service = start_service("--no-jobs", LAME_DUCK="0")
    dice = random.Random(1)

    async def clients() -> Counter[str]:
        port = int(service.url.rsplit(":", 1)[1])
        pauses = iter(lambda: dice.uniform(0, 0.3), None)
        asking = [asyncio.create_task(keep_asking(port, pauses)) for _ in range(60)]
        await asyncio.sleep(1)
        service.process.send_signal(signal.SIGTERM)
        return Counter(await asyncio.wait_for(asyncio.gather(*asking), 60))

    ends = asyncio.run(clients())
    assert set(ends) <= {"told to close", "closed while idle"}, ends
    # Without a moment's grace most of them would have been closed while they paused.
    assert ends["told to close"] > ends["closed while idle"], ends
    assert service.process.wait(20) == 0


def test_a_connection_that_idles_does_not_delay_the_stop(
    start_service: Callable[..., Service],
) -> None:
    service = start_service("--no-jobs", LAME_DUCK="0", DRAIN_WAIT="30")
    with connect(service) as fresh, connect(service) as used:
        used.sendall(ALIVE)
        assert answer(used)[0] == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        assert fresh.recv(1) == used.recv(1) == b""


def test_a_slow_head_does_not_hold_a_stop_longer_than_its_time(
    start_service: Callable[..., Service],
) -> None:
    service = start_service("--no-jobs", LAME_DUCK="0", DRAIN_WAIT="30", HEADER_TIMEOUT="1")
    with connect(service) as slow:
        slow.sendall(HALF_A_HEAD)
        eventually(lambda: httpx.get(f"{service.url}/health").status_code == 200)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        assert_refused(slow, 408, "request_timeout")


def test_connections_are_counted() -> None:
    from photo_api.http.connections import Connections

    stands_for: Any = type("Open", (), {"is_idle": True})
    connections = Connections()
    before = connections.last_accepted
    connections.opened(stands_for)
    assert (connections.accepted, connections.idle) == (1, 1)
    assert connections.last_accepted >= before
    connections.closed(stands_for)
    assert (connections.accepted, connections.idle) == (1, 0)
