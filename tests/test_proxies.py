"""Proxies in the environment: none for this machine, and production says that it uses one."""

from pathlib import Path

import pytest

from photo_base.proxies import proxy_of
from tests.service import eventually, free_port, running_service, serving


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
    environ: dict[str, str], tmp_path: Path
) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    settings = environ | {
        "HTTP_PROXY": f"http://me:s3cr3t-of-mine@{proxy}",
        "PHOTO_API_S3_ENDPOINT": "http://192.0.2.9:8333",
    }
    with serving(settings, tmp_path / "log") as service:
        eventually(lambda: "through the proxy" in service.log, 20)
        assert proxy in service.log
        assert "s3cr3t-of-mine" not in service.log


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://s3.example.org", {"HTTPS_PROXY": "http://a:1"}, "a:1"),
        ("https://s3.example.org", {"HTTP_PROXY": "http://a:1"}, None),
        ("https://s3.example.org", {"all_proxy": "socks5://u:p@a:1"}, "a:1"),
        ("https://s3.example.org", {"all_proxy": "a:1", "NO_PROXY": ".example.org"}, None),
        ("http://[::1]:8333", {"http_proxy": "http://a:1"}, None),
        ("http://127.9.9.9", {"http_proxy": "http://a:1"}, None),
        ("http://localhost:1", {"http_proxy": "http://a:1"}, None),
    ],
)
def test_which_proxy_it_is(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_of(url, environ) == proxy
