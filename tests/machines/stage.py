"""What machines find when they boot: a database and a store beside them, and the image of an
operator who has read the documents."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_fleet.render import cloud_init
from photo_fleet.render.environment import SITE
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import loads
from tests.machines import image
from tests.machines.machine import Machine
from tests.service import free_port
from tests.stack import running_stack

PINNED = "/etc/photo-api/requirements.txt"
WHEELS = "/opt/wheels"
VAULT = "/srv/vault"
USER_DATA = "/var/lib/cloud/seed/nocloud/user-data"
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

# There is no other network than the tests', and no account of an operator. The machine that the
# tests run on may be one of a cloud, whose notices are not for this one.
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
    """Makes machines that are of one fleet."""

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
        machine.write(USER_DATA, cloud_init.files(fleet)["user-data.yaml"])
        itself = f"instance-id: {name}\nlocal-hostname: {name}\n"
        machine.write(USER_DATA.replace("user", "meta"), itself)
        return machine

    @property
    def wheel(self) -> str:
        """The name of ours."""
        return self._wheel.name

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


@contextmanager
def running_stage(folder: Path) -> Iterator[Stage]:
    """With servers that end with this process."""
    debian, port = image.debian(), free_port()
    with running_stack(folder, "--database-port", str(port)) as found:
        owner = urlsplit(found["database_url"])
        url = f"postgresql://{owner.username}:{owner.password}@127.0.0.1:{port}{owner.path}"
        yield Stage(found | {"database_url": url}, debian, folder)


def is_ready(url: str) -> bool:
    """Whether the instance there takes requests."""
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def can_boot() -> bool:
    """Whether whoever runs the tests may make a machine here."""
    probe = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    return os.geteuid() == 0 and subprocess.run(probe, capture_output=True).returncode == 0


BOOTS = (
    pytest.mark.timeout(400),
    pytest.mark.needs("debootstrap", "systemd-nspawn"),
    pytest.mark.skipif(not can_boot(), reason="only root boots machines, outside of sandboxes"),
    pytest.mark.s3_only("its stage has an S3 of its own"),
)
"""Marks of a test that boots one."""
