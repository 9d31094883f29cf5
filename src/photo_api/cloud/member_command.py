"""`photo-api member out|in`: what units run before an instance's end and after its start, where no
group tells the cloud's balancer in time."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from http.client import HTTPException
from typing import Literal
from urllib.request import Request

from photo_api.cloud.identity import own_address
from photo_api.cloud.member import NotAtAll, NotNow, Place, Pool, bring
from photo_api.cloud.timely import open_within
from photo_api.contract import HEALTH_PATH
from photo_api.settings.member import MemberSettings, load_member
from photo_base.command_line import DONE, FAILED
from photo_base.tasks import beside

PROBE, READY_PAUSE = 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it; `done` is false where the balancer may do otherwise."""

    action: Literal["out", "in"]
    address: str
    port: int
    member: str | None
    done: bool
    reason: str
    seconds: float


async def member_command(
    environ: Mapping[str, str],
    *,
    action: Literal["out", "in"],
    port: int,
    within: float,
    as_json: bool,
) -> int:
    """The exit code: 0 the balancer does so, or has no such member to send to; 1 nobody knows that
    it does after `within` seconds, or it cannot. Raises SettingsError."""
    settings = load_member(environ)
    place = Place(settings.address or own_address(), port)
    began = time.monotonic()
    work = partial(_work, settings, place, action, began + within)
    try:
        # In a thread, for the look-up of an address has no other bound than its resolver's.
        async with asyncio.timeout(within):
            member, done, reason = await beside(work, "member")
    except TimeoutError:
        member, done, reason = None, False, f"no answer within {within:g} s"
    seconds = round(time.monotonic() - began, 2)
    told = Told(action, place.address, place.port, member, done, reason, seconds)
    _tell(told, place, as_json)
    return DONE if done else FAILED


def _work(
    settings: MemberSettings, place: Place, action: str, until: float
) -> tuple[str | None, bool, str]:
    """(the member's id, whether it is so, why not)."""
    try:
        if action == "in":
            _wait_until_ready(place.port, until)
        member = bring(Pool(settings), place, up=action == "in", until=until)
    except (NotNow, NotAtAll) as error:
        return None, False, str(error)
    if member is None:
        return None, action == "out", f"pool {settings.pool} has no such member"
    return member.id, True, ""


def _wait_until_ready(port: int, until: float) -> None:
    """Raises `NotNow`."""
    while True:
        try:
            with open_within(Request(f"http://127.0.0.1:{port}{HEALTH_PATH}"), PROBE):
                return
        except (OSError, HTTPException):
            pass
        if time.monotonic() + READY_PAUSE >= until:
            raise NotNow(f"{HEALTH_PATH} of this machine does not answer 200")
        time.sleep(READY_PAUSE)


def _tell(told: Told, place: Place, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(told)), flush=True)
        return
    sends = "sends to" if told.action == "in" else "sends nothing more to"
    if not told.done:
        text = f"It is not known that the load balancer {sends} {place}: {told.reason}"
        print(f"{text} (after {told.seconds:g} s)", file=sys.stderr, flush=True)
    elif told.member is None:
        print(f"Nothing to do for {place}: {told.reason}", flush=True)
    else:
        print(f"The load balancer {sends} {place} (after {told.seconds:g} s)", flush=True)
