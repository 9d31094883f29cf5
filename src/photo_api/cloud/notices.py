"""Amazon's notice that it will terminate this machine, and our answer that it may go on.

Read from "Retrieve the target lifecycle state through instance metadata" (EC2 Auto Scaling user
guide) and "Spot Instance interruption notices" (EC2 user guide); answered as in
"CompleteLifecycleAction" (EC2 Auto Scaling API reference).
"""

import asyncio
import logging
import random
import re
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from photo_api.cloud.credentials import fetch_role_credentials
from photo_api.cloud.metadata import (
    REGION,
    InstanceMetadata,
    Metadata,
    NoAnswer,
    ask,
    json_object,
)
from photo_api.cloud.sigv4 import sign_request
from photo_api.http_exchange import Answer
from photo_api.settings.instance import CloudSettings

log = logging.getLogger(__name__)

TERMINATING: Final = ("Terminated", "Warmed:Terminated")
SPOT_ACTIONS: Final = ("terminate", "stop", "hibernate")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)

COMPLETION_LIMIT = 5.0
"""Seconds that completing the lifecycle action may take, retries and all."""

PAUSES = (0.0, 0.25, 0.5, 1.0)
"""Seconds before each try, give or take a half."""


async def notice(cloud: CloudSettings) -> str:
    """Wait, for ever if need be, until this machine is told that it will be terminated; the cause
    in words. Looks every `cloud.notice_interval` seconds; a metadata service that does not answer
    is asked on, with one warning for each time it fails."""
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
                return f"termination notice: {found}"
        await asyncio.sleep(cloud.notice_interval)


async def _look(metadata: InstanceMetadata) -> str | None:
    """The notice in either place; a failure of one does not hide the other's."""
    answers = await asyncio.gather(_state(metadata), _spot(metadata), return_exceptions=True)
    failed: BaseException | None = None
    for answer in answers:
        if isinstance(answer, str):
            return answer
        failed = failed or answer
    if failed is not None:
        raise failed
    return None


async def _state(metadata: InstanceMetadata) -> str | None:
    state = await metadata.get("autoscaling/target-lifecycle-state")
    return f"target-lifecycle-state {state}" if state in TERMINATING else None


async def _spot(metadata: InstanceMetadata) -> str | None:
    text = await metadata.get("spot/instance-action")
    if text is None:
        return None
    found = json_object(text)
    action, at = found.get("action"), str(found.get("time"))
    if action not in SPOT_ACTIONS:
        raise NoAnswer("an unknown spot instance-action")
    return f"spot {action} at {at}" if _TIME.fullmatch(at) else f"spot {action}"


async def complete_lifecycle_action(
    cloud: CloudSettings, metadata: Metadata | None, region: str | None
) -> bool:
    """Tell the Auto Scaling group that its termination hook need wait for this machine no longer;
    whether that was accepted, which is known within `COMPLETION_LIMIT` seconds.

    Does nothing without a group in the settings, or when the group is not terminating this machine:
    then no action is open. The region is that of the metadata, for a configured one (`region`) may
    be a name of the operator's own; that one is used where the metadata has none. Never raises.
    """
    if not cloud.autoscaling_group or metadata is None or metadata.provider != "aws":
        return False
    signed_region = metadata.region or region or ""
    if not REGION.fullmatch(signed_region):
        log.error("lifecycle action not completed: no region is known")
        return False
    service = InstanceMetadata(cloud.metadata_url)
    failure = "no answer in time"
    with suppress(TimeoutError):
        async with asyncio.timeout(COMPLETION_LIMIT):
            for pause in PAUSES:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                try:
                    answer = await _complete(cloud, service, metadata.instance_id, signed_region)
                except NoAnswer as error:
                    failure = str(error)
                    continue
                if answer is None:
                    return False
                if answer.status == 200:
                    log.info("lifecycle action completed", extra={"fields": {"status": 200}})
                    return True
                failure = f"status {answer.status} {_code(answer)}"
                if answer.status in (401, 403):
                    break
    log.error("lifecycle action not completed: %s", failure)
    return False


async def _complete(
    cloud: CloudSettings, service: InstanceMetadata, instance_id: str, region: str
) -> Answer | None:
    """The API's answer; None when there is nothing to complete."""
    if await _state(service) is None:
        return None
    url = (cloud.autoscaling_url or autoscaling_endpoint(region)) + "/"
    form = {
        "Action": "CompleteLifecycleAction",
        "Version": "2011-01-01",
        "AutoScalingGroupName": cloud.autoscaling_group,
        "LifecycleHookName": cloud.lifecycle_hook,
        "LifecycleActionResult": "CONTINUE",
        "InstanceId": instance_id,
    }
    body = urlencode(form).encode()
    credentials = await fetch_role_credentials(service)
    headers = sign_request(
        "POST",
        url,
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        body,
        credentials,
        region,
        time.time(),
        "autoscaling",
    )
    return await ask("POST", url, headers, body)


def autoscaling_endpoint(region: str) -> str:
    """The Auto Scaling API of a region, as "Amazon EC2 Auto Scaling endpoints and quotas" in the
    AWS General Reference lists them."""
    china = ".cn" if region.startswith("cn-") else ""
    return f"https://autoscaling.{region}.amazonaws.com{china}"


def _code(answer: Answer) -> str:
    """The error's code out of the XML answer, if there is one."""
    found = re.search(r"<Code>([A-Za-z.]{1,64})</Code>", answer.body)
    return found[1] if found else ""
