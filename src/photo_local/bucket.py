"""A bucket and its CORS rules, made with a few signed requests."""

import http.client
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from photo_api.cloud.sigv4 import Credentials, sign_request
from photo_api.contract import OF_BYTES_READABLE
from photo_base.origins import ANY, ANY_PORT

TIMEOUT = 5.0
ALREADY_MINE: Final = 409
PROBE: Final = "/embedded-probe"


class StoreRefused(Exception):
    """The store answered, but not with a success."""


class BucketAdmin:
    """What is done once to a bucket, with blocking I/O: call it in a thread."""

    def __init__(
        self, endpoint: str, bucket: str, region: str, access_key: str, secret_key: str
    ) -> None:
        self._endpoint = endpoint
        self._bucket = bucket
        self._region = region
        self._credentials = Credentials(access_key, secret_key)

    def prepare(self, cors_origins: Sequence[str]) -> None:
        """Create the bucket if it is missing, replace its CORS rules, and try it out.

        Raises `OSError` when the store cannot be reached and `StoreRefused`.
        """
        self._send("PUT", "", accepted=(ALREADY_MINE,))
        self._send("PUT", "?cors=", cors_rules(cors_origins).encode())
        # SeaweedFS answers for a while before it finds the volumes that hold the bytes.
        for method in ("PUT", "GET", "DELETE"):
            self._send(method, PROBE, b"probe" if method == "PUT" else b"")

    def _send(
        self, method: str, rest: str, body: bytes = b"", accepted: Sequence[int] = ()
    ) -> None:
        url = f"{self._endpoint}/{self._bucket}{rest}"
        headers = sign_request(method, url, {}, body, self._credentials, self._region, time.time())
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
        try:
            connection.request(method, f"/{self._bucket}{rest}", body, headers)
            answer = connection.getresponse()
            text = answer.read(2000).decode(errors="replace")
        except http.client.HTTPException as error:
            raise StoreRefused(f"broken answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 300 and answer.status not in accepted:
            raise StoreRefused(f"{answer.status} {text}")


def cors_rules(origins: Sequence[str]) -> str:
    """CORS rules: anyone may look (signed URLs decide), only `origins` may upload. Where some of
    them have any port, everybody may who has a signed URL: SeaweedFS knows no such origins."""
    if any(origin.endswith(ANY_PORT) for origin in origins):
        origins = [ANY]
    anyone = _rule(["*"], ["GET", "HEAD"])
    # First and with all methods: SeaweedFS answers a preflight by the first rule whose origin fits.
    known = _rule(origins, ["GET", "HEAD", "PUT"]) if origins else ""
    return f"<CORSConfiguration>{known}{anyone}</CORSConfiguration>"


def _rule(origins: Sequence[str], methods: Sequence[str]) -> str:
    return (
        "<CORSRule>"
        + "".join(f"<AllowedOrigin>{escape(origin)}</AllowedOrigin>" for origin in origins)
        + "".join(f"<AllowedMethod>{method}</AllowedMethod>" for method in methods)
        + "<AllowedHeader>*</AllowedHeader>"
        + "".join(
            f"<ExposeHeader>{header}</ExposeHeader>" for header in ("ETag", *OF_BYTES_READABLE)
        )
        + "<MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>"
    )
