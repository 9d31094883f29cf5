"""What the service signs is what the rendered edge takes."""

import re
import time
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from photo_api.cloud.sigv4 import Credentials
from photo_api.delivery.base import StoreSigner
from photo_api.delivery.cdn import CdnKey
from photo_api.delivery.nginx_edge import NginxEdgeSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.swift import SwiftUrlSigner
from photo_api.storage.bucket import Bucket
from photo_api.storage.swift_containers import Containers
from photo_api.storage.url_keys import Digest, UrlKeys, UrlKeySource
from photo_fleet.render.nginx_edge import SIGNED
from photo_fleet.spec.edge import EDGE_PATH
from tests.delivery.test_s3 import Changing
from tests.openstack.account import PHOTOS_KEY, STAGING_KEY
from tests.photo_fleet.edge_stage import KEYS, EdgeStage, edge_stage, in_bucket
from tests.storage.conftest import bucket

__all__ = ["bucket"]

WINDOW = 3600


@pytest.fixture(scope="module")
def stage(bucket: Bucket) -> Iterator[EdgeStage]:
    with edge_stage(in_bucket(bucket)) as made:
        yield made


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("kid", KEYS)
def test_an_image_by_the_service_s_url(stage: EdgeStage, bucket: Bucket, kid: str) -> None:
    """By any of the keys, and called as its owner calls it."""
    place = (f"http://{stage.host}", bucket.name, bucket.region)
    origin = S3UrlSigner(*place, bucket.credentials, WINDOW)
    key = CdnKey(kid, KEYS[kid])
    signer = NginxEdgeSigner(f"{stage.front.url}{EDGE_PATH}", lambda: key, origin, WINDOW)
    name, data = stage.object()
    before = stage.fetched
    for called in ("a.jpg", "독도 '1' & 100%;\"x\".jpg", "~._-!*()+,=@.jpg", "가" * 255):
        signed = signer.read(name, filename=called)
        answer = stage.http.get(signed.url)
        assert (answer.status_code, answer.content) == (200, data), called
        shown = signed.url.partition("filename=")[2].partition("&")[0]
        assert answer.headers["Content-Disposition"] == f"inline; filename*=UTF-8''{shown}"
        kept = re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])
        assert kept is None or int(kept[1]) <= _ends(signed.url) - time.time() + 1
        assert stage.http.head(signed.url).status_code == 200
        assert stage.http.get(signed.url.replace(shown, quote("b.jpg"))).status_code == 403
    assert stage.fetched <= before + 2, "one fetch for all names"


def _ends(url: str) -> int:
    return int(urlsplit(url).query.partition("expires=")[2].partition("&")[0])


def swift(digest: Digest) -> StoreSigner:
    keys = UrlKeySource(UrlKeys(PHOTOS_KEY, STAGING_KEY, digest))
    containers = Containers("photos", "staging", "photos")
    return SwiftUrlSigner("http://swift", "/v1/AUTH_x", containers, keys, WINDOW)


def s3(token: str | None) -> StoreSigner:
    source = Changing(Credentials("key", "secret", token, time.time() + 9 * WINDOW))
    return S3UrlSigner("http://s3", "b", "us-east-1", source, WINDOW)


@pytest.mark.parametrize(
    ("kind", "origin"),
    [
        *(("swift", swift(digest)) for digest in ("sha1", "sha256", "sha512")),
        *(("s3", s3(token)) for token in (None, "FwoGZXIvYXdzEBY+/=")),
    ],
)
def test_the_edge_lets_through_what_stores_sign(kind: str, origin: StoreSigner) -> None:
    query = origin.signed_origin("photos/1/a.jpg", 0).partition("?")[2]
    assert re.fullmatch(SIGNED[kind], query)
