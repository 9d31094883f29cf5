"""A registry in which somebody wrote novels and numbers that are none."""

import json
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from photo_fleet.doctor.looks.registry import RegistryLook, take
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen
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
