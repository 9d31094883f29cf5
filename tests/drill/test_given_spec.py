"""A drill of somebody's own spec: what of it is staged, what is not and is told, and what is
refused before anything starts."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_fleet.drill.stage.demands import LARGEST, Demands, stage_spec
from photo_fleet.drill.stage.replaced import WHY, replaced
from photo_fleet.drill.stage.stage import Stage
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.render import environment, nginx
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Drain, Fleet, HealthCheck, Logs, Service, Tls
from photo_fleet.spec.loading import load
from photo_fleet.spec.settings import settings

EXAMPLES = Path(__file__).parents[2]
ADDRESSES = EmbeddedAddresses(
    database_url="postgresql://owner@127.0.0.1:5/photos",
    superuser_url="postgresql://super@127.0.0.1:5/photos",
    s3_endpoint="http://127.0.0.1:8333",
    access_key="key",
    secret_key="secret",
    bucket="drill",
    region="us-east-1",
)
MINE = Fleet(
    name="mine",
    service=Service(longest_request=8, keep_alive=50, pool=4),
    health_check=HealthCheck(interval=15, timeout=4, unhealthy=2),
    balancer=Balancer(
        algorithm="least-connections",
        keep_alive=20,
        connect_timeout=2,
        send_timeout=7,
        read_timeout=8,
        tls=Tls("/etc/ssl/photos.pem", "/etc/ssl/photos.key"),
    ),
    drain=Drain(lame_duck=4, in_flight_wait=8, log_flush=1, grace=20, kill_delay=20),
    logs=Logs(loki="https://loki.example.org"),
)


def test_a_rendered_environment_is_read_as_it_was_written() -> None:
    odd = 'a "b" \\ $c `d`'
    for fleet in (MINE, Fleet(), replace(MINE, service=replace(MINE.service, public_url=odd))):
        text = environment.files(fleet)["photo-api.env"]
        assert environment.variables(text) == settings(fleet)


def test_a_demanded_spec_is_staged_with_its_own_numbers() -> None:
    demands = Demands(removal="health-only", lame_duck=12, probe_interval=1, sinks=True)
    staged = stage_spec(demands.of(MINE), 3)
    for part in ("service", "health_check", "balancer", "drain", "logs"):
        assert getattr(staged, part) == getattr(MINE, part)
    assert (staged.group.desired, staged.group.max, staged.group.policies) == (3, LARGEST, ())
    assert demands.of(MINE).sinks
    assert demands.of(None) == demands


def test_what_is_staged_otherwise_is_told_with_its_reason() -> None:
    staged = local_spec(stage_spec(Demands(spec=MINE), 2), ADDRESSES, "http://127.0.0.1:1")
    told = replaced(MINE, staged)
    line = next(item for item in told if "balancer.tls" in item)
    assert line.startswith("plain HTTP")
    assert 'balancer.tls.certificate "/etc/ssl/photos.pem" left out' in line
    assert any('logs.loki "https://loki.example.org" left out' in item for item in told)
    assert any("cloud-init" in item for item in told)
    assert any("PHOTO_API_SWEEP_INTERVAL=1" in item for item in told)
    shown = " ".join(told)
    for kept in ("drain.", "health_check.", "keep_alive", "_timeout", "longest_request"):
        assert kept not in shown


@pytest.mark.parametrize("name", ["fleet.example.toml", "examples/guide.toml"])
def test_every_key_that_is_replaced_has_a_reason(name: str) -> None:
    asked = load(EXAMPLES / name)
    staged = local_spec(stage_spec(Demands(spec=asked), 2), ADDRESSES, "http://127.0.0.1:1")
    assert replaced(asked, staged)
    assert all(WHY.values())


def drill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "photo_fleet.cli", "drill", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("nonsense = 1\n", [], ":1: nonsense is not a key"),
        ("[drain\n", [], "is no TOML"),
        ('[drain]\nin_flight_wait = "7s"\n', [], "read-timeout: service.longest_request 30s"),
        ('[drain]\nin_flight_wait = "7s"\n', [], "--force stages it all the same"),
        ("", ["--target", "http://127.0.0.1:9"], "--spec stages a fleet"),
    ],
)
def test_a_spec_that_cannot_be_staged_is_refused_with_the_reason(
    tmp_path: Path, text: str, arguments: list[str], told: str
) -> None:
    spec = tmp_path / "fleet.toml"
    spec.write_text(text)
    done = drill("--spec", str(spec), "--only", "steady", *arguments)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_force_alone_means_nothing() -> None:
    done = drill("--force", "--only", "steady")
    assert (done.returncode, "--force is for --spec" in done.stderr) == (2, True), done.stderr


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_nginx_and_instances_run_what_is_rendered_from_the_spec(tmp_path: Path) -> None:
    lines: list[str] = []
    async with Stage.open(tmp_path, Demands(spec=MINE), 2, lines.append) as stage:
        staged = stage.carried_out
        rendered = nginx.files(staged, Places.below(tmp_path, int(stage.url.rsplit(":", 1)[1])))
        for name, text in rendered.items():
            assert (tmp_path / "nginx" / name).read_text() == text
        assert "proxy_read_timeout 8s;" in rendered["nginx.conf"]
        assert "keepalive_timeout 20s;" in rendered["nginx.conf"]
        config = await _reported(stage)
        expected = {"lame_duck": 4, "drain_wait": 8, "log_flush": 1, "grace": 20, "keep_alive": 50}
        assert {name: config[name] for name in expected} == expected
        [pid] = {item["pid"] for item in stage.serving()[:1]}
        environ = await asyncio.to_thread(_environ_of, pid)
    variables = environment.variables((tmp_path / "photo-api.env").read_text())
    assert variables
    assert {name: environ.get(name) for name in variables} == variables


async def _reported(stage: Stage) -> dict[str, float]:
    instance = stage.serving()[0]
    headers = {"Authorization": f"Bearer {stage.secrets()['ops_token']}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
        url = f"http://{instance['name']}:{instance['port']}/health/detailed"
        found: dict[str, float] = (await http.get(url)).json()["config"]
        return found


def _environ_of(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)
