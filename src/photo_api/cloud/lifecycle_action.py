"""What this machine tells the Auto Scaling group that terminates it: that it needs more time, and
then that the group may go on.

As in "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction" and "Common Errors" (EC2 Auto
Scaling API reference, version 2011-01-01). ABANDON is never sent: the group would keep the machine,
or skip the hooks that are left, and no drain gets better by it.
"""

import asyncio
import logging
import random
import re
import time
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final
from urllib.parse import urlencode

from photo_api.cloud.credentials import fetch_role_credentials
from photo_api.cloud.metadata import (
    REGION,
    REQUEST_TIMEOUT,
    InstanceMetadata,
    Metadata,
    NoAnswer,
    ask,
)
from photo_api.cloud.notices import of_group
from photo_api.cloud.sigv4 import sign_request
from photo_api.http_exchange import Answer
from photo_api.settings.instance import CloudSettings

log = logging.getLogger(__name__)

TRIES = 5.0
"""Seconds in which tries to tell the group something begin; a request of one is not cut then."""

LIMIT = TRIES + REQUEST_TIMEOUT
"""Seconds that telling it something may take, retries and all."""

PAUSES = (0.0, 0.25, 0.5, 1.0)
"""Seconds before each try, give or take a half."""

ASK_AGAIN = 2.0
"""Seconds after which the group is told again that it may go on, while it does not hear it."""

PER_TIMEOUT = 3
"""Heartbeats in each of the hook's timeouts: two may fail."""

CLOCK_OFF = 60.0
"""Seconds by which a clock may be off; Amazon refuses what was signed five minutes ago."""

_NONE_OPEN: Final = "No active Lifecycle Action found"
_EXPIRED: Final = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")


class Outcome(Enum):
    """What came of it. `NONE_OPEN`: the group knows no action for this machine, not yet or not any
    more. `REFUSED` does not change at once: rights and keys take a while to be known everywhere.
    `FAILED` may, and `HOPELESS` never does."""

    ACCEPTED = auto()
    NOT_TERMINATING = auto()
    NONE_OPEN = auto()
    REFUSED = auto()
    HOPELESS = auto()
    FAILED = auto()


ASKED_AGAIN: Final = (Outcome.NONE_OPEN, Outcome.REFUSED, Outcome.FAILED)
NOT_EXTENDED: Final = (Outcome.REFUSED, Outcome.HOPELESS, Outcome.FAILED)


class LifecycleAction:
    """The termination action of the group and hook in `cloud`, for the machine that `metadata`
    describes. `region` is used where the metadata has none: a configured one may be a name of the
    operator's own. `is_terminating`: the group was heard to terminate the machine, which does not
    change any more, whatever the metadata say later."""

    def __init__(self, cloud: CloudSettings, metadata: Metadata, region: str | None) -> None:
        self._cloud = cloud
        self._service = InstanceMetadata(cloud.metadata_url)
        self._instance_id = metadata.instance_id
        self._region = metadata.region or region or ""
        self._clock_off = 0.0
        self.is_terminating = False
        self._was_open = False
        self._may_be_completed = False

    async def keep_open(self, until: float) -> None:
        """Record a heartbeat now and at each third of the hook's timeout, until `until` (monotonic
        seconds). Failures are told, once for each that lasts, and raise nothing."""
        told: tuple[Outcome, str] | None = None
        pause = self._cloud.lifecycle_heartbeat / PER_TIMEOUT
        while (left := until - time.monotonic()) > 0:
            outcome, reason = result = await self._tell("RecordLifecycleActionHeartbeat")
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
            outcome, reason = await self._tell("CompleteLifecycleAction", "CONTINUE")
            is_over = outcome is Outcome.NONE_OPEN and self._was_open
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
        elif outcome is Outcome.NONE_OPEN and self._may_be_completed:
            log.warning("lifecycle action perhaps completed: an answer was lost, and none is open")
        elif outcome is not Outcome.NOT_TERMINATING:
            log.error("lifecycle action not completed: %s", reason)
        return outcome is Outcome.ACCEPTED or is_over

    async def _tell(self, action: str, result: str = "") -> tuple[Outcome, str]:
        """What came of it, and why in words."""
        outcome, reason = Outcome.FAILED, "no answer in time"
        until = asyncio.get_running_loop().time() + TRIES
        for pause in PAUSES:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            if asyncio.get_running_loop().time() >= until:
                break
            outcome, reason = await self._try(action, result, until)
            if outcome is not Outcome.FAILED:
                break
        return outcome, reason

    async def _try(self, action: str, result: str, until: float) -> tuple[Outcome, str]:
        if not REGION.fullmatch(self._region):
            return Outcome.HOPELESS, "no region is known"
        try:
            async with asyncio.timeout_at(until):
                if not self.is_terminating and await of_group(self._service) is None:
                    return Outcome.NOT_TERMINATING, "the group is not terminating this machine"
                self.is_terminating = True
                url, headers, body = await self._signed(action, result)
        except (NoAnswer, TimeoutError) as error:
            return Outcome.FAILED, str(error) or "the metadata service is slow"
        try:
            before = self._may_be_completed
            self._may_be_completed = before or bool(result)  # until an answer tells
            answer = await ask("POST", url, headers, body)
        except NoAnswer as error:
            return Outcome.FAILED, str(error)
        if answer.status < 500:
            self._may_be_completed = before
        return self._read(answer)

    async def _signed(self, action: str, result: str) -> tuple[str, dict[str, str], bytes]:
        url = (self._cloud.autoscaling_url or autoscaling_endpoint(self._region)) + "/"
        form = {
            "Action": action,
            "Version": "2011-01-01",
            "AutoScalingGroupName": self._cloud.autoscaling_group,
            "LifecycleHookName": self._cloud.lifecycle_hook,
            "InstanceId": self._instance_id,
        }
        if result:
            form["LifecycleActionResult"] = result
        body = urlencode(form).encode()
        # Asked for each time: the service has the next key minutes before this one ends.
        credentials = await fetch_role_credentials(self._service)
        headers = sign_request(
            "POST",
            url,
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            body,
            credentials,
            self._region,
            time.time() + self._clock_off,
            "autoscaling",
        )
        return url, headers, body

    def _read(self, answer: Answer) -> tuple[Outcome, str]:
        if answer.status == 200:
            self._was_open = True
            return Outcome.ACCEPTED, ""
        if _NONE_OPEN in answer.body:
            return Outcome.NONE_OPEN, "the group has no action open for this machine"
        code = _code(answer)
        may_change = self._set_clock(answer) or code in _EXPIRED or answer.status not in (401, 403)
        outcome = Outcome.FAILED if may_change else Outcome.REFUSED
        return outcome, f"status {answer.status} {code}"

    def _set_clock(self, answer: Answer) -> bool:
        """Whether this machine's clock was off, so that another signature may be accepted."""
        try:
            off = parsedate_to_datetime(answer.date).timestamp() - time.time()
        except ValueError:
            return False
        if abs(off - self._clock_off) < CLOCK_OFF:
            return False
        log.warning("this machine's clock is off by %.0f s, says the Auto Scaling API", off)
        self._clock_off = off
        return True


def autoscaling_endpoint(region: str) -> str:
    """The Auto Scaling API of a region, as "Amazon EC2 Auto Scaling endpoints and quotas" in the
    AWS General Reference lists them."""
    china = ".cn" if region.startswith("cn-") else ""
    return f"https://autoscaling.{region}.amazonaws.com{china}"


def _code(answer: Answer) -> str:
    """The error's code out of the XML answer, if there is one."""
    found = re.search(r"<Code>([A-Za-z.]{1,64})</Code>", answer.body)
    return found[1] if found else ""
