"""The service behind a real nginx that passes /api/ and /health through unchanged."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.own_stage import own_database
from tests.service import (
    PASSWORD,
    Service,
    User,
    eventually,
    free_port,
    jpeg,
    put,
    running_service,
)
from tests.test_memory import LARGE, MB, WEB
from tests.test_operations_docs import ROOT, blocks

pytestmark = pytest.mark.needs("nginx")

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream instances {{
        server 127.0.0.1:{service};
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 60m;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_request_buffering {buffering};
        {api}
        location /health {{ proxy_pass http://instances; }}
    }}
}}
"""

API = "location /api/ { proxy_pass http://instances; }"


@contextmanager
def running_nginx(
    service: Service, folder: Path, buffering: str = "on", api: str = API
) -> Iterator[str]:
    """The address of an nginx in front of this service, which has it by the location `api`."""
    folder.mkdir()
    port, upstream = free_port(), service.url.rsplit(":", 1)[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, port=port, service=upstream, buffering=buffering, api=api
        )
    )
    process = subprocess.Popen(
        ["/usr/sbin/nginx", "-e", str(folder / "error.log"), "-c", str(configuration)],
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(process, url), 10)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, "nginx did not start"
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False


def test_an_nginx_that_strips_the_prefix_is_told_by_the_answer(
    service: Service, tmp_path: Path
) -> None:
    """With the location that docs/moving.md shows, and with what it warns of."""
    [shown] = blocks(ROOT / "docs/moving.md", "nginx")
    right = shown.replace("http://photo_api;", "http://instances;")
    wrong = right.replace("http://instances;", "http://instances/;")
    with running_nginx(service, tmp_path / "right", api=right) as url:
        assert httpx.get(f"{url}/api/auth/me").status_code == 401
    with running_nginx(service, tmp_path / "wrong", api=wrong) as url:
        answer = httpx.get(f"{url}/api/auth/me")
    assert answer.status_code == 404
    assert "does a proxy strip /api?" in answer.json()["detail"]


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """With failed logins of its own to count."""
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture(scope="module")
def trusting(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    changed = settings | {"PHOTO_API_TRUSTED_PROXIES": "127.0.0.1"}
    with running_service(changed, tmp_path_factory.mktemp("trusting")) as running:
        yield running


@pytest.fixture(scope="module")
def front(trusting: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_nginx(trusting, tmp_path_factory.mktemp("nginx") / "on") as url:
        yield url


@pytest.fixture(scope="module", params=["on", "off"])
def either_front(
    request: pytest.FixtureRequest, trusting: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """With request buffering (nginx's default) and without."""
    folder = tmp_path_factory.mktemp("nginx") / request.param
    with running_nginx(trusting, folder, request.param) as url:
        yield url


@pytest.fixture
def user(front: str) -> Iterator[User]:
    with User(front) as user:
        yield user


@pytest.mark.parametrize("path", ["/health", "/health/", "/health/live", "/api/health/"])
def test_health_answers_without_a_redirect(front: str, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, front + path)
        assert answer.status_code == 200
        assert answer.headers["X-Instance"]


def test_slashes_at_the_end_make_no_difference_and_no_redirect(user: User) -> None:
    made = [user.api.post(path, json={"name": "A"}) for path in ("/albums", "/albums/")]
    assert [answer.status_code for answer in made] == [201, 201]
    listed = [user.api.get(path) for path in ("/albums", "/albums/", "/albums/?limit=5")]
    assert [answer.status_code for answer in listed] == [200] * 3
    assert listed[0].json() == listed[1].json() == listed[2].json()
    one = f"/albums/{made[0].json()['id']}"
    assert user.api.get(f"{one}/").json() == user.api.get(one).json()


def test_answers_pass_through_as_they_are(user: User, front: str) -> None:
    mine = user.api.get("/albums/", headers={"X-Request-ID": "abc-123"})
    assert mine.headers["X-Request-ID"] == "abc-123"
    unknown = httpx.get(f"{front}/api/nothing/at/all")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert httpx.get(f"{front}/api/auth/me").headers["WWW-Authenticate"] == "Bearer"
    deleted = user.api.request("DELETE", f"/albums/{user.album()['id']}/photos", json={})
    assert deleted.status_code == 422, "a DELETE has a body"


def test_a_photo_s_life_behind_a_proxy(user: User) -> None:
    """Presigned URLs lead past the proxy, to the store."""
    data, album = jpeg(), user.album()["id"]
    presigned = user.presign(album, data)
    assert put(presigned, data).is_success
    assert user.confirm(presigned["photo_id"]).status_code == 200
    photo = user.rendered(presigned["photo_id"])
    redirect = user.api.get(photo["url"])
    assert redirect.status_code == 302
    assert httpx.get(redirect.headers["Location"]).content == data
    assert user.api.delete(f"/photos/{photo['id']}").status_code == 204


def test_a_large_upload(either_front: str) -> None:
    data = jpeg() + bytes(LARGE)
    with User(either_front) as user:
        uploaded = user.upload(data)
        assert uploaded["file_size"] == len(data)
        image = user.api.get(uploaded["url"], follow_redirects=True)
        assert image.content == data


def test_an_upload_that_is_refused_gets_our_answer(either_front: str) -> None:
    """Though it comes while the client still sends."""
    files = {"file": ("a.jpg", bytes(30 * MB), "image/jpeg")}
    refused = httpx.post(f"{either_front}/api/photos/", files=files, data={"album_id": "1"})
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    with User(either_front) as user:
        no_image = user.api.post("/photos/", files=files, data={"album_id": "1"})
        assert (no_image.status_code, no_image.json()["code"]) == (400, "not_an_image")


def login(front: str, email: str, source: str, forwarded: str | None = None) -> int:
    """The status of a wrong login from this address of the loopback network."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source)) as client:
        body = {"email": email, "password": "not " + PASSWORD}
        return client.post(f"{front}/api/auth/login", json=body, headers=headers).status_code


def test_a_trusted_proxy_is_believed_and_its_clients_are_not(front: str) -> None:
    """Failed logins count for the address that nginx saw, not for the one the client claims."""
    email = f"{uuid4().hex}@example.org"
    claims = [f"198.51.100.{n}" for n in range(6)]
    answers = [login(front, email, "127.0.0.5", claim) for claim in claims]
    assert answers == [401] * 5 + [429]
    assert login(front, email, "127.0.0.6") == 401, "another client behind the same proxy"


def test_a_proxy_that_is_not_trusted_is_itself_the_client(
    settings: dict[str, str], tmp_path: Path
) -> None:
    email = f"{uuid4().hex}@example.org"
    untrusting = settings | {"PHOTO_API_TRUSTED_PROXIES": ""}
    with (
        running_service(untrusting, tmp_path, "--no-jobs") as service,
        running_nginx(service, tmp_path / "nginx") as front,
    ):
        answers = [login(front, email, f"127.0.0.{n}") for n in range(5, 11)]
    assert answers == [401] * 5 + [429]


def connections(service: Service) -> set[Any]:
    """The addresses of the clients of the web worker."""
    [worker] = service.children(WEB)
    port = int(service.url.rsplit(":", 1)[1])
    return {
        connection.raddr
        for connection in psutil.Process(worker.pid).net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
    }


def test_connections_to_the_service_are_used_again(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    """By one client after another, and also after errors and refused bodies."""
    service = start_service("--no-jobs")
    with running_nginx(service, tmp_path / "nginx") as front:
        with User(front) as user:
            before = connections(service)
            assert len(before) == 1
            for _ in range(20):
                assert user.api.get("/auth/me").status_code == 200
                assert user.api.post("/albums/", json={}).status_code == 422
                assert httpx.get(f"{front}/api/photos/").status_code == 401
                assert httpx.head(f"{front}/health").status_code == 200
            assert user.api.delete(f"/albums/{user.album()['id']}").status_code == 204
        assert connections(service) == before
