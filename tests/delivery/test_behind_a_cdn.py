"""The service with a CDN before its store, which is a real nginx that verifies by secure_link."""

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_api.delivery.cdn import CdnKey
from photo_api.delivery.nginx_edge import NginxEdgeSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.storage.credentials import StaticCredentials
from photo_base.whole_file import replace
from tests.service import (
    Service,
    User,
    die_with_parent,
    eventually,
    free_port,
    jpeg,
    put,
    running_service,
)

pytestmark = [
    pytest.mark.needs("nginx"),
    pytest.mark.s3_only("the edge's origin is a bucket here"),
]

KEYS = {"c1": "5a0de7c1b98f4326d7e4f1a03c8b6259", "c2": "e3b70f2d91c845a6b8d2074fe16c39a5"}
SHARE_TTL = 620
CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    map $arg_kid $secret {{ default ""; c1 "{c1}"; c2 "{c2}"; }}
    map $args $stores {{ "~&(?<signed>X-Amz-.*)$" $signed; }}
    server {{
        listen 127.0.0.1:{port};
        location ~ ^/cdn/(?<key>.*)$ {{
            if ($secret = "") {{ return 403; }}
            secure_link $arg_md5,$arg_expires;
            secure_link_md5 "$secure_link_expires$uri $arg_filename $stores $secret";
            if ($secure_link = "") {{ return 403; }}
            if ($secure_link = "0") {{ return 410; }}
            proxy_set_header Host {store};
            proxy_pass http://{store}/{bucket}/$key?$stores;
            proxy_hide_header Content-Disposition;
            add_header Content-Disposition "inline; filename*=UTF-8''$arg_filename";
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Behind:
    """A service behind a CDN."""

    service: Service
    cdn: str
    store: str
    keys_file: Path

    def is_cdn_s(self, url: str) -> bool:
        return url.startswith(f"{self.cdn}/") and not urlsplit(url).path.startswith("/cdn/staging")


@pytest.fixture(scope="module")
def cdn(stack: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("cdn"), free_port()
    store = urlsplit(stack["s3_endpoint"]).netloc
    text = CONFIG.format(folder=folder, port=port, store=store, bucket=stack["bucket"], **KEYS)
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error"]
    with subprocess.Popen(command, preexec_fn=die_with_parent) as nginx:
        url = f"http://127.0.0.1:{port}/cdn"
        eventually(lambda: answers(url))
        yield url
        nginx.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 404
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def behind(
    cdn: str,
    stack: dict[str, Any],
    environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("behind")
    file = folder / "cdn-keys"
    file.write_text(f"c1:{KEYS['c1']}")
    settings = {
        "PHOTO_API_CDN": "nginx",
        "PHOTO_API_CDN_URL": cdn,
        "PHOTO_API_CDN_KEYS_FILE": str(file),
        "PHOTO_API_SHARE_URL_TTL": str(SHARE_TTL),
    }
    with running_service(environ | settings, folder) as service:
        yield Behind(service, cdn, stack["s3_endpoint"], file)


def direct(user: User, data: bytes, store: str) -> dict[str, Any]:
    """A photo by the store's URL, once its renditions are there."""
    presigned = user.presign(user.album()["id"], data, filename="독도 1.jpg")
    assert presigned["upload_url"].startswith(f"{store}/")
    assert put(presigned, data).is_success
    user.confirm(presigned["photo_id"]).raise_for_status()
    return user.rendered(presigned["photo_id"])


def location(answer: httpx.Response) -> str:
    assert answer.status_code == 302
    return answer.headers["Location"]


def test_readers_are_sent_to_the_cdn_and_uploads_to_the_store(behind: Behind) -> None:
    data = jpeg(seed=16)
    with behind.service.new_user() as user:
        photo = direct(user, data, behind.store)
        image = f"/photos/{photo['id']}/image"
        redirect = user.api.get(image, follow_redirects=False)
        album = user.api.post(
            f"/albums/{user.api.get('/albums/').json()[0]['id']}/share"
        ).raise_for_status()
        shared = f"{behind.service.url}/api/share/{album.json()['token']}"
        [seen] = httpx.get(shared).json()["photos"]
        visitors = httpx.get(f"{shared}{image}?size=preview")
        [listed] = user.api.get("/photos/").json()
        urls = [location(redirect), location(visitors)]
        urls += [one[size] for one in (photo, listed, seen) for size in SIZES]
        assert all(behind.is_cdn_s(url) for url in urls)
        fetched = [httpx.get(url) for url in urls]
        assert [one.status_code for one in fetched] == [200] * len(urls)
        assert fetched[0].content == data
        assert fetched[0].headers["Content-Disposition"].endswith("%EB%8F%85%EB%8F%84%201.jpg")
        kept = int(redirect.headers["Cache-Control"].removeprefix("private, max-age="))
        assert kept <= ends(urls[0]) - time.time()

        changed = urls[0].replace("/photos/", "/staging/"), urls[0].replace("kid=c1", "kid=c9")
        assert [httpx.get(url).status_code for url in changed] == [403, 403]

        share = f"/albums/{album.json()['album_id']}/share/{album.json()['id']}"
        user.api.delete(share).raise_for_status()
        assert httpx.get(shared).status_code == 404
        assert httpx.get(f"{shared}{image}").status_code == 404
        assert max(ends(one[size]) for one in (seen,) for size in SIZES) <= time.time() + SHARE_TTL
        user.api.delete(f"/photos/{photo['id']}").raise_for_status()
        assert user.api.get(image, follow_redirects=False).status_code == 404
        assert user.api.get("/photos/").json() == []


SIZES = ("thumbnail_url", "preview_url")


def ends(url: str) -> int:
    return int(httpx.QueryParams(urlsplit(url).query)["expires"])


def test_a_url_is_dead_when_it_was_promised_to_be(behind: Behind, stack: dict[str, Any]) -> None:
    """Signed as so long ago: at the CDN, and for its origin."""
    window, late = 10, SHARE_TTL - 2 * 300
    with behind.service.new_user() as user:
        url = location(user.api.get(image_of(user), follow_redirects=False))
    key = urlsplit(url).path.removeprefix("/cdn/")
    source = StaticCredentials(stack["access_key"], stack["secret_key"])

    def signed(ago: float) -> str:
        place = (behind.store, stack["bucket"], stack["region"])
        origin = S3UrlSigner(*place, source, window, lambda: time.time() - ago)
        first = CdnKey("c1", KEYS["c1"])
        signer = NginxEdgeSigner(
            behind.cdn, lambda: first, origin, window, lambda: time.time() - ago
        )
        return signer.read(key, filename="a.jpg").url

    assert httpx.get(signed(0)).status_code == 200
    assert httpx.get(signed(late)).status_code == 200, "it works on for the clocks' skew"
    dead = signed(SHARE_TTL - 300 + 2)
    assert httpx.get(dead).status_code == 410
    stores = dead.partition("&X-Amz")[2]
    assert httpx.get(f"{behind.store}/{stack['bucket']}/{key}?X-Amz{stores}").status_code == 403


def image_of(user: User) -> str:
    return f"/photos/{user.upload()['id']}/image?size=original"


def test_a_new_key_signs_without_a_restart(behind: Behind) -> None:
    """Within the time in which other secrets do, and the CDN serves both meanwhile."""
    with behind.service.new_user() as user:
        image = image_of(user)

        def url() -> str:
            return location(user.api.get(image, follow_redirects=False))

        before = url()
        assert "kid=c1" in before
        replace(behind.keys_file, f"c2:{KEYS['c2']},c1:{KEYS['c1']}")
        behind.service.process.send_signal(signal.SIGHUP)
        eventually(lambda: "kid=c2" in url(), 30)
        assert [httpx.get(one).status_code for one in (before, url())] == [200, 200]
        seen = behind.service.log + told(behind.service)
        assert not [key for key in KEYS.values() if key in seen]


def told(service: Service) -> str:
    """What operators are told."""
    token = {"Authorization": f"Bearer {service.environ['PHOTO_API_OPS_TOKEN']}"}
    answer = httpx.get(f"{service.url}/health/detailed", headers=token)
    cdn = answer.json()["config"]["cdn"]
    assert (cdn["provider"], cdn["key_ids"]) == ("nginx", ["c2", "c1"])
    return answer.text
