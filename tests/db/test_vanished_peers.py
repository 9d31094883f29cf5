"""Every connection to PostgreSQL notices when the machine at its other end has vanished: no lock,
no transaction and no wait outlives it for long."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from photo_api.db.connect import connect, session_options
from photo_api.db.pool import Database
from photo_base.postgres import IDLE, INTERVAL, PROBES, SERVER_SETTINGS, UNANSWERED
from photo_fleet.balancer.registry_link import connect_to_registry
from photo_fleet.group.registry_view import Registry
from tests.db.clusters import Cluster, settings

SOURCES = Path(__file__).parent.parent.parent / "src"


async def of_the_service(url: str) -> Any:
    return await connect(settings(url), "tests", timeout=10)


async def of_the_pool(url: str) -> Any:
    return await Database(settings(url), "tests", 1)._connect()


async def of_the_group(url: str) -> Any:
    return await Registry(lambda: url)._connect()


def end_of(connection: Any) -> Any:
    return connection._transport.get_extra_info("socket")


def options(end: Any) -> dict[str, int]:
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    found = {name: end.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names}
    return found | {"SO_KEEPALIVE": end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


WATCHED = {
    "SO_KEEPALIVE": 1,
    "TCP_KEEPIDLE": IDLE,
    "TCP_KEEPINTVL": INTERVAL,
    "TCP_KEEPCNT": PROBES,
    "TCP_USER_TIMEOUT": UNANSWERED,
}


OPENERS = [of_the_service, of_the_pool, connect_to_registry, of_the_group]


@pytest.mark.parametrize("open_one", OPENERS)
async def test_this_end_is_watched(
    cluster: Cluster, open_one: Callable[[str], Awaitable[Any]]
) -> None:
    connection = await open_one(cluster.url)
    try:
        assert options(end_of(connection)) == WATCHED
    finally:
        await connection.close()


def test_this_end_is_watched_in_a_web_worker_s_loop(cluster: Cluster) -> None:
    async def look() -> dict[str, int]:
        connection = await of_the_service(cluster.url)
        try:
            return options(end_of(connection))
        finally:
            await connection.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(look()) == WATCHED


async def test_the_server_s_end_is_watched_where_no_pooler_stands_between(
    cluster: Cluster,
) -> None:
    connection = await of_the_service(cluster.url)
    try:
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in SERVER_SETTINGS}
    finally:
        await connection.close()
    assert shown == SERVER_SETTINGS
    behind = {"pooler": "transaction", "direct_url": cluster.url}
    sent = session_options(settings(cluster.url, **behind), "tests")["server_settings"]
    assert not sent.keys() & SERVER_SETTINGS
    past = session_options(settings(cluster.url, **behind), "tests", session=True)
    assert past["server_settings"].items() >= SERVER_SETTINGS.items()


async def test_a_unix_socket_has_no_other_machine(stack: dict[str, Any]) -> None:
    connection = await of_the_service(stack["database_url"])
    try:
        assert end_of(connection).family == socket.AF_UNIX
        assert await connection.fetchval("SHOW tcp_user_timeout") == "0"
    finally:
        await connection.close()


def test_there_is_one_way_to_open_a_connection() -> None:
    direct = re.compile(r"asyncpg\.connect\(|from asyncpg import .*\bconnect\b")
    found = [path for path in SOURCES.rglob("*.py") if direct.search(path.read_text())]
    assert [path.name for path in found] == ["postgres.py"]
    assert found[0].parent.name == "photo_base"
