"""Why a fleet on one machine could not go on."""

import asyncio
from types import SimpleNamespace
from typing import Any

from photo_fleet.local_fleet.fleet import _failure


async def test_a_part_that_fails_by_a_bug_shows_its_traceback() -> None:
    async def lives() -> None:
        await asyncio.Event().wait()

    async def part() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_with_a_bug())

    embedded: Any = SimpleNamespace(running=SimpleNamespace(wait=lives))
    told = await _failure(embedded, [asyncio.create_task(part())])
    assert "_with_a_bug" in told
    assert "KeyError: 'no such member'" in told


async def _with_a_bug() -> None:
    raise KeyError("no such member")
