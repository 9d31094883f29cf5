"""The clients of obstore for a bucket."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import obstore.store

from photo_api.cloud.sigv4 import Credentials
from photo_api.storage.bucket import Bucket

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Credential

_CONNECT = timedelta(seconds=2)
_QUICK = timedelta(seconds=2.5)
_SLOW = timedelta(seconds=20)
_RETRIES = 2
"""Of a part of a stream or a page of a list: repeating the whole would be worse, or impossible."""


@dataclass
class Clients:
    """Made while `key` was in force, each when it is first wanted: that takes milliseconds."""

    bucket: Bucket
    key: Credentials

    @cached_property
    def reads(self) -> obstore.store.S3Store:
        return _client(self.bucket, _QUICK)

    @cached_property
    def writes(self) -> obstore.store.S3Store:
        """A store answers a PUT or a copy only when all bytes are on its disks."""
        return _client(self.bucket, _SLOW)

    @cached_property
    def pieces(self) -> obstore.store.S3Store:
        return _client(self.bucket, _SLOW, _RETRIES, signs_payload=not self.bucket.is_private)

    def make(self) -> None:
        """All of them now."""
        _ = self.reads, self.writes, self.pieces


def _client(
    bucket: Bucket, read_timeout: timedelta, retries: int = 0, *, signs_payload: bool = True
) -> obstore.store.S3Store:
    retry: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=3),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(milliseconds=500),
            "base": 2,
        },
    }

    def credential() -> "S3Credential":
        current = bucket.credentials.current()
        expires_at = current.expires_at
        return {
            "access_key_id": current.access_key,
            "secret_access_key": current.secret_key,
            "token": current.session_token,
            "expires_at": None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
        }

    own: ClientConfig = {}
    if bucket.authorities:
        own["root_certificate"] = bucket.authorities
    if bucket.headers:  # which obstore signs
        own["default_headers"] = dict(bucket.headers)
    return obstore.store.S3Store(
        bucket.name,
        # Both names: obstore reads AWS_… variables, and a stray AWS_ENDPOINT_URL_S3 would win.
        config={
            "endpoint": bucket.endpoint,
            "aws_endpoint_url_s3": bucket.endpoint,
            "region": bucket.region,
            "virtual_hosted_style_request": False,
            "skip_signature": False,
            "unsigned_payload": not signs_payload,
        },
        # The total includes the body, which flows as fast as the slowest browser reads it.
        client_options=own
        | {
            "allow_http": True,
            "connect_timeout": _CONNECT,
            "read_timeout": read_timeout,
            "timeout": timedelta(hours=1),
        },
        retry_config=retry,
        credential_provider=credential,
    )
