"""An account of a Swift as the service has it: its containers, and stores that use them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from photo_api.provisioning.swift_init import init_container
from photo_api.provisioning.swift_rules import Wanted
from photo_api.storage.keystone import Account, Keystone
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Token, Tokens
from tests.openstack import keystone_v2
from tests.openstack.keystone_v2 import KeystoneV2, serving
from tests.openstack.swift import Swift

PHOTOS_KEY = "5b1f0c9e8d7a4b6380d2e1f3a4c5b697"
STAGING_KEY = "c07e2d94b1a84f5f9e3d6c8b7a012f34"


async def make_containers(swift: Swift) -> Containers:
    """Two that nobody else uses, each with a key for its signed URLs; that of segments is made by
    who needs it."""
    name = f"photos-{uuid4().hex}"
    found = Containers(name, f"{name}-staging", f"{name}-segments")
    await prepare(swift, found.photos, PHOTOS_KEY)
    await prepare(swift, found.staging, STAGING_KEY)
    return found


async def prepare(swift: Swift, container: str, *keys: str) -> None:
    """As `photo-api storage init --exact` does, by a token of tempauth."""
    token, url = swift.sign_in()

    async def fetch() -> Token:
        return Token(token, 3600)

    requests = SwiftRequests(url, Tokens(fetch))
    found = await init_container(requests, Wanted(container, keys, ("*",), exact=True))
    assert {one.state for one in found} <= {"made", "left"}, found
    await requests.aclose()


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
        keystone.close()


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
    own = {
        "STORE": "swift",
        "SWIFT_URL": url,
        "SWIFT_CONTAINER": containers.photos,
        "SWIFT_STAGING_CONTAINER": containers.staging,
        "SWIFT_URL_KEYS": PHOTOS_KEY,
        "SWIFT_STAGING_URL_KEYS": STAGING_KEY,
        "SWIFT_AUTH_URL": keystone.url,
        "SWIFT_USER": keystone_v2.USER,
        "SWIFT_PASSWORD": keystone_v2.PASSWORD,
        "SWIFT_PROJECT_ID": keystone_v2.TENANT,
    }
    others = {name: value for name, value in environ.items() if "PHOTO_API_S3_" not in name}
    return others | {f"PHOTO_API_{name}": value for name, value in own.items()}
