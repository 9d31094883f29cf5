"""Amazon's query APIs, asked with the key of this machine's role.

As in "Common Parameters" and "Common Errors" (EC2 Auto Scaling and Elastic Load Balancing API
references), and "Service endpoints" (AWS General Reference).
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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
from photo_api.cloud.sigv4 import sign_request
from photo_api.http_exchange import Answer
from photo_api.settings.instance import CloudSettings

log = logging.getLogger(__name__)

TRIES = 5.0
"""Seconds in which tries of a request begin; a try that was begun is not cut then."""

LIMIT = TRIES + REQUEST_TIMEOUT
"""Seconds that a request may take, retries and all."""

PAUSES = (0.0, 0.25, 0.5, 1.0)
"""Seconds before each try, give or take a half."""

CLOCK_OFF = 60.0
"""Seconds by which a clock may be off; Amazon refuses what was signed five minutes ago."""

_EXPIRED: Final = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


class Outcome(Enum):
    """What came of a request. `ABSENT`: the API knows no such thing, not yet or not any more.
    `REFUSED` does not change at once: rights and keys take a while to be known everywhere. `FAILED`
    may, and `HOPELESS` never does. `NOT_ASKED`: there was no reason to."""

    ACCEPTED = auto()
    ABSENT = auto()
    NOT_ASKED = auto()
    REFUSED = auto()
    HOPELESS = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request, and why in words. `is_lost`: it was sent, and nobody said whether it
    was obeyed."""

    outcome: Outcome
    reason: str = ""
    body: str = ""
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """`service` is its name in endpoints and signatures, `url` is asked in place of the region's
    endpoint, and an error that holds one of `absent` says that there is no such thing."""

    service: str
    version: str
    url: str
    absent: tuple[str, ...]


class RoleClient:
    """Asks as the role of the machine that `metadata` describes, whose service is `service`.
    `region` is used where the metadata has none: a configured one may be a name of the operator's
    own. What one API tells of the time holds for all."""

    def __init__(self, cloud: CloudSettings, metadata: Metadata, region: str | None) -> None:
        self.service = InstanceMetadata(cloud.metadata_url)
        self.instance_id = metadata.instance_id
        self._region = metadata.region or region or ""
        self._clock_off = 0.0

    async def attempt(self, api: Api, form: Mapping[str, str], until: float) -> Reply:
        """One try, which is not sent after `until` (seconds of the loop's clock). Raises
        nothing."""
        if not REGION.fullmatch(self._region):
            return Reply(Outcome.HOPELESS, "no region is known")
        try:
            async with asyncio.timeout_at(until):
                url, headers, body = await self._signed(api, form)
        except (NoAnswer, TimeoutError) as error:
            return unanswered(error)
        try:
            answer = await ask("POST", url, headers, body)
        except NoAnswer as error:
            return Reply(Outcome.FAILED, str(error), is_lost=True)
        if answer.status == 200 and f"<{form['Action']}Response" not in answer.body:
            return Reply(Outcome.FAILED, "the answer is none of Amazon's", is_lost=True)
        return self._read(api, answer)

    async def _signed(self, api: Api, form: Mapping[str, str]) -> tuple[str, dict[str, str], bytes]:
        url = (api.url or endpoint(api.service, self._region)) + "/"
        body = urlencode({"Version": api.version, **form}).encode()
        # Asked for each time: the service has the next key minutes before this one ends.
        key = await fetch_role_credentials(self.service)
        now = time.time() + self._clock_off
        headers = sign_request("POST", url, _FORM, body, key, self._region, now, api.service)
        return url, headers, body

    def _read(self, api: Api, answer: Answer) -> Reply:
        if answer.status == 200:
            return Reply(Outcome.ACCEPTED, body=answer.body)
        code = _code(answer)
        reason = f"status {answer.status} {code}"
        if any(mark in answer.body for mark in api.absent):
            return Reply(Outcome.ABSENT, reason)
        may_change = self._set_clock(answer) or code in _EXPIRED or answer.status not in (401, 403)
        outcome = Outcome.FAILED if may_change else Outcome.REFUSED
        return Reply(outcome, reason, is_lost=answer.status >= 500)

    def _set_clock(self, answer: Answer) -> bool:
        """Whether this machine's clock was off, so that another signature may be accepted."""
        try:
            off = parsedate_to_datetime(answer.date).timestamp() - time.time()
        except ValueError:
            return False
        if abs(off - self._clock_off) < CLOCK_OFF:
            return False
        log.warning("this machine's clock is off by %.0f s, says Amazon's API", off)
        self._clock_off = off
        return True


def unanswered(error: Exception) -> Reply:
    """What came of a request for which the metadata service, asked before, did not answer."""
    return Reply(Outcome.FAILED, str(error) or "the metadata service is slow")


async def tried(attempt: Callable[[float], Awaitable[Reply]]) -> Reply:
    """What `attempt`, which is given the time after which it must not send any more, came to, tried
    again within `LIMIT` seconds while it fails. `is_lost` where a try was."""
    reply, is_lost = Reply(Outcome.FAILED, "no answer in time"), False
    until = asyncio.get_running_loop().time() + TRIES
    for pause in PAUSES:
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        if asyncio.get_running_loop().time() >= until:
            break
        reply = await attempt(until)
        is_lost = is_lost or reply.is_lost
        if reply.outcome is not Outcome.FAILED:
            break
    return Reply(reply.outcome, reply.reason, reply.body, is_lost)


def endpoint(service: str, region: str) -> str:
    """A service's API in a region, as the AWS General Reference lists them."""
    china = ".cn" if region.startswith("cn-") else ""
    return f"https://{service}.{region}.amazonaws.com{china}"


def _code(answer: Answer) -> str:
    """The error's code out of the XML answer, if there is one."""
    found = re.search(r"<Code>([A-Za-z.]{1,64})</Code>", answer.body)
    return found[1] if found else ""
