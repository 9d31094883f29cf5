"""The database dies for good, and its standby takes its place."""

import asyncio
from signal import SIGKILL

from photo_api.postgres import open_connection
from photo_fleet.drill.faults.outages import database_answers
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.processes import family, send
from photo_fleet.drill.stage.standby import NAME

LOOK = 0.1
LONGEST_CATCHING_UP = 30.0
RELOAD = "SELECT pg_reload_conf()"
STATE = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{NAME}'"


async def promote_standby(scene: Scene, *, seconds: float) -> Fault:
    """All of PostgreSQL is killed, and its synchronous standby promoted after so many seconds."""
    return await promote(scene, "standby-promoted", seconds)


async def promote(scene: Scene, name: str, seconds: float, lag: float | None = None) -> Fault:
    """The same; with `lag` the standby is asynchronous, and has received nothing for so many
    seconds when the primary dies. The embedded keeper starts the old primary again; no address
    leads to it any more, and the standby does not follow it."""
    stage = scene.stage
    standby = await stage.follow()
    if lag is None:
        await stage.as_superuser(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'", RELOAD)
    await _is_followed(scene, "async" if lag is not None else "sync")
    if lag is not None:
        await _unfollow(standby.superuser_url)
        await asyncio.sleep(lag)
    began = scene.now()
    stage.wire.leads_nowhere()
    send(family(stage.database_pid), SIGKILL)
    await _unfollow(standby.superuser_url)
    await asyncio.sleep(max(0.0, began + seconds - scene.now()))
    await _ask(standby.superuser_url, "SELECT pg_promote()")
    stage.wire.through(standby.superuser_url)
    await database_answers(scene)
    return scene.span(name, began)


async def _is_followed(scene: Scene, state: str) -> None:
    async with asyncio.timeout(LONGEST_CATCHING_UP):
        while await _ask(scene.stage.addresses.superuser_url, STATE) != state:
            await asyncio.sleep(LOOK)


async def _unfollow(url: str) -> None:
    await _ask(url, "ALTER SYSTEM SET primary_conninfo = ''")
    await _ask(url, RELOAD)


async def _ask(url: str, statement: str) -> object:
    """The first value of what it gives, as a superuser."""
    connection = await open_connection(url, timeout=10)
    try:
        value: object = await connection.fetchval(statement, timeout=60)
        return value
    finally:
        await connection.close()
