"""One id of a balancer belongs to one session at a time, on the real registry."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from photo_fleet.balancer import registry, state
from photo_fleet.balancer.registry import Identity
from photo_fleet.balancer.registry_link import RegistryLink
from photo_fleet.balancer.state import open_state
from tests.own_stage import own_database
from tests.photo_fleet.balancers import role_url

ONE = "00000000-0000-0000-0000-000000000001"

WAITING = "SELECT cardinality(pg_blocking_pids($1)) > 0"


@pytest.fixture(scope="module")
def url(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    with own_database(stack, environ) as settings:
        owner = settings["PHOTO_API_DATABASE_URL"]
        yield role_url(owner, stack["superuser_url"], f"balance_{uuid4().hex}")


@pytest.fixture
async def db(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DELETE FROM balancers")
        yield connection
    finally:
        await connection.close()


def identity(number: str = ONE) -> Identity:
    return Identity(number, str(uuid4()), "host")


async def silent(db: Any) -> None:
    """As after 20 s without a heartbeat."""
    await db.execute("UPDATE balancers SET seen_at = now() - interval '21 seconds'")


async def removals(db: Any) -> int:
    found: int = await db.fetchval("SELECT count(*) FROM balancer_removals")
    return found


async def test_of_many_that_start_at_once_exactly_one_holds_the_id(url: str, db: Any) -> None:
    connections = [await asyncpg.connect(url) for _ in range(8)]
    try:
        for _ in range(10):
            await db.execute("DELETE FROM balancers")
            clones = [identity() for _ in connections]
            pairs = zip(connections, clones, strict=True)
            held = await asyncio.gather(*(registry.enlist(c, me, None) for c, me in pairs))
            assert held.count(True) == 1
            pairs = zip(connections, clones, strict=True)
            assert held == [await registry.beat(c, me) for c, me in pairs]
    finally:
        for connection in connections:
            await connection.close()


async def test_who_does_not_hold_the_id_can_neither_acknowledge_nor_prune_nor_leave(
    db: Any,
) -> None:
    holder, clone = identity(), identity()
    assert await registry.enlist(db, holder, None)
    assert not await registry.enlist(db, clone, None)
    boots = [str(uuid4()), str(uuid4())]
    assert not await registry.acknowledge(db, clone, boots)
    assert await removals(db) == 0
    assert await registry.acknowledge(db, holder, boots)
    assert await removals(db) == 2
    await registry.prune(db, clone)
    await registry.leave(db, clone)
    assert await removals(db) == 2
    await registry.prune(db, holder)
    assert await removals(db) == 0
    await registry.leave(db, holder)
    assert not await registry.beat(db, holder)


async def test_an_id_changes_hands_after_a_silence_or_a_proven_end_without_what_was_acknowledged(
    db: Any,
) -> None:
    former, sooner, later = identity(), identity(), identity()
    await registry.enlist(db, former, None)
    await registry.acknowledge(db, former, [str(uuid4())])
    assert await registry.enlist(db, sooner, former.session)
    assert await removals(db) == 0
    await registry.acknowledge(db, sooner, [str(uuid4())])
    assert not await registry.enlist(db, later, former.session)
    await silent(db)
    assert await registry.enlist(db, later, former.session)
    assert await removals(db) == 0
    assert not await registry.acknowledge(db, sooner, [str(uuid4())]), "it woke up too late"
    assert not await registry.enlist(db, sooner, None)


async def test_what_is_acknowledged_while_the_id_changes_hands_does_not_outlive_it(
    url: str, db: Any
) -> None:
    former, newcomer = identity(), identity()
    await registry.enlist(db, former, None)
    other = await asyncpg.connect(url)
    try:
        async with db.transaction():
            assert await registry.acknowledge(db, former, [str(uuid4())])
            taking = asyncio.create_task(registry.enlist(other, newcomer, former.session))
            async with asyncio.timeout(20):
                while not await db.fetchval(WAITING, other.get_server_pid()):
                    await asyncio.sleep(0.02)
        assert await taking
        assert await removals(db) == 0
    finally:
        await other.close()


async def test_a_row_of_the_release_before_is_another_balancer_while_it_is_seen(db: Any) -> None:
    await db.execute("INSERT INTO balancers (id, name) VALUES ($1::uuid, 'host')", ONE)
    assert not await registry.enlist(db, identity(), None)
    await silent(db)
    assert await registry.enlist(db, identity(), None)


async def test_a_balancer_that_lost_its_id_acknowledges_under_another(
    url: str, db: Any, tmp_path: Path
) -> None:
    """It stood still, its clone took the id over; or the row is gone altogether."""
    boots = frozenset({str(uuid4())})
    with open_state(tmp_path, "host") as file:
        link = RegistryLink(lambda: url, file, lambda: None)
        await link.read([])
        former = file.me
        assert await link.acknowledge(boots) == boots
        await silent(db)
        assert await registry.enlist(db, identity(former.id), None)
        assert await removals(db) == 0
        more = boots | {str(uuid4())}
        assert await link.acknowledge(more) == frozenset(), "unknown under which id yet"
        await link.read([])
        assert await link.acknowledge(more) == more
        query = "SELECT count(*) FROM balancer_removals WHERE balancer_id = $1::uuid"
        assert await db.fetchval(query, file.me.id) == 2
        assert file.me.id != former.id
        await db.execute("DELETE FROM balancers")
        assert await link.acknowledge(more | {str(uuid4())}) == frozenset()
        kept = file.me
        await link.read([])
        assert (await link.acknowledge(more), file.me) == (more, kept)
        await link.leave()
        link.drop()


def test_only_the_very_lock_of_the_start_before_proves_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_state(tmp_path / "one", "host") as file:
        file.enlisted()
        first = file.me
    (tmp_path / "copy").mkdir()
    kept = (tmp_path / "one" / "balancer.json").read_bytes()
    (tmp_path / "copy" / "balancer.json").write_bytes(kept)
    with open_state(tmp_path / "copy", "host") as file:
        assert (file.me.id, file.ended) == (first.id, None)
    for _ in range(2):  # a start that never reached the registry forgets nothing
        with open_state(tmp_path / "one", "host") as file:
            assert (file.me.id, file.ended) == (first.id, first.session)
            assert file.me == replace(first, session=file.me.session)
    other_boot = tmp_path / "boot_id"
    other_boot.write_text("another start of a machine\n")
    monkeypatch.setattr(state, "BOOT_ID", other_boot)
    with open_state(tmp_path / "one", "host") as file:
        assert file.ended is None
