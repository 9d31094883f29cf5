"""Which of several servers is connected to, and how long that may take."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from photo_api.db.connect import connect
from photo_base.postgres import FAILURES, servers
from photo_fleet.balancer.registry_link import connect_to_registry
from tests.db.clusters import Cluster, both, running_pair, settings
from tests.service import eventually, free_port

Pair = tuple[Cluster, Cluster]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(tmp_path_factory.mktemp("pair")) as running:
        yield running


@contextmanager
def black_hole() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"127.0.0.1:{silent.getsockname()[1]}"


async def recovering(url: str, timeout: float = 8) -> bool:
    connection = await connect(settings(url), "tests", timeout=timeout)
    try:
        answer: bool = await connection.fetchval("SELECT pg_is_in_recovery()")
        return answer
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@one:1/db", ["postgresql://u:p@one:1/db"]),
        (
            "postgresql://u:p%40@one:1,two/db?sslmode=require",
            [
                "postgresql://u:p%40@one:1/db?sslmode=require",
                "postgresql://u:p%40@two/db?sslmode=require",
            ],
        ),
        (
            "postgresql://u:p@[::1]:1,[::2]:2/db",
            ["postgresql://u:p@[::1]:1/db", "postgresql://u:p@[::2]:2/db"],
        ),
        ("postgresql://u:p@/db?host=%2Frun%2Fpg", ["postgresql://u:p@/db?host=%2Frun%2Fpg"]),
        (
            "postgresql://u:p@/db?host=one,two&port=1,2",
            ["postgresql://u:p@/db?host=one&port=1", "postgresql://u:p@/db?host=two&port=2"],
        ),
        (
            "postgresql://u:p@/db?host=one,two&port=7",
            ["postgresql://u:p@/db?host=one&port=7", "postgresql://u:p@/db?host=two&port=7"],
        ),
    ],
)
def test_an_address_names_one_server_or_several(url: str, expected: list[str]) -> None:
    assert servers(url) == expected


async def test_the_primary_is_taken_wherever_it_stands(pair: Pair) -> None:
    primary, standby = pair
    assert not await recovering(both(primary, standby))
    assert not await recovering(both(standby, primary))
    assert await recovering(standby.url), "an address of a standby alone gets it"


@pytest.mark.filterwarnings("error")  # for what only the garbage collector closes
async def test_connections_to_servers_not_taken_are_closed(pair: Pair) -> None:
    primary, standby = pair
    for _ in range(5):
        await recovering(both(standby, primary))
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tests'"
    eventually(lambda: standby.sql(left) == primary.sql(left) == "0")


async def test_a_silent_server_delays_the_next_one_only_a_little(pair: Pair) -> None:
    primary, _ = pair
    with black_hole() as silent:
        for places in (f"{silent},{primary.place}", f"{primary.place},{silent}"):
            started = time.monotonic()
            assert not await recovering(primary.url.replace(primary.place, places), 24)
            assert time.monotonic() - started < 5, "of 24 s; an eighth is for the silent first one"


async def test_however_many_are_silent_the_last_one_is_asked_in_time(pair: Pair) -> None:
    primary, _ = pair
    with black_hole() as silent:
        places = ",".join([silent] * 10 + [primary.place])
        assert not await recovering(primary.url.replace(primary.place, places))


async def test_without_a_primary_a_standby_will_do(pair: Pair) -> None:
    _, standby = pair
    dead = f"127.0.0.1:{free_port()}"
    assert await recovering(standby.url.replace(standby.place, f"{dead},{standby.place}"))
    with black_hole() as silent:
        for places in (f"{silent},{standby.place}", f"{standby.place},{silent}"):
            assert await recovering(standby.url.replace(standby.place, places))


async def test_the_balancer_takes_only_a_server_that_takes_writes(pair: Pair) -> None:
    primary, standby = pair
    with black_hole() as silent:
        places = f"{silent},{standby.place},{primary.place}"
        connection = await connect_to_registry(primary.url.replace(primary.place, places))
    try:
        assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()
    for url in (standby.url, both(standby, standby)):
        with pytest.raises(FAILURES):
            await connect_to_registry(url)


async def test_a_wish_for_a_primary_in_the_address_does_not_end_reading(pair: Pair) -> None:
    _, standby = pair
    assert await recovering(f"{standby.url}?target_session_attrs=read-write")


@pytest.mark.parametrize("count", [1, 2])
async def test_silence_of_all_ends_in_time(count: int) -> None:
    with black_hole() as silent:
        url = f"postgresql://u:p@{','.join([silent] * count)}/db"
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await recovering(url, 1)
        assert time.monotonic() - started < 5


async def test_refusal_by_all_is_told_at_once() -> None:
    url = f"postgresql://u:p@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/db"
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionRefusedError):
            await recovering(url, 60)
