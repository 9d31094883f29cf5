"""What AWS, an instance and an operator's tools must call by the same name, and how long AWS waits
for a leaving instance."""

from math import ceil

from photo_fleet.spec.fleet import Fleet


def whole(seconds: float) -> int:
    """AWS counts whole seconds: rounded up, but for what binary fractions add."""
    return ceil(round(seconds, 6))


def group_name(fleet: Fleet) -> str:
    """The Auto Scaling group's."""
    return fleet.name


def hook_name(fleet: Fleet) -> str:
    """That of its hook, which holds a machine until its instance has drained."""
    return f"{fleet.name}-terminating"


def hook_timeout(fleet: Fleet) -> int:
    """Seconds for which the hook waits for a sign of the instance."""
    return whole(fleet.drain.kill_delay)
