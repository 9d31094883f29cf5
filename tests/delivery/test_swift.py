"""Swift's temporary URLs: by the vectors of its manual, stable for a while, and held to on a real
Swift."""

import hashlib
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from photo_api.delivery.swift import SwiftUrlSigner, signature
from photo_api.delivery.windows import CLOCK_SKEW, window_within
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_opening import allowed_digests
from photo_api.storage.url_keys import Digest, UrlKeys, UrlKeySource
from tests.delivery.test_s3 import Clock
from tests.openstack.account import PHOTOS_KEY, STAGING_KEY, make_containers, open_account, prepare
from tests.openstack.swift import Swift, ask
from tests.storage.test_contract import MIB, content, stream

WINDOW = 3600
ANOTHER = "0123456789abcdef0123456789abcdef"
PATH, EXPIRES = "/v1/AUTH_account/container/object", 1512508563

on_swift = pytest.mark.needs("memcached")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", PATH, "732fcac368abb10c78a4cbe95c3fab7f311584532bf779abd5074e13cbe8b88b"),
        ("PUT", PATH, "2d023650a21d78dc586cae7a2e884ca0aaae2238d4090d7ac22f6928337214bd"),
        (
            "GET",
            "prefix:/v1/AUTH_account/container/pre",
            "32f398a48a1a8ca6f2711efcca444100723360239733c6e7b31d868f62f66b47",
        ),
    ],
)
def test_signatures_are_those_of_the_manual(method: str, path: str, expected: str) -> None:
    assert signature(method, EXPIRES, path, "mykey") == expected


def made(
    clock: Callable[[], float] = time.time, keys: UrlKeySource | None = None
) -> SwiftUrlSigner:
    containers = Containers("photos", "staging", "segments")
    source = keys or UrlKeySource(UrlKeys(PHOTOS_KEY, STAGING_KEY))
    return SwiftUrlSigner(
        "http://swift.example/", "/v1/AUTH_x", containers, source, WINDOW, clock, 1_000_000
    )


def expiry(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["temp_url_expires"][0])


@pytest.mark.parametrize("passed", [0, 1, 1800, 3599, 3600, 5000])
def test_a_url_works_at_least_a_window_whatever_the_clocks_say(passed: int) -> None:
    clock = Clock()
    clock.now += passed
    signed = made(clock).read("photos/k", filename="a.jpg")
    assert signed.valid_for == WINDOW
    assert clock.now + CLOCK_SKEW + WINDOW <= expiry(signed.url)


def test_no_url_works_for_longer_than_visitors_may() -> None:
    ttl, clock = 3600, Clock()
    window = window_within(ttl)
    keys = UrlKeySource(UrlKeys(PHOTOS_KEY, STAGING_KEY))
    containers = Containers("photos", "staging", "segments")
    signer = SwiftUrlSigner("http://s", "/v1/AUTH_x", containers, keys, window, clock)
    for _ in range(2 * window):
        clock.now += 1
        assert expiry(signer.read("photos/k", filename="a.jpg").url) <= clock.now + ttl


def test_a_url_is_the_same_for_a_window_also_for_head() -> None:
    clock = Clock()
    signer, another = made(clock), made(clock)
    urls = set()
    for _ in range(WINDOW):
        url = signer.read("photos/k", filename="a.jpg").url
        assert another.read("photos/k", filename="a.jpg", method="HEAD").url == url
        urls.add(url)
        clock.now += 1
    assert len(urls) == 2


def test_a_new_key_signs_at_once() -> None:
    keys = UrlKeySource(UrlKeys(PHOTOS_KEY, STAGING_KEY))
    signer = made(Clock(), keys)
    before = signer.read("photos/k", filename="a.jpg").url
    keys.use(PHOTOS_KEY, STAGING_KEY)
    assert signer.read("photos/k", filename="a.jpg").url is before
    keys.use(ANOTHER, STAGING_KEY)
    assert signer.read("photos/k", filename="a.jpg").url != before
    keys.use_digest("sha512")
    assert "temp_url_sig=sha512%3A" in signer.read("photos/k", filename="a.jpg").url


def test_no_key_is_shown() -> None:
    keys = UrlKeys(PHOTOS_KEY, STAGING_KEY)
    assert PHOTOS_KEY not in repr(keys)
    assert STAGING_KEY not in repr(keys)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (b'{"tempurl": {"allowed_digests": ["sha1", "sha256"]}}', ["sha1", "sha256"]),
        (b'{"tempurl": {"methods": ["GET"]}}', []),
        (b'{"tempurl": {"allowed_digests": [1, null]}}', []),
        (b"{}", []),
        (b"[]", []),
        (b"", []),
        (b"<html>", []),
    ],
)
def test_digests_of_an_info(info: bytes, expected: list[str]) -> None:
    assert allowed_digests(info) == expected


def signer_of(
    swift: Swift,
    containers: Containers,
    keys: UrlKeySource | None = None,
    clock: Callable[[], float] = time.time,
) -> SwiftUrlSigner:
    _, url = swift.sign_in()
    source = keys or UrlKeySource(UrlKeys(PHOTOS_KEY, STAGING_KEY))
    return SwiftUrlSigner(swift.url, urlsplit(url).path, containers, source, WINDOW, clock)


@on_swift
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("name", ["x.jpg", "독도 사진+%20&.jpg"])
async def test_a_read_url_gives_the_bytes_with_their_headers(
    swift: Swift, containers: Containers, prefix: str, name: str, digest: Digest
) -> None:
    keys = UrlKeySource(UrlKeys(PHOTOS_KEY, STAGING_KEY, digest))
    async with open_account(swift, containers) as (store, _):
        await store.put_bytes(prefix + name, b"0123456789", content_type="image/webp")
    url = signer_of(swift, containers, keys).read(prefix + name, filename='독도 "1"\n.jpg').url
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        part = await client.get(url, headers={"Range": "bytes=2-4"})
        head = await client.head(url)
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["content-disposition"].startswith("inline; filename=")
    assert "filename*=UTF-8''%EB%8F%85%EB%8F%84%20%221%22" in answer.headers["content-disposition"]
    assert "\n" not in answer.headers["content-disposition"]
    assert answer.headers["expires"]
    assert (part.status_code, part.content) == (206, b"234")
    assert (head.status_code, head.headers["content-length"]) == (200, "10")


@on_swift
async def test_a_large_object_is_read_by_its_url(swift: Swift, prefix: str) -> None:
    """A URL opens one container: what a large object consists of must be there too."""
    containers, size = await make_containers(swift), 6 * MIB
    async with open_account(swift, containers, segment_size=MIB, largest=size) as (store, _):
        await store.put(prefix + "x", stream(size), content_type="image/webp")
        assert (await store.head(prefix + "x")).size == size
    url = signer_of(swift, containers).read(prefix + "x", filename="x").url
    whole, part = httpx.get(url), httpx.get(url, headers={"Range": f"bytes={MIB - 1}-{MIB}"})
    assert (whole.status_code, whole.content) == (200, content(size))
    assert (part.status_code, part.content) == (206, content(size)[MIB - 1 : MIB + 1])


@on_swift
async def test_a_url_works_for_its_method_and_key_only(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    async with open_account(swift, containers) as (store, _):
        await store.put_bytes(prefix + "x", b"data", content_type="image/webp")
        await store.put_bytes(prefix + "y", b"data", content_type="image/webp")
        url = signer_of(swift, containers).read(prefix + "x", filename="x").url
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 200
            assert (await client.get(url.replace("/x?", "/y?"))).status_code == 401
            assert (await client.get(url.partition("?")[0])).status_code == 401
            assert (await client.put(url, content=b"other")).status_code == 401
            assert (await client.post(url, headers={"X-Delete-After": "1"})).status_code == 401
            assert (await client.delete(url)).status_code == 401
            container = urlsplit(url)._replace(path=urlsplit(url).path.partition("/test-")[0])
            assert (await client.get(container.geturl())).status_code == 401
        assert await store.get(prefix + "x") == b"data"


@on_swift
async def test_an_expired_url_is_refused(swift: Swift, containers: Containers, prefix: str) -> None:
    async with open_account(swift, containers) as (store, _):
        await store.put_bytes(prefix + "x", b"data", content_type="image/webp")
    past = signer_of(swift, containers, clock=lambda: time.time() - 3 * (WINDOW + CLOCK_SKEW))
    async with httpx.AsyncClient() as client:
        url = past.read(prefix + "x", filename="x").url
        assert (await client.get(url)).status_code == 401
        upload = past.upload(
            f"staging/{prefix}x", content_type="image/webp", size=4, sha256=None, expires_in=600
        )
        assert (await client.put(upload.url, content=b"data")).status_code == 401


DATA = b"the bytes of a photo"


def upload_url(signer: SwiftUrlSigner, key: str) -> tuple[str, dict[str, str]]:
    signed = signer.upload(
        key,
        content_type="image/jpeg",
        size=len(DATA),
        sha256=hashlib.sha256(DATA).digest(),
        expires_in=600,
    )
    return signed.url, signed.headers


@on_swift
async def test_an_upload_url_puts_its_key_and_does_nothing_else(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    key = f"staging/{prefix}x"
    url, headers = upload_url(signer_of(swift, containers), key)
    assert not {"host", "content-length"} & {name.lower() for name in headers}
    async with httpx.AsyncClient() as client:
        assert (await client.put(url, content=DATA, headers=headers)).status_code == 201
        assert (await client.get(url)).status_code == 401
        assert (await client.head(url)).status_code == 200  # which Swift allows who may write
        assert (await client.delete(url)).status_code == 401
        other = url.replace("/x?", "/y?")
        assert (await client.put(other, content=DATA, headers=headers)).status_code == 401
        photos = url.replace(containers.staging, containers.photos)
        assert (await client.put(photos, content=DATA, headers=headers)).status_code == 401
    async with open_account(swift, containers) as (store, _):
        assert await store.get(key) == DATA


@on_swift
async def test_the_key_of_what_is_staged_opens_no_photo(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    async with open_account(swift, containers) as (store, _):
        await store.put_bytes(prefix + "x", b"data", content_type="image/webp")
    stolen = UrlKeySource(UrlKeys(STAGING_KEY, PHOTOS_KEY))
    async with httpx.AsyncClient() as client:
        signer = signer_of(swift, containers, stolen)
        assert (await client.get(signer.read(prefix + "x", filename="x").url)).status_code == 401
        url, headers = upload_url(signer, f"staging/{prefix}x")
        assert (await client.put(url, content=DATA, headers=headers)).status_code == 401


@on_swift
async def test_a_key_is_replaced_without_a_refused_upload(swift: Swift) -> None:
    """At each step what the key before has signed works still: instances change one by one."""
    containers = await make_containers(swift)
    old, new = (UrlKeySource(UrlKeys(PHOTOS_KEY, key)) for key in (STAGING_KEY, ANOTHER))

    async def takes(keys: UrlKeySource) -> bool:
        url, headers = upload_url(signer_of(swift, containers, keys), f"staging/{uuid4().hex}")
        async with httpx.AsyncClient() as client:
            return (await client.put(url, content=DATA, headers=headers)).status_code == 201

    assert (await takes(old), await takes(new)) == (True, False)
    await prepare(swift, containers.staging, STAGING_KEY, ANOTHER)
    assert (await takes(old), await takes(new)) == (True, True)
    await prepare(swift, containers.staging, ANOTHER, STAGING_KEY)
    assert (await takes(old), await takes(new)) == (True, True)
    await prepare(swift, containers.staging, ANOTHER)
    assert (await takes(old), await takes(new)) == (False, True)


@on_swift
async def test_browsers_of_other_origins_may_ask(
    swift: Swift, containers: Containers, prefix: str
) -> None:
    origin = {"Origin": "https://front.example.org"}
    url, headers = upload_url(signer_of(swift, containers), f"staging/{prefix}x")
    asked = {
        **origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    async with httpx.AsyncClient() as client:
        preflight = await client.options(url, headers=asked)
        assert preflight.status_code == 200
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        put = await client.put(url, content=DATA, headers={**headers, **origin})
        assert put.headers["access-control-allow-origin"]


@on_swift
def test_the_stage_names_its_digests(swift: Swift) -> None:
    info = ask("GET", f"{swift.url}/info").body
    assert set(allowed_digests(info)) == {"sha1", "sha256", "sha512"}
