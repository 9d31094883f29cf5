"""The user data for real: a fresh Debian boots, its cloud-init does what they say, and its systemd
starts and stops the unit.

Machines are containers of systemd-nspawn. What is not shown: a boot loader, a kernel and a network of
one's own, the image of a cloud and how that cloud hands out user data (here: cloud-init's NoCloud), and
the watchers of its group. Nobody fetches a secret from a vault: the hook of the image copies files.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_fleet.render import cloud_init
from photo_fleet.render.environment import SECRETS, SITE
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import loads
from tests.machines import image
from tests.machines.machine import Booted, Machine
from tests.photo_fleet import load
from tests.photo_fleet.load import People
from tests.photographs import good
from tests.service import User, eventually, free_port
from tests.stack import running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.needs("debootstrap", "systemd-nspawn"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot a machine"),
    pytest.mark.s3_only("the hook of its image brings the keys of S3"),
]

PINNED = "/etc/photo-api/requirements.txt"
WHEELS = "/opt/wheels"
VAULT = "/root/vault"
GRACE = 30

SPEC = """
name = "machines"
[service]
port = {port}
public_url = "http://127.0.0.1:{port}"
store = "{store}"
store_region = "{region}"
package = "{package}"
[balancer]
kind = "cloud"
bucket = "{bucket}"
networks = ["127.0.0.0/8"]
[drain]
lame_duck = "3s"
in_flight_wait = "20s"
log_flush = "2s"
grace = "{grace}s"
"""

# There is no other network than the tests', no account of an operator, and the machine that the tests
# run on may be one of a cloud, whose notices are not for this one.
IMAGE = """\
datasource_list: [NoCloud]
network: {config: disabled}
locale: C.UTF-8
ssh_genkeytypes: []
users: []
"""
ONE_MACHINE = "PHOTO_API_METADATA_URL=\n"

HOOK = f'#!/bin/sh\ncp {VAULT}/* "$1"\n'


class Stage:
    """What machines find: a database, a store, and what their image brings."""

    def __init__(self, addresses: dict[str, Any], debian: Path, folder: Path) -> None:
        self._addresses = addresses
        self._debian = debian
        self._wheels = image.wheels(debian)
        self._wheel = image.our_wheel(folder)
        self._folder = folder

    def fleet(self, port: int, package: str) -> Fleet:
        found = self._addresses
        text = SPEC.format(
            port=port,
            store=found["s3_endpoint"],
            region=found["region"],
            bucket=found["bucket"],
            package=package,
            grace=GRACE,
        )
        return loads(text, "fleet.toml")

    def machine(self, name: str, fleet: Fleet) -> Machine:
        """A disk with the image of an operator who has read the documents, and the user data."""
        machine = Machine(self._debian, self._folder / name)
        machine.copy(self._wheels, WHEELS)
        machine.copy(self._wheel, f"{WHEELS}/{self._wheel.name}")
        source = f"--no-index\n--find-links {WHEELS}\n"
        build, needed = ((image.ROOT / name).read_text() for name in image.PINNED)
        machine.write(PINNED, source + self._ours() + needed)
        machine.write(PINNED.replace(".txt", "-build.txt"), source + build)
        machine.write("/etc/cloud/cloud.cfg.d/99-image.cfg", IMAGE)
        machine.write(SITE, ONE_MACHINE, 0o600)
        machine.write(fleet.service.secrets_hook, HOOK, 0o755)
        for secret, value in self._secrets().items():
            machine.write(f"{VAULT}/{secret}", value, 0o600)
        seed = "/var/lib/cloud/seed/nocloud"
        machine.write(f"{seed}/user-data", cloud_init.files(fleet)["user-data.yaml"])
        machine.write(f"{seed}/meta-data", f"instance-id: {name}\nlocal-hostname: {name}\n")
        return machine

    def _ours(self) -> str:
        digest = hashlib.sha256(self._wheel.read_bytes()).hexdigest()
        return f"photo-api=={self._wheel.name.split('-')[1]} --hash=sha256:{digest}\n"

    def _secrets(self) -> dict[str, str]:
        found = self._addresses
        return {
            "database-url": found["database_url"],
            "s3-access-key": found["access_key"],
            "s3-secret-key": found["secret_key"],
            "jwt-keys": f"k1:{token_hex(32)}",
            "secret-keys": f"s1:{token_hex(32)}",
            "ops-token": token_hex(32),
        }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    debian, port = image.debian(), free_port()
    folder = tmp_path_factory.mktemp("machines")
    with running_stack(folder, "--database-port", str(port)) as found:
        owner = urlsplit(found["database_url"])
        url = f"postgresql://{owner.username}:{owner.password}@127.0.0.1:{port}{owner.path}"
        yield Stage(found | {"database_url": url}, debian, folder)


def test_a_fresh_machine_becomes_an_instance_that_leaves_without_losing_anything(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "SLOW_UPLOAD", 6.0)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    machine = stage.machine("photo-1", stage.fleet(port, PINNED))
    with machine.booted() as booted:
        eventually(booted.has_started, 120, 0.2)
        assert booted.says("cloud-init", "status") == "status: done", log_of(booted)
        assert httpx.get(f"{url}/health").status_code == 200
        assert_confined(booted)
        with User(url) as user:
            for kind in ("jpeg", "heic"):
                name = next(name for name in good() if kind in name)
                photo = user.upload(good()[name][1], filename=f"photo.{kind}")
                assert user.rendered(photo["id"])["renditions"] == "ready", name

        people = People(url)
        assert_a_second_run_changes_nothing(booted)
        busy = (people.reader(), people.direct_uploader(), people.uploader())
        with people.busy(*busy, people.slow_uploader(), people.slow_direct_uploader()) as ledger:
            eventually(lambda: ledger.done["slow upload"] and ledger.done["confirm"], 60)
            booted.power_off()
            eventually(lambda: not is_ready(url), 10, 0.1)
        assert booted.process.wait(GRACE + 10) == 0, machine.console()
    ledger.assert_nothing_failed()

    with machine.booted() as booted:
        eventually(lambda: is_ready(url), 60, 0.1)
        assert people.lost() == []
        told = booted.says("journalctl", "--boot=-1", "--unit=photo-api", "--output=cat")
        assert "photo-api.service: Deactivated successfully." in told, told[-3000:]


def assert_confined(booted: Booted) -> None:
    """What systemd made of the unit's lines, as the kernel tells it."""
    shown = booted.says("systemctl", "show", "--property=MainPID", "--value", "photo-api")
    status = dict(
        line.split(":\t", 1) for line in booted.says("cat", f"/proc/{shown}/status").splitlines()
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapEff"], 16) == 0
    assert 61_184 <= int(status["Uid"].split()[0]) <= 65_519, "DynamicUser=, systemd.exec(5)"
    assert booted.run("test", "-e", f"/proc/{shown}/root/home/anything").returncode == 1
    written = booted.run("touch", f"/proc/{shown}/root/usr/anything")
    assert "Read-only file system" in written.stderr
    shown = booted.says("stat", "--format=%a %U:%G %n", SECRETS, f"{SECRETS}/jwt-keys")
    assert shown.splitlines() == [
        f"2750 root:photo-api-secrets {SECRETS}",
        f"640 root:photo-api-secrets {SECRETS}/jwt-keys",
    ]


def assert_a_second_run_changes_nothing(booted: Booted) -> None:
    pid = ("systemctl", "show", "--property=MainPID", "--value", "photo-api")
    before = booted.says(*pid)
    booted.says(cloud_init.INSTALLER)
    assert booted.says(*pid) == before


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def log_of(booted: Booted) -> str:
    return booted.run("tail", "-n", "50", "/var/log/cloud-init-output.log").stdout
