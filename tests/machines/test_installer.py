"""The installer where something is wrong, and every cloud's user data read by cloud-init."""

import pytest

from photo_fleet.render import cloud_init
from photo_fleet.render.cloud_init import INSTALLER
from photo_fleet.spec.targets import TARGETS, for_target
from tests.machines.machine import Booted
from tests.machines.stage import BOOTS, PINNED, USER_DATA, WHEELS, Stage, is_ready
from tests.photo_fleet.test_cloud_init import written
from tests.service import eventually, free_port

pytestmark = [*BOOTS]

HOME = "/opt/photo-api"
FOREIGN = b"somebody else's"


@pytest.mark.long
def test_it_refuses_a_false_wheel_and_survives_a_kill(stage: Stage) -> None:
    """The package is a wheel of the image this time, and pip's configuration names the folder."""
    port = free_port()
    machine = stage.machine("photo-2", stage.fleet(port, f"{WHEELS}/{stage.wheel}"))
    machine.write("/etc/pip.conf", f"[global]\nno-index = true\nfind-links = {WHEELS}\n")
    machine.write("/usr/local/bin/sleep", "#!/bin/sh\n", 0o755)  # between its tries
    [false] = machine.changed(f"{WHEELS}/h11-*.whl")
    with false.open("ab") as wheel:
        wheel.write(FOREIGN)
    with machine.booted() as booted:
        eventually(booted.has_started, 300, 0.2)
        assert booted.run("cloud-init", "status").stdout == "status: error\n"
        assert "DO NOT MATCH THE HASHES" in booted.log_of_cloud_init()
        assert booted.run("systemctl", "is-active", "photo-api").stdout == "inactive\n"
        assert booted.run("systemctl", "is-enabled", "photo-api").stdout == "disabled\n"

        booted.says("truncate", f"--size=-{len(FOREIGN)}", f"{WHEELS}/{false.name}")
        kill_amid_installing(booted)
        assert booted.run("systemctl", "is-active", "photo-api").stdout == "inactive\n"
        done = booted.run(INSTALLER, timeout=200)
        assert done.returncode == 0, done.stderr
        eventually(lambda: is_ready(f"http://127.0.0.1:{port}"), 60)


def kill_amid_installing(booted: Booted) -> None:
    """All of it, when pip has copied some of what it has unpacked."""
    begun = booted.begin(INSTALLER)
    some = f"ls -d {HOME}/lib/python3*/site-packages/cryptography"
    eventually(lambda: booted.run("sh", "-c", some).returncode == 0, 200, 0.01)
    booted.run("pkill", "--signal", "KILL", "--full", f"{INSTALLER}|{HOME}/bin")
    assert begun.wait(10) != 0
    assert booted.run("test", "-e", f"{HOME}/.whole").returncode == 1


@pytest.mark.slow
def test_cloud_init_understands_the_user_data_of_every_cloud(stage: Stage) -> None:
    """By its own schema, and by the files that it writes."""
    machine = stage.machine("photo-3", stage.fleet(8000, PINNED))
    machine.write(USER_DATA, "#cloud-config\n")
    fleets = {target: for_target(stage.fleet(8000, PINNED), target) for target in TARGETS}
    for target, fleet in fleets.items():
        machine.write(f"/srv/{target}.yaml", cloud_init.files(fleet)["user-data.yaml"])
    with machine.booted() as booted:
        eventually(booted.has_started, 100, 0.2)
        for target, fleet in fleets.items():
            file = f"/srv/{target}.yaml"
            booted.says("cloud-init", "schema", "--config-file", file)
            once = ("single", "--name", "write-files", "--frequency", "always")
            booted.says("cloud-init", "--file", file, *once)
            for path, item in written(fleet).items():
                assert booted.says("cat", path) == item["content"].strip()
                assert booted.says("stat", "-c", "0%a", path) == item["permissions"]
