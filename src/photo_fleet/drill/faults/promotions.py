"""The database dies for good, and its standby takes its place."""

import asyncio
from dataclasses import replace
from signal import SIGKILL
from urllib.parse import urlsplit, urlunsplit

from photo_base.processes import send
from photo_fleet.drill.faults.outages import database_answers
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.process_tree import family
from photo_fleet.drill.stage.stage import rows_of
from photo_fleet.drill.stage.standby import NAME

LONGEST_CATCHING_UP = 30.0
RELOAD = "SELECT pg_reload_conf()"
SKIP_IDS = """
SELECT count(setval(format('%I.%I', schemaname, sequencename), coalesce(last_value, 0) + 10000))
FROM pg_sequences WHERE schemaname = 'public'
"""
"""What the guide to restoring says before a database that lacks something takes writes: an id that
it does not know may be in somebody's link or token."""

STATE = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{NAME}'"


async def promote_standby(scene: Scene, *, seconds: float) -> Fault:
    """All of PostgreSQL is killed, and its synchronous standby promoted after so many seconds."""
    return await promote(scene, "standby-promoted", seconds)


async def promote_lagging_standby(scene: Scene, *, lag: float, seconds: float) -> Fault:
    """The same with an asynchronous standby, which has received nothing for `lag` seconds then."""
    return await promote(scene, "lagging-standby-promoted", seconds, lag)


async def promote(scene: Scene, name: str, seconds: float, lag: float | None = None) -> Fault:
    """With `lag` the standby is asynchronous, and has received nothing for so many
    seconds when the primary dies. The embedded keeper starts the old primary again; no address
    leads to it any more, and the standby does not follow it."""
    stage = scene.stage
    standby = await stage.follow()
    if lag is None:
        await stage.as_superuser(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'", RELOAD)
    await _is_followed(scene, "async" if lag is not None else "sync")
    behind = None
    if lag is not None:
        behind = scene.now()
        await _has_received(scene, standby.superuser_url)
        await _unfollow(standby.superuser_url)
        await asyncio.sleep(lag)
    began = scene.now()
    stage.wire.leads_nowhere()
    send(family(stage.database_pid), SIGKILL)
    await _unfollow(standby.superuser_url)
    await asyncio.sleep(max(0.0, began + seconds - scene.now()))
    await _ask(standby.superuser_url, "SELECT pg_promote()")
    if lag is not None:
        await _ask(_same_database(standby.superuser_url, stage.database_url), SKIP_IDS)
    stage.wire.through(standby.superuser_url)
    await database_answers(scene)
    return replace(scene.span(name, began), behind=behind)


async def _is_followed(scene: Scene, state: str) -> None:
    async def followed() -> bool:
        return await _ask(scene.stage.addresses.superuser_url, STATE) == state

    await scene.until(followed, LONGEST_CATCHING_UP)


async def _has_received(scene: Scene, url: str) -> None:
    """All that the primary has written until now."""
    written = await _ask(scene.stage.addresses.superuser_url, "SELECT pg_current_wal_lsn()::text")
    received = f"SELECT pg_last_wal_receive_lsn() >= '{written}'::pg_lsn"
    await scene.until(lambda: _ask(url, received), LONGEST_CATCHING_UP)


async def _unfollow(url: str) -> None:
    await _ask(url, "ALTER SYSTEM SET primary_conninfo = ''")
    await _ask(url, RELOAD)


def _same_database(url: str, other: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=urlsplit(other).path))


async def _ask(url: str, statement: str) -> object:
    """The first value of what it gives; None without rows."""
    return next((row[0] for row in await rows_of(url, statement)), None)
