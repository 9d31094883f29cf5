"""OpenStack's files as text, what their alarms say of a fleet, and what `check` says of a spec."""

import dataclasses
import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_fleet.render import cloud_init
from photo_fleet.render.openstack import alarms, instance, template
from photo_fleet.render.openstack.balancer import settings, whole_seconds
from photo_fleet.rules.checks import check, contradictions
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, HealthCheck, Policy
from photo_fleet.spec.targets import for_target
from tests.photo_fleet.golden_files import assert_golden

FLEET = for_target(Fleet(), "openstack")


def test_the_files_are_exactly_these() -> None:
    """But for the user data, whose text is in golden/cloud-init, and what is named by it."""
    [name] = instance.files(FLEET)
    generation = name.removeprefix("instance-").removesuffix(".yaml")
    user_data = textwrap.indent(cloud_init.files(FLEET)["user-data.yaml"], " " * 8)
    found = {
        path.replace(generation, "GENERATION"): text.replace(
            user_data, "        USER DATA\n"
        ).replace(generation, "GENERATION")
        for path, text in template.files(FLEET).items()
    }
    assert "        USER DATA\n" in found["instance-GENERATION.yaml"]
    assert_golden("openstack", found)


def test_an_instance_s_file_has_another_name_when_its_content_has_changed() -> None:
    """Heat renews one instance after the other only when the group's `resource` differs."""
    before, after = FLEET, changed(FLEET, {"drain.log_flush": 4.0})
    [old], [new] = instance.files(before), instance.files(after)
    assert old != new
    assert f'type: "{new}"' in template.files(after)["template.yaml"]
    assert [*instance.files(changed(FLEET, {"group.max": 9}))] != [old]  # MAX_INSTANCES
    assert [*instance.files(changed(FLEET, {"health_check.interval": 20.0}))] == [old]


def test_octavia_s_times_are_milliseconds_that_it_takes() -> None:
    most = changed(FLEET, {"balancer.keep_alive": 3600.0, "balancer.read_timeout": 0.1234})
    told = settings(most)["listener"]
    assert told["--timeout-client-data"] == "3600000"
    assert told["--timeout-member-data"] == "124"


@given(
    st.floats(0.1, 86_400).map(lambda value: round(value, 3)),
    st.floats(0.1, 3600).map(lambda value: round(value, 3)),
)
def test_a_probe_ends_before_the_next_or_the_spec_is_refused(
    interval: float, timeout: float
) -> None:
    probes = HealthCheck(interval=interval, timeout=timeout)
    fleet = dataclasses.replace(FLEET, health_check=probes)
    refused = {found.code for found in contradictions(fleet) if found.level == "error"}
    delay, wait = whole_seconds(probes)
    assert 1 <= wait < delay or refused & {"health-overlap", "openstack-probes"}


MINUTES = 30
STEP = 15


def series(cores: float, ready: int, registered: int, gap: bool = False) -> list[dict[str, str]]:
    """A fleet whose instances each use so many cores, scraped every 15 s; `gap`: not for the
    minutes from 15 to 22."""
    points = MINUTES * 60 // STEP
    steady = f"0+{cores * STEP:g}x{points}"
    if gap:
        then = cores * STEP * 88
        steady = f"0+{cores * STEP:g}x59 _x28 {then:g}+{cores * STEP:g}x{points - 88}"
    found = [
        {
            "series": 'photo_api_fleet_instances{instance="0",state="ready"}',
            "values": f"{registered}x{points}",
        }
    ]
    for number in range(ready):
        known = "1x59 _x28 1x31" if gap else f"1x{points}"
        found += [
            {"series": f'photo_api_cpu_seconds_total{{instance="{number}"}}', "values": steady},
            {"series": f'photo_api_ready{{instance="{number}"}}', "values": known},
            {"series": f'photo_api_workers{{instance="{number}"}}', "values": known},
        ]
    return found


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    ("rule", "fleet", "value"),
    [
        (0, series(1.6, 3, 3), 80.0),
        (1, series(0.4, 3, 3), 20.0),
        # The registry knows of one that Prometheus does not see: perhaps it has the load.
        (1, series(0.4, 3, 4), None),
        (0, series(1.6, 3, 4), 80.0),
        # Nobody saw the fleet for seven minutes: of them nothing is known.
        (1, series(0.4, 3, 3, gap=True), None),
    ],
)
def test_prometheus_reads_the_alarm_as_the_spec_says_it(
    rule: int, fleet: list[dict[str, str]], value: float | None, tmp_path: Path
) -> None:
    """On machines of two processors."""
    query = alarms.query(FLEET, FLEET.group.policies[rule]).replace("$vcpus", "2")
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    test = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": fleet,
                "promql_expr_test": [
                    {
                        "expr": f"round({query}, 0.1)",
                        "eval_time": f"{MINUTES - 1}m",
                        "exp_samples": samples,
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.json").write_text(json.dumps(test))
    said = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_other_metrics_are_asked_for_too() -> None:
    age = alarms.query(FLEET, Policy("queue_age", 60, 0, 1, 0))
    assert "max(photo_api_fleet_oldest_job_seconds))[60s:60s]" in age
    assert "http_requests_in_flight" in alarms.query(FLEET, Policy("in_flight", 9, 60, 1, 0))
    slow = changed(FLEET, {"metrics.interval": 30.0})
    assert "[120s]" in alarms.query(slow, FLEET.group.policies[0])


def codes(fleet: Fleet) -> set[str]:
    return {found.code for found in contradictions(fleet) if found.code.startswith("openstack-")}


def with_rules(*rules: Policy) -> Fleet:
    return dataclasses.replace(FLEET, group=dataclasses.replace(FLEET.group, policies=rules))


FIRST, SECOND = FLEET.group.policies
FOUND: dict[str, list[Any]] = {
    "openstack-probes": [
        changed(FLEET, {"health_check.interval": 12.5}),
        changed(FLEET, {"health_check.interval": 0.9, "health_check.timeout": 0.5}),
    ],
    "openstack-retries": [changed(FLEET, {"health_check.unhealthy": 11})],
    "openstack-shutdown": [changed(FLEET, {"drain.grace": 61.0})],
    "openstack-metric": [with_rules(FIRST, SECOND, Policy("queue_age", 60, 60, 1, 300))],
    "openstack-duration": [with_rules(FIRST, Policy("cpu", 30, 90, -1, 300))],
    "openstack-cooldown": [with_rules(FIRST, SECOND, Policy("cpu", 90, 60, 2, 60))],
    "openstack-renewal": [changed(FLEET, {"group.max": 16})],
    "openstack-resources": [changed(FLEET, {"group.max": 243, "group.warm_up": 0.0})],
    "openstack-name": [changed(FLEET, {"name": "2nd"})],
}


@pytest.mark.parametrize("code", FOUND)
def test_what_openstack_cannot_do_is_found_and_mended(code: str) -> None:
    for fleet in FOUND[code]:
        assert code in codes(fleet)
        elsewhere = dataclasses.replace(fleet, group=dataclasses.replace(fleet.group, cloud="none"))
        assert not codes(elsewhere)
        [found] = [one for one in check(fleet) if one.code == code]
        for way in found.ways:
            assert code not in codes(changed(fleet, way))
        # Only a person can tell what the cloud's Prometheus knows.
        assert found.ways or code == "openstack-metric"


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    ten = {"health_check.healthy": 10, "health_check.unhealthy": 10, "group.warm_up": 0.0}
    assert codes(FLEET) == set()
    assert codes(changed(FLEET, {**ten, "group.max": 9})) == set()
    assert codes(changed(FLEET, {"drain.grace": 60.0, "group.max": 15})) == set()
    assert codes(changed(FLEET, {"group.max": 242})) == {"openstack-renewal"}
