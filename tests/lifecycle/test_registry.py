"""The registry: a row for each boot, true to what happens, and a log of it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from photo_api.registry import queries
from photo_api.registry.failure_detector import Answer
from photo_api.registry.failure_detector import ask as ask_alive
from tests.own_stage import ask
from tests.service import Service, eventually, free_port


async def rows(stack: dict[str, Any], query: str, *args: object) -> list[Any]:
    connection = await asyncpg.connect(stack["database_url"])
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


def port_of(service: Service) -> int:
    return int(service.url.rsplit(":", 1)[1])


async def instance(stack: dict[str, Any], service: Service) -> Any:
    query = "SELECT * FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
    return (await rows(stack, query, port_of(service)))[0]


async def test_a_boot_is_written_down_from_start_to_stop(
    start_service: Callable[..., Service], stack: dict[str, Any]
) -> None:
    service = start_service("--workers", "2")
    eventually(lambda: '"message":"ready"' in service.log)
    row = await instance(stack, service)
    assert (row["state"], row["workers"], row["address"]) == ("ready", 2, "127.0.0.1")
    numbers = {"cpu_percent", "in_flight", "memory_bytes", "queue_depth"}
    assert numbers <= set(json.loads(row["load"]))
    assert service.stop() == 0
    row = await instance(stack, service)
    assert (row["state"], row["cause"]) == ("stopped", "SIGTERM")
    events = await rows(
        stack,
        "SELECT event, cause FROM instance_events WHERE boot_id = $1 ORDER BY id",
        row["boot_id"],
    )
    assert [tuple(event) for event in events] == [
        ("started", None),
        ("ready", None),
        ("draining", "SIGTERM"),
        ("stopped", "SIGTERM"),
    ]


async def a_boot(connection: Any) -> queries.Boot:
    """One more row of an instance that nobody runs."""
    boot_id = await connection.fetchval("SELECT gen_random_uuid()::text")
    boot = queries.Boot(boot_id, "10.0.0.9", "n", None, "1", "127.0.0.1", free_port(), 1)
    await queries.enlist(connection, boot, "starting", "started")
    return boot


async def silent(connection: Any, boot: queries.Boot, seconds: float) -> None:
    age = "UPDATE instances SET heartbeat_at = now() - make_interval(secs => $2)"
    await connection.execute(f"{age} WHERE boot_id = $1::uuid", boot.boot_id, seconds)


async def state(connection: Any, boot: queries.Boot) -> str:
    row = await queries.heartbeat(connection, boot.boot_id, "{}")
    return str(row and row["state"])


async def test_the_silent_are_lost_and_their_jobs_free(stack: dict[str, Any]) -> None:
    """Declared by another; never while a heartbeat is younger than the limit. A job's row that the
    lost one's open transaction still locks holds nobody up."""
    connection = await asyncpg.connect(stack["database_url"])
    frozen = await asyncpg.connect(stack["database_url"])
    boot, me = await a_boot(connection), await a_boot(connection)
    jobs = [
        await connection.fetchval(
            "INSERT INTO jobs (kind, subject_id, state, attempt, worker, available_at)"
            " VALUES ('none', 0, 'leased', 1, $1, now() + interval '1 hour') RETURNING id",
            boot.boot_id,
        )
        for _ in range(2)
    ]
    assert not await queries.declare_lost(connection, [boot.boot_id], me)
    await silent(connection, boot, 21)
    suspects = await queries.suspects(connection, me.boot_id, 100)
    assert boot.boot_id in [row["boot_id"] for row in suspects]
    async with frozen.transaction():
        await frozen.execute("SELECT FROM jobs WHERE id = $1 FOR UPDATE", jobs[1])
        async with asyncio.timeout(60):
            assert await queries.declare_lost(connection, [boot.boot_id], me) == [boot.boot_id]
    assert not await queries.declare_lost(connection, [boot.boot_id], me), "once"
    free = "SELECT available_at <= now() FROM jobs WHERE id = $1"
    assert [await connection.fetchval(free, job) for job in jobs] == [True, False]
    await connection.execute("DELETE FROM jobs WHERE id = ANY($1)", jobs)
    assert await state(connection, boot) == "lost"
    await queries.change(connection, boot, "ready", "recovered")
    assert await state(connection, boot) == "ready"
    await queries.change(connection, boot, "stopped", "stopped")
    await queries.change(connection, boot, "ready", "ready")
    assert await state(connection, boot) == "stopped", "the last word"
    await queries.change(connection, me, "stopped", "stopped")
    await connection.close()
    await frozen.close()


async def test_who_stood_still_declares_nobody_lost(stack: dict[str, Any]) -> None:
    connection = await asyncpg.connect(stack["database_url"])
    boot, me = await a_boot(connection), await a_boot(connection)
    for one in (boot, me):
        await silent(connection, one, 21)
    assert not await queries.declare_lost(connection, [boot.boot_id], me)
    for one in (boot, me):
        await queries.change(connection, one, "stopped", "stopped")
    await connection.close()


async def test_changes_of_state_notify_and_heartbeats_do_not(stack: dict[str, Any]) -> None:
    connection = await asyncpg.connect(stack["database_url"])
    heard: list[str] = []
    await connection.add_listener(queries.CHANNEL, lambda *args: heard.append(str(args[-1])))
    boot = await a_boot(connection)
    await queries.change(connection, boot, "ready", "ready")
    await queries.change(connection, boot, "ready", "ready")
    for _ in range(3):
        await queries.heartbeat(connection, boot.boot_id, "{}")
    await connection.fetchval("SELECT 1")
    assert heard.count(boot.boot_id) == 2
    await queries.correct(connection, boot, "ready", "draining", "corrected")
    await connection.fetchval("SELECT 1")
    assert heard.count(boot.boot_id) == 3
    await queries.change(connection, boot, "stopped", "stopped")
    await connection.close()


async def test_alive_is_asked_over_http(service: Service) -> None:
    assert await ask_alive("127.0.0.1", port_of(service)) is Answer.ALIVE
    assert await ask_alive("127.0.0.1", free_port()) is Answer.DEAD


@pytest.mark.parametrize("arguments", [(), ("--workers", "3")])
def test_a_worker_that_dies_is_replaced(
    start_service: Callable[..., Service], arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments)
    victim = service.children("photo_api.web_worker")[0]
    victim.kill()
    victim.wait(5)
    expected = int(arguments[1]) if arguments else 1

    def back() -> bool:
        return len(service.children("photo_api.web_worker")) == expected

    eventually(back)
    with service.new_user() as user:
        assert user.api.get("/auth/me").status_code == 200
    assert "process died; restarting" in service.log
    event = "SELECT cause FROM instance_events WHERE event = 'worker_died' AND boot_id = $1"
    boot = ask(service.environ, BOOT, port_of(service))[0]["boot_id"]
    causes = eventually(lambda: ask(service.environ, event, boot))
    assert [row["cause"].split(" ", 1)[1] for row in causes] == ["killed by SIGKILL"]


BOOT = "SELECT boot_id FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
