"""A registry in which somebody wrote novels and numbers that are none, or has locked a table."""

import json
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from photo_fleet.doctor import drains, restarts
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks import database
from photo_fleet.doctor.looks.database import DatabaseLook
from photo_fleet.doctor.looks.registry import RegistryLook, take
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import NotRead, Seen, Unseen
from photo_fleet.spec.fleet import Fleet
from tests.own_stage import own_database

NOVELS = """
    INSERT INTO instance_events (at, boot_id, instance, event, cause)
    SELECT now(), gen_random_uuid(), 'i' || n, 'started', repeat('eyJ-', 25000)
    FROM generate_series(1, 1000) AS n
"""
INSTANCE = """
    INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state,
        started_at, changed_at, heartbeat_at, load)
    VALUES (gen_random_uuid(), 'odd', 'n', '1', '127.0.0.1', 1, 1, 'ready', now(), now(), now(),
        $1::text::jsonb)
"""
LOADS = [
    '{"cpu_percent": 5, "in_flight": 1%s}' % ("0" * 400),
    '{"cpu_percent": 1%s}' % ("0" * 5000),
    "[" * 4000 + "]" * 4000,
    json.dumps({"memory_bytes": "x" * 20_000}),
    "[]",
    "null",
]


@pytest.fixture
def registry(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    with own_database(stack, environ) as settings:
        yield settings["PHOTO_API_DATABASE_URL"]


async def look(url: str) -> RegistryLook:
    reach = Reach(Fleet(), "f", database=lambda: url)
    return await take(reach, Seen(reach.spec, time.time(), {}))


async def test_what_others_wrote_costs_neither_time_nor_the_rest(registry: str) -> None:
    db = await asyncpg.connect(registry)
    try:
        await db.execute(NOVELS)
        for load in LOADS:
            await db.execute(INSTANCE, load)
    finally:
        await db.close()
    began = time.monotonic()
    seen = await look(registry)
    assert time.monotonic() - began < 10
    assert len(seen.events) == 1000
    assert max(len(one.cause) for one in seen.events) <= 300
    loads = [dict(one.load) for one in seen.instances]
    assert len(loads) == len(LOADS)
    assert [load for load in loads if load] == [{"cpu_percent": 5.0}]


LOOKS = {
    "instance_events": {"events", "starts"},
    "instance_receipts": {"receipts"},
    "balancers": {"balancers"},
    "instances": {"instances"},
}


@pytest.mark.parametrize("table", LOOKS)
async def test_a_lock_on_one_table_leaves_the_others_as_they_are(
    registry: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a VACUUM FULL, a REINDEX or a forgotten session holds it."""
    monkeypatch.setattr(database, "LOCKED", 0.1)
    db = await asyncpg.connect(registry)
    try:
        await db.execute(INSTANCE, "{}")
        await db.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        seen = await look(registry)
    finally:
        await db.close()
    names = ("instances", "events", "receipts", "starts", "balancers")
    unread = {name for name in names if isinstance(getattr(seen, name), NotRead)}
    assert unread == LOOKS[table]
    with pytest.raises(Unseen, match=f"{table}: somebody holds a lock on it for more than") as told:
        len(getattr(seen, next(iter(unread))))
    assert f"to_regclass('{table}')" in told.value.command
    assert table == "instances" or len(seen.instances) == 1


async def test_what_only_needs_other_tables_is_judged(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCKED", 0.1)
    db = await asyncpg.connect(registry)
    try:
        for ending in ("killed", "lost"):
            await db.execute(
                "INSERT INTO instance_receipts (boot_id, instance, version, ending, asked_at)"
                f" VALUES (gen_random_uuid(), 'i', '1', '{ending}', now())"
            )
        await db.execute("BEGIN; LOCK TABLE instance_events, schema_migrations")
        reach = Reach(Fleet(), "f", database=lambda: registry)
        nothing = Seen(reach.spec, time.time(), {})
        looks = {
            RegistryLook: await look(registry),
            DatabaseLook: await database.take(reach, nothing),
        }
    finally:
        await db.close()
    found, unknown = judge(Seen(reach.spec, time.time(), looks), [*drains.RULES, *restarts.RULES])
    assert [one.code for one in found if one.code.startswith("drain")] == ["drain-killed"]
    locked = {one.code for one in unknown if one.reason.startswith("instance_events: somebody")}
    assert {"drain-killed", "worker-deaths", "restart-loop"} <= locked
    assert not locked & {"drain-cut", "drain-long", "flush-short", "never-deregistered"}
    assert "connections-used-up" not in {one.code for one in unknown}
