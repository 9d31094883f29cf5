"""An S3 bucket's address, and the requests to it that obstore does not have."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException, HTTPResponse, IncompleteRead
from time import time
from types import MappingProxyType
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request
from xml.etree import ElementTree

from photo_api.cloud.sigv4 import quote_path, sign_request
from photo_api.cloud.timely import open_within
from photo_api.storage.base import ObjectChanged, ObjectMissing, StoreRefused, StoreUnavailable
from photo_api.storage.credentials import CredentialSource
from photo_base.proxies import is_loopback

_TIMEOUT, _COPY_TIMEOUT = 5.0, 20.0
_LONGEST_ANSWER = 4 * 1024 * 1024
"""A list of 1,000 uploads has a quarter of it."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket's address, path style, and credentials. `authorities` are certificates in PEM that
    are trusted besides the system's. Each request carries these `headers` too."""

    endpoint: str
    name: str
    region: str
    credentials: CredentialSource
    authorities: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        """Whether nobody can change what is on its way there, whatever a signature leaves out: it
        goes by TLS, or does not leave this machine."""
        parts = urlsplit(self.endpoint)
        return parts.scheme == "https" or is_loopback(parts.hostname or "")


def abort_uploads(bucket: Bucket, key: str) -> int:
    """Throw away the parts of every unfinished multipart upload to `key`; how many there were.

    Blocks up to 5 s a request. Raises `StoreUnavailable`, without the store's message, which for a
    refused signature quotes the signature.
    """
    listing = _send(bucket, "GET", "", f"prefix={quote(key, safe='')}&uploads=")
    try:
        uploads = list(ElementTree.fromstring(listing).iterfind("{*}Upload"))
    except ElementTree.ParseError as error:
        raise StoreUnavailable("the list of uploads is not XML") from error
    ids = [found.findtext("{*}UploadId") for found in uploads if found.findtext("{*}Key") == key]
    for upload_id in ids:
        _send(bucket, "DELETE", f"/{quote_path(key)}", urlencode({"uploadId": upload_id}))
    return len(ids)


def copy_anew(
    bucket: Bucket, source: str, target: str, content_type: str, etag: str | None = None
) -> None:
    """Copy the bytes of an object, `bucket/key`, and nothing else of it (CopyObject, REPLACE; up to
    5 GB); with `etag`, if it still has that.

    Blocks up to 20 s. Raises `ObjectMissing`, `ObjectChanged`, `StoreUnavailable`.
    """
    headers = {
        "Content-Type": content_type,
        "X-Amz-Copy-Source": f"/{quote_path(source)}",
        "X-Amz-Metadata-Directive": "REPLACE",
        "X-Amz-Tagging-Directive": "REPLACE",
    }
    if etag is not None:
        headers["X-Amz-Copy-Source-If-Match"] = f'"{etag}"'
    answer = _send(bucket, "PUT", f"/{quote_path(target)}", "", headers, _COPY_TIMEOUT)
    # A copy that fails after its answer began says so in the body of a 200.
    if code := s3_error_code(answer.decode(errors="replace")):
        raise StoreUnavailable(f"copy: the store failed ({code})")


def _send(
    bucket: Bucket,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout: float = _TIMEOUT,
) -> bytes:
    """The answer's body. Raises `ObjectMissing`, `ObjectChanged`, `StoreUnavailable`."""
    url = f"{bucket.endpoint.rstrip('/')}/{bucket.name}{path}" + (f"?{query}" if query else "")
    key = bucket.credentials.current()
    signed = sign_request(method, url, headers, b"", key, bucket.region, time())
    try:
        try:
            request = Request(url, method=method, headers={**signed, **bucket.headers})
            with open_within(request, timeout, _trusting(bucket.authorities)) as response:
                return _whole(response)
        except HTTPError as error:
            code = s3_error_code(error.read(8192).decode(errors="replace"))
            if error.code == 404 and code != "NoSuchBucket":
                raise ObjectMissing(path) from None
            if error.code == 412:
                raise ObjectChanged(path) from None
            kind = StoreRefused if error.code in (401, 403) else StoreUnavailable
            raise kind(f"{method} on bucket: HTTP {error.code} {code}") from None
    except (OSError, HTTPException) as error:
        raise StoreUnavailable(f"{method} on bucket: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {cause.verify_message}"
    return type(error).__name__


@lru_cache(2)
def _trusting(authorities: str) -> ssl.SSLContext | None:
    """None for the system's authorities alone, or for plain HTTP."""
    if not authorities:
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authorities)
    return context


def _whole(response: HTTPResponse) -> bytes:
    answer = response.read(_LONGEST_ANSWER + 1)
    if len(answer) > _LONGEST_ANSWER:
        raise StoreUnavailable(f"bucket: an answer of over {_LONGEST_ANSWER} bytes")
    if response.length:  # which a read of so many bytes does not tell
        raise IncompleteRead(answer, response.length)
    return answer


def s3_error_code(body: str) -> str:
    """The `<Code>` of an S3 error document, "" if there is none."""
    found = re.search(r"<Code>(\w{1,64})</Code>", body)
    return found[1] if found else ""
