"""The launch template, and the Auto Scaling group that starts instances of it and renews them."""

from photo_fleet.render import cloud_init
from photo_fleet.render.aws import numbers
from photo_fleet.render.aws.intrinsics import Resource, attribute, ref, where
from photo_fleet.render.aws.scaling import REFRESH_ALARMS
from photo_fleet.render.prometheus import TAG
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet


def resources(fleet: Fleet) -> Resource:
    """By their names in the template. Raises ValueError when the user data are too large."""
    return {"LaunchTemplate": _launch_template(fleet), "Group": _group(fleet)}


def _launch_template(fleet: Fleet) -> Resource:
    return {
        "Type": "AWS::EC2::LaunchTemplate",
        "Properties": {
            "LaunchTemplateData": {
                "ImageId": ref("ImageId"),
                "InstanceType": ref("InstanceType"),
                "IamInstanceProfile": {"Arn": attribute("InstanceProfile", "Arn")},
                "SecurityGroupIds": [attribute("InstanceSecurityGroup", "GroupId")],
                "MetadataOptions": {
                    "HttpEndpoint": "enabled",
                    "HttpTokens": "required",
                    "HttpPutResponseHopLimit": 1,
                },
                "Monitoring": {"Enabled": True},
                "UserData": {"Fn::Base64": cloud_init.files(fleet)["user-data.yaml"]},
            }
        },
    }


def _group(fleet: Fleet) -> Resource:
    tag: Node = {"Key": TAG, "Value": fleet.name, "PropagateAtLaunch": True}
    name: Node = {"Key": "Name", "Value": fleet.name, "PropagateAtLaunch": True}
    return {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        # A target group takes targets when a balancer has it; alarms stop a deploy that exist.
        "DependsOn": ["Https", *REFRESH_ALARMS],
        "Properties": {
            **_of_template(numbers.group(fleet)),
            "VPCZoneIdentifier": ref("InstanceSubnets"),
            "LaunchTemplate": {
                "LaunchTemplateId": ref("LaunchTemplate"),
                # A number: to `$Latest` nothing can be taken back.
                "Version": attribute("LaunchTemplate", "LatestVersionNumber"),
            },
            "TargetGroupARNs": [ref("Targets")],
            "LifecycleHookSpecificationList": [numbers.hook(fleet)],
            "Tags": [name, tag],
        },
        "UpdatePolicy": {
            "AutoScalingInstanceRefresh": {
                "Strategy": "Rolling",
                "Preferences": {**numbers.refresh(fleet), "SkipMatching": True},
            },
            # Where somebody adds scheduled actions, they keep what they have set.
            "AutoScalingScheduledAction": {"IgnoreUnmodifiedGroupSizeProperties": True},
        },
    }


def _of_template(group: numbers.Parameters) -> numbers.Parameters:
    """CloudFormation has the sizes as texts. How many there are wanted is told when that is asked
    for, or each change of the group would take back what its rules have added."""
    found = {**group, "MinSize": str(group["MinSize"]), "MaxSize": str(group["MaxSize"])}
    return {**found, "DesiredCapacity": where("IsSized", str(group["DesiredCapacity"]))}
