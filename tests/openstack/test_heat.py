"""What is rendered for OpenStack, held by Heat's own classes and by OpenStack's own commands."""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.render.openstack import instance, template
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, Group, Policy
from photo_fleet.spec.targets import for_target
from tests.openstack.heat import Heat, Member, running_heat

pytestmark = pytest.mark.slow

FLEET = for_target(Fleet(), "openstack")
NEEDED = {
    "image": "debian-12",
    "flavor": "m1.small",
    "network": "photos",
    "subnet": "photos-v4",
    "balancer_subnet": "front",
    "certificate": "https://barbican.example.org/v1/containers/1",
    "balancer_cidr": "10.0.0.0/24",
}
OPTIONAL = {
    "key_name": "operator",
    "vcpus": 4,
    "public_network": "public",
    "prometheus_cidr": "10.0.9.0/24",
    "scale_in_url": "https://ops.example.org/scale-in/token",
    "initial_size": 3,
}
OF_AN_INSTANCE = {name: name for name in (*instance.TEXTS, *instance.LINKS)}
ODD = (
    {"name": "a", "group.min": 1, "group.max": 1, "group.desired": 1},
    {"health_check.interval": 0.3, "health_check.timeout": 0.1, "health_check.healthy": 100},
    {"balancer.networks": ("10.0.0.0/8", "2001:db8::/32"), "balancer.keep_alive": 3600.0},
    {"group.max": 10_000, "group.warm_up": 86_400.0, "drain.in_flight_wait": 0.25},
)
RULES = (
    Policy("queue_age", 0, 0, +100, 0),
    Policy("in_flight", 0.01, 90.5, +1, 86_400),
    Policy("cpu", 0.1, 86_400, -100, 0.5),
)


@pytest.fixture(scope="module")
def heat() -> Iterator[Heat]:
    with running_heat() as heat:
        yield heat


def alone(files: Mapping[str, str]) -> dict[str, str]:
    """The instance's file as a stack: in a group Heat looks at no value of it."""
    [text] = [text for name, text in files.items() if name.startswith("instance-")]
    return {"template.yaml": text}


def test_heat_takes_the_template_and_reads_the_spec_in_it(heat: Heat) -> None:
    answer = heat.validate(template.files(FLEET), NEEDED)
    assert answer["error"] == ""
    found = answer["resources"]
    group = found["group"]
    assert (group["min_size"], group["max_size"]) == (2, 10)
    assert "desired_capacity" not in group
    assert found["grow_0"]["cooldown"] == FLEET.group.policies[0].cooldown
    monitor = found["health_monitor"]
    assert (monitor["delay"], monitor["timeout"], monitor["max_retries"]) == (30, 5, 2)
    assert found["rule_0"]["threshold"] == 70
    assert "$" not in found["rule_0"]["query"]
    told = heat.validate(alone(template.files(FLEET)), OF_AN_INSTANCE)
    assert told["error"] == ""
    [wait] = [told["resources"][name] for name in told["resources"] if name.startswith("wait_")]
    assert wait["min_wait"] == 10 + FLEET.drain.in_flight_wait
    # Nobody listens for a scale-in, so nobody calls it.
    assert not {"rule_1", "rule_1_by_gnocchi", "rule_0_by_gnocchi", "public_address"} & found.keys()


def test_what_is_optional_is_there_when_it_is_said(heat: Heat) -> None:
    said = NEEDED | OPTIONAL
    found = heat.validate(template.files(FLEET), said)["resources"]
    assert found["group"]["desired_capacity"] == 3
    assert found["rule_1"]["alarm_actions"] == [OPTIONAL["scale_in_url"]]
    assert found["rule_1"]["query"].count(" / 4)[600s:60s]") == 2
    assert len(found["security_group"]["rules"]) == 3
    found = heat.validate(template.files(FLEET), said | {"alarms": "gnocchi"})["resources"]
    assert "rule_0" not in found
    grows, shrinks = found["rule_0_by_gnocchi"], found["rule_1_by_gnocchi"]
    assert (grows["granularity"], grows["evaluation_periods"]) == (60, 5)
    # Nanoseconds of four processors in a minute.
    assert grows["threshold"] == pytest.approx(0.7 * 60 * 4 * 1e9)
    assert (shrinks["evaluation_periods"], shrinks["comparison_operator"]) == (10, "lt")


@pytest.mark.parametrize("changes", [*ODD, {"group": Group(policies=RULES, cloud="openstack")}])
def test_heat_takes_odd_specs(heat: Heat, changes: dict[str, Any]) -> None:
    fleet = changed(FLEET, changes)
    files = template.files(fleet)
    given = {name: NEEDED[name] for name in NEEDED if f"  {name}:\n" in files["template.yaml"]}
    size = fleet.group.desired
    assert heat.validate(files, given | OPTIONAL | {"initial_size": size})["error"] == ""
    assert heat.validate(alone(files), OF_AN_INSTANCE)["error"] == ""


@pytest.mark.parametrize(
    ("was", "broken", "said"),
    [
        ("delay: 30", "delay: -1", "out of range"),
        ("max_retries: 2", "max_retries: 11", "out of range"),
        ('lb_algorithm: "ROUND_ROBIN"', 'lb_algorithm: "RANDOM"', "lb_algorithm"),
        ("max_batch_size: 1", "max_batch_size: 0", "out of range"),
        ("max_size: 10", "max_size: 1", "MinSize can not be greater"),
        ('comparison_operator: "gt"', 'comparison_operator: "above"', "comparison_operator"),
        ('protocol: "tcp"', 'protocol: "http"', "protocol"),
        ("position: 1", "position: 0", "out of range"),
        ("repeat_actions: true", "repeat_action: true", "Unknown Property"),
        ('"DELETE"', '"REMOVE"', "actions"),
        ('user_data_format: "RAW"', 'user_data_format: "YAML"', "user_data_format"),
        ('get_param: "pool"', 'get_param: "puddle"', "puddle"),
    ],
)
def test_heat_finds_what_is_broken(heat: Heat, was: str, broken: str, said: str) -> None:
    files = template.files(FLEET)
    assert any(was in text for text in files.values())
    files = {name: text.replace(was, broken) for name, text in files.items()}
    told = heat.validate(files, NEEDED), heat.validate(alone(files), OF_AN_INSTANCE)
    assert said in "".join(answer["error"] for answer in told)


OLDEST, MIDDLE, MARKED, YOUNGEST = GROUP = (
    Member("oldest", "COMPLETE", "2026-11-01T00:00:00Z"),
    Member("middle", "COMPLETE", "2026-11-02T00:00:00Z"),
    Member("marked", "FAILED", "2026-11-03T00:00:00Z"),
    Member("youngest", "COMPLETE", "2026-11-04T00:00:00Z"),
)


def test_an_update_drops_what_is_marked_and_nobody_else(heat: Heat) -> None:
    """Decision 35. At the minimum it is kept, to be replaced."""
    files = template.files(FLEET)
    [left] = heat.sizes(files, NEEDED, GROUP, "update")
    assert left.keys() == {"oldest", "middle", "youngest"}
    [again] = heat.sizes(files, NEEDED, [OLDEST, MIDDLE, YOUNGEST], "update")
    assert again.keys() == {"oldest", "middle", "youngest"}
    [kept] = heat.sizes(files, NEEDED, [OLDEST, MARKED], "update")
    assert kept.keys() == {"oldest", "marked"}


def test_what_else_would_drop_somebody(heat: Heat) -> None:
    """Why no policy removes, and why no update says a size."""
    files = template.files(FLEET)
    [left] = heat.sizes(files, NEEDED, GROUP, "signal", -1)
    assert left.keys() == {"middle", "youngest"}
    [left] = heat.sizes(files, NEEDED | {"initial_size": 2}, GROUP, "update")
    assert left.keys() == {"middle", "youngest"}


def test_an_alarm_that_adds_meanwhile_undoes_the_scale_in(heat: Heat) -> None:
    [kept] = heat.sizes(template.files(FLEET), NEEDED, GROUP, "signal", +1)
    assert kept.keys() == {"oldest", "middle", "marked", "youngest"}


def test_a_renewal_takes_one_after_the_other_and_all(heat: Heat) -> None:
    files = template.files(FLEET)
    [now] = instance.files(FLEET)
    text = files["template.yaml"].replace("pause_time: 240", "pause_time: 0")
    members = [OLDEST, MIDDLE, YOUNGEST]
    files |= {"template.yaml": text, "instance-before.yaml": files[now]}
    steps = heat.sizes(files, NEEDED, members, "renew", "instance-before.yaml")
    assert {step.keys() == {"oldest", "middle", "youngest"} for step in steps} == {True}
    renewed = [sum(of == now for of in step.values()) for step in steps]
    # The last is the size, which stays.
    assert renewed == [1, 2, 3, 3]


COMMANDS = {
    "loadbalancer listener set": "octaviaclient.osc.v2.listener.SetListener",
    "loadbalancer healthmonitor set": "octaviaclient.osc.v2.health_monitor.SetHealthMonitor",
    "stack update": "heatclient.osc.v1.stack.UpdateStack",
    "stack output show": "heatclient.osc.v1.stack.OutputShowStack",
}


def test_openstack_s_commands_take_what_completes_the_stack(heat: Heat, tmp_path: Path) -> None:
    said = tmp_path / "said"
    program = tmp_path / "openstack"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {shlex.quote(str(said))}\necho id-of-it\n'
    )
    program.chmod(0o755)
    script = template.files(FLEET)["complete.sh"]
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-s"], input=script, text=True, env=environment, check=True)
    taken = {}
    for line in said.read_text().splitlines():
        [command] = [name for name in COMMANDS if line.startswith(f"{name} ")]
        taken[command] = heat.parse(COMMANDS[command], *line.removeprefix(command).split())
        assert taken[command]["error"] == "", line
    assert taken.keys() == COMMANDS.keys()
    listener = taken["loadbalancer listener set"]
    assert listener["listener"] == "id-of-it"
    # Milliseconds.
    assert listener["timeout_client_data"] == 60_000
    assert listener["timeout_member_data"] == 30_000
    assert taken["loadbalancer healthmonitor set"]["max_retries_down"] == 3
    update = taken["stack update"]
    assert (update["existing"], update["clear_parameter"]) == (True, ["initial_size"])
