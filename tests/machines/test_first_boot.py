"""The user data for real: a fresh Debian boots, its cloud-init does what they say, and its systemd
starts and stops the unit.

Machines are containers of systemd-nspawn. Not shown are a boot loader, a kernel and a network of
their own, the image of a cloud and how that cloud hands out user data (here: cloud-init's NoCloud),
and what watches its group. Nobody fetches a secret from a vault: the image's hook copies files.
"""

from secrets import token_hex

import httpx
import pytest

from photo_fleet.render.cloud_init import INSTALLER
from photo_fleet.render.environment import SECRETS
from tests.machines.machine import Booted
from tests.machines.stage import BOOTS, GRACE, PINNED, VAULT, Stage, is_ready
from tests.photo_fleet import load
from tests.photo_fleet.load import People
from tests.photographs import good
from tests.service import User, eventually, free_port

pytestmark = [pytest.mark.slow, *BOOTS]

MAIN = ("systemctl", "show", "--property=MainPID", "--value", "photo-api")


def test_a_fresh_machine_becomes_an_instance_that_leaves_without_losing_anything(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "SLOW_UPLOAD", 6.0)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    machine = stage.machine("photo-1", stage.fleet(port, PINNED))
    with machine.booted() as booted:
        eventually(booted.has_started, 200, 0.2)
        assert booted.says("cloud-init", "status") == "status: done", booted.log_of_cloud_init()
        assert httpx.get(f"{url}/health").status_code == 200
        assert_confined(booted)
        assert_it_makes_renditions(url)

        people = People(url)
        # No slow direct upload: its confirmation comes after the lame duck, and a balancer, which
        # would send it to another instance, is not there.
        busy = (people.reader(), people.direct_uploader(), people.uploader())
        with people.busy(*busy, people.slow_uploader()) as ledger:
            assert_a_second_run_changes_nothing(booted)
            assert_new_secrets_are_taken_over(booted, url)
            eventually(lambda: ledger.done["slow upload"] and ledger.done["confirm"], 60)
            before = ledger.done["slow upload"]
            booted.power_off()
            eventually(lambda: not is_ready(url), 10, 0.1)
        assert booted.process.wait(GRACE + 10) == 0, machine.console()
    ledger.assert_nothing_failed()
    assert ledger.done["slow upload"] > before, "an upload was under way when it was told to end"

    with machine.booted() as booted:
        eventually(lambda: is_ready(url), 100, 0.1)
        assert people.lost() == []
        told = booted.says("journalctl", "--boot=-1", "--unit=photo-api", "--output=cat")
        assert "photo-api.service: Deactivated successfully." in told, told[-3000:]


def assert_confined(booted: Booted) -> None:
    """What systemd made of the unit's lines, as the kernel tells it."""
    main = booted.says(*MAIN)
    lines = booted.says("cat", f"/proc/{main}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapEff"], 16) == 0
    assert 61_184 <= int(status["Uid"].split()[0]) <= 65_519, "DynamicUser=, systemd.exec(5)"
    written = booted.run("touch", f"/proc/{main}/root" + "/usr/anything")
    assert "Read-only file system" in written.stderr
    shown = booted.says("stat", "--format=%a %U:%G", SECRETS, f"{SECRETS}/jwt-keys")
    assert shown.splitlines() == ["2750 root:photo-api-secrets", "640 root:photo-api-secrets"]


def assert_it_makes_renditions(url: str) -> None:
    with User(url) as user:
        for kind in ("jpeg", "heic"):
            name = next(name for name in good() if kind in name)
            photo = user.upload(good()[name][1], filename=f"photo.{kind}")
            assert user.rendered(photo["id"])["renditions"] == "ready", name


def assert_a_second_run_changes_nothing(booted: Booted) -> None:
    before = booted.says(*MAIN)
    booted.says(INSTALLER)
    assert booted.says(*MAIN) == before


def assert_new_secrets_are_taken_over(booted: Booted, url: str) -> None:
    token = token_hex(32)
    booted.says("sh", "-c", f"echo {token} > {VAULT}/ops-token")
    booted.says(INSTALLER, "secrets")
    asked = {"Authorization": f"Bearer {token}"}
    eventually(lambda: "config" in httpx.get(f"{url}/health/detailed", headers=asked).json(), 40)
