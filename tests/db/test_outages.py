"""What people see of a service while its one database is gone, hung, full or takes no writes."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.db.clusters import Cluster
from tests.db.people import Reader, in_the_end, refused, settled
from tests.service import Service, eventually

StartService = Callable[..., Service]
QUICK = 0.5
"""Seconds within which an answer comes that waits for nothing, also on a busy machine."""


@pytest.fixture
def reader(cluster: Cluster, start_service: StartService) -> Iterator[Reader]:
    """Somebody at a service with a small pool, whose tokens are verified each time."""
    service = start_service(
        DATABASE_URL=cluster.url,
        DATABASE_POOL="2",
        DATABASE_POOL_WAIT="1",
        DATABASE_STATEMENT_TIMEOUT="4",
        USER_CACHE="0",
    )
    with settled(service) as somebody:
        yield somebody


def test_a_database_that_takes_no_writes_is_still_read(cluster: Cluster, reader: Reader) -> None:
    cluster.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    cluster.sql("SELECT pg_reload_conf()")
    try:
        eventually(lambda: not reader.can_write())
        for answer in reader.writes():
            assert refused(answer, "database_read_only"), (answer.request.url, answer.text)
        for answer in reader.reads():
            assert answer.status_code in (200, 302, 307), (answer.request.url, answer.text)
    finally:
        cluster.sql("ALTER SYSTEM RESET ALL")
        cluster.sql("SELECT pg_reload_conf()")
    in_the_end(reader.can_write)
    shares = reader.user.api.get(f"/albums/{reader.album}/share").json()
    assert shares[0]["view_count"] == 0, "shown without being counted"
    assert reader.can_read()
    shares = reader.user.api.get(f"/albums/{reader.album}/share").json()
    assert shares[0]["view_count"] == 1


def test_who_finds_all_connections_waiting_is_told_to_retry(
    cluster: Cluster, reader: Reader
) -> None:
    def write() -> httpx.Response:
        return reader.user.api.patch(f"/albums/{reader.album}", json={"name": "waited"})

    locked = cluster.session()
    locked.say("BEGIN")
    locked.say(f"SELECT FROM albums WHERE id = {reader.album} FOR UPDATE")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with ThreadPoolExecutor() as people:
        writes = [people.submit(write) for _ in range(2)]
        eventually(lambda: cluster.sql(waiting) == "2")
        started = time.monotonic()
        answer = reader.user.api.get("/albums/")
        waited = time.monotonic() - started
        locked.close()
        assert refused(answer, "database_unavailable")
        assert waited > 0.9, "the pool's wait"
        assert [write.result().status_code for write in writes] == [200, 200]
    assert reader.can_read()


def test_a_stopped_database_is_503_and_back_without_a_restart(
    cluster: Cluster, reader: Reader
) -> None:
    cluster.stop()
    for answer in (*reader.reads(), *reader.writes()):
        assert refused(answer, "database_unavailable"), (answer.request.url, answer.text)
    in_the_end(lambda: _quick(reader))
    cluster.start()
    in_the_end(reader.can_write)
    assert reader.can_read()


@pytest.mark.slow
def test_a_hung_database_is_503_and_soon_at_once(cluster: Cluster, reader: Reader) -> None:
    cluster.freeze()
    try:
        with ThreadPoolExecutor(8) as people:
            get = reader.user.api.get
            first = list(people.map(lambda _: get("/albums/"), range(8)))
        assert all(refused(answer, "database_unavailable") for answer in first)
        in_the_end(lambda: _quick(reader))
        times = []
        for _ in range(30):
            started = time.monotonic()
            assert refused(reader.user.api.get("/albums/"), "database_unavailable")
            times.append(time.monotonic() - started)
            time.sleep(0.1)
        assert sorted(times)[-3] < QUICK, "nobody is sent to try whether it is back"
    finally:
        cluster.thaw()
    in_the_end(reader.can_write)
    assert reader.can_read()


def _quick(reader: Reader) -> bool:
    started = time.monotonic()
    assert refused(reader.user.api.get("/albums/"), "database_unavailable")
    return time.monotonic() - started < QUICK
