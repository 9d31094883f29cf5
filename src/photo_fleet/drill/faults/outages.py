"""What all share is away for a while: the database, or the object store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from signal import SIGINT, SIGKILL, Signals
from typing import Any

from photo_base.postgres import FAILURES, open_connection
from photo_base.processes import send
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.http_relay import NORMAL, Behaviour
from photo_fleet.drill.stage.process_tree import family, is_there, stopped

MORE_THAN_ENOUGH = 1000
ABSENT = "nobody"
GATHERED = 1.5
"""Seconds in which some uploads come to their last statement."""

RELOADED = 0.5
"""Seconds in which PostgreSQL has read its configuration again."""

OURS = {"application_name": "photo-fleet drill"}
DRIVE_OUT = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (
        SELECT pid FROM pg_stat_activity WHERE usename = current_user
        AND application_name <> 'photo-fleet drill' OFFSET $1
    ) AS others
"""


async def restart_database(scene: Scene) -> Fault:
    """PostgreSQL's fast shutdown, which cuts everybody's connection, and a start at once."""
    began = scene.now()
    await ended(scene, scene.stage.database_pid, SIGINT)
    await database_answers(scene)
    return scene.span("database-restart", began)


async def stop_database(scene: Scene, *, seconds: float) -> Fault:
    """The same, with so long before the start."""
    stage, began = scene.stage, scene.now()
    with stopped([stage.keeper_pid]):  # which else would start it again
        await ended(scene, stage.database_pid, SIGINT)
        await asyncio.sleep(max(0.0, began + seconds - scene.now()))
    await database_answers(scene)
    return scene.span("database-stop", began)


async def freeze_database(scene: Scene, *, seconds: float) -> Fault:
    """All processes of PostgreSQL stand still: connections stay open, and nothing is answered."""
    processes = family(scene.stage.database_pid)
    began = scene.now()
    with stopped(processes):
        await asyncio.sleep(seconds)
    await database_answers(scene)
    return scene.span("database-freeze", began)


async def limit_connections(scene: Scene, *, connections: int, seconds: float) -> Fault:
    """A stranger holds all connections but so few; pools lose those that they had."""
    began, url = scene.now(), scene.stage.database_url
    taken: list[Any] = []
    try:
        async with asyncio.timeout(max(1.0, seconds)):
            await _take_all_but(connections, url, taken)
            await asyncio.sleep(max(0.0, began + seconds - scene.now()))
    except TimeoutError:
        pass
    finally:
        await asyncio.gather(*(item.close(timeout=5) for item in taken), return_exceptions=True)
    return scene.span("database-limit", began)


async def _take_all_but(connections: int, url: str, taken: list[Any]) -> None:
    """Take what is free, and drive out the others until only so many are left to them."""
    taken.append(await open_connection(url, timeout=5, server_settings=OURS))
    while True:
        with suppress(*FAILURES):
            while len(taken) < MORE_THAN_ENOUGH:
                taken.append(await open_connection(url, timeout=5, server_settings=OURS))
        if not await taken[0].fetchval(DRIVE_OUT, connections):
            return


async def leave_commits_unanswered(scene: Scene, *, seconds: float) -> Fault:
    """The synchronous standby is one that is not there, for so long: what is committed is there,
    and its client gets no answer."""
    began = scene.now()
    try:
        async with _uploads_before_their_last_statement(scene):
            await _standby(scene, ABSENT)
            await asyncio.sleep(RELOADED)
        await asyncio.sleep(seconds)
    finally:
        await _standby(scene, "")
    return scene.span("commit-unanswered", began)


@asynccontextmanager
async def _uploads_before_their_last_statement(scene: Scene) -> AsyncIterator[None]:
    """While this is open nobody writes photos: or else hardly any of the commits that hang would be
    an upload's last one."""
    connection = await open_connection(scene.stage.database_url, timeout=10)
    try:
        await connection.execute("BEGIN; LOCK TABLE photos IN EXCLUSIVE MODE", timeout=10)
        await asyncio.sleep(GATHERED)
        yield
    finally:
        await connection.close()


async def _standby(scene: Scene, name: str) -> None:
    # Neither of the two writes anything that would wait for the standby itself.
    await scene.stage.as_superuser(
        f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "SELECT pg_reload_conf()"
    )


async def restart_store(scene: Scene) -> Fault:
    """The object store dies and is started again at once."""
    stage, began = scene.stage, scene.now()
    await ended(scene, stage.store_pid, SIGKILL)
    await scene.until(stage.store_answers)
    return scene.span("store-restart", began)


async def stop_store(scene: Scene, *, seconds: float) -> Fault:
    """The same, with so long before the start."""
    stage, began = scene.stage, scene.now()
    pid = stage.store_pid
    with stopped([stage.keeper_pid]):  # which else would start it again
        await ended(scene, pid, SIGKILL)
        await asyncio.sleep(max(0.0, began + seconds - scene.now()))
    await scene.until(stage.store_answers)
    return scene.span("store-stop", began)


async def store_answers(
    scene: Scene, *, status: int, seconds: float, writes: bool = False
) -> Fault:
    """The store answers every request with this status, or only those that `writes`."""
    behaviour = Behaviour("answer", status=status, only_writes=writes)
    return await _store_is(scene, behaviour, "store-answer", seconds)


async def store_hangs(scene: Scene, *, seconds: float) -> Fault:
    """The store takes requests and never answers."""
    return await _store_is(scene, Behaviour("hang"), "store-hang", seconds)


async def store_is_slow(scene: Scene, *, delay: float, seconds: float) -> Fault:
    """The store takes so much longer for each request."""
    return await _store_is(scene, Behaviour("slow", delay=delay), "store-slow", seconds)


async def _store_is(scene: Scene, behaviour: Behaviour, name: str, seconds: float) -> Fault:
    began = scene.now()
    await scene.stage.relay.behave(behaviour)
    try:
        await asyncio.sleep(seconds)
    finally:
        await scene.stage.relay.behave(NORMAL)
    return scene.span(name, began)


async def ended(scene: Scene, pid: int, number: Signals) -> None:
    """Send the signal, and wait for the end. Raises `TimeoutError`."""
    send([pid], number)
    await scene.until(lambda: not is_there(pid))


async def database_answers(scene: Scene) -> None:
    """Wait for it. Raises `TimeoutError`."""

    async def answers() -> bool:
        with suppress(*FAILURES):
            return bool(await scene.stage.query("SELECT 1"))
        return False

    await scene.until(answers)
