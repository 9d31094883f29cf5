"""Metrics by push, to a real Pushgateway: what is gone leaves nothing behind."""

import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import bcrypt
import httpx
import pytest

from photo_api.contract import STOP_MARGIN
from photo_api.db.pool import Database
from photo_api.maintenance import GroupSweep
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import PUSHES
from photo_api.registry.registration import LAST_WORD
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.supervisor.drain import CUT
from photo_api.supervisor.pushing import END_TIME_BOX, Pushing
from photo_api.supervisor.serving import OWN_FLUSH
from photo_api.telemetry.pushgateway import PushFailed, Pushgateway, PushRefused, scraped_at
from tests.certificates import Authority
from tests.metrics.scraping import Scraped
from tests.own_stage import own_database
from tests.service import Service, eventually, free_port

pytestmark = pytest.mark.needs("prometheus-pushgateway")


PASSWORD = "c04b7e91d2f8536a"
WEB = """
basic_auth_users: {{photo-api: '{hash}'}}
tls_server_config: {{cert_file: '{certificate}', key_file: '{key}'}}
"""


class Gateway:
    """One that wants a password, with a certificate of an authority that no system knows."""

    def __init__(self, url: str, authorities: Path) -> None:
        self.url, self.authorities = url, authorities
        context = ssl.create_default_context(cafile=str(authorities))
        self.client = httpx.Client(base_url=url, verify=context, auth=("photo-api", PASSWORD))

    def pushed(self, kind: type[Pushgateway] = Pushgateway) -> Pushgateway:
        return kind(self.url, f"photo-api:{PASSWORD}", self.authorities.read_text())

    def groups(self) -> set[str]:
        """The instances that it knows."""
        listed = self.client.get("/api/v1/metrics").raise_for_status().json()["data"]
        return {one["labels"]["instance"] for one in listed}

    def scrape(self) -> Scraped:
        lines = self.client.get("/metrics").raise_for_status().text.splitlines()
        ours = [line for line in lines if line.startswith(("photo_api", "http_requests_total"))]
        return Scraped("\n".join(ours))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    address, folder = f"127.0.0.1:{free_port()}", tmp_path_factory.mktemp("gateway")
    authority = Authority(folder / "authority")
    certificate, key = authority.server("127.0.0.1")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    web = folder / "web.yml"
    web.write_text(WEB.format(hash=hashed, certificate=certificate, key=key))
    command = ["prometheus-pushgateway", f"--web.listen-address={address}", "--persistence.file="]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--web.config.file={web}"],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,
        )
    found = Gateway(f"https://{address}", authority.certificate)
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
        return gateway.client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def test_an_instance_pushes_while_it_runs_and_takes_all_out_at_its_end(
    gateway: Gateway, start_service: Callable[..., Service], tmp_path: Path
) -> None:
    secret = tmp_path / "pushgateway-auth"
    secret.write_text(f"photo-api:{PASSWORD}\n")
    files = {"PUSHGATEWAY_AUTH_FILE": secret, "PUSHGATEWAY_CA_FILE": gateway.authorities}
    own = {name: str(path) for name, path in files.items()}
    service = start_service("--no-jobs", PUSHGATEWAY=gateway.url, PUSH_INTERVAL="1", **own)
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
    assert PASSWORD not in service.log_file.read_text()


async def test_the_groups_of_the_gone_are_removed_and_of_no_others(
    gateway: Gateway, db: Database
) -> None:
    states = {"10.0.0.1": "ready", "10.0.0.2": "lost", "10.0.0.3": "stopped", "10.0.0.4": "lost"}
    states |= {"a/b": "lost", "a/b/c": "stopped"}
    pushed = gateway.pushed()
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

    pushed, names = gateway.pushed(Choosy), [f"10.1.0.{number}" for number in range(1, 7)]
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
from photo_base import event_loop
async def main():
    for _ in range(20):
        try:
            async with asyncio.timeout(0.05):
                await Pushgateway("http://hangs.example:9091").put("a:1", "")
        except (PushFailed, TimeoutError):
            pass
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
event_loop.run(main())
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
        await gateway.pushed().put("a:1", "no metrics at all\n")


async def test_a_gateway_gets_its_secret_in_tls_alone_and_a_renewed_one_at_once(
    gateway: Gateway, environ: dict[str, str]
) -> None:
    with pytest.raises(PushFailed, match="no answer: SSLCertVerificationError"):
        await Pushgateway(gateway.url, f"photo-api:{PASSWORD}").put("a:1", "")
    pushing = environ | {
        "PHOTO_API_PUSHGATEWAY": gateway.url,
        "PHOTO_API_PUSHGATEWAY_CA_FILE": str(gateway.authorities),
    }
    secret = "PHOTO_API_PUSHGATEWAY_AUTH"
    live = LiveSettings(load(pushing | {secret: "photo-api:former"}))
    pushed = Pushgateway.of(live)
    assert pushed is not None
    with pytest.raises(PushFailed, match="status 401") as refused:
        await pushed.put("a:1", "")
    assert "former" not in str(refused.value)
    live.change(load(pushing | {secret: f"photo-api:{PASSWORD}"}))
    await pushed.put("a:1", "photo_api_ready 1\n")
    await pushed.delete("a:1")


def test_the_end_of_pushing_is_in_the_margin_that_an_instance_s_end_has() -> None:
    """Beside the last word to the registry."""
    last_words = max(LAST_WORD, 2 * END_TIME_BOX)
    assert CUT + last_words + OWN_FLUSH <= STOP_MARGIN


def test_an_instance_is_named_as_prometheus_would() -> None:
    assert scraped_at("10.0.0.1", 8000) == "10.0.0.1:8000"
    assert scraped_at("2001:db8::1", 8000) == "[2001:db8::1]:8000"
