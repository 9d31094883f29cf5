"""AWS: the CloudFormation template of the group, its balancer and alarms."""

from photo_fleet.spec.fleet import Fleet


def files(fleet: Fleet) -> dict[str, str]:
    """Text by path."""
    return {}


def notes(fleet: Fleet) -> list[str]:
    """What the files cannot do by themselves, a sentence each."""
    return []
