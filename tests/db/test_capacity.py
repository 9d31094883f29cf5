"""Whether the group's connections fit is known at start, with the arithmetic."""

import asyncpg
import pytest

from photo_api.db.capacity import advice, check_capacity, connections_needed
from tests.db.clusters import Cluster, settings

URL = "postgresql://u:p@one/db"


def test_all_connections_of_all_instances_are_counted() -> None:
    one = settings(URL, pool_size=10, max_instances=1)
    assert connections_needed(one, workers=3, jobs=0) == 2 * (3 * 10 + 2), "the probe, the registry"
    assert connections_needed(one, workers=3, jobs=2) == 2 * (3 * 10 + 2 + 1 + 2 + 3), (
        "LISTEN, the jobs"
    )
    assert connections_needed(one, workers=0, jobs=2) == 2 * (2 + 1 + 2 + 3)
    assert connections_needed(one, workers=3, jobs=0, deployed=0) == 3 * 10 + 2, "in development"
    ten = settings(URL, pool_size=10, max_instances=10)
    assert connections_needed(ten, workers=3, jobs=2) == 11 * 38, "one more in a deploy"


def test_what_fits_needs_no_advice() -> None:
    four = settings(URL, pool_size=10, max_instances=4)
    needed = connections_needed(four, 2, 1)
    assert advice(four, 2, 1, limit=needed + 3, reserved=3) is None
    assert advice(four, 2, 1, limit=needed + 2, reserved=3) is not None


def test_advice_has_all_the_numbers_and_each_way_out_works() -> None:
    ten = settings(URL, pool_size=10, max_instances=10)
    assert advice(ten, 3, 1, limit=300, reserved=3) == (
        "(10 + 1 instances) × (3 workers × 10 + 7) = 407 connections, but the server takes 297:"
        " set PHOTO_API_DATABASE_POOL to 6, put a transaction pooler in front, or raise"
        " max_connections to 410"
    )
    assert advice(settings(URL, pool_size=6), 3, 1, limit=300, reserved=3) is None
    assert advice(settings(URL, pool_size=7), 3, 1, limit=300, reserved=3) is not None
    assert advice(ten, 3, 1, limit=410, reserved=3) is None


def test_no_pool_is_advised_where_even_one_connection_is_too_many() -> None:
    ten = settings(URL, pool_size=10, max_instances=10)
    assert advice(ten, 1, 1, limit=60, reserved=3) == (
        "(10 + 1 instances) × (1 worker × 10 + 7) = 187 connections, but the server takes 57:"
        " put a transaction pooler in front, or raise max_connections to 190"
    )


@pytest.mark.parametrize("reserved", ["0", "5"])
async def test_the_server_is_asked_what_it_takes(cluster: Cluster, reserved: str) -> None:
    if int(cluster.sql("SHOW server_version_num")) < 160_000 and reserved != "0":
        pytest.skip("reserved_connections came with PostgreSQL 16")
    also = ("-c", f"reserved_connections={reserved}") if reserved != "0" else ()
    cluster.stop()
    cluster.start("-c", "max_connections=50", *also)
    connection = await asyncpg.connect(cluster.url)
    try:
        said = await check_capacity(connection, settings(cluster.url, pool_size=10), 3, 1)
        assert said is not None
        assert f"the server takes {50 - 3 - int(reserved)}" in said
        small = settings(cluster.url, pool_size=2, max_instances=1)
        assert await check_capacity(connection, small, 3, 1) is None
        pooled = settings(cluster.url, pool_size=10, pooler="transaction")
        assert await check_capacity(connection, pooled, 3, 1) is None
    finally:
        await connection.close()
