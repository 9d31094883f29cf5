"""The object store of a stage, whichever it is."""

from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import httpx

from photo_base.embedded import EmbeddedAddresses
from photo_fleet.drill.evidence.objects import Account, Bucket, CannotList, list_objects
from photo_fleet.drill.stage.http_relay import HttpRelay
from photo_fleet.drill.stage.process_tree import children, command_line

PROGRAMS = ("weed", "swift-proxy-server")
"""What answers clients of the one and of the other."""
KEYSTONE = "keystone_server"


def put_behind(relay: HttpRelay, addresses: EmbeddedAddresses) -> EmbeddedAddresses:
    """The addresses with `relay` before the store, for instances and for clients."""
    if (swift := addresses.swift) is None:
        relay.endpoint = addresses.s3_endpoint
        return replace(addresses, s3_endpoint=relay.url)
    parts = urlsplit(swift.url)
    relay.endpoint = f"{parts.scheme}://{parts.netloc}"
    url = f"{relay.url}{parts.path}"
    return replace(addresses, swift=replace(swift, url=url, public_endpoint=relay.url))


def bucket_of(addresses: EmbeddedAddresses) -> Bucket | Account:
    """Where photos are, with the service's own key."""
    if (swift := addresses.swift) is None:
        keys = addresses.access_key, addresses.secret_key
        return Bucket(addresses.s3_endpoint, addresses.bucket, addresses.region, *keys)
    containers = swift.container, swift.staging_container
    who = swift.auth_url, swift.user, swift.project, swift.password
    return Account(swift.url, containers, *who)


async def answers(addresses: EmbeddedAddresses) -> bool:
    """Whether the store takes requests. Swift's proxy alone answers strangers, so it is listed."""
    if addresses.swift is not None:
        with suppress(CannotList):
            await list_objects(bucket_of(addresses))
            return True
        return False
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            answer = await http.get(f"{addresses.s3_endpoint}/{addresses.bucket}/nothing")
            return answer.status_code < 500
    return False


def pid_of(keeper: int, *marks: str) -> int:
    """Of the process that `keeper` has started and whose command line has one of these. Raises
    `LookupError`."""
    for pid in children(keeper):
        if any(mark in command_line(pid) for mark in marks):
            return pid
    raise LookupError(f"no {' or '.join(marks)} runs")
