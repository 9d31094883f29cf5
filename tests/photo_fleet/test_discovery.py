"""Prometheus learns from a balancer which instances run: the real ones of each."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from photo_fleet.balancer import discovery as module
from photo_fleet.balancer import metrics
from photo_fleet.balancer.discovery import Discovery, Targets, targets
from photo_fleet.balancer.membership import Member, Registered
from photo_fleet.cli import main
from photo_fleet.render import prometheus as rendered
from photo_fleet.render import systemd
from photo_fleet.spec.fleet import Balancer, Fleet, Metrics
from tests.certificates import Authority
from tests.metrics.scraping import Prometheus, prometheus_with
from tests.own_stage import ask, own_database
from tests.photo_fleet.balancers import balancing, role_url
from tests.photo_fleet.members_server import members_server
from tests.service import eventually, free_port

TOKEN = "f00dc0ffee5eed"
DISCOVERY = Fleet(metrics=Metrics(interval=1, discovery="http://127.0.0.1:9099"))


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


def _boot(settings: dict[str, str], address: str, state: str) -> None:
    ask(
        settings,
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state)"
        " VALUES ($1, $2, 'n', '1', $2, 9, 1, $3)",
        uuid4(), address, state,
    )  # fmt: skip


@pytest.mark.needs("prometheus")
def test_targets_follow_the_registry_within_a_refresh(
    stack: dict[str, Any], settings: dict[str, str], tmp_path: Path
) -> None:
    owner = settings["PHOTO_API_DATABASE_URL"]
    url = role_url(owner, stack["superuser_url"], f"balance_{uuid4().hex}")
    place = f"127.0.0.1:{free_port()}"
    token_file = tmp_path / "discovery-token"
    token_file.write_text(TOKEN)
    fleet = replace(DISCOVERY, metrics=replace(DISCOVERY.metrics, discovery=f"http://{place}"))
    config = _rendered(fleet, tmp_path)
    config = config.replace(rendered.DISCOVERY_TOKEN, str(token_file))
    for number in (1, 2):
        _boot(settings, f"127.0.8.{number}", "ready")
    with (
        members_server() as members,
        balancing(
            url,
            members.socket,
            tmp_path / "state",
            *("--discovery", place),
            more={"PHOTO_FLEET_DISCOVERY_TOKEN": TOKEN},
        ),
        prometheus_with(tmp_path, config) as server,
    ):
        eventually(lambda: _targets(server) == {place, "127.0.8.1:9", "127.0.8.2:9"}, 20)
        eventually(lambda: server.query("photo_fleet_members"), 10)
        _boot(settings, "127.0.8.3", "starting")
        eventually(lambda: "127.0.8.3:9" in _targets(server), 10)
        ask(settings, "UPDATE instances SET state = 'draining' WHERE instance = '127.0.8.1'")
        ask(settings, "UPDATE instances SET state = 'stopped' WHERE instance = '127.0.8.2'")
        eventually(lambda: _targets(server) == {place, "127.0.8.1:9", "127.0.8.3:9"}, 10)


def _rendered(fleet: Fleet, folder: Path) -> str:
    """prometheus.yml; what it refers to is in the folder."""
    files = rendered.files(fleet)
    for name, text in files.items():
        (folder / name).write_text(text)
    return files["prometheus.yml"]


def _targets(server: Prometheus) -> set[str]:
    active = server.ask("targets", state="active")["activeTargets"]
    return {one["labels"]["instance"] for one in active}


def _registered(address: str, state: str) -> Registered:
    return Registered(Member(uuid4().hex, address, address.partition(":")[0]), state, 0.0)


async def test_who_asks_without_the_token_learns_nothing() -> None:
    known: Targets | None = None
    port = free_port()
    discovery = Discovery("127.0.0.1", port, TOKEN, lambda: known, lambda: "a_metric 1\n")
    running = asyncio.create_task(discovery.run())
    good = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await asyncio.sleep(0.1)
        for headers in ({}, {"Authorization": TOKEN}, {"Authorization": "Bearer x"}):
            for path in ("/targets", "/metrics"):
                assert (await client.get(path, headers=headers)).status_code == 401
        assert (await client.get("/targets", headers=good)).status_code == 503, "it keeps its own"
        known = targets([_registered("10.0.0.2:80", "ready"), _registered("[::1]:80", "draining")])
        answer = await client.get("/targets", headers=good)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == known
        assert [one["targets"] for one in known] == [["10.0.0.2:80"], ["[::1]:80"]]
        told = await client.get("/metrics", headers=good)
        assert told.text == "a_metric 1\n"
        assert told.headers["Content-Type"] == "text/plain; version=0.0.4"
        assert (await client.get("/", headers=good)).status_code == 404
        assert (await client.post("/targets", headers=good)).status_code == 404
        with pytest.raises(httpx.HTTPError):
            await client.get("/targets", headers={"X": "x" * 9000})
    running.cancel()


async def test_who_reads_no_answer_leaves_none_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a Prometheus that was stopped, of a fleet whose list no socket holds."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    known: Targets = [{"targets": ["10.0.0.1:80"], "labels": {"x": "x" * 100}}] * 100_000
    port = free_port()
    discovery = Discovery("127.0.0.1", port, TOKEN, lambda: known, lambda: "")
    running = asyncio.create_task(discovery.run())
    await asyncio.sleep(0.1)
    with socket.create_connection(("127.0.0.1", port)) as stopped:
        stopped.sendall(f"GET /targets HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        local = stopped.getsockname()[1]

        def open_there() -> bool:
            own = psutil.Process().net_connections("tcp")
            return any(one.raddr and one.raddr.port == local for one in own)

        async with asyncio.timeout(20):
            while not open_there():
                await asyncio.sleep(0.01)
            while open_there():
                await asyncio.sleep(0.05)
    running.cancel()


def test_the_end_of_the_hosts_certificate_is_told_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "a").server("photos.example.org")
    end = metrics.expires(certificate)
    assert end is not None
    assert end > time.time()
    told = metrics.written({metrics.EXPIRES: end})
    assert f"{metrics.EXPIRES} {end:.0f}" in told.splitlines()
    for other in (key, tmp_path / "none.pem"):
        assert metrics.expires(other) is None


def test_without_a_token_it_does_not_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTO_FLEET_DATABASE_URL", "postgresql://a:b@127.0.0.1/c")
    assert main(["balance", "--discovery", "127.0.0.1:9099"]) == 2
    assert "PHOTO_FLEET_DISCOVERY_TOKEN" in capsys.readouterr().err


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    ("kind", "gateway", "auth", "tokens"),
    [
        ("nginx", "", "none", 2),
        ("cloud", "", "none", 1),
        ("nginx", "http://10.0.0.9:9091", "none", 0),
        ("nginx", "https://10.0.0.9:9091", "bearer", 1),
        ("cloud", "https://10.0.0.9:9091", "basic", 0),
    ],
)
def test_what_is_rendered_is_what_prometheus_takes(
    tmp_path: Path, kind: Any, gateway: str, auth: Any, tokens: int
) -> None:
    authorities = str(Authority(tmp_path / "a").certificate) if gateway[:5] == "https" else ""
    metrics = replace(
        DISCOVERY.metrics,
        pushgateway=gateway,
        pushgateway_auth=auth,
        pushgateway_ca=authorities,
    )
    fleet = replace(DISCOVERY, metrics=metrics, balancer=Balancer(kind=kind))
    text = _rendered(fleet, tmp_path)
    files = rendered.DISCOVERY_TOKEN, rendered.OPS_TOKEN
    for file in (*files, rendered.GATEWAY_TOKEN, rendered.GATEWAY_PASSWORD):
        own = tmp_path / Path(file).name
        own.write_text(TOKEN)
        text = text.replace(file, str(own))
    assert text.count("type: Bearer") == tokens
    assert ("ops-token" in text) is (kind == "cloud" and not gateway)
    assert text.count("basic_auth: {username: photo-api,") == (auth == "basic")
    assert (rendered.GATEWAY_TOKEN in "".join(rendered.notes(fleet))) is (auth == "bearer")
    assert ("honor_labels: true" in text) is bool(gateway), "and nobody is scraped twice"
    (tmp_path / "prometheus.yml").write_text(text)
    checked = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    said = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


OF_CLOUDS = {
    "ec2": """
  ec2_sd_configs:
  - filters:
    - {name: 'tag:photo-api-fleet', values: ['stage']}
    - {name: instance-state-name, values: [running]}
    region: 'KR1'
    port: 8000
    refresh_interval: 60s
""",
    "openstack": """
  openstack_sd_configs:
  - role: instance
    region: 'KR1'
    port: 8000
    refresh_interval: 60s
  relabel_configs:
  - source_labels: [__meta_openstack_instance_status, __meta_openstack_tag_photo_api_fleet]
    regex: 'ACTIVE;stage'
    action: keep
""",
}


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("cloud", OF_CLOUDS)
def test_a_clouds_own_discovery_is_asked_for_this_fleet_only(tmp_path: Path, cloud: Any) -> None:
    metrics = Metrics(cloud=cloud, cloud_region="KR1")
    fleet = Fleet(name="stage", metrics=metrics, balancer=Balancer(kind="cloud"))
    text = _rendered(fleet, tmp_path)
    assert OF_CLOUDS[cloud] in text
    assert "photo-api-fleet = stage" in rendered.notes(fleet)[0]
    token = tmp_path / "ops-token"
    token.write_text(TOKEN)
    (tmp_path / "prometheus.yml").write_text(text.replace(rendered.OPS_TOKEN, str(token)))
    checked = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    said = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_spec_that_names_no_discovery_renders_none() -> None:
    assert rendered.files(Fleet()) == {}
    assert "metrics.discovery is not set" in rendered.notes(Fleet())[0]
    units = systemd.balancer_files(DISCOVERY)["photo-fleet-balance.service"]
    assert " --discovery [::]:9099\n" in units
    assert f"PHOTO_FLEET_DISCOVERY_TOKEN_FILE={systemd.BALANCE_DISCOVERY}\n" in units
    assert "--discovery" not in systemd.balancer_files(Fleet())["photo-fleet-balance.service"]


@pytest.mark.parametrize("place", ["http://127.0.0.1:9099", "::1:9099", "a b:9099", "[]:1", "x:٣"])
def test_an_address_where_nobody_can_listen_is_refused(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["balance", "--discovery", place])
    assert "is no host:port such as 10.0.0.5:9099" in capsys.readouterr().err


async def test_a_place_that_cannot_be_had_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "no.such.host.invalid"):
            discovery = Discovery(host, port, "token", lambda: None, lambda: "")
            with pytest.raises(OSError, match=f"cannot listen at {host} port {port}: "):
                await discovery.run()
