"""Amazon's notice that it will terminate this machine.

Read from "Retrieve the target lifecycle state through instance metadata" (EC2 Auto Scaling user
guide) and "Spot Instance interruption notices" (EC2 user guide). Rebalance recommendations are no
notice: a group that acts on one terminates the machine by its hook.
"""

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import Final

from photo_api.cloud.metadata import InstanceMetadata, NoAnswer, json_object
from photo_api.settings.instance import CloudSettings

log = logging.getLogger(__name__)

TERMINATING: Final = ("Terminated", "Warmed:Terminated")
SPOT_ACTIONS: Final = ("terminate", "stop", "hibernate")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Notice:
    """In words, whether it is the group that terminates the machine, and whether the machine never
    serves again."""

    what: str
    of_group: bool = False
    for_good: bool = False


async def notice(cloud: CloudSettings) -> Notice:
    """Wait, for ever if need be, until this machine is told that it will be terminated. Looks every
    `cloud.notice_interval` seconds; a metadata service that does not answer is asked on, with one
    warning for each time it fails."""
    metadata = InstanceMetadata(cloud.metadata_url)
    silent = False
    while True:
        try:
            found = await _look(metadata)
        except NoAnswer as error:
            if not silent:
                log.warning("termination notices cannot be read: %s", error)
            silent = True
        else:
            if silent:
                log.info("termination notices can be read again")
            silent = False
            if found is not None:
                return found
        await asyncio.sleep(cloud.notice_interval)


async def _look(metadata: InstanceMetadata) -> Notice | None:
    """The notice in either place; a failure of one does not hide the other's."""
    answers = await asyncio.gather(of_group(metadata), _spot(metadata), return_exceptions=True)
    failed: BaseException | None = None
    for answer in answers:
        if isinstance(answer, Notice):
            return answer
        failed = failed or answer
    if failed is not None:
        raise failed
    return None


async def of_group(metadata: InstanceMetadata) -> Notice | None:
    """That an Auto Scaling group terminates this machine; None when it does not. Raises
    `NoAnswer`."""
    state = await metadata.get("autoscaling/target-lifecycle-state")
    if state not in TERMINATING:
        return None
    return Notice(f"target-lifecycle-state {state}", of_group=True, for_good=True)


async def _spot(metadata: InstanceMetadata) -> Notice | None:
    text = await metadata.get("spot/instance-action")
    if text is None:
        return None
    found = json_object(text)
    action, at = found.get("action"), str(found.get("time"))
    if action not in SPOT_ACTIONS:
        raise NoAnswer("an unknown spot instance-action")
    what = f"spot {action} at {at}" if _TIME.fullmatch(at) else f"spot {action}"
    return Notice(what, for_good=action == "terminate")
