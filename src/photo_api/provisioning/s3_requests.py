"""Requests about an S3 bucket itself, signed."""

import base64
import hashlib
import time

from photo_api.cloud.sigv4 import sign_request
from photo_api.storage.bucket import Bucket, s3_error_code
from photo_api.storage.plain_requests import PlainAnswer, PlainRequests


class BucketRequests:
    """Those to one bucket, by its credentials."""

    def __init__(self, plain: PlainRequests, bucket: Bucket) -> None:
        self.plain = plain
        self.bucket = bucket

    async def ask(self, method: str, rest: str = "", body: bytes = b"") -> PlainAnswer:
        """`rest` is what follows the bucket's name, percent-encoded: a query or a key. Raises
        `StoreUnavailable` when no answer came."""
        bucket = self.bucket
        url = f"{bucket.endpoint.rstrip('/')}/{bucket.name}{rest}"
        # Which S3 wants of documents of rules.
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"Content-MD5": digest} if body else {}
        key = bucket.credentials.current()
        signed = sign_request(method, url, headers, body, key, bucket.region, time.time())
        return await self.plain.ask(method, url, signed, body, timeout=TIMEOUT)


TIMEOUT = 5.0
"""Seconds for each piece of an answer."""


def code_of(answer: PlainAnswer) -> str:
    """S3's name for what went wrong, such as NoSuchBucket; "" without any."""
    return s3_error_code(answer.body[:8192].decode(errors="replace"))


def said(answer: PlainAnswer) -> str:
    """How an answer is told: its status, and S3's name for it."""
    return f"{answer.status} {code_of(answer)}".strip()
