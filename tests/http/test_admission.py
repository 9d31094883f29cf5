"""Slow and greedy clients hold nothing that others need, and no body is larger or longer under way
than any request needs."""

import asyncio
import json
import re
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from time import sleep
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from photo_api.http.admission import (
    LARGEST_BODY,
    LARGEST_OF_STRANGERS,
    READ_PER_WORK,
    Admission,
)
from photo_api.http.answer import Answer
from photo_api.settings.loading import load
from tests.metrics.scraping import scrape
from tests.service import Service, User, eventually, jpeg, running_service

WORK, HELD = 8, 12
"""Requests at work, and of one address."""

MIB = 1024 * 1024
SLOW = ("127.0.9.1", "127.1.9.1", "127.2.9.1", "127.3.9.1")
"""Of different networks."""

JSON = ("Content-Type: application/json",)
FORM = ("Content-Type: multipart/form-data; boundary=b",)
CLOSE = b"\r\nConnection: close\r\n\r\n"
ALIVE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def small(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that does little at a time."""
    changed = environ | {
        "PHOTO_API_MAX_IN_FLIGHT": str(WORK),
        "PHOTO_API_MAX_IN_FLIGHT_PER_ADDRESS": str(HELD),
        "PHOTO_API_UPLOAD_MEMORY": str(16 * MIB),
    }
    with running_service(changed, tmp_path_factory.mktemp("small")) as running:
        yield running


@pytest.fixture
def slow(small: Service) -> Iterator[ExitStack]:
    """Whatever is opened in it is closed, and no longer held, before the next test."""
    with ExitStack() as stack:
        yield stack
    eventually(lambda: _connected(small) == 0)


def _connected(service: Service) -> int:
    """Connections of clients that its worker has open."""
    port = urlsplit(service.url).port
    [worker] = service.children("photo_api.web_worker")
    found = worker.net_connections("tcp")
    return sum(one.laddr.port == port and one.status == "ESTABLISHED" for one in found)


def connect(service: Service, source: str = "127.0.0.1") -> socket.socket:
    address = urlsplit(service.url)
    return socket.create_connection(
        (address.hostname or "", address.port or 0), timeout=20, source_address=(source, 0)
    )


def begin(
    service: Service, source: str, path: str, *headers: str, body: bytes = b"{", length: int = 100
) -> socket.socket:
    """A POST whose body begins so and does not go on."""
    client = connect(service, source)
    lines = [f"POST /api{path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *headers]
    client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return client


def status(client: socket.socket, request: bytes = b"") -> int:
    client.sendall(request)
    return int(client.recv(12).split()[1])


def get(service: Service, source: str) -> int:
    with connect(service, source) as client:
        return status(client, ALIVE)


def test_slow_bodies_do_not_keep_others_from_being_served(small: Service, slow: ExitStack) -> None:
    for number in range(3 * WORK):
        slow.enter_context(begin(small, SLOW[number % len(SLOW)], "/auth/login", *JSON))
    with small.new_user() as user:
        assert user.album()["photo_count"] == 0


def test_slow_uploads_take_half_of_the_places(small: Service, slow: ExitStack) -> None:
    with small.new_user() as user:
        token = f"Authorization: {user.api.headers['Authorization']}"
        uploads: list[socket.socket] = []
        free = list(SLOW)

        def refused() -> bool:
            # One that came while this question was asked the time before was refused itself.
            for answered in select.select(uploads, [], [], 0)[0]:
                free.append(answered.getsockname()[0])
                uploads.remove(answered)
            while len(uploads) < WORK // 2:
                one = begin(small, free.pop(), "/photos", *FORM, token, body=b"--b\r\n")
                uploads.append(slow.enter_context(one))
            return user.post_photo(album_id=1).status_code == 503

        eventually(refused)
        for _ in range(2):
            assert user.api.get("/photos/").status_code == 200
            assert user.album()["photo_count"] == 0
        assert select.select(uploads, [], [], 0)[0] == []
        taken = eventually(lambda: user.post_photo().status_code == 201, 30, pause=0.5)
        assert taken, "a client that hardly sends loses its place"
        [given_way] = select.select(uploads, [], [], 5)[0]
        assert status(given_way) == 408


def test_a_network_gives_places_and_memory_to_others_and_so_do_clients_that_have_left(
    small: Service, slow: ExitStack
) -> None:
    """Three uploads fill the memory, so that nothing is read of a fourth."""
    with small.new_user() as user:
        token = f"Authorization: {user.api.headers['Authorization']}"
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

        def large(source: str) -> socket.socket:
            body = head + jpeg() + bytes(MIB)
            return begin(small, source, "/photos", *FORM, token, body=body, length=40 * MIB)

        def held() -> float:
            return scrape(small.url).total("photo_api_upload_memory_held_bytes")

        sources = ("127.0.9.1", "127.0.9.2", SLOW[1])
        first, second, other = (slow.enter_context(large(source)) for source in sources)
        eventually(lambda: held() == 15 * MIB)
        large(SLOW[2]).close()
        fourth = slow.enter_context(large(SLOW[2]))
        assert not select.select([fourth], [], [], 0.5)[0], "it has the place of one that has left"
        assert user.post_photo().status_code == 201
        assert status(second) == 503, "the last of the network that has most"
        assert not select.select([first, other], [], [], 0)[0]


def test_slow_uploads_of_one_address_leave_places_for_others(
    small: Service, slow: ExitStack
) -> None:
    with small.new_user() as user:
        token = f"Authorization: {user.api.headers['Authorization']}"
        for _ in range(WORK):
            slow.enter_context(begin(small, SLOW[0], "/photos", *FORM, token, body=b"--b\r\n"))
        for _ in range(3):
            assert user.post_photo().status_code == 201


def test_slow_bodies_of_many_addresses_hold_no_place_that_others_need(
    small: Service, slow: ExitStack
) -> None:
    first = slow.enter_context(begin(small, "127.0.8.1", "/auth/login", *JSON))
    for number in range(8 * WORK):
        source = f"127.0.8.{2 + number // (HELD - 1)}"
        slow.enter_context(begin(small, source, "/auth/login", *JSON))
    assert get(small, SLOW[0]) == 200
    with small.new_user() as user:
        assert user.album()["photo_count"] == 0
    assert status(first) == 408, "the longest waited for gives way"


def test_one_address_holds_so_many_and_others_are_served(small: Service, slow: ExitStack) -> None:
    for _ in range(HELD):
        slow.enter_context(begin(small, SLOW[0], "/auth/login", *JSON))
    eventually(lambda: get(small, SLOW[0]) == 429)
    assert get(small, SLOW[1]) == 200
    with connect(small, SLOW[0]) as client:
        request = b"GET /health/detailed HTTP/1.1\r\nHost: x\r\n\r\n"
        assert status(client, request) == 429, "details are a request like any other"
    assert httpx.get(f"{small.url}/health").status_code == 200
    with httpx.Client(transport=httpx.HTTPTransport(local_address=SLOW[0])) as client:
        answer = client.get(f"{small.url}/openapi.json")
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["code"] == "too_many_requests"


async def test_so_many_requests_are_held_in_all(environ: dict[str, str]) -> None:
    """Of slow readers, whose answers have begun and take no place of those that are worked on."""
    limits = replace(load(environ).http, max_in_flight=WORK, max_in_flight_per_address=HELD)
    answered: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def slowly(message: Message) -> None:
        if "status" in message:
            answered.append(message["status"])
            await asyncio.sleep(60 if message["status"] == 200 else 0)

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    admission = Admission(app, limits, ())
    tasks = []
    probes = ("/health", "/health/live", "/api/health", "/metrics")
    others = ("/health/detailed", "/api/share/health/health", "/healthy")
    paths = [*["/api/photos"] * 4 * WORK, *others, *probes]
    for number, path in enumerate(paths):
        answer = Answer(slowly, lambda _, start: start["headers"])
        client = f"127.0.9.{number}"
        scope = {
            "type": "http", "method": "GET", "path": path, "headers": [], "client": (client, 1),
            "state": {"request_id": "x", "client_group": client, "answer": answer},
        }  # fmt: skip
        tasks.append(asyncio.create_task(admission(scope, nothing, answer.send)))
    async with asyncio.timeout(10):
        while len(answered) < len(paths):
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    assert answered == [200] * 4 * WORK + [503] * len(others) + [200] * len(probes)


async def test_those_who_come_while_a_wait_ends_have_a_place(environ: dict[str, str]) -> None:
    """Of bodies that do not come: for each newcomer one that was waited for gives way, and nothing
    is asked of one whose wait is just ending."""
    limits = replace(load(environ).http, max_in_flight=2, max_in_flight_per_address=100)
    answered: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("no body comes")

    async def note(message: Message) -> None:
        if "status" in message:
            answered.append(message["status"])

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    admission = Admission(app, limits, ())

    def begin() -> asyncio.Task[None]:
        answer = Answer(note, lambda _, start: start["headers"])
        state = {"request_id": "x", "client_group": "127.0.0.9", "answer": answer}
        scope = {"type": "http", "method": "POST", "path": "/api/x", "headers": [], "state": state}
        return asyncio.create_task(admission(scope, never, answer.send))

    for turns in range(5):
        tasks = [begin() for _ in range(2 * READ_PER_WORK)]
        await asyncio.sleep(0)
        for _ in range(2):
            tasks.append(begin())
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.wait(tasks, timeout=0.1)
        ended = [task for task in tasks if task.done()]
        assert [task.exception() for task in ended] == [None, None], turns
        assert answered == [408] * 2 * (turns + 1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("item", ['""', '"x"', "{}", "1.5", "null", "[]", "1"], ids=str)
def test_a_list_is_refused_by_its_length_or_its_first_wrong_item(
    service: Service, alice: User, item: str
) -> None:
    album = alice.album()["id"]
    for count in (1, 10_000, 10_001, 40_000, 340_000):
        body = f'{{"photo_ids": [{",".join([item] * count)}]}}'
        answer = alice.api.post(
            f"/albums/{album}/photos", content=body, headers={"Content-Type": "application/json"}
        )
        if len(body) > LARGEST_BODY:
            expected = 413
        elif item == "1" and count <= 10_000:
            expected = 200
        else:
            expected = 422
        assert answer.status_code == expected, (count, answer.text[:200])
        assert len(answer.content) < 1000
        assert expected != 422 or len(answer.json()["detail"]) == 1


@pytest.mark.parametrize(
    ("path", "most"), [("/auth/login", LARGEST_OF_STRANGERS), ("/albums", LARGEST_BODY)]
)
def test_a_body_that_says_that_it_is_too_large_is_not_read(
    service: Service, path: str, most: int
) -> None:
    with connect(service) as client:
        head = f"POST /api{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {most + 1}\r\n"
        assert status(client, head.encode() + b"Content-Type: application/json\r\n\r\n") == 413


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[" * 100_000, 400),
        ('{"a":' * 40_000, 400),
        ('{"name":' + "1" * 200_000 + "}", 400),
        ('{"name":"' + "a" * 200_000 + '"}', 422),
        ('{"name":{"' + "a" * 200_000 + '":1}}', 422),
        ("{" + ",".join(f'"k{i}":[]' for i in range(20_000)) + "}", 422),
    ],
    ids=["deep list", "deep object", "long number", "long text", "long key", "many keys"],
)
def test_odd_json_gets_a_short_answer(alice: User, body: str, expected: int) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = alice.api.post("/albums", content=body, headers=json_type, timeout=60)
    assert answer.status_code == expected, answer.text[:300]
    assert len(answer.content) < 4000


def test_a_long_body_ends_where_its_head_has_said(service: Service, alice: User) -> None:
    """It is parsed in large pieces, whatever stands behind it."""
    title = json.dumps({"name": "x", "description": "d" * 200_000})
    head = f"POST /api/albums HTTP/1.1\r\nHost: x\r\nContent-Length: {len(title)}\r\n"
    lines = f"{head}Authorization: {alice.api.headers['Authorization']}\r\n{JSON[0]}\r\n\r\n"
    with connect(service) as client:
        client.sendall((lines + title).encode() * 2 + ALIVE.replace(b"\r\n\r\n", CLOSE))
        answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"422", b"422", b"200"]


@pytest.mark.parametrize("count", [0, 2], ids=["none", "two"])
def test_a_request_names_one_host(service: Service, count: int) -> None:
    with connect(service) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\n" + b"Host: x\r\n" * count + b"\r\n")
        received = b"".join(iter(lambda: client.recv(4096), b""))  # it closes
    head, _, body = received.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert "Host" in json.loads(body)["detail"]


def test_http_1_0_needs_no_host(service: Service) -> None:
    with connect(service) as client:
        assert status(client, b"GET /health/live HTTP/1.0\r\n\r\n") == 200


UPGRADES = [
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: x\r\nConnection: keep-alive, upgrade\r\n",
    b"",
]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_a_request_that_asks_for_another_protocol_keeps_its_body(
    service: Service, chunked: bool, pause: float
) -> None:
    """Else a body that looks like a request is one, and its answer goes to the next client."""
    body = b"GET /api/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    framing = b"Content-Length: %d\r\n" % len(body)
    sent = body
    if chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
        sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for upgrade in UPGRADES:
        head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        after = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with connect(service) as client:
            client.sendall(head + upgrade + framing + b"\r\n" + (b"" if pause else sent + after))
            if pause:
                sleep(pause)
                client.sendall(sent + after)
            answers = b"".join(iter(lambda: client.recv(4096), b""))
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
        assert statuses == [b"422", b"200"], (upgrade, answers)
        assert b"JSON" in answers, "the body was read"


def test_a_request_that_asks_for_another_protocol_may_have_no_body(service: Service) -> None:
    """Some clients ask so with every request over cleartext, deletions included."""
    requests = ((b"DELETE", b""), (b"POST", b"Content-Length: 0\r\n"), (b"GET", b""))
    for upgrade in UPGRADES:
        for method, framing in requests:
            with connect(service) as client:
                head = method + b" /api/photos/1 HTTP/1.1\r\nHost: x\r\n" + upgrade + framing
                client.sendall(head + b"\r\n" + head + b"Authorization: x\r\n\r\n")
                answered = b""
                while len(re.findall(rb"HTTP/1\.1 40[15]", answered)) < 2:
                    answered += (piece := client.recv(4096))
                    assert piece, (method, upgrade, answered)


def test_it_is_no_proxy(service: Service) -> None:
    for target in (b"example.org:443", b"/api/", b"*"):
        with connect(service) as client:
            assert status(client, b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % target) == 400


def test_a_trailer_is_no_header(service: Service, alice: User) -> None:
    """Whatever a balancer checks and sets, it does to headers."""
    name = "trailing album"
    body = json.dumps({"name": name}).encode()
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n"
    trailers = (
        f"Authorization: {alice.api.headers['Authorization']}\r\n"
        "X-Request-ID: from-a-trailer\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    ).encode()
    head = b"POST /api/albums HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with connect(service) as client:
        # The body's end comes with the head, so that a parser that reads headers late would see it.
        client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked + trailers)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.recv(4096)
    assert b" 401 " in answer.splitlines()[0]
    assert b"from-a-trailer" not in answer
    assert name not in alice.api.get("/albums/").text
