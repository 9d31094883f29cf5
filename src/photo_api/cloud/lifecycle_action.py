"""What this machine tells the Auto Scaling group that terminates it: that it needs more time, and
then that the group may go on.

As in "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction" and "Common Errors" (EC2 Auto
Scaling API reference, version 2011-01-01). ABANDON is never sent: the group would keep the machine,
or skip the hooks that are left, and no drain gets better by it.
"""

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from typing import Final

from photo_api.cloud.metadata import NoAnswer
from photo_api.cloud.notices import of_group
from photo_api.cloud.query_api import LIMIT, Api, Outcome, Reply, RoleClient, tried, unanswered
from photo_api.settings.instance import CloudSettings

log = logging.getLogger(__name__)

ASK_AGAIN = 2.0
"""Seconds after which the group is told again that it may go on, while it does not hear it."""

PER_TIMEOUT = 3
"""Heartbeats in each of the hook's timeouts: two may fail."""

ASKED_AGAIN: Final = (Outcome.ABSENT, Outcome.REFUSED, Outcome.FAILED)
NOT_EXTENDED: Final = (Outcome.REFUSED, Outcome.HOPELESS, Outcome.FAILED)


def autoscaling(cloud: CloudSettings) -> Api:
    """EC2 Auto Scaling; what is absent is an action that is open."""
    url, absent = cloud.autoscaling_url, ("No active Lifecycle Action found",)
    return Api("autoscaling", "2011-01-01", url, absent)


class LifecycleAction:
    """The termination action of the group and hook in `cloud` for the machine of `client`.
    `is_terminating`: the group was heard to terminate it, which does not change any more, whatever
    the metadata say later."""

    def __init__(self, cloud: CloudSettings, client: RoleClient) -> None:
        self._cloud = cloud
        self._client = client
        self.is_terminating = False
        self._was_open = False
        self._may_be_completed = False

    async def keep_open(self, until: float) -> None:
        """Record a heartbeat now and at each third of the hook's timeout, until `until` (monotonic
        seconds). Failures are told, once for each that lasts, and raise nothing."""
        told: tuple[Outcome, str] | None = None
        pause = self._cloud.lifecycle_heartbeat / PER_TIMEOUT
        while (left := until - time.monotonic()) > 0:
            reply = await self._tell("RecordLifecycleActionHeartbeat")
            outcome, reason = result = reply.outcome, reply.reason
            if result != told and outcome is Outcome.ACCEPTED:
                fields = {"heartbeat_s": self._cloud.lifecycle_heartbeat}
                log.info("lifecycle action extended", extra={"fields": fields})
            elif result != told and outcome in NOT_EXTENDED:
                log.warning("lifecycle action not extended: %s", reason)
            told = result
            await asyncio.sleep(min(pause, left))

    async def complete(self, until: float = 0.0) -> bool:
        """Tell the group that it may go on; whether it waits for this machine no longer. Does
        nothing when the group is not terminating it. Raises nothing.

        Takes `LIMIT` seconds. Where the group is terminating it, goes on until `until` (monotonic
        seconds): the API may fail for a while, and the action may open only when the group's
        balancer has done its own draining.
        """
        while True:
            reply = await self._tell("CompleteLifecycleAction", "CONTINUE")
            outcome = reply.outcome
            self._may_be_completed = self._may_be_completed or reply.is_lost
            is_over = outcome is Outcome.ABSENT and self._was_open
            may_change = outcome in ASKED_AGAIN and self.is_terminating
            if is_over or not may_change or time.monotonic() + ASK_AGAIN + LIMIT > until:
                break
            await asyncio.sleep(ASK_AGAIN)
        if outcome is Outcome.ACCEPTED:
            log.info("lifecycle action completed", extra={"fields": {"status": 200}})
        elif is_over and self._may_be_completed:
            log.info("lifecycle action over, completed by a request whose answer was lost")
        elif is_over:
            log.warning("lifecycle action over: its timeout has passed, or somebody completed it")
        elif outcome is Outcome.ABSENT and self._may_be_completed:
            log.warning("lifecycle action perhaps completed: an answer was lost, and none is open")
        elif outcome is not Outcome.NOT_ASKED:
            log.error("lifecycle action not completed: %s", reply.reason)
        return outcome is Outcome.ACCEPTED or is_over

    async def _tell(self, action: str, result: str = "") -> Reply:
        form = {
            "Action": action,
            "AutoScalingGroupName": self._cloud.autoscaling_group,
            "LifecycleHookName": self._cloud.lifecycle_hook,
            "InstanceId": self._client.instance_id,
        }
        if result:
            form["LifecycleActionResult"] = result
        reply = await tried(partial(self._try, form))
        if reply.outcome is Outcome.ACCEPTED:
            self._was_open = True
        if reply.outcome is Outcome.ABSENT:
            return replace(reply, reason="the group has no action open for this machine")
        return reply

    async def _try(self, form: dict[str, str], until: float) -> Reply:
        try:
            async with asyncio.timeout_at(until):
                if not self.is_terminating and await of_group(self._client.service) is None:
                    return Reply(Outcome.NOT_ASKED, "the group is not terminating this machine")
        except (NoAnswer, TimeoutError) as error:
            return unanswered(error)
        self.is_terminating = True
        return await self._client.attempt(autoscaling(self._cloud), form, until)
