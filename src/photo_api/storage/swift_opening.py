"""Makes the configured store on Swift; imported only where there is one, for what it imports."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.settings.swift import SwiftSettings
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.keystone import Account, Keystone
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import containers_of
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Tokens
from photo_api.storage.url_keys import Digest, UrlKeys, UrlKeySource
from photo_base.tasks import cancel

log = logging.getLogger(__name__)

BY_PREFERENCE: tuple[Digest, ...] = ("sha256", "sha512", "sha1")
ASK_AGAIN = (20.0, 40.0)
"""Seconds after which the store is asked once more what it signs by."""


@asynccontextmanager
async def follow_swift(live: LiveSettings) -> AsyncIterator[tuple[UrlKeySource, SwiftStore]]:
    """The store and the keys of its URLs, kept with the secrets that change meanwhile."""
    settings = live.now
    swift = settings.swift
    digest: Digest = "sha256" if swift.digest == "auto" else swift.digest
    keys = UrlKeySource(UrlKeys(swift.url_keys[0], swift.staging_url_keys[0], digest))
    async with open_requests(swift) as (requests, use_password):
        store = SwiftStore(
            requests,
            containers_of(swift),
            segment_size=swift.segment_size,
            largest=settings.uploads.max_size,
        )

        def use(settings: Settings) -> None:
            use_password(settings.swift.password)
            keys.use(settings.swift.url_keys[0], settings.swift.staging_url_keys[0])

        live.follow(use)
        learning = []
        if swift.digest == "auto" and not await _ask_digest(requests, keys):
            log.warning("the store does not tell what signs its URLs; it is taken to be SHA-256")
            learning.append(asyncio.create_task(_learn_digest(requests, keys)))
        try:
            yield keys, store
        finally:
            await cancel(*learning)


@asynccontextmanager
async def open_requests(
    swift: SwiftSettings,
) -> AsyncIterator[tuple[SwiftRequests, Callable[[str], None]]]:
    """Requests to the account, and what has tokens asked for with another password."""
    keystone = Keystone(account_of(swift))
    tokens = Tokens(keystone.fetch)

    def use_password(password: str) -> None:
        if keystone.use(password):
            tokens.forgive()

    requests = SwiftRequests(swift.url, tokens, swift.authorities)
    try:
        yield requests, use_password
    finally:
        await requests.aclose()
        await tokens.aclose()
        keystone.close()


def account_of(swift: SwiftSettings) -> Account:
    """Whose tokens they are."""
    return Account(
        auth_url=swift.auth_url,
        user=swift.user,
        password=swift.password,
        project=swift.project,
        domain=swift.domain,
        authorities=swift.authorities,
    )


async def _learn_digest(requests: SwiftRequests, keys: UrlKeySource) -> None:
    """Ask until the store answers."""
    while True:
        await asyncio.sleep(random.uniform(*ASK_AGAIN))
        if await _ask_digest(requests, keys):
            return


async def _ask_digest(requests: SwiftRequests, keys: UrlKeySource) -> bool:
    """Whether the store has answered; one that names none may take any."""
    with suppress(StoreUnavailable):
        allowed = allowed_digests(await requests.info())
        found = next((one for one in BY_PREFERENCE if one in allowed), None)
        if found is not None:
            keys.use_digest(found)
        return True
    return False


def allowed_digests(info: bytes) -> list[str]:
    """What /info names (`tempurl.allowed_digests`); nothing where it does not, as Ceph's."""
    try:
        allowed = json.loads(info)["tempurl"]["allowed_digests"]
        return [one for one in allowed if isinstance(one, str)]
    except (ValueError, LookupError, TypeError):
        return []
