"""What the cloud says about a machine, from its metadata service at a link-local address.

Two formats are known: Amazon's with session tokens ("Use the Instance Metadata Service to access
instance metadata" in the EC2 user guide) and OpenStack's ("Metadata service" in Nova's user guide).
"""

import asyncio
import json
import logging
import math
import re
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Literal

from photo_api.http_exchange import MAX_ANSWER, Answer, Exchange
from photo_api.settings.instance import CloudSettings
from photo_base.tasks import cancel

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 2.0
SESSION_SECONDS = 300
RENEW_BEFORE = 60.0
"""Seconds before a session's end from when the next one is begun."""

FIRST_PAUSE, LONGEST_PAUSE, LATEST = 1.0, 30.0, 600.0
"""Seconds between questions to a service that was silent at start, and how long they go on where
no group is named, so that there may be none."""

REGION: Final = re.compile(r"[a-z0-9-]{1,64}")
_INSTANCE_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TOKEN: Final = re.compile(r"[!-~]{1,1024}")


class NoAnswer(Exception):
    """The service could not be asked, or its answer is not one to go by. Tells the kind only, for
    the answer itself may hold a key."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of this machine. `address` is its private IP address, `region` Amazon's region
    or OpenStack's availability zone; both are None when the service does not tell."""

    provider: Literal["aws", "openstack"]
    address: str | None
    region: str | None
    instance_id: str


async def look_up(cloud: CloudSettings) -> Metadata | None:
    """This machine's metadata; None where no service answers within `cloud.metadata_timeout`
    seconds in all. Wanted even when address and region are configured: termination notices are read
    only where Amazon's metadata was found."""
    if not cloud.metadata_url:
        return None
    found = await _look_up(cloud)
    log.info("cloud metadata", extra={"fields": {"provider": found.provider if found else None}})
    return found


async def look_up_late(cloud: CloudSettings) -> Metadata | None:
    """The same for a machine whose network comes up after this service: asked for again, ever more
    seldom, for `LATEST` seconds; None where nothing has answered by then. For ever where a group is
    named: it would terminate a machine that does not hear of it."""
    latest = math.inf if cloud.autoscaling_group else LATEST
    pause, until = FIRST_PAUSE, time.monotonic() + latest
    while cloud.metadata_url and time.monotonic() < until:
        await asyncio.sleep(pause)
        if found := await _look_up(cloud):
            log.info("cloud metadata, late", extra={"fields": {"provider": found.provider}})
            return found
        pause = min(2 * pause, LONGEST_PAUSE)
    return None


async def _look_up(cloud: CloudSettings) -> Metadata | None:
    asked = [
        asyncio.create_task(_none_if_silent(ask(cloud.metadata_url)))
        for ask in (_openstack, _amazon)
    ]
    try:
        await asyncio.wait(asked, timeout=cloud.metadata_timeout)
    finally:
        await cancel(*asked)
    # OpenStack first: some of its kin also speak Amazon's language, and never the reverse.
    answers = [task.result() for task in asked if not task.cancelled()]
    return next(filter(None, answers), None)


async def _none_if_silent(asking: Coroutine[Any, Any, Metadata | None]) -> Metadata | None:
    try:
        return await asking
    except NoAnswer:
        return None


async def _amazon(url: str) -> Metadata | None:
    service = InstanceMetadata(url)
    instance_id = await service.get("instance-id")
    address, region = await asyncio.gather(
        service.get("local-ipv4"), service.get("placement/region")
    )
    return _checked("aws", address, region, instance_id)


async def _openstack(url: str) -> Metadata | None:
    described = _text(await ask("GET", f"{url}/openstack/latest/meta_data.json"))
    if described is None:
        return None
    found = json_object(described)
    address = None
    with suppress(NoAnswer):
        # Only the EC2-compatible tree has it. Nova wants no token there; its kin may.
        address = _text(await ask("GET", f"{url}/latest/meta-data/local-ipv4"))
    return _checked("openstack", address, found.get("availability_zone"), found.get("uuid"))


def _checked(
    provider: Literal["aws", "openstack"], address: object, region: object, instance_id: object
) -> Metadata | None:
    """The plausible part of it; None without a plausible instance id."""
    known = _valid("instance id", instance_id, _is(_INSTANCE_ID))
    if known is None:
        return None
    return Metadata(
        provider,
        _valid("address", address, _is_address),
        _valid("region", region, _is(REGION)),
        known,
    )


def _valid(name: str, value: object, is_valid: Callable[[str], object]) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and is_valid(value):
        return value
    log.warning("the cloud's metadata has no valid %s: %.100r", name, value)
    return None


def _is(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return pattern.fullmatch


def _is_address(value: str) -> bool:
    try:
        return "%" not in value and not ip_address(value).is_unspecified
    except ValueError:
        return False


class InstanceMetadata:
    """Amazon's metadata service, version 2: every question carries a session token, renewed before
    its end and when the service has forgotten it."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{url.rstrip('/')}/latest"
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    async def get(self, path: str) -> str | None:
        """The item `path` below meta-data; None when there is none. Raises `NoAnswer`."""
        token = await self._session()
        answer = await self._ask(path, token)
        if answer.status == 401:
            answer = await self._ask(path, await self._session(instead_of=token))
        return _text(answer)

    async def _ask(self, path: str, token: str) -> Answer:
        return await ask(
            "GET", f"{self._url}/meta-data/{path}", {"X-aws-ec2-metadata-token": token}
        )

    async def _session(self, instead_of: str | None = None) -> str:
        async with self._renewing:
            if not self._token or self._token == instead_of or self._clock() >= self._renew_at:
                lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(SESSION_SECONDS)}
                began = self._clock()
                token = _text(await ask("PUT", f"{self._url}/api/token", lifetime))
                if token is None or not _TOKEN.fullmatch(token):
                    raise NoAnswer("no session token")
                self._token, self._renew_at = token, began + SESSION_SECONDS - RENEW_BEFORE
            return self._token


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that `text` is. Raises `NoAnswer` when it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NoAnswer("not JSON") from None
    if not isinstance(found, dict):
        raise NoAnswer("not a JSON object")
    return found


def _text(answer: Answer) -> str | None:
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise NoAnswer(f"status {answer.status}")
    return answer.body.strip()


async def ask(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    authorities: str = "",
) -> Answer:
    """One request on a connection of its own, straight to the address whatever proxies the
    environment names, following no redirect, within `REQUEST_TIMEOUT` seconds. The certificate may
    be of one of the PEM `authorities` besides the system's. Raises `NoAnswer`."""
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            return await _ask(Exchange(method, url, headers or {}, body), authorities)
    except (OSError, ValueError) as error:
        raise NoAnswer(type(error).__name__) from None


async def _ask(exchange: Exchange, authorities: str) -> Answer:
    name = exchange.host if exchange.secure else None
    reader, writer = await asyncio.open_connection(
        exchange.host,
        exchange.port,
        ssl=_believing(authorities) if exchange.secure else None,
        server_hostname=name,
        limit=MAX_ANSWER,
    )
    try:
        writer.write(exchange.request)
        while True:
            if answer := exchange.receive(await reader.read(exchange.room)):
                return answer
    finally:
        writer.close()


def _believing(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context
