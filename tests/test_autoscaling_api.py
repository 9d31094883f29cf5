"""The stand-in for Amazon's Auto Scaling and Elastic Load Balancing APIs, asked by botocore's own
clients."""

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.metadata_service import BALANCING, FakeCloud, running_cloud

OPERATIONS = ("record_lifecycle_action_heartbeat", "complete_lifecycle_action")


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running_cloud("aws") as running:
        running.terminate()
        yield running


def client_of(cloud: FakeCloud, service: str = "autoscaling") -> Any:
    return botocore.session.get_session().create_client(
        service,
        cloud.region,
        endpoint_url=cloud.url + (BALANCING if service == "elbv2" else ""),
        aws_access_key_id=cloud.access_key,
        aws_secret_access_key=cloud.secret_key,
        aws_session_token=cloud.session_token,
        # What the client itself refuses, the stand-in has to.
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


def call(client: BaseClient, operation: str, **changes: str) -> Any:
    told = {
        "AutoScalingGroupName": "photos",
        "LifecycleHookName": "drain",
        "InstanceId": "i-0123456789abcdef0",
    }
    if operation == "complete_lifecycle_action":
        told["LifecycleActionResult"] = "CONTINUE"
    given = {name: value for name, value in (told | changes).items() if value}
    return getattr(client, operation)(**given)


def test_botocore_reads_its_answers(cloud: FakeCloud) -> None:
    client = client_of(cloud)
    for operation in OPERATIONS:
        answer = call(client, operation)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_refuses_what_the_model_does(cloud: FakeCloud, operation: str) -> None:
    client = client_of(cloud)
    for changes in (
        {"LifecycleHookName": ""},
        {"LifecycleHookName": "no spaces"},
        {"LifecycleHookName": "x" * 256},
        {"AutoScalingGroupName": ""},
        {"AutoScalingGroupName": "another"},
        {"InstanceId": "i-" + "0" * 18},
        {"InstanceId": "i-1"},
        {"LifecycleActionToken": "short"},
    ):
        with pytest.raises(ClientError) as refused:
            call(client, operation, **changes)
        assert refused.value.response["Error"]["Code"] == "ValidationError", changes
    assert cloud.hook.is_open
    assert not cloud.hook.heartbeats


def test_an_action_is_completed_once(cloud: FakeCloud) -> None:
    client = client_of(cloud)
    with pytest.raises(ClientError, match="LifecycleActionResult must be"):
        call(client, "complete_lifecycle_action", LifecycleActionResult="STOP")
    call(client, "complete_lifecycle_action")
    for operation in OPERATIONS:
        with pytest.raises(ClientError, match="No active Lifecycle Action found with instance ID"):
            call(client, operation)
    assert cloud.hook.results == ["CONTINUE"]


def test_the_target_groups_of_a_group_are_told_by_pages(cloud: FakeCloud) -> None:
    arns = [cloud.groups.add(f"photos-{number}") for number in range(5)]
    cloud.groups.page = 2
    pages = client_of(cloud).get_paginator("describe_load_balancer_target_groups")
    told = list(pages.paginate(AutoScalingGroupName="photos"))
    found = [one["LoadBalancerTargetGroups"] for one in told]
    assert [len(page) for page in found] == [2, 2, 1]
    assert [one["LoadBalancerTargetGroupARN"] for page in found for one in page] == arns
    with pytest.raises(ClientError, match="name not found"):
        client_of(cloud).describe_load_balancer_target_groups(AutoScalingGroupName="another")


def test_targets_are_deregistered_as_often_as_one_likes(cloud: FakeCloud) -> None:
    arn = cloud.groups.add("photos", "i-1", "i-2")
    client = client_of(cloud, "elbv2")
    for _ in range(2):
        client.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "i-1"}])
        assert cloud.groups.targets == {arn: {"i-2"}}
    for given, code in (
        ({"TargetGroupArn": arn + "0", "Targets": [{"Id": "i-2"}]}, "TargetGroupNotFound"),
        ({"TargetGroupArn": arn}, "ValidationError"),
        ({"TargetGroupArn": arn, "Targets": [{"Port": 80}]}, "ValidationError"),
    ):
        with pytest.raises(ClientError) as refused:
            client.deregister_targets(**given)
        assert refused.value.response["Error"]["Code"] == code
    assert cloud.groups.targets == {arn: {"i-2"}}
