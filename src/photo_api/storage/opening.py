"""Makes the configured object store and its credentials, for composition roots."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import BREAKER_OPEN
from photo_api.resilience import Breaker, RetryBudget
from photo_api.settings.dependencies import S3Settings
from photo_api.settings.instance import CloudSettings
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.base import ObjectStore
from photo_api.storage.credentials import CredentialSource, StaticCredentials
from photo_api.storage.guarded import GuardedStore
from photo_api.storage.measured import MeasuredStore
from photo_api.storage.s3 import S3Store
from photo_api.storage.swift_containers import containers_of
from photo_api.storage.url_keys import UrlKeySource

TRY_PAUSE = 10.0
"""Seconds after which a caller finds out whether a failing store is back, if no ping has before."""


@asynccontextmanager
async def open_store(
    settings: S3Settings, credentials: CredentialSource, counts: Counts | None = None
) -> AsyncIterator[GuardedStore]:
    """The bucket for one process. Nothing is connected yet."""
    store = S3Store(
        settings.endpoint, settings.bucket, settings.region, credentials, settings.authorities
    )
    try:
        async with guarded(store, counts or Counts()) as careful:
            yield careful
    finally:  # also of a command that is interrupted, whose end would abort otherwise
        await store.aclose()


@asynccontextmanager
async def guarded(store: ObjectStore, counts: Counts) -> AsyncIterator[GuardedStore]:
    """This store, with a breaker of its own, counted in `counts`."""
    reads = Breaker("object store", pause=TRY_PAUSE)
    writes = Breaker("object store for writes", pause=TRY_PAUSE)
    for name, breaker in (("store", reads), ("store_writes", writes)):
        counts.watch(BREAKER_OPEN, name, read=partial(getattr, breaker, "is_open"))
    careful = GuardedStore(MeasuredStore(store, counts), reads, writes, RetryBudget())
    try:
        yield careful
    finally:
        await careful.aclose()


@asynccontextmanager
async def open_credentials(
    settings: S3Settings, cloud: CloudSettings
) -> AsyncIterator[CredentialSource]:
    """The configured keys, or those of the instance's role, renewed for as long as this is open."""
    if settings.access_key:
        yield StaticCredentials(settings.access_key, settings.secret_key)
        return
    # Here alone: it brings an HTTP client.
    from photo_api.storage.role_credentials import InstanceRoleCredentials

    async with InstanceRoleCredentials(cloud.metadata_url) as credentials:
        yield credentials


@asynccontextmanager
async def follow_store(
    live: LiveSettings, counts: Counts | None = None
) -> AsyncIterator[tuple[CredentialSource | UrlKeySource, GuardedStore]]:
    """The configured store and what signs its URLs, kept with the secrets that change meanwhile."""
    settings, counts = live.now, counts or Counts()
    if settings.store == "swift":
        # Here alone: it brings an HTTP client, and what asks Keystone.
        from photo_api.storage.swift_opening import follow_swift

        async with follow_swift(live) as (keys, swift), guarded(swift, counts) as store:
            store.refused = lambda: live.refused("store")
            yield keys, store
        return
    async with (
        open_credentials(settings.s3, settings.cloud) as credentials,
        open_store(settings.s3, credentials, counts) as store,
    ):
        store.refused = lambda: live.refused("store")

        def use(settings: Settings) -> None:
            if isinstance(credentials, StaticCredentials):
                credentials.use(settings.s3.access_key, settings.s3.secret_key)

        live.follow(use)
        yield credentials, store


def buckets_of(settings: Settings) -> set[str]:
    """All buckets or containers that are this service's."""
    if settings.store != "swift":
        return {settings.s3.bucket}
    names = containers_of(settings.swift)
    return {names.photos, names.staging}


def in_bucket(settings: Settings, name: str) -> Settings:
    """The same store, but another bucket or container."""
    if settings.store == "swift":
        swift = replace(settings.swift, container=name, staging_container=name)
        return replace(settings, swift=swift)
    return replace(settings, s3=replace(settings.s3, bucket=name))
