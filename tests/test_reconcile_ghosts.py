"""Reconciling where the store's list is behind the store: what is listed and not there."""

import asyncio

import pytest

from photo_api.photos.reconcile import Report, reconcile
from photo_api.storage.swift_containers import Containers
from tests.openstack.account import make_containers, open_account
from tests.openstack.swift import Swift
from tests.own_stage import database_of, own_database
from tests.storage.test_swift import lose

KEY = "photos/1/7/0123456789abcdef0123456789abcdef.jpg"
GHOST = b"bytes that a disk has lost"


@pytest.mark.slow
@pytest.mark.needs("memcached")
def test_an_orphan_that_is_only_listed_is_settled(
    stack: dict[str, str], environ: dict[str, str], swift: Swift
) -> None:
    async def run(settings: dict[str, str], *, repair: bool) -> Report:
        async with database_of(settings) as db, open_account(swift, containers) as (store, _):
            if not repair:
                await store.put_bytes(KEY, GHOST, content_type="image/jpeg")
                lose(swift, GHOST)
            return await reconcile(
                db, store, staged_for=3600.0, repair=repair, adopt=False, force=True, restored=True
            )

    containers: Containers = asyncio.run(make_containers(swift))
    with own_database(stack, environ) as settings:
        found = asyncio.run(run(settings, repair=False))
        assert (found.orphans, found.clean) == ([KEY], False)
        found = asyncio.run(run(settings, repair=True))
        assert (found.orphans, found.vanished, found.quarantined) == ([KEY], [KEY], [])
        assert found.clean
