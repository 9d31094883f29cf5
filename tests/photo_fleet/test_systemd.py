"""The rendered units: read by systemd itself, and the service runs under what they forbid."""

import dataclasses
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import httpx
import psutil
import pytest

from photo_fleet.render.environment import SECRETS, SECRETS_GROUP
from photo_fleet.render.environment import files as environment_files
from photo_fleet.render.nginx import files as nginx_files
from photo_fleet.render.places import Places
from photo_fleet.render.systemd import (
    BALANCE_GROUP,
    balancer_files,
    instance_files,
    scale_in_files,
)
from photo_fleet.rules.checks import check
from photo_fleet.spec.fleet import Balancer, Database, Drain, Fleet, Logs, Service, Tls
from photo_fleet.spec.settings import secrets
from photo_fleet.spec.targets import for_target
from tests.own_stage import own_database
from tests.photo_fleet.confinement import settings
from tests.photo_fleet.golden_files import assert_golden
from tests.photographs import good
from tests.service import User, eventually, free_port

MEMBERSHIPS: tuple[Literal["lua", "reload"], ...] = ("lua", "reload")
PROGRAMS = ("opt/photo-api/bin/photo-api", "opt/photo-api/bin/photo-fleet", "usr/sbin/nginx")
UNITS = Path("/usr/lib/systemd/system")

VARIANTS = {
    "default": Fleet(),
    "other": Fleet(
        name="seoul",
        service=Service(
            port=80,
            workers=4,
            longest_request=25,
            store="https://s3.example.org",
            store_ca="/etc/ssl/certs/ca-certificates.crt",
            store_credentials="role",
            public_url="https://photos.example.org",
        ),
        balancer=Balancer(
            membership="reload",
            port=8080,
            networks=("10.0.0.0/24", "2001:db8::/64"),
            tls=Tls("/etc/ssl/photos.pem", "/etc/ssl/photos.key"),
        ),
        drain=Drain(lame_duck=10, in_flight_wait=25, log_flush=2.5, grace=50.5),
        database=Database(pooler="transaction"),
        logs=Logs(
            file="/var/log/photo-api/photo-api.log",
            loki="https://10.0.0.7:3100",
            loki_tenant="photos",
            loki_auth=True,
            nhn=True,
        ),
    ),
}

VARIANTS["nhn"] = for_target(Fleet(), "nhn")


def all_units(fleet: Fleet) -> dict[str, str]:
    return {
        name: text
        for name, text in (
            instance_files(fleet) | balancer_files(fleet) | scale_in_files(GROUP)
        ).items()
        if name.endswith(".service")
    }


GROUP = for_target(Fleet(), "openstack")


def instance_units(fleet: Fleet) -> list[str]:
    """The texts of the serving plane's units."""
    return [text for name, text in instance_files(fleet).items() if name.endswith(".service")]


@pytest.mark.parametrize("variant", VARIANTS)
def test_units_and_environment_are_exactly_these(variant: str) -> None:
    fleet = VARIANTS[variant]
    rendered = instance_files(fleet) | balancer_files(fleet) | environment_files(fleet)
    assert_golden(f"systemd/{variant}", rendered)


def test_the_unit_that_scales_in_is_exactly_this() -> None:
    assert_golden("systemd/openstack", scale_in_files(GROUP))
    assert scale_in_files(Fleet()) == {}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine with Debian's units and with our programs' names."""
    root = tmp_path / "root"
    shutil.copytree(UNITS, root / UNITS.relative_to("/"), symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/systemd/system").mkdir(parents=True)
    for program in (*PROGRAMS, "bin/kill", "bin/rm", "bin/sh", "usr/bin/env"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    return root


def verify(root: Path, units: dict[str, str]) -> subprocess.CompletedProcess[str]:
    folder = root / "etc/systemd/system"
    for name, text in units.items():
        (folder / name).write_text(text)
    command = ["systemd-analyze", "verify", f"--root={root}", *units]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("variant", VARIANTS)
def test_systemd_finds_nothing_wrong_with_any_unit(variant: str, machine: Path) -> None:
    verified = verify(machine, all_units(VARIANTS[variant]))
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("line", ["KillMode=mixd", "ProtectClok=yes", "ExecStart=/no/such/program"])
def test_systemd_would_say_what_is_wrong(line: str, machine: Path) -> None:
    key = line.partition("=")[0]
    unit = all_units(Fleet())["photo-api.service"].replace("[Service]", f"[Service]\n{line}")
    unit = "\n".join(row for row in unit.splitlines() if row == line or not row.startswith(key))
    assert verify(machine, {"photo-api.service": unit}).stderr


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_unit_is_confined(variant: str, machine: Path) -> None:
    units = all_units(VARIANTS[variant])
    verify(machine, units)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--root={machine}"]
    for name in units:
        rated = subprocess.run(
            [*command, "--threshold=25", name], capture_output=True, text=True, timeout=60
        )
        assert rated.returncode == 0, rated.stdout[-200:]


def test_whatever_an_ending_instance_needs_stops_after_it() -> None:
    for unit in instance_units(Fleet()):
        lines = settings(unit)
        assert lines["Wants"] == ["network-online.target"]
        after = set(" ".join(lines["After"]).split())
        assert {"network-online.target", "nss-lookup.target", "systemd-journald.socket"} <= after
        assert "rsyslog.service" in after


def test_balance_stops_after_nginx_so_that_draining_instances_wait_for_both() -> None:
    units = balancer_files(Fleet())
    after = " ".join(settings(units["photo-fleet-nginx.service"])["After"])
    assert "photo-fleet-balance.service" in after.split()
    assert "photo-fleet-nginx" not in " ".join(
        settings(units["photo-fleet-balance.service"])["After"]
    )


def test_systemd_waits_as_long_as_the_spec_grants() -> None:
    for grace, seconds in ((60, "60"), (50.5, "50.5"), (144, "144")):
        fleet = Fleet(drain=Drain(grace=grace))
        for unit in instance_units(fleet):
            assert settings(unit)["TimeoutStopSec"] == [seconds]
            assert settings(unit)["KillMode"] == ["mixed"]


def test_each_unit_writes_its_log_file_where_it_may() -> None:
    fleet = VARIANTS["other"]
    common = settings(environment_files(fleet)["photo-api.env"])["PHOTO_API_LOG_SINK"]
    assert "logs-file" not in {finding.code for finding in check(fleet)}
    for unit in instance_units(fleet):
        own = re.findall(r"PHOTO_API_LOG_SINK=(\S+)", unit) or common
        [folder] = settings(unit)["LogsDirectory"]
        assert [Path(file).parent for file in own] == [Path("/var/log", folder)]


def test_a_cloud_balancer_has_no_units() -> None:
    assert balancer_files(Fleet(balancer=Balancer(kind="cloud"))) == {}


def test_a_control_character_cannot_add_a_setting() -> None:
    fleet = Fleet(service=Service(public_url="https://a.example\nPHOTO_API_MODE=development"))
    with pytest.raises(ValueError, match="control character"):
        environment_files(fleet)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_service_accepts_the_environment(
    variant: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    environment = Installed(VARIANTS[variant], tmp_path, environ).environment()
    command = [sys.executable, "-m", "photo_api.cli", "config", "check"]
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert checked.stdout == "The configuration is usable (production).\n", checked.stderr


@dataclass
class Installed:
    """What a machine has after the units and the secrets were put on it, below `root`."""

    fleet: Fleet
    root: Path
    environ: dict[str, str]

    def environment(self) -> dict[str, str]:
        """As systemd makes it out of Environment= and EnvironmentFile=; settings that the spec
        leaves open get the example that stands there."""
        found = {"PATH": os.environ["PATH"]}
        for secret in secrets(self.fleet):
            database = self.environ["PHOTO_API_DATABASE_URL"]
            other = database if "DATABASE" in secret.variable else token_hex(16)
            value = self.environ.get(f"PHOTO_API_{secret.variable}")
            (self.root / secret.name).write_text(value or other)
        unit = instance_files(self.fleet)["photo-api.service"]
        lines = [line.replace(SECRETS, str(self.root)) for line in settings(unit)["Environment"]]
        assert len(lines) == len(secrets(self.fleet))
        file = environment_files(self.fleet)["photo-api.env"]
        lines += [line.removeprefix("#") for line in file.splitlines() if "PHOTO_API_" in line]
        for line in lines:
            name, equals, value = line.partition("=")
            if equals and not name.startswith(" "):
                found[name] = value
        return found


@pytest.mark.needs("systemd-analyze")
def test_the_service_works_under_what_its_unit_forbids(
    tmp_path: Path, stack: dict[str, Any], environ: dict[str, str]
) -> None:
    """It gets ready, decodes photos of every kind in its confined children, and ends cleanly."""
    drain = Drain(lame_duck=0, in_flight_wait=5, log_flush=1, grace=20)
    fleet = dataclasses.replace(Fleet(), drain=drain)
    with (
        own_database(stack, environ) as database,
        running_unit(Installed(fleet, tmp_path, database), tmp_path) as (process, url),
    ):
        with User(url) as user:
            for kind in ("jpeg", "png", "heic"):
                name = next(name for name in good() if kind in name)
                photo = user.upload(good()[name][1], filename=f"photo.{kind}")
                assert user.rendered(photo["id"])["renditions"] == "ready", name
            decoders = [child for child in family(process) if is_decoder(child)]
            assert decoders
            assert all(has_filter(child) for child in family(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def as_service(folder: Path, group: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run it as systemd runs a unit with DynamicUser=, SupplementaryGroups= and PrivateUsers=: the
    groups are set before the user namespace is entered (exec_child of systemd 252)."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", f"--groups={group}", "--no-new-privs"]
    confined = [*user, "unshare", "--user", *command]
    return subprocess.run(confined, cwd=folder, capture_output=True, text=True, timeout=30)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set groups")
def test_the_service_s_group_alone_reads_its_secrets() -> None:
    unit = settings(instance_files(Fleet())["photo-api.service"])
    assert unit["SupplementaryGroups"] == [SECRETS_GROUP]
    assert (unit["DynamicUser"], unit["PrivateUsers"]) == (["yes"], ["yes"])
    with tempfile.TemporaryDirectory() as name:
        folder, group = Path(name), 61_234
        folder.chmod(0o755)
        if as_service(folder, group, "true").returncode:
            pytest.skip("this kernel lets nobody into a user namespace")
        (folder / "secrets").mkdir()
        os.chown(folder / "secrets", 0, group)
        (folder / "secrets").chmod(0o2750)
        file = folder / "secrets/jwt-keys"
        file.write_text("old")
        assert file.stat().st_gid == group, "also of files that are made later"
        file.chmod(0o640)
        assert as_service(folder, group, "cat", str(file)).stdout == "old"
        file.write_text("new")
        assert as_service(folder, group, "cat", str(file)).stdout == "new"
        assert "denied" in as_service(folder, group + 1, "cat", str(file)).stderr
        assert as_service(folder, group, "tee", str(file)).returncode != 0, "it cannot write there"


def test_nginx_cannot_read_the_database_s_address() -> None:
    units = balancer_files(Fleet())
    balance, nginx = (
        settings(units[f"photo-fleet-{name}.service"]) for name in ("balance", "nginx")
    )
    assert balance["SupplementaryGroups"] == [BALANCE_GROUP]
    assert "SupplementaryGroups" not in nginx
    assert nginx["Group"] == balance["Group"] != [BALANCE_GROUP]
    assert "m " not in units["photo-fleet.sysusers.conf"], "nobody is a member for good"


@contextmanager
def running_unit(
    installed: Installed, folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The unit's ExecStart on a free port of loopback, once it has said READY=1."""
    unit = instance_files(installed.fleet)["photo-api.service"]
    (folder / "unit").write_text(unit)
    arguments = settings(unit)["ExecStart"][0].split()[1:]
    arguments[arguments.index("--host") + 1] = "127.0.0.1"
    arguments[arguments.index("--port") + 1] = "0"
    given = {
        name: installed.environ[name]
        for name in ("PHOTO_API_S3_ENDPOINT", "PHOTO_API_S3_REGION", "PHOTO_API_METADATA_URL")
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(60)
        environment = installed.environment() | given
        environment |= {
            "PHOTO_API_TRUSTED_PROXIES": "127.0.0.0/8",
            "NOTIFY_SOCKET": str(folder / "notify"),
            "RUNTIME_DIRECTORY": str(folder / "run"),
        }
        confinement = [sys.executable, "-m", "tests.photo_fleet.confinement", str(folder / "unit")]
        with (folder / "service.log").open("wb") as log:
            process = subprocess.Popen(
                [*confinement, sys.executable, "-m", "photo_api.cli", *arguments],
                env=environment,
                stderr=log,
            )
        try:
            said = manager.recv(1000).decode()
            assert said.startswith("READY=1"), said
            url = f"http://127.0.0.1:{said.rpartition(' ')[2]}"
            eventually(lambda: (folder / "service.log").read_text().count('"ready"'), 30)
            yield process, url
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def host() -> Iterator[Path]:
    """A folder that an ordinary user can reach and write to."""
    with tempfile.TemporaryDirectory(prefix="photo-fleet-") as name:
        folder = Path(name)
        for part in ("nginx", "run", "logs", "temp"):
            (folder / part).mkdir()
        for path in (folder, *folder.iterdir()):
            path.chmod(0o777)
        yield folder


@pytest.mark.needs("nginx", "systemd-analyze")
@pytest.mark.parametrize("membership", MEMBERSHIPS)
def test_nginx_works_under_what_its_unit_forbids(
    membership: Literal["lua", "reload"], host: Path
) -> None:
    """Also when it was killed before and left its socket behind."""
    port = free_port()
    balancer = Balancer(membership=membership, port=port)
    fleet = Fleet(balancer=balancer, service=Service(longest_request=2))
    places = dataclasses.replace(Places.below(host, port), user="")
    for path, text in nginx_files(fleet, places).items():
        (host / "nginx" / path).parent.mkdir(parents=True, exist_ok=True)
        (host / "nginx" / path).write_text(text)
    (host / "unit").write_text(balancer_files(fleet, places)["photo-fleet-nginx.service"])
    url = f"http://127.0.0.1:{port}/edge/health"
    for ending, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGQUIT, 0)):
        process, workers = start_nginx(host / "unit"), list[psutil.Process]()
        try:
            eventually(lambda: answers(url), 20)
            # Often enough for LuaJIT to compile what runs.
            with httpx.Client() as client:
                assert {client.get(url).status_code for _ in range(300)} == {503}
            workers = psutil.Process(process.pid).children()
            process.send_signal(ending)
            assert process.wait(20) == code
        finally:
            end(process, workers)


def start_nginx(unit: Path) -> subprocess.Popen[bytes]:
    """What systemd does with the unit's ExecStartPre and ExecStart."""
    lines = settings(unit.read_text())
    confinement = [sys.executable, "-m", "tests.photo_fleet.confinement", str(unit)]
    for line in lines["ExecStartPre"]:
        command = shlex.split(line.removeprefix("-"))
        done = subprocess.run([*confinement, *command], capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
    return subprocess.Popen([*confinement, *shlex.split(lines["ExecStart"][0])])


def end(process: subprocess.Popen[bytes], workers: list[psutil.Process]) -> None:
    """As systemd leaves none of a unit's processes behind."""
    if process.poll() is None:
        workers += psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    psutil.wait_procs(workers, 10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 503
    except httpx.TransportError:
        return False


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The instance's processes, decoders included."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def is_decoder(process: psutil.Process) -> bool:
    return "photo_api.renditions.child" in process.cmdline()


def has_filter(process: psutil.Process) -> bool:
    """Whether the kernel filters its system calls (proc(5), Seccomp: 2)."""
    return "Seccomp:\t2" in Path(f"/proc/{process.pid}/status").read_text()
