"""The whole fleet without its database: everybody is silent, and nobody is lost for it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.lifecycle.databases import OwnDatabase, own_postgres
from tests.lifecycle.test_drain import StartService
from tests.own_stage import ask
from tests.service import eventually

OUTAGE = 30
LOST_AFTER = 20


async def _stopped(database: OwnDatabase) -> None:
    await database.stop()
    await asyncio.sleep(OUTAGE)
    await database.start()


async def _hung(database: OwnDatabase) -> None:
    database.signal(signal.SIGSTOP)
    await asyncio.sleep(OUTAGE)
    database.signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("outage", [_stopped, _hung])
async def test_nobody_is_lost_by_30_s_without_the_database(
    tmp_path: Path,
    start_service: StartService,
    outage: Callable[[OwnDatabase], Awaitable[None]],
) -> None:
    async with own_postgres(tmp_path) as database:
        url = database.url()
        fleet = [await asyncio.to_thread(start_service, DATABASE_URL=url) for _ in range(3)]
        settings = fleet[0].environ
        user = await asyncio.to_thread(fleet[0].new_user)
        photo = await asyncio.to_thread(user.upload)
        await outage(database)
        for service in fleet:
            await asyncio.to_thread(
                eventually, lambda url=service.url: httpx.get(f"{url}/health").status_code == 200
            )
        await asyncio.sleep(LOST_AFTER + 10)  # long enough for an instance that judged wrongly
        rows = await asyncio.to_thread(ask, settings, "SELECT state FROM instances")
        assert [row["state"] for row in rows] == ["ready"] * 3
        lost = "SELECT event FROM instance_events WHERE event IN ('lost', 'recovered')"
        assert not await asyncio.to_thread(ask, settings, lost)
        kept = await asyncio.to_thread(user.photo, photo["id"])
        assert kept["id"] == photo["id"]
        for service in fleet:
            assert "process died" not in service.log
            assert await asyncio.to_thread(service.stop) == 0
