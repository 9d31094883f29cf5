"""Health: an answer within 2 seconds whatever hangs, and back as soon as the database is."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.lifecycle.databases import OwnDatabase, own_postgres
from tests.own_stage import ask
from tests.service import Service, free_port
from tests.stall import Stall

PROMISED = 2.0
StartService = Callable[..., Service]


class Probes:
    """What a balancer sees: one probe after another, each over a connection of its own."""

    def __init__(self, service: Service, stall: Stall) -> None:
        self._service = service
        self._stall = stall

    async def once(self, path: str = "/health") -> int:
        """The status; fails if it takes longer than promised."""
        began, late = time.monotonic(), self._stall.seconds
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.get(f"{self._service.url}{path}")
        took = time.monotonic() - began
        late = self._stall.seconds - late
        assert took < PROMISED + late, f"{path} took {took:.2f} s, {late:.2f} of them waiting"
        return answer.status_code

    async def until(self, status: int, seconds: float) -> None:
        """Probe until it is so; fails when that takes longer."""
        began, late = time.monotonic(), self._stall.seconds
        while await self.once() != status:
            took = time.monotonic() - began - (self._stall.seconds - late)
            assert took < seconds, f"not {status} within {seconds} s"
            await asyncio.sleep(0.05)


async def _stop(database: OwnDatabase) -> None:
    await database.stop()


async def _hang(database: OwnDatabase) -> None:
    database.signal(signal.SIGSTOP)


async def _slow_down(database: OwnDatabase) -> None:
    database.slow_down(4)


async def _mend(database: OwnDatabase, fault: Callable[[OwnDatabase], Awaitable[None]]) -> None:
    if fault is _stop:
        await database.start()
    elif fault is _hang:
        database.signal(signal.SIGCONT)
    else:
        database.slow_down(0)


@pytest.mark.parametrize("fault", [_stop, _hang, _slow_down])
async def test_health_answers_in_time_with_the_database_away_and_100_requests_in_flight(
    tmp_path: Path,
    start_service: StartService,
    fault: Callable[[OwnDatabase], Awaitable[None]],
) -> None:
    async with own_postgres(tmp_path) as database, database.slow_path() as url:
        service = await asyncio.to_thread(start_service, DATABASE_URL=url)
        user = await asyncio.to_thread(service.new_user)
        headers = {"Authorization": user.api.headers["Authorization"]}
        client = httpx.AsyncClient(headers=headers, timeout=60, limits=httpx.Limits())
        with Stall(service.process.pid).measured() as stall:
            async with client:
                probes = Probes(service, stall)
                assert await probes.once() == 200
                await fault(database)
                in_flight = [
                    asyncio.create_task(client.get(f"{service.url}/api/albums/"))
                    for _ in range(100)
                ]
                await probes.until(503, 6)
                assert await probes.once("/health/live") == 200
                await _mend(database, fault)
                await probes.until(200, 2 if fault is not _slow_down else 6)
                statuses = {answer.status_code for answer in await asyncio.gather(*in_flight)}
                assert statuses <= {200, 503}
        settings = service.environ | {"PHOTO_API_DATABASE_URL": database.url()}
        events: list[Any] = []
        async with asyncio.timeout(15):
            while not events or events[-1]["event"] != "check_passes":
                events = await asyncio.to_thread(ask, settings, EVENTS)
        # It may fail in several ways one after the other, each with an event.
        told = [row["event"] for row in events]
        assert told == ["check_fails"] * (len(told) - 1) + ["check_passes"]
        assert all(row["cause"].startswith("database: ") for row in events)
        assert "a check fails" in service.log
        assert "a check passes again" in service.log
        await asyncio.to_thread(service.stop)


EVENTS = "SELECT event, cause FROM instance_events WHERE event LIKE 'check%' ORDER BY id"


async def test_a_storm_of_probes_is_one_query_a_second(
    tmp_path: Path, start_service: StartService
) -> None:
    async with own_postgres(tmp_path, log_statement="all") as database:
        service = await asyncio.to_thread(start_service, DATABASE_URL=database.url())
        before, began = _selects(database), time.monotonic()
        host, port = service.url.removeprefix("http://").split(":")
        answered = await asyncio.gather(*(_storm(host, int(port), 3.0) for _ in range(8)))
        asked, seconds = _selects(database) - before, time.monotonic() - began
        assert sum(answered) > 1000
        assert asked <= seconds + 1, f"{asked} queries in {seconds:.1f} s of {sum(answered)} probes"
        await asyncio.to_thread(service.stop)


def _selects(database: OwnDatabase) -> int:
    return database.log.read_text().count("SELECT 1\n")


async def _storm(host: str, port: int, seconds: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    answered, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200")
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        await reader.readexactly(length)
        answered += 1
    writer.close()
    return answered


def test_trouble_of_the_store_is_told_and_does_not_fail_health(start_service: StartService) -> None:
    service = start_service(S3_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    storage = _eventually_looked_at(service)
    assert storage["ok"] is False
    assert "StoreUnavailable" in storage["error"]
    assert httpx.get(f"{service.url}/health").status_code == 200


def test_trouble_of_the_store_fails_health_where_that_is_wanted(
    start_service: StartService,
) -> None:
    service = start_service(HEALTH_CHECKS="database,storage")
    answer = httpx.get(f"{service.url}/health")
    assert set(answer.json()["checks"]) == {"database", "storage"}
    assert answer.status_code == 200


def _eventually_looked_at(service: Service) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        answer = httpx.get(f"{service.url}/health/detailed", timeout=10)
        check: dict[str, Any] = answer.json()["checks"]["storage"]
        if check.get("error") != "not looked at yet":
            return check
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_identity_is_in_every_answer_line_row_and_metric(service: Service) -> None:
    answer = httpx.get(f"{service.url}/health")
    instance = answer.json()["instance"]
    assert answer.headers["X-Instance"] == instance
    metrics = httpx.get(f"{service.url}/metrics").text
    assert httpx.get(f"{service.url}/api/metrics").status_code == 404, "balancers pass /api/ on"
    row = ask(service.environ, ROW, int(service.url.rsplit(":", 1)[1]))[0]
    labels = {
        "instance": instance,
        "node": row["node"],
        "region": "",
        "version": answer.json()["version"],
        "boot_id": str(row["boot_id"]),
    }
    written = ",".join(f'{name}="{value}"' for name, value in labels.items())
    assert f"photo_api_info{{{written}}} 1\n" in metrics
    assert 'photo_api_check_ok{check="database"} 1\n' in metrics
    lines = [line for line in service.log.splitlines() if line.startswith("{")]
    assert lines
    assert all(f'"instance":"{instance}"' in line for line in lines)


ROW = "SELECT * FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
