"""In NHN Cloud an instance leaves its load balancer by its own units: when, and by what."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from photo_fleet.render import cloud_init, environment
from photo_fleet.render.environment import ENVIRONMENT, SECRETS
from photo_fleet.render.systemd import MEMBER_UNIT, PROGRAMS, instance_files
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.nhn import LEAVES_WITHIN
from photo_fleet.spec.settings import of_the_machine, secrets
from photo_fleet.spec.targets import for_target
from tests.openstack import keystone_v2
from tests.openstack.load_balancer import POOL, running

NHN = for_target(Fleet(), "nhn")
HEALTH_ONLY = changed(NHN, {"drain.removal": "health-only"})


def lines(unit: str, key: str) -> list[str]:
    found = (line.partition("=") for line in unit.splitlines())
    return [value for name, _, value in found if name == key]


def test_the_load_balancer_is_told_before_sigterm_and_again_by_whoever_starts() -> None:
    """systemd.service(5): ExecStop= ends before the main process is told to, within TimeoutStopSec
    for itself. systemd.unit(5): what is After= another stops before it, and BindsTo= with it."""
    units = instance_files(NHN)
    instance, member = units["photo-api.service"], units[MEMBER_UNIT]
    [stop] = lines(instance, "ExecStop")
    assert stop.startswith("-")  # its failure keeps nobody from draining
    assert f"member out --port {NHN.service.port}" in stop
    assert LEAVES_WITHIN < NHN.drain.grace == float(lines(instance, "TimeoutStopSec")[0])
    assert lines(instance, "Wants")[0] == MEMBER_UNIT
    assert lines(member, "BindsTo") == ["photo-api.service"]
    assert "photo-api.service" in lines(member, "After")
    assert lines(member, "ExecStop") == []  # a crash is not an end
    [start] = lines(member, "ExecStart")
    within = float(start.rpartition("--within ")[2])
    assert within < float(lines(member, "TimeoutStartSec")[0])
    assert lines(member, "Restart") == ["on-failure"]


def test_a_program_that_hangs_holds_up_nobody_s_end() -> None:
    """Also one that no signal but KILL ends, which its own bound does not know of."""
    [stop] = lines(instance_files(NHN)["photo-api.service"], "ExecStop")
    bound, own = f"{LEAVES_WITHIN:g} ", float(stop.rpartition("--within ")[2])
    assert own < LEAVES_WITHIN
    command = stop.removeprefix("-").replace(bound, "0.3 ", 1).partition(f"{PROGRAMS}/")[0]
    hangs = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    ended = subprocess.run([*shlex.split(command), sys.executable, "-c", hangs], timeout=20)
    assert ended.returncode in (-9, 137)


def test_nobody_else_s_instances_do_so() -> None:
    for fleet in (Fleet(), for_target(Fleet(), "aws"), HEALTH_ONLY):
        units = instance_files(fleet)
        assert MEMBER_UNIT not in units
        assert "ExecStop" not in "".join(units.values())
        assert "MEMBER" not in environment.files(fleet)["photo-api.env"]
        assert of_the_machine(fleet) == secrets(fleet)


def test_the_machine_gets_the_unit_and_its_secret() -> None:
    text = cloud_init.files(NHN)["user-data.yaml"]
    assert json.dumps(f"/etc/systemd/system/{MEMBER_UNIT}") in text
    assert "ops-token member-password;" in text
    serving = instance_files(NHN)["photo-api.service"]
    assert "MEMBER_PASSWORD" not in "".join(lines(serving, "Environment"))


@pytest.mark.parametrize("action", ["out", "in"])
def test_the_units_commands_find_what_they_need(tmp_path: Path, action: str) -> None:
    """With the rendered environment and the machine's own besides, against the fake of the API."""
    (tmp_path / "member-password").write_text(keystone_v2.PASSWORD)
    with running() as (balancer, keystone):
        told = {
            "group.nhn.network": balancer.url,
            "group.nhn.pool": POOL,
            "group.nhn.auth": keystone.url,
            "group.nhn.user": keystone_v2.USER,
        }
        fleet = changed(NHN, told)
        own = balancer.add("10.0.0.4", fleet.service.port)
        done = run(fleet, action, tmp_path, PHOTO_API_MEMBER_PROJECT_ID=keystone_v2.TENANT)
        if action == "out":
            assert (done.returncode, done.stderr) == (0, "")
        else:  # nobody serves here
            assert "/health of this machine does not answer 200" in done.stderr
        assert balancer.members[own]["admin_state_up"] is (action == "in")


def run(
    fleet: Fleet, action: str, secrets_folder: Path, **site: str
) -> subprocess.CompletedProcess[str]:
    """The command of the unit, as systemd would start it, in seconds instead of a minute."""
    units = instance_files(fleet)
    unit = units["photo-api.service" if action == "out" else MEMBER_UNIT]
    [command] = lines(unit, "ExecStop" if action == "out" else "ExecStart")
    words = shlex.split(command.lstrip("-").replace(SECRETS, str(secrets_folder)))
    at = words.index(f"{PROGRAMS}/photo-api")
    words[at : at + 1] = [sys.executable, "-m", "photo_api.cli"]
    words[-1] = "5" if action == "out" else "1"
    assert lines(unit, "EnvironmentFile")[0] == ENVIRONMENT
    given = environment.variables(environment.files(fleet)["photo-api.env"])
    for line in lines(unit, "Environment"):
        name, _, value = line.partition("=")
        given[name] = value.replace(SECRETS, str(secrets_folder))
    others = {key: value for key, value in os.environ.items() if "PHOTO_API_" not in key}
    here = {"PHOTO_API_MEMBER_ADDRESS": "10.0.0.4"}
    environ = others | given | here | site
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60)
