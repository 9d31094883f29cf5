"""`make demo` fills a running service with every kind of photograph, through the public API."""

import json
import os
import socket
import subprocess
import sys

import httpx
import pytest

from photo_api_client.api import PhotoApi
from photo_api_client.demo import Summary, Uploaded, report
from tests.service import Service

NOBODY = "http://127.0.0.1:9"
"""No proxy is there: what is on this machine is reached without one."""


def test_the_demo_uploads_and_renders_everything(service: Service) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "photo_api_client.demo", "--url", service.url, "--json"],
        env={**os.environ, "HTTP_PROXY": NOBODY, "ALL_PROXY": NOBODY},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    kinds = {photo["filename"].rsplit(".", 1)[-1] for photo in summary["photos"]}
    assert kinds == {"jpg", "png", "gif", "webp", "heic", "avif"}
    assert {photo["renditions"] for photo in summary["photos"]} == {"ready"}
    assert {photo["way"] for photo in summary["photos"]} == {"presigned", "server"}
    assert httpx.get(summary["picture_url"]).headers["Content-Type"] == "image/webp"
    shared = httpx.get(summary["share_url"]).raise_for_status()
    assert shared.headers["Content-Type"].startswith("text/html"), "what a person can open"
    photos = [Uploaded(**photo) for photo in summary.pop("photos")]
    told = report(Summary(**summary, photos=photos))
    assert f"  Shared   {summary['share_url']}\n" in told
    assert [line.split() for line in told.splitlines()[-3:]] == [
        ["Gallery", f"{service.url}/"],
        ["E-mail", summary["email"]],
        ["Password", summary["password"]],
    ]


def test_without_a_service_it_says_what_to_do() -> None:
    code = (
        "import sys; from photo_api_client import demo; demo.START_SECONDS = 0.5;"
        "sys.argv[1:] = ['--url', 'http://127.0.0.1:9']; demo.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make run" in done.stderr


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_a_service_elsewhere_is_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with PhotoApi("http://192.0.2.9:8000", timeout=1) as api, pytest.raises(httpx.ReadTimeout):
            api.health()
        connection, _ = proxy.accept()
        with connection:
            assert connection.recv(100).startswith(b"GET http://192.0.2.9:8000/health HTTP/1.1")
