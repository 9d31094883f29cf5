"""A machine that is terminated leaves the target groups of its Auto Scaling group.

As in "DescribeLoadBalancerTargetGroups" (EC2 Auto Scaling API reference, version 2011-01-01) and
"DeregisterTargets" (Elastic Load Balancing API reference, version 2015-12-01). The group does the
same, but Amazon does not say when: if it is after the termination hook, the balancer would go on
sending to a closed port until its health check finds out.
"""

import asyncio
import logging
import random
import time
from typing import Final
from xml.etree import ElementTree

from photo_api.cloud.lifecycle_action import autoscaling
from photo_api.cloud.query_api import TRIES, Api, Outcome, Reply, RoleClient
from photo_api.settings.instance import CloudSettings

log = logging.getLogger(__name__)

PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds before the second try, and at most between two; give or take a half."""

PER_PAGE, MOST_PAGES = 100, 5
"""Target groups in an answer, and answers that are read: Amazon's quota is 50 for a group."""

_LEFT: Final = (Outcome.ACCEPTED, Outcome.ABSENT)


class Deregistration:
    """That of the machine of `client` from the target groups of the group in `cloud`. `left_at` is
    when (monotonic) one was left last; None before, and where the group has none."""

    def __init__(self, cloud: CloudSettings, client: RoleClient) -> None:
        self._cloud = cloud
        self._client = client
        absent = ("<Code>InvalidTarget</Code>", "<Code>TargetGroupNotFound</Code>")
        self._balancing = Api(
            "elasticloadbalancing", "2015-12-01", cloud.load_balancing_url, absent
        )
        self._groups: set[str] | None = None
        self.left_at: float | None = None

    async def run(self) -> None:
        """Until they are left, or the caller cancels it. A failure is told once, tried again, and
        raises nothing."""
        pause, told = PAUSE, False
        while (fault := await self._leave()) is not None:
            if not told:
                log.warning("not deregistered from the target groups: %s", fault.reason)
            if fault.outcome is Outcome.HOPELESS:
                return
            told = True
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _leave(self) -> Reply | None:
        """Try to leave those that are not left yet; a fault, if there was one."""
        if self._groups is None and (fault := await self._find()):
            return fault
        asked = sorted(self._groups or ())
        replies = await asyncio.gather(*map(self._deregister, asked))
        failed = {
            group: reply
            for group, reply in zip(asked, replies, strict=True)
            if reply.outcome not in _LEFT
        }
        self._groups = set(failed)
        if len(failed) < len(asked):
            self.left_at = time.monotonic()
        if asked and not failed:
            log.info("deregistered from the target groups")
        return next(iter(failed.values()), None)

    async def _find(self) -> Reply | None:
        """Ask for the group's target groups; the fault, if there was one."""
        form = {
            "Action": "DescribeLoadBalancerTargetGroups",
            "AutoScalingGroupName": self._cloud.autoscaling_group,
            "MaxRecords": str(PER_PAGE),
        }
        groups = set[str]()
        for _ in range(MOST_PAGES):
            reply = await self._ask(autoscaling(self._cloud), form)
            if reply.outcome is not Outcome.ACCEPTED:
                return reply
            try:
                found = ElementTree.fromstring(reply.body)
            except ElementTree.ParseError:
                return Reply(Outcome.FAILED, "the answer is no XML")
            groups.update(
                one.text or "" for one in found.iterfind(".//{*}LoadBalancerTargetGroupARN")
            )
            form["NextToken"] = found.findtext(".//{*}NextToken") or ""
            if not form["NextToken"]:
                break
        self._groups = groups - {""}
        return None

    async def _deregister(self, group: str) -> Reply:
        form = {
            "Action": "DeregisterTargets",
            "TargetGroupArn": group,
            "Targets.member.1.Id": self._client.instance_id,
        }
        return await self._ask(self._balancing, form)

    async def _ask(self, api: Api, form: dict[str, str]) -> Reply:
        return await self._client.attempt(api, form, asyncio.get_running_loop().time() + TRIES)
