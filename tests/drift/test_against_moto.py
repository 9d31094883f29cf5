"""`photo-fleet check --against aws` against moto's server, which keeps what is put by the direct
API. What it does not keep is tried in `test_comparison`."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from botocore.session import Session

from photo_fleet.cli import main
from photo_fleet.drift import asking
from photo_fleet.drift.asking import Aws
from photo_fleet.drift.comparing import compared, differences
from photo_fleet.drift.findings import drift, read
from photo_fleet.drift.mending import DEPLOY, THEN_AGAIN
from photo_fleet.rules.findings import UNREAD, Finding
from tests.drift.altering import altered_template
from tests.drift.command_line import call
from tests.drift.conftest import FLEET, TEMPLATE
from tests.drift.deploying import ORDER, deploy
from tests.drift.faulty_aws import FaultyAws, faulty_aws

pytestmark = pytest.mark.slow

NOT_KEPT = (
    *("DefaultInstanceWarmup", "InstanceMaintenancePolicy", "InstanceLifecyclePolicy"),
    "HealthCheckGracePeriod",
)
"""Of the group, by moto. For the last it has the console's default in place of the API's."""

NAMES = frozenset(
    (
        *("Key", "Name", "Id", "AutoScalingGroupName", "DesiredCapacity", "AlarmName"),
        *("LifecycleHookName", "Priority", "Port", "PolicyType", "Type", "Field", "UserData"),
        *("HttpEndpoint", "Scheme", "Protocol"),
    )
)
"""What things are found by, and what moto takes no other value of, or not without a certificate."""


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """botocore reads its models for a second, and keeps them with a session: one for all tests that
    have credentials."""
    if "lost" not in request.fixturenames:
        monkeypatch.setattr("botocore.session.Session", _session)


@cache
def _session() -> Session:
    return Session()


@pytest.fixture(scope="module")
def deployed(moto: str) -> str:
    """The address of a moto that has what the spec says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", moto)
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
        deploy(TEMPLATE, Aws("us-east-1").client)
    return moto


@pytest.fixture(scope="module")
def faulty(deployed: str) -> Iterator[tuple[str, FaultyAws]]:
    with faulty_aws(deployed) as between:
        yield between


def _but_for_what_moto_drops(found: list[Finding]) -> list[Finding]:
    return [one for one in found if not one.numbers.startswith(NOT_KEPT)]


def test_what_is_deployed_is_as_the_spec_says(
    deployed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed)
    assert main(["check", "fleet.example.toml", "--against", "aws", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    found = [one for one in told["findings"] if one["code"].startswith("aws-")]
    assert {re.split("[. ]", one["numbers"])[0] for one in found} == set(NOT_KEPT)
    assert all(one["level"] == "error" and one["remedy"].startswith("aws ") for one in found)


def test_all_that_was_changed_is_found_and_the_commands_mend_it(
    moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    aws, changed = Aws("eu-west-1"), copy.deepcopy(TEMPLATE)
    for resource in changed["Resources"].values():
        if resource["Type"] in ORDER and resource["Type"] != "AWS::EC2::SecurityGroup":
            resource["Properties"] = altered_template(resource["Properties"], NAMES)
    deploy(changed, aws.client)
    aws.client("autoscaling").suspend_processes(
        AutoScalingGroupName=FLEET.name, ScalingProcesses=["Terminate", "AlarmNotification"]
    )
    assert _found(aws) >= _changed(aws, changed)
    for _ in range(3):
        for remedy in {one.remedy for one in drift(FLEET, aws)} - {DEPLOY}:
            if "start-instance-refresh" not in remedy:  # moto has none
                call(aws, remedy.removesuffix(THEN_AGAIN))
    left = _but_for_what_moto_drops(drift(FLEET, aws))
    assert [one.code for one in left if one.remedy != DEPLOY] == ["aws-old-instances"]
    unmendable = {one.code for one in left if one.remedy == DEPLOY}
    assert unmendable == {"aws-firewall", "aws-target-group"}


def _found(aws: Aws) -> set[tuple[str, str]]:
    things = read(aws, TEMPLATE, FLEET.name).things()
    return {(one.type, each.path) for one in things for each in differences(one)}


def _changed(aws: Aws, changed: dict[str, Any]) -> set[tuple[str, str]]:
    """Paths of which the changed template says something else, by the comparison itself."""
    ours, theirs = (read(aws, one, FLEET.name).things() for one in (TEMPLATE, changed))
    return {
        (one.type, path)
        for one, other in zip(ours, theirs, strict=True)
        for path, wanted in compared(one)
        if dict(compared(other))[path] != wanted
    }


@pytest.mark.parametrize("fault", ["hang", "cut", "half", "drip", "throttle", "flood"])
def test_an_answer_that_is_none_is_unknown(
    fault: str, faulty: tuple[str, FaultyAws], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, server = faulty
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(asking, "READ", 0.5)
    monkeypatch.setattr(asking, "ATTEMPTS", 1)
    server.spoil("DescribePolicies", fault)
    # Only what drips for ever needs the end of all time.
    found = drift(FLEET, Aws("us-east-1", total=3.0 if fault == "drip" else asking.TOTAL))
    unread = _but_for_what_moto_drops(found)
    assert {one.code for one in unread} == {UNREAD}
    assert any("the policy Rule1 could not be read" in one.numbers for one in unread)
    assert server.spoiled
    # What the sockets hold was sent too.
    assert server.sent < 2 * asking.LARGEST * server.spoiled + 32 * 1024 * 1024
    if fault == "flood":
        assert any(f"with more than {asking.LARGEST} bytes" in one.numbers for one in unread)


@pytest.mark.parametrize("fault", ["half", "cut", "page", "nothing"])
@pytest.mark.parametrize(
    "action", ["DescribeAlarms", "DescribeLaunchTemplateVersions", "GetWebACLForResource"]
)
def test_what_botocore_takes_for_an_empty_answer_is_unknown(
    action: str, fault: str, faulty: tuple[str, FaultyAws], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of JSON a part, of any form the page of a proxy: AWS has not said that there is none."""
    address, server = faulty
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(asking, "ATTEMPTS", 1)
    server.spoil(action, fault)
    found = _but_for_what_moto_drops(drift(FLEET, Aws("us-east-1")))
    assert {one.code for one in found} == {UNREAD}
    assert server.spoiled


def test_who_is_told_to_wait_asks_again(
    faulty: tuple[str, FaultyAws], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, server = faulty
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    server.spoil("DescribePolicies", "throttle", times=1)
    assert _but_for_what_moto_drops(drift(FLEET, Aws("us-east-1"))) == []
    assert server.spoiled == 1


def test_a_partial_answer_is_neither_fine_nor_an_error(
    faulty: tuple[str, FaultyAws],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """moto's drops are differences, so the command is asked for what it keeps only."""
    address, server = faulty
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(asking, "ATTEMPTS", 1)
    monkeypatch.setattr(
        "photo_fleet.drift.findings.drift",
        lambda fleet, aws: _but_for_what_moto_drops(drift(fleet, aws)),
    )
    server.spoil("DescribePolicies", "throttle")
    line = ["check", "fleet.example.toml", "--against", "aws"]
    assert main(line) == 2
    told = capsys.readouterr().out
    assert "unknown: the policy Rule1 could not be read" in told
    assert told.endswith("; 3 of them are unknown\n")
    assert main([*line, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.parametrize(
    ("lost", "region", "told"),
    [
        ("AWS_ACCESS_KEY_ID", "us-east-1", "no usable credentials of AWS"),
        ("AWS_REGION", "", "say --region, or set AWS_REGION"),
        ("", "no such place", "no usable region"),
        ("", "ap-northeast-2", "no Auto Scaling group photo-api in this account and region"),
    ],
)
def test_what_cannot_be_asked_is_said(
    lost: str,
    region: str,
    told: str,
    moto: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    if lost:
        monkeypatch.delenv(lost)
    options = ["--region", region] if region else []
    line = ["check", "fleet.example.toml", "--against", "aws", *options]
    assert main(line) == 2
    assert told in (error := capsys.readouterr().err)
    assert "secret-of-nobody" not in error
    assert main([*line, "--json"]) == 2
    assert told in json.loads(capsys.readouterr().out)["problems"][0]["text"]


def test_an_address_at_which_nobody_is_ends_in_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(asking, "ATTEMPTS", 1)
    assert main(["check", "fleet.example.toml", "--against", "aws"]) == 2
    assert "autoscaling does not answer" in capsys.readouterr().err
