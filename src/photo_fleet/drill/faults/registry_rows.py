"""Rows of the registry that are gone or old: a clean-up by hand, a restored backup, a failover to a
standby that lagged. The instances themselves are well all the while."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

WITH_NEXT_BEAT = 15.0
"""Seconds in which instances have written their rows anew: a heartbeat is due every 5.5 s, and may
find the database busy."""

READY = "SELECT jsonb_agg(to_jsonb(i))::text AS rows FROM instances i WHERE state = 'ready'"
DELETED = "DELETE FROM instances WHERE state = 'ready'"
REWOUND = "UPDATE instances SET state = 'starting', cause = NULL WHERE state = 'ready'"
WRONG = """
SELECT was.instance, coalesce(i.state, 'missing') AS state
FROM jsonb_populate_recordset(NULL::instances, $1::text::jsonb) was
LEFT JOIN instances i USING (boot_id) WHERE i.state IS DISTINCT FROM 'ready' ORDER BY was.instance
"""
PUT_BACK = """
INSERT INTO instances SELECT * FROM jsonb_populate_recordset(NULL::instances, $1::text::jsonb)
ON CONFLICT (boot_id) DO UPDATE SET state = 'ready' WHERE instances.state = 'starting'
"""


async def delete_rows(scene: Scene) -> Fault:
    """The rows of all that serve are deleted; ends when the instances have written them anew."""
    return await _spoilt(scene, "registry-delete", DELETED)


async def rewind_rows(scene: Scene) -> Fault:
    """They say `starting` again; ends when they say `ready`."""
    return await _spoilt(scene, "registry-rewind", REWOUND)


async def _spoilt(scene: Scene, name: str, statement: str) -> Fault:
    began = scene.now()
    unkept: tuple[str, ...] = ()

    async def right() -> bool:
        return not await _wrong(scene, rows)

    async with _put_back_at_the_end(scene) as rows:
        await scene.stage.query(statement)
        try:
            await scene.until(right, WITH_NEXT_BEAT)
        except TimeoutError:
            unkept = await _wrong(scene, rows)
    return scene.span(name, began, unkept=unkept)


@asynccontextmanager
async def _put_back_at_the_end(scene: Scene) -> AsyncIterator[str]:
    [[rows]] = await scene.stage.query(READY)
    if not json.loads(rows or "[]"):
        raise LookupError("no instance is ready by its row")
    try:
        yield rows
    finally:
        await scene.stage.query(PUT_BACK, rows)


async def _wrong(scene: Scene, rows: str) -> tuple[str, ...]:
    found = await scene.stage.query(WRONG, rows)
    return tuple(
        f"the row of {row['instance']} is {row['state']} after {WITH_NEXT_BEAT:g} s"
        for row in found
    )
