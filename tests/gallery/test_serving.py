"""The page, what it loads, and what it may load, as a service gives them."""

import gzip
import logging
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from photo_api.accounts.links import INVITATION_PAGE, RESET_PAGE
from photo_api.contract import GALLERY_FILES, GALLERY_VIEWS
from photo_api.gallery.built_files import (
    IMMUTABLE,
    MANIFEST,
    MEDIA_TYPES,
    PAGE,
    SHARE,
    SUMS,
    read_built,
    share_files,
)
from photo_api.gallery.routes import install_gallery
from tests.in_process import Asked, Worker, in_process
from tests.service import Service, User, jpeg, migrate_once

STORE = "https://store.example.org"
CDN = "https://cdn.example.org"
BEHIND_CDN = {
    "CDN": "akamai",
    "CDN_URL": f"{CDN}/photos",
    "CDN_KEYS": "2026-11:5a0de7c1b98f4326d7e4f1a03c8b6259",
}
OUTSIDE: Mapping[str, tuple[dict[str, str], str, str]] = {
    "the store": ({}, f" {STORE}", f" {STORE}"),
    "streamed": ({"DELIVERY": "stream"}, "", f" {STORE}"),
    "a CDN, else the store": (BEHIND_CDN, f" {CDN} {STORE}", f" {CDN} {STORE}"),
    "a CDN, else streamed": (
        {**BEHIND_CDN, "CDN_FALLBACK": "stream"},
        f" {CDN}",
        f" {CDN} {STORE}",
    ),
}
"""Settings, and the origins from which the page may have images, and which it may ask besides."""


@pytest.fixture
async def worker(environ: dict[str, str]) -> AsyncIterator[Worker]:
    migrate_once(environ)
    async with in_process(environ) as worker:
        yield worker


def test_the_views_all_get_the_page_and_nothing_else_does(service: Service) -> None:
    page = httpx.get(f"{service.url}/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for view in (*GALLERY_VIEWS, "/albums/"):
        answer = httpx.get(service.url + view.format(id=7))
        assert (answer.status_code, answer.content) == (200, page.content), view
        assert answer.headers["Cache-Control"] == "no-cache"
    for unknown in ("/albumsx", "/albums/7/8", "/assets/unknown.js", "/.vite/manifest.json"):
        answer = httpx.get(service.url + unknown)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert {RESET_PAGE, INVITATION_PAGE} <= set(GALLERY_VIEWS)


def test_what_the_page_loads_is_kept_for_ever_and_is_small_on_the_way(service: Service) -> None:
    page = httpx.get(f"{service.url}/").text
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(loaded) >= 4
    for path in loaded:
        plain = httpx.get(service.url + path, headers={"Accept-Encoding": "identity"})
        assert plain.status_code == 200
        named = path.startswith("/assets/")
        assert plain.headers["Cache-Control"] == (IMMUTABLE if named else "no-cache")
        again = {"If-None-Match": f'"x", W/{plain.headers["ETag"]}', "Accept-Encoding": "identity"}
        assert httpx.get(service.url + path, headers=again).status_code == 304
        head = httpx.head(service.url + path, headers={"Accept-Encoding": "identity"})
        assert head.headers["Content-Length"] == str(len(plain.content))
        if path.endswith((".js", ".css", ".svg")):
            assert squeezed(service, path, "gzip, br;q=0") < len(plain.content)
            assert squeezed(service, path, "gzip, deflate, br, zstd") < len(plain.content)


def squeezed(service: Service, path: str, accepted: str) -> int:
    """Bytes on the way, where they are what they say."""
    headers = {"Accept-Encoding": accepted}
    with httpx.stream("GET", service.url + path, headers=headers) as answer:
        raw = b"".join(answer.iter_raw())
    coding = "gzip" if "q=0" in accepted else "br"
    assert answer.headers["Content-Encoding"] == coding
    assert "Accept-Encoding" in answer.headers["Vary"].split(", ")
    assert int(answer.headers["Content-Length"]) == len(raw)
    if coding == "gzip":
        assert httpx.get(service.url + path).content == gzip.decompress(raw)
    return len(raw)


def test_the_files_that_browsers_look_for_are_those_that_the_contract_names() -> None:
    built = read_built()
    assert {path for path in built if path.count("/") == 1} == set(GALLERY_FILES)
    for path in share_files(built):
        assert path in built
    assert [path for path in built if built[path].media_type not in MEDIA_TYPES.values()] == []


async def test_without_a_build_or_when_switched_off_there_is_the_api_alone(
    environ: dict[str, str],
) -> None:
    assert install_gallery(FastAPI(), {}) is None
    migrate_once(environ)
    async with in_process(environ | {"PHOTO_API_GALLERY": "off"}) as worker:
        for path in ("/", "/share/abc", "/icon.svg"):
            start, _ = await worker.ask(Asked("GET", path))
            assert (start["status"], dict(start["headers"])[b"content-type"]) == (
                404,
                b"application/json",
            )


@pytest.mark.parametrize("named", OUTSIDE)
@pytest.mark.s3_only("Swift's addresses are of a user of its own")
async def test_the_policy_names_whom_the_page_asks(environ: dict[str, str], named: str) -> None:
    settings, images, asked = OUTSIDE[named]
    migrate_once(environ)
    changed = {"S3_PUBLIC_ENDPOINT": STORE, **settings}
    async with in_process(
        environ | {f"PHOTO_API_{name}": value for name, value in changed.items()}
    ) as worker:
        start, _ = await worker.ask(Asked("GET", "/"))
        shared, _ = await worker.ask(Asked("GET", "/share/unknown"))
    policy = dict(start["headers"])[b"content-security-policy"].decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["img-src"] == f"'self' blob:{images}"
    assert rules["connect-src"] == f"'self'{asked}"
    assert rules["default-src"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    of_shared = dict(shared["headers"])[b"content-security-policy"].decode()
    assert "connect-src" not in of_shared
    assert "default-src 'none'" in of_shared


def test_the_policy_has_where_files_go_and_pictures_are_whatever_the_store(
    service: Service, alice: User
) -> None:
    """Also a Swift's, whose addresses are of a user of its own (tests/test_suites_on_swift.py)."""
    album = alice.album()["id"]
    uploaded = alice.presign(album, jpeg())["upload_url"]
    photo = alice.upload(album_id=album)["id"]
    shown = alice.api.get(f"/photos/{photo}/image").headers["Location"]
    store, images = (f"{url.scheme}://{url.netloc}" for url in map(urlsplit, (uploaded, shown)))
    link = alice.api.post(f"/albums/{album}/share").json()["token"]
    for path, asked in (("/", {store, images}), (f"/share/{link}", set[str]())):
        policy = httpx.get(service.url + path).headers["Content-Security-Policy"]
        rules = {rule.split()[0]: set(rule.split()[1:]) for rule in policy.split(";")}
        assert images in rules["img-src"], path
        assert asked <= rules.get("connect-src", set()), path


async def test_what_browsers_heed_on_https_alone_is_sent_there_alone(
    environ: dict[str, str],
) -> None:
    """On plain HTTP they log an error for it; this machine is as good as https."""
    migrate_once(environ)
    hosts = (b"photos.lan:8000", b"127.0.0.1:8000", b"localhost", b"[::1]:80", b"[")
    asked: list[tuple[tuple[bytes, bytes], ...]] = [((b"host", host),) for host in hosts]
    asked.append(((b"host", b"photos.lan"), (b"x-forwarded-proto", b"https")))
    for public, heeded in (("", asked[1:4] + asked[5:]), ("https://p.example.org", asked)):
        async with in_process(environ | {"PHOTO_API_PUBLIC_URL": public}) as worker:
            found = []
            for headers in asked:
                start, _ = await worker.ask(Asked("GET", "/", headers=headers))
                if b"cross-origin-opener-policy" in dict(start["headers"]):
                    found.append(headers)
        assert found == heeded, public


async def test_requests_of_the_page_are_counted_by_their_routes(worker: Worker) -> None:
    for path in ("/", "/albums/1", "/albums/2", "/share/s3cret", "/share/s3cret/photos/1"):
        await worker.ask(Asked("GET", path))
    assert [line["route"] for line in worker.lines] == [
        *("/", "/albums/{id}", "/albums/{id}", "/share/{token}"),
        "/share/{token}/photos/{photo_id}",
    ]
    assert "s3cret" not in str(worker.lines)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("", None), ("br;q=0.0, gzip;q=1", "gzip"), ("GZIP", "gzip"), ("br, gzip", "br"), ("x", None)],
)
def test_a_client_gets_what_it_can_read(accepted: str, coding: str | None) -> None:
    assert read_built()[PAGE].best(accepted)[1] == coding


def first_script(built: Path) -> Path:
    return min(built.glob("assets/first-*.js"))


def of_another_release(built: Path) -> None:
    """Whole, but with another name for what share pages load."""
    manifest = built / MANIFEST[1:]
    manifest.write_text(manifest.read_text().replace(SHARE, "src/shared.ts"))
    sums = "find . -type f ! -name .sums ! -name .state -exec sha256sum {} + >../sums"
    subprocess.run(["sh", "-c", f"{sums} && mv ../sums .sums"], cwd=built, check=True)


BROKEN: Mapping[str, Callable[[Path], object]] = {
    "nothing has been built": shutil.rmtree,
    "first-": lambda built: first_script(built).unlink(),
    "first-.* is not as it was built": lambda built: first_script(built).write_bytes(b"half of"),
    "manifest.json is not": lambda built: (built / MANIFEST[1:]).unlink(),
    "index.html is not": lambda built: (built / PAGE[1:]).write_bytes(b""),
    "old.js is not": lambda built: (built / "assets/old.js").write_text("of another build"),
    SUMS: lambda built: (built / SUMS).unlink(),
    f"what {SHARE} has become": of_another_release,
}
"""By what the log says of it."""


@pytest.mark.parametrize("said", BROKEN)
def test_what_is_no_whole_build_is_not_served_and_the_log_says_so(
    said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    built = tmp_path / "built"
    shutil.copytree(str(files("photo_api.gallery").joinpath("built")), built)
    assert read_built(built)
    BROKEN[said](built)
    with caplog.at_level(logging.WARNING):
        found = read_built(built)
    assert install_gallery(FastAPI(), found) is None
    assert re.search(f"there is no gallery.*{said}", caplog.text)


def test_who_starts_while_another_build_takes_the_place_gets_one_of_them_whole(
    tmp_path: Path,
) -> None:
    builds = []
    for name in ("one", "other"):
        folder = tmp_path / name
        shutil.copytree(str(files("photo_api.gallery").joinpath("built")), folder)
        builds.append(folder)
    of_other = builds[1] / "assets/other.js"
    of_other.write_text("other")
    with (builds[1] / SUMS).open("a") as sums:
        digest = subprocess.check_output(["sha256sum", "assets/other.js"], cwd=builds[1], text=True)
        sums.write(digest)
    built, ended = tmp_path / "built", threading.Event()
    builds[0].rename(built)

    def replace() -> None:
        """As `scripts/gallery` does, again and again."""
        spare, old = builds[1], tmp_path / "built.old"
        while not ended.wait(0.02):
            built.rename(old)
            spare.rename(built)
            old.rename(spare)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        seen = [len(read_built(built)) for _ in range(20)]
    finally:
        ended.set()
        thread.join()
    assert 0 not in seen
    assert len(set(seen)) <= 2
