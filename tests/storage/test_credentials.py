"""The role's key, from a fake metadata service written against the EC2 user guide ("Use IMDSv2",
"Retrieve security credentials from instance metadata")."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from photo_api.cloud.sigv4 import Credentials
from photo_api.storage import role_credentials as instance_role
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.role_credentials import InstanceRoleCredentials


class FakeMetadata(ThreadingHTTPServer):
    """Gives one key after another, each valid for `lifetime` seconds; `broken` makes it fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lifetime = 3600.0
        self.broken = False
        self.given = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeMetadata

    def do_PUT(self) -> None:
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or not ttl.isdecimal():
            return self._answer(400, "")
        self._answer(200, "the-token")

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") != "the-token":
            return self._answer(401, "")
        if self.server.broken:
            return self._answer(503, "")
        base = "/latest/meta-data/iam/security-credentials/"
        if self.path == base:
            return self._answer(200, "photo-role")
        if self.path == base + "photo-role":
            return self._answer(200, json.dumps(self._key()))
        self._answer(404, "")

    def _key(self) -> dict[str, Any]:
        self.server.given += 1
        expires = datetime.fromtimestamp(time.time() + self.server.lifetime, UTC)
        return {
            "Code": "Success",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": f"ASIA{self.server.given}",
            "SecretAccessKey": "very-secret",
            "Token": "session",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def metadata() -> Iterator[FakeMetadata]:
    with FakeMetadata() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


async def test_the_roles_key_is_fetched(metadata: FakeMetadata) -> None:
    source = InstanceRoleCredentials(metadata.url)
    with pytest.raises(StoreUnavailable):
        source.current()
    async with source:
        found = source.current()
    assert (found.access_key, found.secret_key, found.session_token) == (
        "ASIA1",
        "very-secret",
        "session",
    )
    assert found.expires_at == pytest.approx(time.time() + 3600, abs=3)


async def test_a_key_near_its_end_is_renewed(
    metadata: FakeMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_role, "_RETRY_SECONDS", (0.01, 0.02))
    metadata.lifetime = 200
    async with InstanceRoleCredentials(metadata.url) as source:
        metadata.lifetime = 3600
        await asyncio.sleep(0.5)
        assert source.current().access_key == "ASIA2"


async def test_the_old_key_stays_while_it_is_valid(metadata: FakeMetadata) -> None:
    now = time.time()
    source = InstanceRoleCredentials(metadata.url, clock=lambda: now)
    await source.refresh()
    metadata.broken = True
    with pytest.raises(StoreUnavailable):
        await source.refresh()
    assert source.current().access_key == "ASIA1"
    now += 4000
    with pytest.raises(StoreUnavailable):
        source.current()


async def test_no_metadata_service_fails_fast() -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await InstanceRoleCredentials("http://127.0.0.1:9").refresh()
    assert time.monotonic() - began < 3


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(Credentials("key", "hidden", "hidden-too"))
    source = StaticCredentials("key", "hidden")
    assert source.current() is source.current()
