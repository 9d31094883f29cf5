"""Bytes that reach staging when nobody waits for them any more are listed, and then swept."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from photo_api.db.pool import Database
from photo_api.maintenance import Maintenance
from photo_api.photos import late_uploads
from photo_api.photos.late_uploads import leave_to_sweep
from photo_api.registry import leases
from photo_api.settings.loading import load
from photo_api.storage.base import ObjectStore, StoreUnavailable
from tests.own_stage import at_work, own_bucket, own_database, reached_at, store_of
from tests.service import User, jpeg, put
from tests.test_sweep import exists, let_time_pass, sweep, uploaded


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, own_bucket(stack, environ)) as settings:
        yield settings


class SlowPut:
    """A PUT to an upload URL that stands still after its first half."""

    def __init__(self, presigned: dict[str, Any], data: bytes) -> None:
        url = urlsplit(presigned["upload_url"])
        headers = presigned["upload_headers"] | {
            "Host": url.netloc,
            "Content-Length": len(data),
            "Connection": "close",
        }
        head = [
            f"PUT {url.path}?{url.query} HTTP/1.1",
            *map("{0[0]}: {0[1]}".format, headers.items()),
        ]
        half = len(data) // 2
        self._rest = data[half:]
        self._socket = socket.create_connection((url.hostname or "", url.port or 80), 30)
        self._socket.sendall("\r\n".join([*head, "\r\n"]).encode() + data[:half])

    def finish(self) -> int:
        """Send the rest; the answer's status."""
        with self._socket as connection:
            connection.sendall(self._rest)
            return int(connection.makefile("rb").readline().split()[1])


async def noted(db: Database, store: ObjectStore, age: float) -> int:
    lease = await leases.acquire(db, f"late-{uuid4().hex}", "tests", 60)
    assert lease is not None
    return await leave_to_sweep(db, store, age, lease)


@pytest.mark.s3_only("a PUT on Swift is as old as its begin: what was deleted since stays deleted")
async def test_a_put_that_outlived_its_upload_is_swept(
    settings: dict[str, str],
    user: User,
    db: Database,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sweep has deleted and forgotten its key when its bytes come."""
    data = jpeg()
    presigned = user.presign(user.album()["id"], data)
    key, slow = presigned["object_key"], SlowPut(presigned, data)
    await let_time_pass(db)
    assert (await sweep(db, store, 3600)).uploads == 1
    assert slow.finish() in (200, 201)
    await sweep(db, store, 3600)
    assert await exists(store, key), "no row knows it"
    assert await noted(db, store, 60) == 0, "it is young: somebody may wait for it"

    monkeypatch.setattr(late_uploads, "MARGIN", -1_000_000)
    maintenance = Maintenance(db, store, 0.2, load(settings).uploads, "tests")
    async with at_work(maintenance.run()), asyncio.timeout(20):
        while await exists(store, key):
            await asyncio.sleep(0.05)


@pytest.mark.s3_only("a temporary URL of Swift binds no size; confirming refuses it")
async def test_a_put_of_more_bytes_than_declared_leaves_nothing(
    user: User, store: ObjectStore
) -> None:
    """However its length is told, or not told."""
    data = jpeg()
    presigned = user.presign(user.album()["id"], data)
    assert put(presigned, data + b"more").status_code == 403
    for headers in ({}, {"Content-Length": str(len(data))}):
        answer = httpx.put(
            presigned["upload_url"],
            content=iter([data, b"more"]),
            headers=presigned["upload_headers"] | {"Transfer-Encoding": "chunked"} | headers,
        )
        assert answer.status_code == 403
    assert not await exists(store, presigned["object_key"])


async def test_bytes_that_somebody_may_wait_for_are_left_alone(
    user: User, db: Database, store: ObjectStore
) -> None:
    """Those of a pending upload, however old; and those that the sweep knows keep their time."""
    waiting, confirmed = [uploaded(user, jpeg()) for _ in range(2)]
    assert user.confirm(confirmed["photo_id"]).status_code == 200
    await db.execute(
        "DELETE FROM unreferenced_objects WHERE object_key = $1", waiting["object_key"]
    )
    assert await noted(db, store, -60) == 0
    await sweep(db, store, 3600)
    assert await exists(store, waiting["object_key"])
    assert await exists(store, confirmed["object_key"])
    assert user.confirm(waiting["photo_id"]).status_code == 200
    assert await noted(db, store, -60) == 1, "now nobody waits for it"


async def test_a_store_that_does_not_answer_is_asked_again(
    settings: dict[str, str], db: Database
) -> None:
    before = await db.fetch("SELECT * FROM unreferenced_objects ORDER BY object_key")
    down = store_of(reached_at(settings, "http://127.0.0.1:9"))
    with pytest.raises(StoreUnavailable):
        await noted(db, down, -60)
    assert await db.fetch("SELECT * FROM unreferenced_objects ORDER BY object_key") == before


async def test_who_has_lost_the_lease_notes_nothing(db: Database, store: ObjectStore) -> None:
    key = f"staging/1/1/{uuid4().hex}"
    await store.put_bytes(key, b"x", content_type="image/jpeg")
    assert await leave_to_sweep(db, store, -60, leases.Lease("nobody's", 1)) == 0
    assert await noted(db, store, -60) == 1
