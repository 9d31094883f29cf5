"""Setting up an S3 bucket, and tidying after a failed upload: rare, blocking requests.

Everything here may be repeated. Errors are `StoreUnavailable`, without the store's message, which
for a refused signature quotes the signature.
"""

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.credentials import CredentialSource
from photo_api.storage.sigv4 import quote_path, sign_request

_TIMEOUT = 5.0
_ALREADY_THERE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket's address, path style, and who asks."""

    endpoint: str
    name: str
    region: str
    credentials: CredentialSource


def create_bucket(bucket: Bucket) -> None:
    """Create the bucket unless it is there."""
    body = b""
    if bucket.region != "us-east-1":
        body = (
            "<CreateBucketConfiguration><LocationConstraint>"
            f"{escape(bucket.region)}</LocationConstraint></CreateBucketConfiguration>"
        ).encode()
    _send(bucket, "PUT", body=body, accept=_ALREADY_THERE)


def put_bucket_cors(bucket: Bucket, upload_origins: Sequence[str]) -> None:
    """Let browsers read from any origin (a redirect's is `null`) and PUT from `upload_origins`."""
    rules = [_cors_rule(["*"], ["GET", "HEAD"])]
    if upload_origins:
        rules.append(_cors_rule(upload_origins, ["PUT"]))
    _send(
        bucket, "PUT", "cors=", f"<CORSConfiguration>{''.join(rules)}</CORSConfiguration>".encode()
    )


def abort_uploads(bucket: Bucket, key: str) -> int:
    """Throw away the parts of every unfinished multipart upload to `key`; how many there were."""
    listing = _send(bucket, "GET", f"prefix={quote(key, safe='')}&uploads=")
    aborted = 0
    for upload in ElementTree.fromstring(listing).iterfind("{*}Upload"):
        upload_id = upload.findtext("{*}UploadId")
        if upload.findtext("{*}Key") == key and upload_id:
            path = f"/{quote_path(key)}"
            _send(bucket, "DELETE", urlencode({"uploadId": upload_id}), path=path)
            aborted += 1
    return aborted


def _cors_rule(origins: Sequence[str], methods: Sequence[str]) -> str:
    return (
        "<CORSRule>"
        + "".join(f"<AllowedOrigin>{escape(origin)}</AllowedOrigin>" for origin in origins)
        + "".join(f"<AllowedMethod>{method}</AllowedMethod>" for method in methods)
        + "<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
        + "<ExposeHeader>Content-Length</ExposeHeader><MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule>"
    )


def _send(
    bucket: Bucket,
    method: str,
    query: str = "",
    body: bytes = b"",
    *,
    path: str = "",
    accept: frozenset[str] = frozenset(),
) -> bytes:
    """The answer's body; an S3 error code among `accept` counts as success."""
    url = f"{bucket.endpoint.rstrip('/')}/{bucket.name}{path}" + (f"?{query}" if query else "")
    headers = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()} if body else {}
    signed = sign_request(
        method, url, headers, body, bucket.credentials.current(), bucket.region, time()
    )
    request = Request(url, data=body or None, method=method, headers=signed)
    try:
        with urlopen(request, timeout=_TIMEOUT) as response:
            answer: bytes = response.read()
            return answer
    except HTTPError as error:
        code = s3_error_code(error.read(8192).decode(errors="replace"))
        if code in accept:
            return b""
        raise StoreUnavailable(f"{method} on bucket: HTTP {error.code} {code}") from None
    except OSError as error:
        raise StoreUnavailable(f"{method} on bucket: {type(error).__name__}") from error


def s3_error_code(body: str) -> str:
    """The `<Code>` of an S3 error document, "" if there is none."""
    found = re.search(r"<Code>(\w{1,64})</Code>", body)
    return found[1] if found else ""
