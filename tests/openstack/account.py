"""An account of a Swift as the service has it: its containers, and stores that use them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from photo_api.storage.keystone import Account, Keystone
from photo_api.storage.swift import Containers, SwiftStore
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Tokens
from tests.openstack import keystone_v2
from tests.openstack.keystone_v2 import KeystoneV2, serving
from tests.openstack.swift import Swift, ask

PHOTOS_KEY, STAGING_KEY = "the key of the photos", "the key of what is staged"


def make_containers(swift: Swift) -> Containers:
    """Two that nobody else uses, each with a key for its signed URLs; that of segments is made by
    who needs it."""
    token, account = swift.sign_in()
    name = f"photos-{uuid4().hex}"
    found = Containers(name, f"{name}-staging", f"{name}-segments")
    for container, key in ((found.photos, PHOTOS_KEY), (found.staging, STAGING_KEY)):
        headers = {"X_Auth_Token": token, "X_Container_Meta_Temp_URL_Key": key}
        assert ask("PUT", f"{account}/{container}", b"", **headers).status == 201
    return found


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
