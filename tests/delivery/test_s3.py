"""Signed URLs: stable for a while, valid long enough, and held to on the real store."""

import hashlib
import time
from calendar import timegm
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from itertools import pairwise, product
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_api.cloud.sigv4 import Credentials, quote_path
from photo_api.delivery.base import Method, SignedUpload
from photo_api.delivery.disposition import inline_disposition
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.windows import CLOCK_SKEW
from photo_api.storage.base import ObjectMissing
from photo_api.storage.bucket import Bucket
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from tests.storage.test_sigv4 import boto, botocores, credentials
from tests.storage.test_sigv4 import keys as names

WINDOW = 3600
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Changing:
    """Credentials that a test replaces."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def current(self) -> Credentials:
        return self.credentials


def made(clock: Callable[[], float], cache_bytes: int = 1_000_000) -> S3UrlSigner:
    source = StaticCredentials("key", "secret")
    return S3UrlSigner("http://s3.example/", "b", "us-east-1", source, WINDOW, clock, cache_bytes)


def lifetime(url: str) -> tuple[float, float]:
    """First and last moment of a URL, in epoch seconds."""
    query = parse_qs(urlsplit(url).query)
    began = timegm(time.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ"))
    return began, began + int(query["X-Amz-Expires"][0])


@given(st.text("abc/", min_size=1), st.floats(0, 2 * WINDOW))
def test_a_url_works_at_least_a_window_whatever_the_clocks_say(key: str, passed: float) -> None:
    clock = Clock()
    clock.now += passed
    signed = made(clock).read(key, filename="a.jpg")
    began, ends = lifetime(signed.url)
    assert signed.valid_for == WINDOW
    for skew in (-CLOCK_SKEW, 0, CLOCK_SKEW):
        assert began <= clock.now + skew
        assert clock.now + skew + signed.valid_for <= ends


def test_a_url_is_the_same_for_a_window_and_then_changes_once() -> None:
    clock = Clock()
    signer, another = made(clock), made(clock)
    urls = []
    for _ in range(WINDOW):
        urls.append(signer.read("k", filename="a.jpg").url)
        assert another.read("k", filename="a.jpg").url == urls[-1]
        clock.now += 1
    assert len(set(urls)) == 2
    assert sum(one != other for one, other in pairwise(urls)) == 1


def test_urls_of_a_page_do_not_change_together() -> None:
    clock = Clock()
    signer = made(clock)
    before = [signer.read(f"k{n}", filename="a.jpg").url for n in range(100)]
    clock.now += WINDOW / 10
    after = [signer.read(f"k{n}", filename="a.jpg").url for n in range(100)]
    assert 1 <= sum(one != other for one, other in zip(before, after, strict=True)) <= 30


def test_a_clock_that_is_set_back_is_followed() -> None:
    clock = Clock()
    signer = made(clock)
    ahead = signer.read("k", filename="a.jpg").url
    clock.now -= 2 * WINDOW
    assert signer.read("k", filename="a.jpg").url != ahead


def test_the_cache_is_bounded() -> None:
    signer = made(Clock(), cache_bytes=100_000)
    for number in range(100):
        signer.read(f"k{number}", filename="\N{CAMERA}" * 255)
    assert 50_000 < signer.windows.size <= 100_000
    assert signer.read("k99", filename="a.jpg") is signer.read("k99", filename="a.jpg")


def test_a_sessions_url_is_not_promised_longer_than_the_session() -> None:
    clock = Clock()
    source = Changing(Credentials("key", "secret", "token one", NOW + 600))
    signer = S3UrlSigner("http://s3.example", "b", "us-east-1", source, WINDOW, clock)
    first = signer.read("k", filename="a.jpg")
    assert first.valid_for == 600
    assert "X-Amz-Security-Token=token%20one" in first.url
    clock.now += 100
    assert signer.read("k", filename="a.jpg") == type(first)(first.url, 500)
    source.credentials = Credentials("key2", "secret", "token two", NOW + 6 * 3600)
    second = signer.read("k", filename="a.jpg")
    assert second.valid_for == WINDOW
    assert "token%20two" in second.url


@given(
    keys=st.lists(
        st.from_regex(r"photos/[0-9]{1,3}/[0-9a-f]{1,32}\.jpg", fullmatch=True) | names, max_size=2
    ),
    filename=names,
    method=st.sampled_from(["GET", "HEAD"]),
    clocks=st.lists(st.floats(0, 4_000_000_000), min_size=1, max_size=3),
    passwords=st.lists(credentials, min_size=1, max_size=2),
)
@settings(max_examples=40, deadline=None)
def test_urls_are_botocores(
    keys: list[str],
    filename: str,
    method: Method,
    clocks: list[float],
    passwords: list[Credentials],
) -> None:
    """Whatever was signed before, by which key and on which day."""
    clock, source = Clock(), Changing(passwords[0])
    signer = S3UrlSigner("http://s3.example/", "b", "r", source, WINDOW, clock)
    for clock.now, source.credentials in product(clocks, passwords):
        for key in keys:
            url = signer.read(key, filename=filename, method=method).url
            began, ends = lifetime(url)
            query = {
                "response-cache-control": "private, immutable",
                "response-content-disposition": inline_disposition(filename),
                "response-expires": formatdate(ends, usegmt=True),
            }
            expires_in = int(ends - began)
            theirs = AWSRequest(method, f"http://s3.example/b/{quote_path(key)}", params=query)
            by = S3SigV4QueryAuth(boto(source.credentials), "s3", "r", expires=expires_in)
            assert parse_qs(urlsplit(url).query) == parse_qs(
                urlsplit(botocores(by, theirs, int(began)).url).query
            )
            assert url.partition("?")[0] == theirs.url.partition("?")[0]
        if method == "GET":
            urls = [signer.read(key, filename=filename).url for key in keys]
            assert signer.urls([(key, filename) for key in (None, *keys)]) == [None, *urls]


@pytest.mark.parametrize("window", [0, 604_800])
def test_impossible_windows_are_refused(window: int) -> None:
    with pytest.raises(ValueError, match="window"):
        S3UrlSigner("http://s3", "b", "r", StaticCredentials("k", "s"), window)


@pytest.fixture
def signer(bucket: Bucket) -> S3UrlSigner:
    return S3UrlSigner(bucket.endpoint, bucket.name, bucket.region, bucket.credentials, WINDOW)


@pytest.mark.parametrize("name", ["x.jpg", "독도 사진+%20&.jpg"])
async def test_a_read_url_gives_the_bytes_with_their_headers(
    signer: S3UrlSigner, s3: S3Store, prefix: str, name: str
) -> None:
    await s3.put_bytes(prefix + name, b"0123456789", content_type="image/webp")
    url = signer.read(prefix + name, filename='독도 "1"\n.jpg').url
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        part = await client.get(url, headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == "image/webp"
    # Not a max-age, which would count from when the URL is used, not from when it was signed.
    assert answer.headers["cache-control"] == "private, immutable"
    assert parsedate_to_datetime(answer.headers["expires"]).timestamp() == lifetime(url)[1]
    assert answer.headers["content-disposition"] == (
        "inline; filename=\"__ _1_ .jpg\"; filename*=UTF-8''%EB%8F%85%EB%8F%84%20%221%22%20.jpg"
    )
    assert (part.status_code, part.content) == (206, b"234")


async def test_a_url_works_for_its_method_and_key_only(
    signer: S3UrlSigner, s3: S3Store, prefix: str
) -> None:
    await s3.put_bytes(prefix + "x", b"data", content_type="image/webp")
    get = signer.read(prefix + "x", filename="x").url
    head = signer.read(prefix + "x", filename="x", method="HEAD").url
    async with httpx.AsyncClient() as client:
        assert (await client.head(head)).status_code == 200
        assert (await client.get(head)).status_code == 403
        assert (await client.head(get)).status_code == 403
        assert (await client.delete(get)).status_code == 403
        assert (await client.put(get, content=b"other")).status_code == 403
        assert (await client.get(get.replace("/x?", "/y?"))).status_code == 403
    assert await s3.get(prefix + "x") == b"data"


async def test_an_expired_url_is_refused(bucket: Bucket, s3: S3Store, prefix: str) -> None:
    await s3.put_bytes(prefix + "x", b"data", content_type="image/webp")
    past = time.time() - 3 * (WINDOW + CLOCK_SKEW)
    signer = S3UrlSigner(
        bucket.endpoint, bucket.name, bucket.region, bucket.credentials, WINDOW, lambda: past
    )
    async with httpx.AsyncClient() as client:
        url = signer.read(prefix + "x", filename="x").url
        assert (await client.get(url)).status_code == 403
        upload = sign(signer, prefix + "x", sha256=True)
        put = await client.put(upload.url, content=DATA, headers=upload.headers)
        assert put.status_code == 403


DATA = b"the bytes of a photo"


def sign(signer: S3UrlSigner, key: str, *, sha256: bool) -> SignedUpload:
    digest = hashlib.sha256(DATA).digest() if sha256 else None
    return signer.upload(
        key, content_type="image/jpeg", size=len(DATA), sha256=digest, expires_in=600
    )


@pytest.mark.parametrize("sha256", [True, False])
async def test_an_upload_as_declared_is_taken(
    signer: S3UrlSigner, s3: S3Store, prefix: str, sha256: bool
) -> None:
    upload = sign(signer, prefix + "x", sha256=sha256)
    assert not {"host", "content-length"} & {name.lower() for name in upload.headers}
    async with httpx.AsyncClient() as client:
        answer = await client.put(upload.url, content=DATA, headers=upload.headers)
        assert answer.status_code == 200, answer.text
        read = await client.get(signer.read(prefix + "x", filename="x").url)
    assert (read.content, read.headers["content-type"]) == (DATA, "image/jpeg")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (DATA + b"!", {}),
        (DATA[:-1], {}),
        (b"", {}),
        (DATA, {"Content-Type": "text/html"}),
    ],
)
@pytest.mark.parametrize("sha256", [True, False])
async def test_another_size_or_type_is_refused(
    signer: S3UrlSigner,
    s3: S3Store,
    prefix: str,
    content: bytes,
    headers: dict[str, str],
    sha256: bool,
) -> None:
    upload = sign(signer, prefix + "x", sha256=sha256)
    async with httpx.AsyncClient() as client:
        answer = await client.put(upload.url, content=content, headers=upload.headers | headers)
    assert 400 <= answer.status_code < 500
    with pytest.raises(ObjectMissing):
        await s3.head(prefix + "x")


async def test_other_bytes_than_those_hashed_are_refused(
    signer: S3UrlSigner, s3: S3Store, prefix: str
) -> None:
    upload = sign(signer, prefix + "x", sha256=True)
    other = bytes(reversed(DATA))
    async with httpx.AsyncClient() as client:
        wrong = await client.put(upload.url, content=other, headers=upload.headers)
        without = {"Content-Type": "image/jpeg"}
        silent = await client.put(upload.url, content=other, headers=without)
    assert 400 <= wrong.status_code < 500
    assert 400 <= silent.status_code < 500
    with pytest.raises(ObjectMissing):
        await s3.head(prefix + "x")
