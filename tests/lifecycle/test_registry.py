"""The registry: a row for each boot, true to what happens, and a log of it."""

import json
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from photo_api.lifecycle import registry_queries as queries
from photo_api.lifecycle.registry import is_alive
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


async def test_the_silent_are_lost_and_their_jobs_free(stack: dict[str, Any]) -> None:
    """Declared by another; never while a heartbeat is younger than the limit."""
    connection = await asyncpg.connect(stack["database_url"])
    boot = await connection.fetchval("SELECT gen_random_uuid()::text")
    other = await connection.fetchval("SELECT gen_random_uuid()::text")
    await queries.enlist(
        connection, boot, instance="10.0.0.9", node="n", region=None, version="1",
        address="127.0.0.1", port=free_port(), workers=1,
    )  # fmt: skip
    job = await connection.fetchval(
        "INSERT INTO jobs (kind, subject_id, state, attempt, worker, available_at)"
        " VALUES ('none', 0, 'leased', 1, $1, now() + interval '1 hour') RETURNING id",
        boot,
    )
    assert not await queries.declare_lost(connection, boot, "me")
    await connection.execute(
        "UPDATE instances SET heartbeat_at = now() - interval '21 seconds'"
        " WHERE boot_id = $1::uuid",
        boot,
    )
    assert boot in [row["boot_id"] for row in await queries.suspects(connection, other)]
    assert await queries.declare_lost(connection, boot, "me")
    assert not await queries.declare_lost(connection, boot, "me"), "once"
    free = "SELECT available_at <= now() FROM jobs WHERE id = $1"
    assert await connection.fetchval(free, job)
    await connection.execute("DELETE FROM jobs WHERE id = $1", job)
    assert await queries.heartbeat(connection, boot, "{}") == "lost"
    await queries.change(connection, boot, "ready", "recovered")
    assert await queries.heartbeat(connection, boot, "{}") == "ready"
    await queries.change(connection, boot, "stopped", "stopped")
    await queries.change(connection, boot, "ready", "ready")
    assert await queries.heartbeat(connection, boot, "{}") == "stopped", "the last word"
    await connection.close()


async def test_changes_of_state_notify_and_heartbeats_do_not(stack: dict[str, Any]) -> None:
    connection = await asyncpg.connect(stack["database_url"])
    heard: list[str] = []
    await connection.add_listener(queries.CHANNEL, lambda *args: heard.append(str(args[-1])))
    boot = await connection.fetchval("SELECT gen_random_uuid()::text")
    await queries.enlist(
        connection, boot, instance="10.0.0.9", node="n", region=None, version="1",
        address="127.0.0.1", port=1, workers=1,
    )  # fmt: skip
    await queries.change(connection, boot, "ready", "ready")
    await queries.change(connection, boot, "ready", "ready")
    for _ in range(3):
        await queries.heartbeat(connection, boot, "{}")
    await connection.fetchval("SELECT 1")
    assert heard.count(boot) == 2
    await queries.change(connection, boot, "stopped", "stopped")
    await connection.close()


async def test_alive_is_asked_over_http(service: Service) -> None:
    assert await is_alive("127.0.0.1", port_of(service))
    assert not await is_alive("127.0.0.1", free_port())


@pytest.mark.parametrize("arguments", [(), ("--workers", "3")])
def test_a_worker_that_dies_is_replaced(
    start_service: Callable[..., Service], arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments)
    victim = service.children("photo_api.lifecycle.worker")[0]
    victim.kill()
    victim.wait(5)
    expected = int(arguments[1]) if arguments else 1

    def back() -> bool:
        return len(service.children("photo_api.lifecycle.worker")) == expected

    eventually(back)
    with service.new_user() as user:
        assert user.api.get("/auth/me").status_code == 200
    assert "process died; restarting" in service.log
    event = "SELECT cause FROM instance_events WHERE event = 'worker_died' AND boot_id = $1"
    boot = ask(service.environ, BOOT, port_of(service))[0]["boot_id"]
    causes = eventually(lambda: ask(service.environ, event, boot))
    assert [row["cause"].split(" ", 1)[1] for row in causes] == ["killed by SIGKILL"]


BOOT = "SELECT boot_id FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
