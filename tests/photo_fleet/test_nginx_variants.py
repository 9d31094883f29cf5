"""nginx by specs that differ: limits, certificates, unbuffered uploads, and the whole service."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import httpx
import pytest

from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Fleet, RateLimit, RateLimits, Service, Tls
from photo_fleet.spec.kinds import Origins
from tests.photo_fleet.nginx_stage import (
    UNLIMITED,
    Backends,
    Front,
    backends,
    hang,
    running_front,
    short_folder,
    spec,
)
from tests.photo_fleet.test_nginx_behaviour import FRONT_END, SIGNATURE, TOKEN, raw
from tests.photo_fleet.test_nginx_text import write_certificate
from tests.service import Service as RunningService
from tests.service import User, eventually, free_port, jpeg, put

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def servers() -> Iterator[Backends]:
    with backends() as started:
        yield started


@pytest.mark.parametrize("buffered", [True, False])
def test_a_slow_upload_reaches_an_instance_when_all_of_it_is_here(
    servers: Backends, buffered: bool
) -> None:
    member = servers.start()
    with running_front(spec(buffer_uploads=buffered), member) as front:
        host, port = front.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /api/photos/ HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
            )
            client.sendall(b"x" * 100_000)
            if buffered:
                time.sleep(0.5)
                assert member.connections == 0
            else:
                eventually(lambda: member.connections == 1)
            client.sendall(b"x" * 100_000)
            assert b"200 Something" in client.recv(1000)
        assert len(member.requests[0].body) == 200_000


def test_an_upload_goes_to_a_member_of_when_it_is_complete(servers: Backends) -> None:
    before, after = servers.start(), servers.start()
    with running_front(None, before) as front:
        host, port = front.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /api/photos/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
            )
            client.sendall(b"x" * 50_000)
            time.sleep(0.2)
            front.put(after)
            client.sendall(b"x" * 50_000)
            assert after.name.encode() in client.recv(1000)
        assert before.requests == []


def test_each_kind_of_route_has_a_limit_for_each_client(servers: Backends) -> None:
    read, edit, image, upload, share, auth = (RateLimit(0.1, burst) for burst in (5, 4, 3, 2, 1, 0))
    limits = RateLimits(read, edit, image, upload, share, auth)
    fleet = Fleet(
        balancer=Balancer(rate_limits=limits, trusted_hops=("127.0.0.1",)),
    )
    requests = {
        "GET /api/albums": 6,
        "DELETE /api/photos/7": 5,
        "GET /api/photos/7/image": 4,
        "POST /api/photos/presigned-url": 3,
        f"GET /api/share/{TOKEN}": 2,
        "POST /api/auth/login": 1,
        "POST /api/auth/register/": 0,
        "GET /api/auth/me": 0,
        "POST /api/auth/refresh": 0,
        "PATCH /api/albums/7": 0,
        "POST /api/photos/confirm/": 0,
        "POST /api/photos/": 0,
        "GET /api/photos": 0,
        f"GET /api/share/{TOKEN}/photos/7/image": 0,
        "GET /docs": 0,
        "GET /health": 7,
    }
    with running_front(fleet, servers.start()) as front:
        for request, allowed in requests.items():
            answers = statuses(front, request, "198.51.100.7")
            assert answers == [200] * allowed + [429] * (7 - allowed), request
        assert statuses(front, "GET /docs", "198.51.100.8")[0] == 200, "another client"
        # One client has all of an IPv6 network.
        assert statuses(front, "GET /docs", "2001:db8::1")[-1] == 429
        assert statuses(front, "GET /docs", "2001:db8::2:1")[0] == 429
        assert statuses(front, "GET /docs", "2001:db8:0:1::1")[0] == 200
        refused = httpx.get(f"{front.url}/docs", headers={"X-Forwarded-For": "198.51.100.7"})
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["code"] == "too_many_requests"
        assert refused.json()["request_id"] == refused.headers["X-Request-ID"]


def statuses(front: Front, request: str, client: str) -> list[int]:
    headers = {"X-Forwarded-For": client}
    with httpx.Client(base_url=front.url, headers=headers) as asking:
        return [asking.request(*request.split()).status_code for _ in range(7)]


def test_no_log_holds_a_share_token_or_a_signature(servers: Backends) -> None:
    """Whatever way the path is written, and whatever goes wrong."""
    member, store = servers.refusing(), servers.refusing()
    limit = RateLimits(*[RateLimit(1, 3)] * 6)
    fleet = Fleet(
        balancer=Balancer(
            rate_limits=limit, store=f"http://{store.address}", upload_limit=1, connect_timeout=1
        )
    )
    targets = [
        f"/api/share/{TOKEN}",
        f"/api/share/{TOKEN}/photos/1/image",
        f"/share/{TOKEN}",
        f"//api//share/./{TOKEN}",
        f"/api/%73hare%2F{TOKEN}",
        f"/api/albums?token={TOKEN}",
        f"/photos/a.jpg?{SIGNATURE}",
        f"/api/share/{TOKEN}/{'x' * 17_000}",
    ]
    referrer = f"Referer: https://photos/share/{TOKEN}\r\nConnection: close\r\n\r\n"
    with running_front(fleet, member) as front:
        for target in targets * 3:
            for body in ("", "Content-Length: 300000\r\n"):
                raw(front, f"GET {target} HTTP/1.1\r\nHost: photos\r\n{body}{referrer}")
        httpx.get(f"{front.url}/x", headers={"X-Request-ID": "last"})
        front.logged("last")
        assert "/api/share/***/photos/1/image" in front.logs
        assert TOKEN not in front.logs
        assert "0f0f0f0f" not in front.logs  # fewer digits stand in any request id, by chance


def test_health_waits_three_seconds_at_most(servers: Backends) -> None:
    with running_front(None, servers.start(hang)) as front:
        started = time.monotonic()
        assert httpx.get(f"{front.url}/health", timeout=25).status_code == 504
        assert 2.5 < time.monotonic() - started < 20


def test_with_a_certificate_http_leads_to_https(servers: Backends) -> None:
    member = servers.start()
    with short_folder() as folder:
        write_certificate(folder)
        tls = Tls(str(folder / "cert.pem"), str(folder / "key.pem"))
        places = replace(Places.below(folder, free_port()), tls_port=free_port())
        secure = f"https://127.0.0.1:{places.tls_port}"
        with running_front(spec(tls=tls), member, folder=folder, places=places) as front:
            moved = httpx.post(f"{front.url}/api/albums?a=1")
            assert (moved.status_code, moved.headers["Location"]) == (
                308,
                f"{secure}/api/albums?a=1",
            )
            assert httpx.get(f"{front.url}/edge/health").json()["members"] == 1
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            answer = httpx.get(f"{secure}/api/albums", verify=trusting)
            assert answer.json() == {"from": member.name}
            assert member.requests[0].headers["x-forwarded-proto"] == "https"
            trusting.set_ciphers("AES128-SHA")
            trusting.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{secure}/api/albums", verify=trusting)
            plain = httpx.get(f"http://127.0.0.1:{places.tls_port}/api/albums")
            assert (plain.status_code, plain.json()["code"]) == (400, "bad_request")


def test_the_whole_service_behind_it(
    start_service: Callable[..., RunningService], environ: dict[str, str]
) -> None:
    """Also the store: signed URLs lead through nginx."""
    with short_folder() as folder:
        places = Places.below(folder, free_port())
        url = f"http://127.0.0.1:{places.port}"
        service = start_service(S3_PUBLIC_ENDPOINT=url)
        fleet = Fleet(
            balancer=Balancer(
                rate_limits=UNLIMITED,
                store=environ["PHOTO_API_S3_ENDPOINT"],
                bucket=environ["PHOTO_API_S3_BUCKET"],
            )
        )
        address = service.url.removeprefix("http://")
        only = {"id": "boot", "address": address, "instance": "127.0.0.1"}
        with running_front(fleet, only, folder=folder, places=places) as front:
            for page in ("/docs", "/redoc", "/openapi.json", "/docs-assets/swagger-ui.css"):
                assert httpx.get(front.url + page).status_code == 200
            assert httpx.get(f"{front.url}/health").json()["status"] == "healthy"
            use(front)


def use(front: Front) -> None:
    """A direct upload, one through the server, and both read back, all through nginx."""
    with User(front.url) as user:
        data, album = jpeg(), user.album()["id"]
        presigned = user.presign(album, data)
        assert presigned["upload_url"].startswith(f"{front.url}/")
        assert put(presigned, data).is_success
        assert user.confirm(presigned["photo_id"]).status_code == 200
        image = user.api.get(f"/photos/{presigned['photo_id']}/image", follow_redirects=True)
        assert image.content == data
        assert image.headers["X-Content-Type-Options"] == "nosniff"
        uploaded = user.upload(jpeg(), album)
        assert user.api.get(uploaded["url"], follow_redirects=True).is_success
        assert user.api.get("/nothing").json()["code"] == "not_found"


def test_names_of_any_length_and_origins_in_any_spelling(servers: Backends) -> None:
    host = f"{'photographs-' * 4}staging.{'previews-of-branches.' * 4}example.org"
    front_end = f"https://{host}:8443"
    written = [front_end, front_end.upper(), "https://a.example:443"]
    origins = Origins().read([*written, "https://a.example"])
    fleet = replace(spec(server_name=host), service=Service(cors_origins=origins))
    with running_front(fleet, servers.start()) as front:
        for origin in (front_end, "https://a.example"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            answer = httpx.options(f"{front.url}/api/albums", headers=headers)
            assert answer.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("membership", ["lua", "reload"])
def test_front_ends_elsewhere_read_that_no_instance_is_there(
    membership: Literal["lua", "reload"],
) -> None:
    fleet = replace(spec(membership=membership), service=Service(cors_origins=(FRONT_END,)))
    with running_front(fleet) as front:
        answer = httpx.get(f"{front.url}/api/albums", headers={"Origin": FRONT_END})
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
