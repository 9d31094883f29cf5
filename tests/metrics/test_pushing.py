"""Metrics by push, to a real Pushgateway: what is gone leaves nothing behind."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from photo_api.db.pool import Database
from photo_api.maintenance import GroupSweep
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import PUSHES
from photo_api.supervisor.pushing import Pushing
from photo_api.telemetry.pushgateway import PushFailed, Pushgateway, PushRefused, scraped_at
from tests.metrics.scraping import Scraped
from tests.own_stage import own_database
from tests.service import Service, eventually, free_port

pytestmark = pytest.mark.needs("prometheus-pushgateway")


class Gateway:
    def __init__(self, url: str) -> None:
        self.url = url

    def groups(self) -> set[str]:
        """The instances that it knows."""
        listed = httpx.get(f"{self.url}/api/v1/metrics").json()["data"]
        return {one["labels"]["instance"] for one in listed}

    def scrape(self) -> Scraped:
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        ours = [line for line in lines if line.startswith(("photo_api", "http_requests_total"))]
        return Scraped("\n".join(ours))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path_factory.mktemp("gateway") / "log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus-pushgateway", f"--web.listen-address={address}", "--persistence.file="],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,
        )
    found = Gateway(f"http://{address}")
    try:
        eventually(lambda: _answers(found), 20)
        yield found
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


def _answers(gateway: Gateway) -> bool:
    try:
        return httpx.get(f"{gateway.url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def test_an_instance_pushes_while_it_runs_and_takes_all_out_at_its_end(
    gateway: Gateway, start_service: Callable[..., Service]
) -> None:
    service = start_service("--no-jobs", PUSHGATEWAY=gateway.url, PUSH_INTERVAL="1")
    port = service.url.rsplit(":", 1)[1]
    [instance] = eventually(
        lambda: [name for name in gateway.groups() if name.endswith(f":{port}")]
    )
    before = gateway.scrape().total("http_requests_total", instance=instance, status="401")
    httpx.get(f"{service.url}/api/albums")

    def told() -> bool:
        now = gateway.scrape().total("http_requests_total", instance=instance, status="401")
        return now == before + 1

    eventually(told)
    assert gateway.scrape().total("photo_api_ready", instance=instance, job="photo-api") == 1
    assert service.stop() == 0
    assert instance not in gateway.groups()


async def test_the_groups_of_the_gone_are_removed_and_of_no_others(
    gateway: Gateway, db: Database
) -> None:
    states = {"10.0.0.1": "ready", "10.0.0.2": "lost", "10.0.0.3": "stopped", "10.0.0.4": "lost"}
    states |= {"a/b": "lost", "a/b/c": "stopped"}
    pushed = Pushgateway(gateway.url)
    boots = {}
    for address, state in states.items():
        boots[address] = await _boot(db, address, state)
        await pushed.put(f"{address}:8000", "photo_api_ready 1\n")
    await _boot(db, "10.0.0.4", "ready")  # a successor at the same address
    now = 1000.0
    sweep = GroupSweep(pushed, lambda: now)
    await sweep.remove(db)
    assert gateway.groups() & {f"{address}:8000" for address in states} == {
        "10.0.0.1:8000", "10.0.0.4:8000",
    }  # fmt: skip
    # One that was lost and came back is removed when it is lost again.
    await pushed.put("10.0.0.2:8000", "photo_api_ready 1\n")
    await sweep.remove(db)
    assert "10.0.0.2:8000" in gateway.groups(), "not at each round"
    await db.execute(
        "UPDATE instances SET changed_at = now() WHERE boot_id = $1", boots["10.0.0.2"]
    )
    await sweep.remove(db)
    assert "10.0.0.2:8000" not in gateway.groups()
    # One that lived all the while, and was killed before the registry called it alive.
    await pushed.put("10.0.0.2:8000", "photo_api_ready 1\n")
    now += 11
    await sweep.remove(db)
    assert "10.0.0.2:8000" not in gateway.groups()


async def test_a_group_that_cannot_be_deleted_keeps_none_from_it(
    gateway: Gateway, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Choosy(Pushgateway):
        async def delete(self, instance: str) -> None:
            if instance.startswith("10.1.0.3"):
                raise PushRefused("status 400")
            await super().delete(instance)

    pushed, names = Choosy(gateway.url), [f"10.1.0.{number}" for number in range(1, 7)]
    for name in names:
        await _boot(db, name, "lost")
        await pushed.put(f"{name}:8000", "photo_api_ready 1\n")
    sweep = GroupSweep(pushed)
    for _ in range(3):
        await sweep.remove(db)
    assert gateway.groups() & {f"{name}:8000" for name in names} == {"10.1.0.3:8000"}
    assert [r.message for r in caplog.records if "cannot be deleted" in r.message] == [
        "pushed metrics of gone instances cannot be deleted: status 400"
    ]


HANGING = """
import asyncio, socket, sys, time
asked = socket.getaddrinfo
def hang(host, *more, **other):
    if host == "hangs.example":
        time.sleep(60)
    return asked(host, *more, **other)
socket.getaddrinfo = hang
from photo_api.telemetry.pushgateway import PushFailed, Pushgateway
async def main():
    for _ in range(20):
        try:
            async with asyncio.timeout(0.05):
                await Pushgateway("http://hangs.example:9091").put("a:1", "")
        except (PushFailed, TimeoutError):
            pass
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
asyncio.run(main())
"""


def test_a_gateway_s_name_that_cannot_be_looked_up_holds_up_nobody() -> None:
    """Neither other look-ups nor the end: a stand-in for a name server that does not answer."""
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=45)


async def _boot(db: Database, address: str, state: str) -> object:
    return await db.fetchval(
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state)"
        " VALUES ($1, $2, 'n', '1', $2, 8000, 1, $3) RETURNING boot_id",
        uuid4(), address, state,
    )  # fmt: skip


async def test_a_gateway_that_is_away_is_told_of_once_and_holds_nothing_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away, counts = Pushgateway(f"http://127.0.0.1:{free_port()}"), Counts()
    with pytest.raises(PushFailed, match="no answer"):
        await away.put("a:1", "")
    pushing = Pushing(away, 1.0, lambda: "a:1", lambda: "", counts)
    await pushing._push()
    await pushing.end()
    assert counts.sums[PUSHES] == {("failed",): 2}
    assert [record.message for record in caplog.records if "cannot be pushed" in record.message]
    assert len([r for r in caplog.records if "cannot be pushed" in r.message]) == 1


async def test_what_the_gateway_refuses_is_a_failure(gateway: Gateway) -> None:
    with pytest.raises(PushFailed, match="status 400"):
        await Pushgateway(gateway.url).put("a:1", "no metrics at all\n")


def test_an_instance_is_named_as_prometheus_would() -> None:
    assert scraped_at("10.0.0.1", 8000) == "10.0.0.1:8000"
    assert scraped_at("2001:db8::1", 8000) == "[2001:db8::1]:8000"
