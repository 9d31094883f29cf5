"""The object store over TLS with an authority of one's own: SeaweedFS itself speaks it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from photo_api.delivery.s3 import S3UrlSigner
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.bucket import Bucket, abort_uploads
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_local.seaweed import BUCKET, REGION, Seaweed
from tests.certificates import Authority
from tests.provisioning.running import check
from tests.service import Service, eventually, free_port, jpeg, put
from tests.storage.test_contract import collect, content, stream

KEYS = ("7a1c9e52b0f84d36", "d05b7c1e94a26f83e1907bd4c58f20a6")
MIB = 1024 * 1024


class TlsSeaweed(Seaweed):
    """Its S3 port speaks TLS as well, on a port of its own."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder, *KEYS)
        self.authority = authority
        self._https = free_port()

    @property
    def tls_endpoint(self) -> str:
        return f"https://127.0.0.1:{self._https}"

    def _prepare_files(self) -> None:
        super()._prepare_files()
        for made, kind in zip(self.authority.server("127.0.0.1"), ("pem", "key"), strict=True):
            (self._root / f"s3.{kind}").write_bytes(made.read_bytes())
            self._account.let_read(self._root / f"s3.{kind}")

    def _command(self) -> list[str]:
        tls = {"port.https": self._https, "cert.file": "s3.pem", "key.file": "s3.key"}
        return [*super()._command(), *(f"-s3.{name}={value}" for name, value in tls.items())]


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsSeaweed]:
    ours = Authority(tmp_path_factory.mktemp("ours"))
    with asyncio.Runner() as runner:
        server = TlsSeaweed(tmp_path_factory.mktemp("seaweed"), ours)
        runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


def opened(endpoint: str, authority: Authority | None) -> S3Store:
    believed = authority.certificate.read_text() if authority else ""
    return S3Store(endpoint, BUCKET, REGION, StaticCredentials(*KEYS), believed)


@pytest.fixture
async def store(weed: TlsSeaweed) -> AsyncIterator[S3Store]:
    made = opened(weed.tls_endpoint, weed.authority)
    yield made
    await made.aclose()


async def test_all_kinds_of_requests(store: S3Store) -> None:
    await store.put("tls/long", stream(6 * MIB), content_type="image/jpeg")
    await store.put_bytes("tls/short", b"short", content_type="image/png")
    assert await store.get("tls/long") == content(6 * MIB)
    opened = await store.open("tls/long", 1, 5)
    assert await collect(opened.chunks) == content(5)[1:]
    await store.copy("tls/short", "tls/copy")
    await store.copy("tls/short", "tls/anew", content_type="image/jpeg")
    assert await store.get("tls/anew") == b"short"
    everything = [info.key async for info in store.list("tls/")]
    assert everything == ["tls/anew", "tls/copy", "tls/long", "tls/short"]
    await store.delete(everything)


def test_parts_are_thrown_away(weed: TlsSeaweed) -> None:
    believed = weed.authority.certificate.read_text()
    bucket = Bucket(weed.tls_endpoint, BUCKET, REGION, StaticCredentials(*KEYS), believed)
    assert abort_uploads(bucket, "tls/none") == 0


async def test_signed_urls(weed: TlsSeaweed, store: S3Store) -> None:
    signer = S3UrlSigner(weed.tls_endpoint, BUCKET, REGION, StaticCredentials(*KEYS), 60)
    await store.put_bytes("tls/signed", b"signed", content_type="image/png")
    url = signer.read("tls/signed", filename="a.png").url
    believing = ssl.create_default_context(cafile=weed.authority.certificate)
    async with httpx.AsyncClient(verify=believing) as browser, httpx.AsyncClient() as other:
        assert (await browser.get(url)).content == b"signed"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await other.get(url)


@pytest.mark.parametrize("wrong", ["another authority", "another name", "none", "no TLS"])
async def test_who_is_not_proven_gets_nothing(
    weed: TlsSeaweed, theirs: Authority, wrong: str
) -> None:
    endpoint, believed = weed.tls_endpoint, weed.authority
    unknown, why = "certificate is refused: UnknownIssuer", "unable to get local issuer certificate"
    if wrong == "another authority":
        made = opened(endpoint, theirs)
    elif wrong == "another name":
        made = opened(endpoint.replace("127.0.0.1", "localhost"), believed)
        unknown, why = "certificate is refused: NotValidForName", "Hostname mismatch"
    elif wrong == "none":
        made = opened(endpoint, None)
    else:
        made = opened(weed.endpoint.replace("http:", "https:"), believed)
        unknown, why = "the store failed", "PUT on bucket"
    with pytest.raises(StoreUnavailable, match=unknown):
        await made.get("tls/x")
    with pytest.raises(StoreUnavailable, match=why):
        await made.copy("tls/x", "tls/y", content_type="image/png")
    await made.aclose()


async def test_a_look_at_the_store_tells_of_its_certificate(
    weed: TlsSeaweed, theirs: Authority, environ: dict[str, str]
) -> None:
    own = {"S3_ENDPOINT": weed.tls_endpoint, "S3_BUCKET": BUCKET, "CORS_ORIGINS": ""}
    own |= {"S3_ACCESS_KEY": KEYS[0], "S3_SECRET_KEY": KEYS[1]}
    believed = await check(environ, {**own, "S3_CA_FILE": str(weed.authority.certificate)})
    assert "its certificate ends in" in believed.one("tls", "wrong"), "in a day, as it was made"
    assert believed.states("signed-url") == ["ok"]
    other = await check(environ, {**own, "S3_CA_FILE": str(theirs.certificate)})
    assert (other.code, other.wrong) == (1, {"tls"})
    assert "S3_CA_FILE" in str(other.findings)
    assert other.states("signed-url") == []


@pytest.mark.slow
def test_a_service(weed: TlsSeaweed, start_service: Callable[..., Service]) -> None:
    """Uploads, renditions and images, by a browser that believes the same authority."""
    service = start_service(
        S3_ENDPOINT=weed.tls_endpoint,
        S3_CA_FILE=str(weed.authority.certificate),
        S3_BUCKET=BUCKET,
        S3_ACCESS_KEY=KEYS[0],
        S3_SECRET_KEY=KEYS[1],
    )
    with service.new_user() as user:
        album = user.album()["id"]
        photo = user.post_photo(jpeg(), album).json()["id"]
        assert user.rendered(photo)["renditions"] == "ready"
        presigned = user.presign(album, jpeg())
        assert presigned["upload_url"].startswith(weed.tls_endpoint)
        believing = ssl.create_default_context(cafile=weed.authority.certificate)
        with pytest.raises(httpx.ConnectError):
            put(presigned, jpeg())
        image = user.api.get(f"/photos/{photo}/image")
        assert httpx.get(image.headers["location"], verify=believing).status_code == 200
    assert "Traceback" not in service.log


@pytest.mark.slow
def test_a_service_says_why_it_does_not_believe_its_store(
    weed: TlsSeaweed, start_service: Callable[..., Service], theirs: Authority
) -> None:
    service = start_service(
        "--no-jobs", S3_ENDPOINT=weed.tls_endpoint, S3_CA_FILE=str(theirs.certificate)
    )
    token = {"Authorization": f"Bearer {service.environ['PHOTO_API_OPS_TOKEN']}"}

    def told() -> str:
        details = httpx.get(f"{service.url}/health/detailed", headers=token).json()
        return str(details["checks"]["storage"].get("error"))

    eventually(lambda: "its certificate is refused: UnknownIssuer" in told(), 20)
