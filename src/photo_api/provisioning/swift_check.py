"""`photo-api storage check` on Swift: nothing is changed."""

import asyncio
import time
from urllib.parse import quote

from photo_api.provisioning import judging
from photo_api.provisioning.findings import Finding
from photo_api.provisioning.looking import (
    Place,
    look_at_addresses,
    look_at_cors,
    unless_unknown,
)
from photo_api.provisioning.swift_rules import WHO, Wanted, public_access, wanted_containers
from photo_api.provisioning.swift_urls import try_keys
from photo_api.settings.loading import Settings
from photo_api.settings.swift import SwiftSettings
from photo_api.storage.base import StoreRefused, StoreUnavailable
from photo_api.storage.keystone import look_at
from photo_api.storage.plain_requests import PlainRequests
from photo_api.storage.swift_containers import containers_of
from photo_api.storage.swift_opening import account_of
from photo_api.storage.swift_requests import Asked, SwiftRequests


async def check_account(
    settings: Settings, requests: SwiftRequests, plain: PlainRequests, account: str
) -> list[Finding]:
    """`account` is its address that clients get."""
    swift, names = settings.swift, containers_of(settings.swift)
    found = await unless_unknown("reach", _keystone_address(plain, swift.auth_url))
    places = {}
    for name in (names.photos, names.staging):
        inner = Place(f"{swift.url}/{quote(name, safe='')}", True, False)
        places[name] = outer = Place(f"{account}/{quote(name, safe='')}", True, True)
        seen = await look_at_addresses(plain, inner, outer)
        found += [one for one in seen if name == names.photos or one.code == "public"]
    who = await unless_unknown("credentials", _keystone(swift))
    containers = []
    if who[0].state == "ok":
        for one in wanted_containers(settings):
            containers += await unless_unknown("container", _container(requests, one))
    found += who + containers
    if not any(one.code == "container" and one.state == "wrong" for one in containers):
        found += await unless_unknown("digest", try_keys(settings, requests, plain))
    origins = settings.pages
    cors = look_at_cors(plain, places[names.photos], places[names.staging], origins)
    return found + await unless_unknown("cors", cors)


async def _keystone_address(plain: PlainRequests, address: str) -> list[Finding]:
    answer = await plain.ask("GET", address)
    return [judging.tls(address, answer.certificate, time.time(), clients=False)]


async def _keystone(swift: SwiftSettings) -> list[Finding]:
    """Who we are to Keystone, and where it says that the store is. Raises `StoreUnavailable`."""
    try:
        token, urls = await asyncio.to_thread(look_at, account_of(swift))
    except StoreRefused as error:
        return [Finding("credentials", "wrong", str(error), WHO)]
    return [
        Finding("credentials", "ok", "Keystone gives a token"),
        judging.token(token.life),
        judging.catalogue(urls, swift.url),
    ]


async def _container(requests: SwiftRequests, wanted: Wanted) -> list[Finding]:
    """Whether it is there, is closed, and has the keys. Raises `StoreUnavailable`."""
    name = wanted.name
    try:
        answer = await requests.ask(Asked("HEAD", quote(name, safe="")))
    except StoreRefused as error:
        fix = "give the user a role by which Swift lets it own the account (operator_roles)"
        return [Finding("container", "wrong", f"{name}: {error}", fix)]
    if answer.status == 404:
        return [Finding("container", "wrong", f"there is no {name}", "photo-api storage init")]
    if answer.status not in (200, 204):
        raise StoreUnavailable(f"{name}: the store answers {answer.status}")
    found = [Finding("container", "ok", f"{name} is there")]
    if access := public_access(answer.headers):
        fix = f"take that entry away: every URL that clients get is signed ({access})"
        found.append(Finding("public", "wrong", f"{name} has an access list for everybody", fix))
    return [*found, judging.keys(wanted, answer.headers)]
