"""How much of a gallery the edge serves by itself, though no two people have the same URLs."""

import hashlib
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import orjson
import pytest

from photo_api.delivery.cdn import CdnKey
from photo_api.delivery.nginx_edge import NginxEdgeSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.storage.bucket import Bucket
from tests.photo_fleet.edge_stage import KEYS, EdgeStage, edge_stage, in_bucket
from tests.service import eventually
from tests.storage.conftest import bucket

__all__ = ["bucket"]

pytestmark = pytest.mark.needs("nginx")

PHOTOS, PEOPLE, AT_ONCE = 8, 50, 6
PREVIEWS, ORIGINALS = 5, 1
WINDOW = 10
"""Seconds: each person comes a window after the one before."""

BYTES = {"thumbnail": 10_000, "preview": 120_000, "original": 1_500_000}
LEAST_HITS = 0.95


@dataclass(frozen=True)
class Photo:
    keys: dict[str, str]
    digests: dict[str, bytes]


def album(stage: EdgeStage) -> list[Photo]:
    photos = []
    for number in range(PHOTOS):
        keys, digests = {}, {}
        for size, length in BYTES.items():
            kept = f"photos/1/{number}" if size == "original" else f"renditions/1/{number}"
            key = f"{kept}/{size}.webp"
            data = random.Random(key).randbytes(length)
            stage.place.put(key, data, "image/webp")
            keys[size], digests[size] = key, hashlib.sha256(data).digest()
        photos.append(Photo(keys, digests))
    return photos


def signer(stage: EdgeStage, bucket: Bucket, person: int) -> NginxEdgeSigner:
    """The service's own, as many windows later."""

    def clock() -> float:
        return time.time() + person * WINDOW

    origin = S3UrlSigner(
        f"http://{stage.host}", bucket.name, bucket.region, bucket.credentials, WINDOW, clock
    )
    [kid, *_] = KEYS
    key = CdnKey(kid, KEYS[kid])
    return NginxEdgeSigner(f"{stage.front.url}/cdn", lambda: key, origin, WINDOW, clock)


def session(stage: EdgeStage, bucket: Bucket, photos: list[Photo], person: int) -> set[str]:
    """What somebody does with an album: all thumbnails; then pictures in turn from anywhere, and
    one of them in full. Returns the URLs."""
    chance, signs = random.Random(person), signer(stage, bucket, person)
    first = chance.randrange(PHOTOS)
    seen = [photos[(first + step) % PHOTOS] for step in range(PREVIEWS)]
    asked = [(photo, "thumbnail") for photo in photos]
    asked += [(photo, "preview") for photo in seen]
    asked += [(photo, "original") for photo in seen[:ORIGINALS]]
    urls = set()
    with httpx.Client(timeout=30) as browser:
        for photo, size in asked:
            url = signs.read(photo.keys[size], filename=f"{person}.webp").url
            answer = browser.get(url)
            assert answer.status_code == 200, answer.text
            assert hashlib.sha256(answer.content).digest() == photo.digests[size]
            assert answer.headers["Content-Disposition"].endswith(f"''{person}.webp")
            urls.add(url)
    return urls


@pytest.mark.slow
def test_hardly_an_image_of_a_gallery_is_fetched_again(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket)) as stage:
        photos = album(stage)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            urls = list(pool.map(partial(session, stage, bucket, photos), range(PEOPLE)))
        each = PHOTOS + PREVIEWS + ORIGINALS
        assert len(set().union(*urls)) == PEOPLE * each, "no two have a URL in common"

        def found() -> Counter[str]:
            text = Path(stage.front.places.access_log).read_bytes()
            lines = map(orjson.loads, text.splitlines())
            return Counter(line["cache"] for line in lines if line["path"].startswith("/cdn/"))

        eventually(lambda: found().total() == PEOPLE * each)
        told = found()
        ratio = told["HIT"] / told.total()
        assert ratio >= LEAST_HITS, told
        pieces = Counter(
            one.target.partition("?")[0] + one.headers["range"] for one in stage.server.requests
        )
        assert set(pieces.values()) == {1}, "nothing was fetched twice"
