"""An account of a Swift as the service has it: its containers, and stores that use them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from uuid import uuid4

from photo_api.cloud.keystone import Account
from photo_api.provisioning.swift_init import init_container
from photo_api.provisioning.swift_rules import Wanted
from photo_api.settings.loading import Settings, load
from photo_api.storage.keystone import Keystone, fetch_token
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers, containers_of
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Token, Tokens
from photo_local.keystone import USER
from tests.openstack import keystone as v3
from tests.openstack import keystone_v2
from tests.openstack.keystone_v2 import KeystoneV2, serving
from tests.openstack.swift import Swift

PHOTOS_KEY = "5b1f0c9e8d7a4b6380d2e1f3a4c5b697"
STAGING_KEY = "c07e2d94b1a84f5f9e3d6c8b7a012f34"


async def make_containers(swift: Swift) -> Containers:
    """Two that nobody else uses, each with a key for its signed URLs."""
    name = f"photos-{uuid4().hex}"
    found = Containers(name, f"{name}-staging", name)
    await prepare(swift, found.photos, PHOTOS_KEY)
    await prepare(swift, found.staging, STAGING_KEY)
    return found


async def prepare(swift: Swift, container: str, *keys: str) -> None:
    """As `photo-api storage init --exact` does, by a token of tempauth."""
    token, url = swift.sign_in()

    async def fetch() -> Token:
        return Token(token, 3600)

    requests = SwiftRequests(url, Tokens(fetch))
    await _prepared(requests, container, keys)
    await requests.aclose()


async def _prepared(requests: SwiftRequests, container: str, keys: Sequence[str]) -> None:
    found = await init_container(requests, Wanted(container, keys, ("*",), exact=True))
    assert {one.state for one in found} <= {"made", "left"}, found


@asynccontextmanager
async def open_store(
    account: Account, url: str, containers: Containers, **sizes: int
) -> AsyncIterator[SwiftStore]:
    """A store on the account at this address."""
    keystone = Keystone(account)
    tokens = Tokens(keystone.fetch)
    store = SwiftStore(SwiftRequests(url, tokens), containers, **sizes)
    try:
        yield store
    finally:
        await store.aclose()
        await tokens.aclose()


@asynccontextmanager
async def open_account(
    swift: Swift, containers: Containers, **sizes: int
) -> AsyncIterator[tuple[SwiftStore, KeystoneV2]]:
    """A store on them, and the Keystone that it gets its tokens of."""
    _, url = swift.sign_in()
    async with (
        serving(KeystoneV2(swift.sign_in)) as keystone,
        open_store(account_of(keystone), url, containers, **sizes) as store,
    ):
        yield store, keystone


def account_of(keystone: KeystoneV2) -> Account:
    """The one that it knows."""
    return Account(keystone.url, keystone_v2.USER, keystone_v2.PASSWORD, keystone_v2.TENANT)


def on_swift(
    environ: dict[str, str], swift: Swift, containers: Containers, keystone: KeystoneV2
) -> dict[str, str]:
    """The settings of a service that has this in place of its S3."""
    _, url = swift.sign_in()
    account = {
        "AUTH_URL": keystone.url,
        "USER": keystone_v2.USER,
        "PASSWORD": keystone_v2.PASSWORD,
        "PROJECT_ID": keystone_v2.TENANT,
    }
    return _with_swift(environ, url, account, containers)


def on_openstack(environ: dict[str, str], keystone: v3.Keystone, swift: Swift) -> dict[str, str]:
    """The same with a real Keystone of version 3, and containers that nobody else uses."""
    url = f"{swift.url}/v1/AUTH_{keystone.project}"
    account = {
        "AUTH_URL": f"{keystone.url}/v3",
        "USER": USER,
        "PASSWORD": v3.PASSWORD,
        "PROJECT_ID": keystone.project,
    }
    return own_containers(_with_swift(environ, url, account, Containers("photos", "staging", "")))


def _with_swift(
    environ: dict[str, str], url: str, account: dict[str, str], containers: Containers
) -> dict[str, str]:
    own = {
        "URL": url,
        "CONTAINER": containers.photos,
        "STAGING_CONTAINER": containers.staging,
        "URL_KEYS": PHOTOS_KEY,
        "STAGING_URL_KEYS": STAGING_KEY,
        **account,
    }
    others = {name: value for name, value in environ.items() if "PHOTO_API_S3_" not in name}
    swift = {f"PHOTO_API_SWIFT_{name}": value for name, value in own.items()}
    return {**others, "PHOTO_API_STORE": "swift", **swift}


def own_containers(settings: dict[str, str]) -> dict[str, str]:
    """These settings of a service with containers that nobody else uses, ready for its clients."""
    name = f"own-{uuid4().hex}"
    names = {"CONTAINER": name, "STAGING_CONTAINER": f"{name}-staging"}
    own = settings | {f"PHOTO_API_SWIFT_{key}": value for key, value in names.items()}

    async def make() -> None:
        loaded = load(own).swift
        requests = SwiftRequests(loaded.url, _tokens_of(load(own)))
        await _prepared(requests, loaded.container, loaded.url_keys)
        await _prepared(requests, loaded.staging_container, loaded.staging_url_keys)
        await requests.aclose()

    # In a thread, for who has an event loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()
    return own


def on_account(settings: Settings) -> SwiftStore:
    """The store that a service with these settings uses."""
    swift = settings.swift
    return SwiftStore(
        SwiftRequests(swift.url, _tokens_of(settings), swift.authorities),
        containers_of(swift),
        segment_size=swift.segment_size,
        largest=settings.uploads.max_size,
    )


def _tokens_of(settings: Settings) -> Tokens:
    swift = settings.swift
    account = Account(swift.auth_url, swift.user, swift.password, swift.project, swift.domain)
    asked = 0

    async def fetch() -> Token:
        nonlocal asked
        asked += 1
        if asked > 1:  # the store has refused what there was
            _token_of.cache_clear()
        return await asyncio.to_thread(_token_of, account)

    return Tokens(fetch)


@cache
def _token_of(account: Account) -> Token:
    """One for all looks into a store, of which a test has many; it lives for an hour."""
    return fetch_token(account)
