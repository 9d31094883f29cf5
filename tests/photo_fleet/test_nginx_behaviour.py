"""What nginx with a rendered configuration does: to requests, answers, uploads and its logs."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest

from photo_fleet.render.nginx_server import FORMS_OF_CLIENT
from photo_fleet.spec.fleet import RateLimit, RateLimits, Service
from tests.photo_fleet.nginx_stage import (
    Backend,
    Backends,
    Front,
    backends,
    running_front,
    spec,
)
from tests.service import eventually

pytestmark = pytest.mark.needs("nginx")

SIGNATURE = "X-Amz-Signature=" + "0f" * 32
TOKEN = "s3cr3t-share-token"


@pytest.fixture(scope="module")
def servers() -> Iterator[Backends]:
    with backends() as started:
        yield started


@pytest.fixture(scope="module")
def member(servers: Backends) -> Backend:
    return servers.start()


@pytest.fixture(scope="module")
def store(servers: Backends) -> Backend:
    return servers.start()


@pytest.fixture(scope="module")
def front(member: Backend, store: Backend) -> Iterator[Front]:
    fleet = spec(store=f"http://{store.address}", upload_limit=1_000_000)
    with running_front(fleet, member) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(member: Backend, store: Backend) -> None:
    for backend in (member, store):
        backend.requests.clear()
        backend.status, backend.headers = 200, {}


def raw(front: Front, request: str) -> tuple[str, dict[str, str], str]:
    """Status line, headers and body of the answer to exactly these bytes."""
    host, port = front.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request.encode())
        answer = connection.makefile("rb")
        status = answer.readline().decode().rstrip()
        lines = iter(lambda: answer.readline().decode().rstrip(), "")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return status, headers, answer.read(int(headers.get("content-length", 0))).decode()


def get_raw(front: Front, target: str, method: str = "GET") -> tuple[str, dict[str, str], str]:
    return raw(front, f"{method} {target} HTTP/1.1\r\nHost: photos\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "target",
    [
        "/api/albums",
        "/api/albums/?a=%2F&b=+",
        "/api/%61lbums//x/./y",
        "/api/auth",
        "/docs",
        "/health/",
    ],
)
def test_a_request_passes_as_it_came(front: Front, member: Backend, target: str) -> None:
    get_raw(front, target)
    [request] = member.requests
    assert (request.target, request.headers["host"]) == (target, "photos")
    assert "connection" not in request.headers


def test_a_trace_passes_as_it_came(front: Front, member: Backend) -> None:
    given = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    httpx.get(f"{front.url}/api/x", headers=given)
    [request] = member.requests
    assert request.headers["traceparent"] == given["traceparent"]


def test_an_answer_passes_as_it_came(front: Front, member: Backend) -> None:
    member.status = 404
    member.headers = {"X-Request-ID": "abc", "Location": "http://elsewhere/x", "Retry-After": "7"}
    member.headers |= {"Cache-Control": "private, max-age=9", "X-Content-Type-Options": "nosniff"}
    answer = httpx.get(f"{front.url}/api/x", headers={"X-Request-ID": "abc"})
    assert answer.json() == {"from": member.name}
    assert answer.headers.get_list("X-Request-ID") == ["abc"]
    assert answer.headers.get_list("Cache-Control") == ["private, max-age=9"]
    assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert (answer.status_code, answer.headers["Location"]) == (404, "http://elsewhere/x")
    assert answer.headers["X-Instance"] == member.name


SECRETS = ("id-mY0rL2bZxgTtqP5wfUOI8K3nCQJvHsdA", "9f3c1d5e7a8b4260" * 4, "eyJhbGciOi.eyJzdWIi.x")


@pytest.mark.parametrize("given", ["abc-1.2:3_4", "a" * 129, "a b", "", '"}', *SECRETS])
def test_a_sane_request_id_passes_and_others_are_replaced(
    front: Front, member: Backend, given: str
) -> None:
    answer = httpx.get(f"{front.url}/api/x", headers={"X-Request-ID": given})
    [request] = member.requests
    sent = request.headers["x-request-id"]
    assert (sent == given) is (given == "abc-1.2:3_4")
    assert len(sent) in (11, 32)
    assert answer.headers["X-Request-ID"] == sent


def test_what_a_stranger_claims_about_addresses_is_not_passed(
    front: Front, member: Backend
) -> None:
    claims = {
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "198.51.100.7",
        "Forwarded": "for=198.51.100.7",
    }
    httpx.get(f"{front.url}/api/x", headers=claims)
    [request] = member.requests
    assert request.headers["x-forwarded-for"] == "127.0.0.1"
    assert request.headers["x-forwarded-proto"] == "http"
    assert not {"x-real-ip", "forwarded"} & set(request.headers)


def test_trusted_hops_are_believed_and_not_those_beyond(servers: Backends) -> None:
    member = servers.start()
    fleet = spec(trusted_hops=("127.0.0.0/8", "10.0.0.0/8"))
    with running_front(fleet, member) as front:
        claims = {
            "X-Forwarded-For": "203.0.113.1, 198.51.100.7, 10.1.2.3",
            "X-Forwarded-Proto": "https",
            "X-Request-ID": "hops",
        }
        httpx.get(f"{front.url}/api/x", headers=claims)
        assert front.logged("hops")["client"] == "198.51.100.7"
    [request] = member.requests
    assert request.headers["x-forwarded-for"] == "198.51.100.7"
    assert request.headers["x-forwarded-proto"] == "https"


@pytest.fixture(scope="module")
def hops() -> Iterator[tuple[Front, Backend]]:
    """A front that believes its neighbours, and gives each client two answers."""
    limits = RateLimits(read=RateLimit(0.01, 1))
    fleet = spec(trusted_hops=("127.0.0.0/8", "10.0.0.0/8"), rate_limits=limits)
    with backends() as servers:
        member = servers.start()
        with running_front(fleet, member) as front:
            yield front, member


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ("unknown", "unknown"),
        ("203.0.113.1, unix:", "unix"),
        ("203.0.113.2, _hidden:71", "_hidden"),
        ("198.51.100.11:99999", "198.51.100.11"),
        ("198.51.100.12:port,", "198.51.100.12"),
        ('"[2001:db8:7::7]:4711"', "2001:db8:7::7"),
        ('for="[2001:db8:8::7]:4711";proto=https', "2001:db8:8::7"),
        ("for=198.51.100.13", "for=198.51.100.13"),
        ("203.0.113.3, nobody, 10.1.2.3", "nobody"),
        ("nobody, 198.51.100.14, 10.1.2.3", "198.51.100.14"),
        ("198.51.100.15,", "198.51.100.15"),
        ("10.1.2.4", "10.1.2.4"),
        ("", "127.0.0.1"),
    ],
)
def test_what_a_hop_wrote_is_a_client_of_its_own(
    hops: tuple[Front, Backend], written: str, client: str
) -> None:
    front, member = hops
    told = [written, written, f"203.0.113.99, {written}" if "," in written else written]
    answers = [httpx.get(f"{front.url}/api/x", headers={"X-Forwarded-For": one}) for one in told]
    assert member.requests[-1].headers["x-forwarded-for"] == client
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def is_error(status: str, headers: dict[str, str], body: str, expected: int, code: str) -> None:
    """Whether it is the contract's error."""
    told = json.loads(body)
    assert int(status.split()[1]) == expected
    assert set(told) == {"detail", "code", "request_id"}
    assert told["code"] == code
    assert told["request_id"] == headers["x-request-id"]
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "nginx"


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        ("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not_found"),
        ("GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not_found"),
        ("GET /photos HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not_found"),
        ("GET /.error/500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not_found"),
        ("GET /api/x HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "bad_request"),
        ("GET api HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (
            "TRACE /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            405,
            "method_not_allowed",
        ),
        *(
            (
                f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size + 1}\r\n"
                "Connection: close\r\n\r\n",
                413,
                "too_large",
            )
            for path, size in (
                ("/api/photos", 1_000_000),
                ("/api/photos/", 1_000_000),
                ("/api/photos/confirm", 256 * 1024),
                ("/api/auth/login", 16 * 1024),
            )
        ),
        (f"GET /api/{'x' * 17_000} HTTP/1.1\r\nHost: a\r\n\r\n", 414, "bad_request"),
        (f"GET /api/x HTTP/1.1\r\nHost: a\r\nX: {'x' * 17_000}\r\n\r\n", 431, "headers_too_large"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_nginx_s_own_errors_have_the_contract_s_body(
    front: Front, member: Backend, request_text: str, status: int, code: str
) -> None:
    is_error(*raw(front, request_text), status, code)
    assert member.requests == []


def test_a_large_upload_that_nobody_takes_is_told_the_same(servers: Backends) -> None:
    """Larger than what is taken where nginx's errors are."""
    large, away = b"x" * 300_000, servers.refusing()
    one = RateLimits(upload=RateLimit(0.01, 1))
    with (
        running_front(
            spec(upload_limit=1_000_000, store=f"http://{away.address}"), away
        ) as refused,
        running_front(spec(upload_limit=1_000_000)) as nobody,
        running_front(spec(upload_limit=1_000_000, rate_limits=one), servers.start()) as full,
    ):
        answers = [httpx.post(f"{refused.url}/api/photos/", content=large)]
        answers.append(httpx.put(f"{refused.url}/photos/a?{SIGNATURE}", content=large))
        answers.append(httpx.post(f"{nobody.url}/api/photos/", content=large))
        answers += [httpx.post(f"{full.url}/api/photos/", content=large) for _ in range(3)]
    told = [(answer.status_code, answer.json()["code"]) for answer in answers if answer.is_error]
    assert told[0] == (502, "bad_gateway")
    assert told[1][0] in (502, 503)
    assert told[2:] == [(503, "overloaded"), (429, "too_many_requests")]


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "/metrics/",
        "//metrics",
        "/api/../metrics",
        "/api/%2e%2e/metrics",
        "/health/..%2fmetrics",
        "/photos/../metrics?" + SIGNATURE,
        "/members",
        "/healthy",
        "/docsx",
    ],
)
def test_what_is_not_for_people_is_not_passed(front: Front, member: Backend, target: str) -> None:
    assert get_raw(front, target)[0].split()[1] == "404"
    assert member.requests == []


def test_the_store_never_sees_who_asks(front: Front, store: Backend) -> None:
    target = f"/photos/originals/a%2Fb%20c.jpg?X-Amz-Expires=60&{SIGNATURE}"
    private = {
        "Authorization": "Bearer a-token",
        "Cookie": "session=a-token",
        "Referer": f"{front.url}/share/{TOKEN}",
        "X-Amz-Copy-Source": "/photos/originals/other",
    }
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        body = b"data" if method == "PUT" else None
        answer = httpx.request(method, front.url + target, headers=private, content=body)
        assert answer.status_code == 200
    assert [request.method for request in store.requests] == ["GET", "HEAD", "PUT", "OPTIONS"]
    for request in store.requests:
        assert request.target == target
        assert request.headers["host"] == front.url.removeprefix("http://")
        assert "token" not in str(request)
        assert "x-amz-copy-source" not in request.headers
    assert store.requests[2].body == b"data"


def test_what_comes_from_the_store_cannot_act_on_our_origin(front: Front, store: Backend) -> None:
    store.headers = {
        "Content-Security-Policy": "default-src *",
        "X-Content-Type-Options": "sniff",
        "Set-Cookie": "a=b",
        "X-Accel-Redirect": "/api/secret",
        "Access-Control-Allow-Origin": "*",
    }
    answer = httpx.get(f"{front.url}/photos/a.svg?{SIGNATURE}")
    assert answer.json() == {"from": store.name}
    assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    [policy] = answer.headers.get_list("Content-Security-Policy")
    assert "sandbox" in policy
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/photos/a.jpg", 404),
        ("PUT", "/photos/a.jpg?uploads", 404),
        ("GET", "/photos/a.jpg?X-Amz-Signature=", 404),
        ("GET", f"/photos/a.jpg?not{SIGNATURE}", 404),
        ("GET", f"/photos/../other/a.jpg?{SIGNATURE}", 404),
        ("GET", f"/other/../photos/a.jpg?{SIGNATURE}", 404),
        ("GET", f"/?{SIGNATURE}", 200),
        ("DELETE", f"/photos/a.jpg?{SIGNATURE}", 405),
        ("POST", f"/photos/a.jpg?{SIGNATURE}", 405),
    ],
)
def test_only_signed_reads_and_uploads_reach_the_store(
    front: Front, store: Backend, method: str, target: str, status: int
) -> None:
    assert int(get_raw(front, target, method)[0].split()[1]) == status
    assert store.requests == []


def test_without_a_store_there_is_none(servers: Backends) -> None:
    with running_front(None, servers.start()) as front:
        assert httpx.get(f"{front.url}/photos/a.jpg?{SIGNATURE}").status_code == 404


def test_the_log_tells_what_happened(front: Front, member: Backend) -> None:
    httpx.post(f"{front.url}/api/albums/7?secret=1", headers={"X-Request-ID": "told"})
    line = front.logged("told")
    assert line["method"] == "POST"
    assert line["path"] == "/api/albums/7"
    assert (line["status"], line["tries"], line["instance"]) == (200, 1, member.name)
    assert line["upstream"] == member.address
    assert line["client"] == "127.0.0.1"
    assert line["boot"] == f"boot-{member.name}"
    for name in ("seconds", "connect_seconds", "header_seconds", "response_seconds", "bytes"):
        assert float(line[name]) >= 0
    assert "T" in line["time"]


def test_one_client_s_uploads_leave_room_on_the_disk_of_nginx(front: Front) -> None:
    """They are kept there until they have come as a whole, however slowly."""
    host, port = front.url.removeprefix("http://").split(":")
    head = b"POST /api/photos/ HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
    with ExitStack() as uploads:
        for _ in range(FORMS_OF_CLIENT):
            one = uploads.enter_context(socket.create_connection((host, int(port))))
            one.sendall(head + b"x")
        eventually(lambda: httpx.post(f"{front.url}/api/photos/").status_code == 429)
        assert httpx.get(f"{front.url}/api/photos/").status_code == 200
    eventually(lambda: httpx.post(f"{front.url}/api/photos/").status_code == 200)


def test_errors_are_logged_as_what_was_asked(front: Front, store: Backend) -> None:
    headers = {"X-Request-ID": "too-large"}
    httpx.post(f"{front.url}/api/photos/", content=bytes(1_000_001), headers=headers)
    line = front.logged("too-large")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/photos/", 413)
    assert (line["instance"], line["tries"]) == ("", 0)


def test_health_is_not_logged(front: Front) -> None:
    for path in ("/health", "/health/live", "/api/health/", "/edge/health"):
        assert httpx.get(front.url + path, headers={"X-Request-ID": "unseen"}).status_code == 200
    httpx.get(f"{front.url}/healthy", headers={"X-Request-ID": "seen"})
    assert front.logged("seen")["path"] == "/healthy"
    assert "unseen" not in front.logs


def test_json_is_compressed_and_tokens_are_not(front: Front, member: Backend) -> None:
    member.headers = {"X-Padding": "1"}
    long_name, member.name = member.name, "x" * 2000
    member.headers["X-Instance"] = "short"
    try:
        listed = httpx.get(f"{front.url}/api/albums")
        login = httpx.get(f"{front.url}/api/auth/me")
    finally:
        member.name = long_name
    assert listed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in login.headers
    assert listed.json() == login.json()


FRONT_END = "https://www.example.org"
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
def open_front(member: Backend, store: Backend) -> Iterator[Front]:
    """Front ends of another origin are allowed, and one request in a minute."""
    rare = RateLimit(1 / 60, 0)
    fleet = replace(
        spec(
            store=f"http://{store.address}",
            upload_limit=1000,
            rate_limits=RateLimits(*[rare] * 6),
        ),
        service=Service(cors_origins=(FRONT_END, "http://localhost:*")),
    )
    with running_front(fleet, member) as running:
        yield running


def preflight(front: Front, path: str, origin: str = FRONT_END) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization, traceparent, baggage",
    }
    return httpx.options(front.url + path, headers=headers)


@pytest.mark.parametrize("origin", [FRONT_END, "http://localhost:5173", "http://localhost"])
def test_preflights_of_front_ends_are_answered_and_not_counted(
    open_front: Front, member: Backend, origin: str
) -> None:
    paths = ("/api/albums/", "/api/auth/login", "/api/photos/", "/api/photos/1/image", "/health")
    for answer in [preflight(open_front, path, origin) for path in paths for _ in range(5)]:
        assert (answer.status_code, answer.headers[ALLOWED]) == (204, origin)
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        assert {"authorization", "traceparent", "baggage"} <= set(allowed.split(", "))
        assert "Origin" in answer.headers["Vary"]
    assert member.requests == []


def test_the_store_answers_preflights_of_its_own_and_strangers_are_counted(
    open_front: Front, store: Backend
) -> None:
    preflight(open_front, f"/photos/staging/a?{SIGNATURE}")
    assert [request.method for request in store.requests] == ["OPTIONS"]
    for origin in ("https://evil.example", "http://localhost.evil.example", "null"):
        answers = [preflight(open_front, "/api/albums", origin) for _ in range(3)]
        assert answers[-1].status_code == 429
        assert all(ALLOWED not in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("request_line", "more", "status"),
    [
        ("GET /api/albums", "", 429),
        ("GET /nothing", "", 404),
        ("PUT /photos/a?" + SIGNATURE, "Content-Length: 2000\r\n", 413),
        ("DELETE /photos/a?" + SIGNATURE, "", 405),
        ("GET /api/x", f"X-Large: {'x' * 40_000}\r\n", 431),
    ],
)
def test_front_ends_can_read_what_nginx_refuses(
    open_front: Front, request_line: str, more: str, status: int
) -> None:
    for _ in range(1 + (status == 429)):
        text = f"{request_line} HTTP/1.1\r\nHost: a\r\nOrigin: {FRONT_END}\r\n{more}\r\n"
        line, headers, _body = raw(open_front, text)
    assert line.split()[1] == str(status)
    assert headers[ALLOWED] == FRONT_END
    assert "Retry-After" in headers["access-control-expose-headers"]
    stranger = text.replace(FRONT_END, "https://evil.example")
    assert ALLOWED not in raw(open_front, stranger)[1]


def test_front_ends_can_read_that_an_address_is_too_long(open_front: Front) -> None:
    """nginx says so before it has read of whom."""
    line, headers, _ = raw(open_front, f"GET /api/{'x' * 17_000} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (line.split()[1], headers[ALLOWED]) == ("414", "*")


def test_what_an_instance_says_of_origins_passes_as_it_is(
    open_front: Front, member: Backend
) -> None:
    member.headers = {"Access-Control-Allow-Origin": FRONT_END, "Vary": "Origin"}
    answer = httpx.get(f"{open_front.url}/health", headers={"Origin": FRONT_END})
    assert answer.headers.get_list("Access-Control-Allow-Origin") == [FRONT_END]
    assert answer.headers.get_list("Vary") == ["Origin"]
