"""Makes the configured object store and its credentials, for composition roots."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import BREAKER_OPEN
from photo_api.resilience import Breaker, RetryBudget
from photo_api.settings.dependencies import S3Settings
from photo_api.settings.instance import CloudSettings
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.credentials import (
    CredentialSource,
    InstanceRoleCredentials,
    StaticCredentials,
)
from photo_api.storage.guarded import GuardedStore
from photo_api.storage.measured import MeasuredStore
from photo_api.storage.s3 import S3Store

TRY_PAUSE = 10.0
"""Seconds after which a caller finds out whether a failing store is back, if no ping has before."""


@asynccontextmanager
async def open_store(
    settings: S3Settings, credentials: CredentialSource, counts: Counts | None = None
) -> AsyncIterator[GuardedStore]:
    """The configured store for one process, with a breaker of its own, counted in `counts`. Nothing
    is connected yet."""
    store = S3Store(
        settings.endpoint, settings.bucket, settings.region, credentials, settings.authorities
    )
    counts = counts or Counts()
    reads = Breaker("object store", pause=TRY_PAUSE)
    writes = Breaker("object store for writes", pause=TRY_PAUSE)
    for name, breaker in (("store", reads), ("store_writes", writes)):
        counts.watch(BREAKER_OPEN, name, read=partial(getattr, breaker, "is_open"))
    guarded = GuardedStore(MeasuredStore(store, counts), reads, writes, RetryBudget())
    try:
        yield guarded
    finally:
        await guarded.aclose()
        await store.aclose()


@asynccontextmanager
async def open_credentials(
    settings: S3Settings, cloud: CloudSettings
) -> AsyncIterator[CredentialSource]:
    """The configured keys, or those of the instance's role, renewed for as long as this is open."""
    if settings.access_key:
        yield StaticCredentials(settings.access_key, settings.secret_key)
        return
    async with InstanceRoleCredentials(cloud.metadata_url) as credentials:
        yield credentials


@asynccontextmanager
async def follow_store(
    live: LiveSettings, counts: Counts
) -> AsyncIterator[tuple[CredentialSource, GuardedStore]]:
    """Both of the above, kept with the secrets that change meanwhile."""
    settings = live.now

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
