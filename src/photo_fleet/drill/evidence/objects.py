"""What is in the store: the keys of a bucket, listed with requests that are signed here, by the
rules of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API reference."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import httpx

ALGORITHM = "AWS4-HMAC-SHA256"
TIME_BOX = 30.0
MOST_A_PAGE = 1000
EMPTY = hashlib.sha256(b"").hexdigest()


class CannotList(Exception):
    """The store refused."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and a key that may list it."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


async def list_objects(bucket: Bucket, page_size: int = MOST_A_PAGE) -> dict[str, int]:
    """{key: bytes} of all objects. Raises `CannotList`, `httpx.TransportError`."""
    found: dict[str, int] = {}
    token: str | None = None
    async with httpx.AsyncClient(timeout=TIME_BOX) as client:
        while True:
            parameters = {"list-type": "2", "max-keys": str(page_size)}
            if token is not None:
                parameters["continuation-token"] = token
            answer = await client.send(signed_get(bucket, parameters, time.time()))
            if answer.status_code != 200:
                raise CannotList(f"listing {bucket.name} gave {answer.status_code}")
            page, token = _read(answer.content)
            found |= page
            if token is None:
                return found


def signed_get(bucket: Bucket, parameters: Mapping[str, str], now: float) -> httpx.Request:
    """A GET of the bucket itself; `now` in epoch seconds."""
    host, path = urlsplit(bucket.endpoint).netloc, f"/{bucket.name}"
    query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in sorted(parameters.items())
    )
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{bucket.region}/s3/aws4_request"
    headers = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": moment}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    names = ";".join(headers)
    canonical = f"GET\n{path}\n{query}\n{lines}\n{names}\n{EMPTY}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{bucket.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={bucket.access_key}/{scope},SignedHeaders={names},"
        f"Signature={signature}"
    )
    return httpx.Request("GET", f"{bucket.endpoint}{path}?{query}", headers=headers)


def _read(body: bytes) -> tuple[dict[str, int], str | None]:
    """The objects of a page, and how to ask for the next."""
    tree = ElementTree.fromstring(body)
    space = tree.tag.partition("}")[0] + "}" if tree.tag.startswith("{") else ""
    page = {
        item.findtext(f"{space}Key", ""): int(item.findtext(f"{space}Size", "0"))
        for item in tree.iter(f"{space}Contents")
    }
    truncated = tree.findtext(f"{space}IsTruncated") == "true"
    return page, tree.findtext(f"{space}NextContinuationToken") if truncated else None
