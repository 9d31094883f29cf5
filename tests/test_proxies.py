"""Proxies in the environment: none for this machine, and production says that it uses one."""

import socket
import threading
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from photo_api.cloud.timely import open_within
from photo_base.proxies import proxy_of
from tests.own_stage import own_database
from tests.service import eventually, free_port, jpeg, put, running_service, serving


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_store_on_this_machine_is_reached_without_a_proxy(
    environ: dict[str, str], tmp_path: Path, name: str
) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"  # nobody listens there
    settings = environ | {name: proxy, "NO_PROXY": "elsewhere.example"}
    with running_service(settings, tmp_path) as service, service.new_user() as user:
        assert user.upload()["id"]
        assert "proxy" not in service.log


def test_production_says_that_it_reaches_the_store_through_a_proxy(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    settings = environ | {
        "HTTP_PROXY": f"http://me:s3cr3t-of-mine@{proxy}",
        "PHOTO_API_S3_ENDPOINT": "http://192.0.2.9:8333",
    }
    with own_database(stack, settings) as own, serving(own, tmp_path / "log") as service:
        eventually(lambda: "through the proxy" in service.log, 20)
        assert proxy in service.log
        assert "s3cr3t-of-mine" not in service.log


def test_no_proxy_is_for_copies_too(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    endpoint = environ["PHOTO_API_S3_ENDPOINT"].replace("127.0.0.1", "127.1")  # no library knows it
    proxy = f"http://127.0.0.1:{free_port()}"
    settings = environ | {"PHOTO_API_S3_ENDPOINT": endpoint, "HTTP_PROXY": proxy, "NO_PROXY": "*"}
    with (
        own_database(stack, settings) as own,
        running_service(own, tmp_path) as service,
        service.new_user() as user,
    ):
        data = jpeg()
        presigned = user.presign(user.album()["id"], data)
        put(presigned, data).raise_for_status()
        assert user.confirm(presigned["photo_id"]).status_code == 200


def test_copies_go_through_the_proxy_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        asked: list[bytes] = []

        def answer() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with open_within(Request("http://s3.example.invalid/key"), 20) as opened:
            assert opened.read() == b"ok"
        thread.join()
        assert asked[0].startswith(b"GET http://s3.example.invalid/key HTTP/1.1")


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://s3.example.org", {"HTTPS_PROXY": "http://a:1"}, "http://a:1"),
        ("https://s3.example.org", {"HTTP_PROXY": "http://a:1"}, None),
        ("https://s3.example.org", {"all_proxy": "socks5://u:p@a:1"}, "socks5://u:p@a:1"),
        ("https://s3.example.org", {"all_proxy": "a:1", "NO_PROXY": ".example.org"}, None),
        ("https://s3.example.org", {"all_proxy": "a:1", "NO_PROXY": "other.org,"}, "http://a:1"),
        ("https://s3.example.org", {"all_proxy": "a:1", "NO_PROXY": "*,localhost"}, None),
        ("http://10.1.2.3:8333", {"all_proxy": "a:1", "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://[2001:db8::1]", {"all_proxy": "a:1", "NO_PROXY": "2001:db8::/32"}, None),
        ("http://10.1.2.3:8333", {"all_proxy": "a:1", "NO_PROXY": "0.1.2.3"}, "http://a:1"),
        ("http://[::1]:8333", {"http_proxy": "http://a:1"}, None),
        ("http://127.9.9.9", {"http_proxy": "http://a:1"}, None),
        ("http://localhost:1", {"http_proxy": "http://a:1"}, None),
    ],
)
def test_which_proxy_it_is(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_of(url, environ) == proxy
