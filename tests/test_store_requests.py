"""What one photo's life costs in requests to the store: the table of docs/storage.md, counted on
both kinds by relays in front of the real ones."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from photo_api.storage.swift_containers import Containers
from tests.documents import rows_under
from tests.openstack.account import on_swift
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.own_stage import (
    ask,
    database_of,
    endpoint_in,
    own_bucket,
    own_database,
    store_at,
    store_of,
)
from tests.service import Service, User, eventually, jpeg, put, running_service
from tests.test_sweep import sweep

PAGE = Path(__file__).parent.parent / "docs/storage.md"
HEAD = "| step | service, on S3 | service, on Swift | clients |"
VIEWS = 10


@dataclass
class Counted:
    """A service whose store is counted: what itself asks, and what its clients do."""

    kind: str
    service: Service
    relays: tuple[FaultyStore, FaultyStore]
    steps: dict[str, tuple[str, str]] = field(default_factory=dict)

    def step(self, name: str) -> None:
        """All that was asked since the last one belongs to this."""
        own, clients = (relay.told() for relay in self.relays)
        self.steps[name] = (own, clients)


@pytest.fixture(params=["s3", pytest.param("swift", marks=pytest.mark.needs("memcached"))])
def counted(
    request: pytest.FixtureRequest, stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> Iterator[Counted]:
    with ExitStack() as running:
        settings = running.enter_context(own_database(stack, environ))
        if request.param == "swift":
            swift = request.getfixturevalue("swift")
            keystone = running.enter_context(in_a_thread(KeystoneV2(swift.sign_in)))
            settings = on_swift(settings, swift, Containers("photos", "staging", ""), keystone)
        settings = own_bucket(stack, settings)
        own, clients = (
            running.enter_context(faulty_store(endpoint_in(settings))) for _ in range(2)
        )
        changed = store_at(settings, own.endpoint)
        changed = {
            name: clients.endpoint if "PUBLIC" in name else value for name, value in changed.items()
        }
        changed["SWEEP_INTERVAL"] = "3600"
        settings |= {f"PHOTO_API_{name}": value for name, value in changed.items()}
        service = running.enter_context(running_service(settings, tmp_path))
        yield Counted(request.param, service, (own, clients))


def test_one_photo_s_life(counted: Counted) -> None:
    with counted.service.new_user() as user:
        live(user, counted)
    column = 1 if counted.kind == "s3" else 2
    written = {row[0]: (row[column], row[3]) for row in rows_under(PAGE, HEAD)}
    assert written == counted.steps, "write down what it costs now, if that is meant"


def live(user: User, counted: Counted) -> None:
    """Upload by URL, be seen and shared, and be deleted."""
    album, data = user.album()["id"], jpeg()
    counted.step("before")
    counted.steps.clear()
    presigned = user.presign(album, data)
    put(presigned, data).raise_for_status()
    counted.step("upload by URL")
    photo_id = presigned["photo_id"]
    user.confirm(photo_id).raise_for_status()
    made = user.rendered(photo_id)
    counted.step("confirmation, thumbnail and preview")
    for _ in range(VIEWS):
        user.api.get(f"/photos/{photo_id}/image", follow_redirects=True).raise_for_status()
    counted.step(f"{VIEWS} views")
    link = user.api.post(f"/albums/{album}/share").json()["token"]
    settings = counted.service.environ
    shown = "SELECT display_key IS NOT NULL FROM photos WHERE id = $1"
    eventually(lambda: ask(settings, shown, photo_id)[0][0], 20)
    counted.step("the file that visitors get, without metadata")
    visitor = httpx.Client(base_url=f"{counted.service.url}/api", follow_redirects=True)
    [seen] = visitor.get(f"/share/{link}").json()["photos"]
    visitor.get(seen["thumbnail_url"]).raise_for_status()
    visitor.get(f"/share/{link}/photos/{photo_id}/image").raise_for_status()
    counted.step("a visitor's view of the album and of the photo")
    assert made["renditions"] == "ready"
    user.api.delete(f"/photos/{photo_id}").raise_for_status()
    user.upload(data)
    eventually(lambda: not ask(settings, "SELECT FROM jobs"), 20)
    counted.step("another, through the server, with thumbnail and preview")
    assert asyncio.run(swept(settings)) == 5
    counted.step("deletion of its five objects")


async def swept(settings: dict[str, str]) -> int:
    """What a sweep deletes to which everything is due."""
    store = store_of(settings)
    async with database_of(settings) as db:
        await db.execute("UPDATE unreferenced_objects SET delete_after = now() - interval '1 s'")
        objects = (await sweep(db, store, 3600)).objects
    await store.aclose()
    return objects
