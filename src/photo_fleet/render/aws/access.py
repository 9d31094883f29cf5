"""Who may reach what: security groups, and the role of the instances."""

from photo_fleet.render.aws.intrinsics import Resource, attribute, filled, ref, where
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.aws import group_name
from photo_fleet.spec.fleet import Fleet


def resources(fleet: Fleet) -> Resource:
    """By their names in the template."""
    return {
        "BalancerSecurityGroup": _security_group("balancer: HTTP and HTTPS from anywhere", _PUBLIC),
        "InstanceSecurityGroup": _security_group("instances: only what is named here", []),
        "FromBalancer": _ingress(fleet, attribute("BalancerSecurityGroup", "GroupId")),
        # They ask those that have fallen silent before they declare them lost.
        "FromInstances": _ingress(fleet, attribute("InstanceSecurityGroup", "GroupId")),
        "FromPrometheus": {
            "Condition": "HasPrometheus",
            **_ingress(fleet, ref("PrometheusSecurityGroup")),
        },
        "Role": _role(fleet),
        "InstanceProfile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [ref("Role")]},
        },
    }


_PUBLIC: list[Node] = [
    {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, family: network}
    for port in (80, 443)
    for family, network in (("CidrIp", "0.0.0.0/0"), ("CidrIpv6", "::/0"))
]


def _security_group(what: str, ingress: list[Node]) -> Resource:
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": f"Photo API {what}",
            "VpcId": ref("VpcId"),
            **({"SecurityGroupIngress": ingress} if ingress else {}),
        },
    }


def _ingress(fleet: Fleet, source: Resource) -> Resource:
    port = fleet.service.port
    return {
        "Type": "AWS::EC2::SecurityGroupIngress",
        "Properties": {
            "GroupId": attribute("InstanceSecurityGroup", "GroupId"),
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "SourceSecurityGroupId": source,
        },
    }


def _role(fleet: Fleet) -> Resource:
    """No more than an instance does itself: it answers its group's hook, leaves its target group,
    and, where it has no key for them, reads the secrets and the bucket."""
    trust: Node = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": filled("ec2.${AWS::URLSuffix}")},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    by_role = fleet.store.kind == "s3" and fleet.service.store_credentials == "role"
    policies: list[Node] = [
        _policy("hook", _of_the_hook(fleet)),
        _policy("targets", *_OF_TARGETS),
        *([_policy("bucket", *_of_the_bucket(fleet))] if by_role else []),
        where("HasSecrets", _policy("secrets", _OF_SECRETS)),
    ]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust, "Policies": policies},
    }


def _policy(name: str, *statements: Node) -> Resource:
    document: Node = {"Version": "2012-10-17", "Statement": list(statements)}
    return {"PolicyName": name, "PolicyDocument": document}


def _of_the_hook(fleet: Fleet) -> Node:
    of_region = "arn:${AWS::Partition}:autoscaling:${AWS::Region}:${AWS::AccountId}"
    name = f"autoScalingGroupName/{group_name(fleet)}"
    return {
        "Effect": "Allow",
        "Action": [
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ],
        "Resource": filled(f"{of_region}:autoScalingGroup:*:{name}"),
    }


_OF_TARGETS: tuple[Node, ...] = (
    {
        "Effect": "Allow",
        "Action": "autoscaling:DescribeLoadBalancerTargetGroups",
        "Resource": "*",  # AWS knows no other for it
    },
    {
        "Effect": "Allow",
        "Action": "elasticloadbalancing:DeregisterTargets",
        "Resource": ref("Targets"),
    },
)


def _of_the_bucket(fleet: Fleet) -> tuple[Node, Node]:
    """As docs/storage.md says."""
    bucket = "arn:${AWS::Partition}:s3:::" + fleet.balancer.bucket
    return (
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
            "Resource": filled(bucket),
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            "Resource": filled(f"{bucket}/*"),
        },
    )


_OF_SECRETS: Node = {
    "Effect": "Allow",
    "Action": "secretsmanager:GetSecretValue",
    "Resource": ref("SecretsArn"),
}
