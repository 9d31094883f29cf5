"""Makes the configured store on Swift; imported only where there is one, for what it imports."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

from photo_api.cloud.keystone import Account
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.settings.swift import SwiftSettings
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.keystone import Keystone
from photo_api.storage.shared_token import SharedToken
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import containers_of
from photo_api.storage.swift_requests import Asked, SwiftRequests
from photo_api.storage.tokens import Tokens
from photo_api.storage.url_keys import Digest, UrlKeys, UrlKeySource
from photo_base.tasks import cancel

log = logging.getLogger(__name__)

BY_PREFERENCE: tuple[Digest, ...] = ("sha256", "sha512", "sha1")
ASK_AGAIN = (20.0, 40.0)
"""Seconds after which the store is asked once more what it signs by."""
SIGN_IN = 5.0
"""Seconds that a start waits for a token, and for the store to believe it, which asks Keystone too:
a short question to the store has less time than a slow Keystone takes for both, and would fail."""


@asynccontextmanager
async def follow_swift(live: LiveSettings) -> AsyncIterator[tuple[UrlKeySource, SwiftStore]]:
    """The store and the keys of its URLs, kept with the secrets that change meanwhile."""
    settings = live.now
    swift = settings.swift
    digest: Digest = "sha256" if swift.digest == "auto" else swift.digest
    keys = UrlKeySource(UrlKeys(swift.url_keys[0], swift.staging_url_keys[0], digest))
    async with open_requests(swift, live.shared_token) as (requests, use_account):
        store = SwiftStore(
            requests,
            containers_of(swift),
            segment_size=swift.segment_size,
            largest=settings.uploads.max_size,
        )

        def use(settings: Settings) -> None:
            use_account(settings.swift)
            keys.use(settings.swift.url_keys[0], settings.swift.staging_url_keys[0])

        live.follow(use)
        await _sign_in(requests, swift.container)
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
    swift: SwiftSettings, shared_token: int | None = None
) -> AsyncIterator[tuple[SwiftRequests, Callable[[SwiftSettings], None]]]:
    """Requests to the account, and what has tokens asked for by other credentials. `shared_token`
    is as in `LiveSettings`."""
    keystone = Keystone(account_of(swift))
    ask = keystone.fetch
    tokens = Tokens(ask if shared_token is None else SharedToken(ask, shared_token).fetch)

    def use_account(swift: SwiftSettings) -> None:
        if keystone.use(account_of(swift)):
            tokens.forgive()

    requests = SwiftRequests(swift.url, tokens, swift.authorities)
    try:
        yield requests, use_account
    finally:
        await requests.aclose()
        await tokens.aclose()


def account_of(swift: SwiftSettings) -> Account:
    """Whose tokens they are."""
    return Account(
        auth_url=swift.auth_url,
        user=swift.user,
        password=swift.password,
        project=swift.project,
        domain=swift.domain,
        project_name=swift.project_name,
        project_domain=swift.project_domain,
        credential=(swift.credential_id, swift.credential_secret),
        authorities=swift.authorities,
    )


async def _sign_in(requests: SwiftRequests, container: str) -> None:
    """Have a token that the store knows before anybody waits for it. Without one the start goes on,
    and whoever needs the store is told what is wrong."""
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(SIGN_IN):
            await requests.ask(Asked("HEAD", quote(container, safe=""), timeout=SIGN_IN))


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
