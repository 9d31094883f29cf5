"""`photo-api storage init` and `check`: what they tell, and their exit codes."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from photo_api.delivery.opening import open_signer
from photo_api.photos.late_uploads import staged_for
from photo_api.provisioning.cdn_check import check_cdn
from photo_api.provisioning.findings import Finding, as_dict, as_text, exit_code
from photo_api.provisioning.looking import unless_unknown
from photo_api.provisioning.s3_check import check_bucket
from photo_api.provisioning.s3_init import Wanted, init_bucket
from photo_api.provisioning.s3_requests import BucketRequests
from photo_api.provisioning.swift_rules import public_account
from photo_api.settings.loading import Settings
from photo_api.storage.bucket import Bucket
from photo_api.storage.opening import open_credentials
from photo_api.storage.plain_requests import PlainRequests

DAY = 86400
WINDOW = 3600


async def init_command(settings: Settings, *, exact: bool, dry_run: bool, as_json: bool) -> int:
    """0: all is as it should be; 1: something could not be made, 2: or is not known."""
    found = await unless_unknown("reach", _made(settings, exact=exact, dry_run=dry_run))
    return _tell(found, as_json)


async def _made(settings: Settings, *, exact: bool, dry_run: bool) -> list[Finding]:
    """Raises `StoreUnavailable` while nothing answers."""
    if settings.store == "swift":
        # Here alone, as wherever the store is opened, for what it imports.
        from photo_api.provisioning.swift_init import init_account
        from photo_api.storage.swift_opening import open_requests

        swift = settings.swift
        async with open_requests(swift) as (account, _), PlainRequests(swift.authorities) as plain:
            return await init_account(settings, account, plain, exact=exact, dry_run=dry_run)
    wanted = Wanted(settings.pages, days_until_gone(settings), exact, dry_run)
    async with _bucket(settings) as requests:
        return await init_bucket(requests, wanted)


async def check_command(settings: Settings, *, as_json: bool) -> int:
    """0: all is as it should be; 1: something is wrong, 2: or is not known."""
    if settings.store == "swift":
        from photo_api.provisioning.swift_check import check_account
        from photo_api.storage.swift_opening import open_requests

        swift = settings.swift
        async with open_requests(swift) as (account, _), PlainRequests(swift.authorities) as plain:
            found = await check_account(settings, account, plain, public_account(swift))
            return _tell(found + await _cdn(settings), as_json)
    s3 = settings.s3
    async with _bucket(settings) as requests:
        signer = open_signer(settings, requests.bucket.credentials, WINDOW)
        public, days = s3.public_endpoint or s3.endpoint, days_until_gone(settings)
        found = await check_bucket(requests, signer, public, settings.pages, days)
        return _tell(found + await _cdn(settings), as_json)


async def _cdn(settings: Settings) -> list[Finding]:
    if not settings.cdn.provider:
        return []
    return await unless_unknown("cdn", check_cdn(settings))


def days_until_gone(settings: Settings) -> int:
    """After which no upload can be confirmed any more, and one for safety."""
    return ceil(staged_for(settings.uploads) / DAY) + 1


@asynccontextmanager
async def _bucket(settings: Settings) -> AsyncIterator[BucketRequests]:
    s3 = settings.s3
    async with (
        PlainRequests(s3.authorities) as plain,
        open_credentials(s3, settings.cloud) as credentials,
    ):
        bucket = Bucket(s3.endpoint, s3.bucket, s3.region, credentials, s3.authorities)
        yield BucketRequests(plain, bucket)


def _tell(found: list[Finding], as_json: bool) -> int:
    once = list(dict.fromkeys(found))
    print(json.dumps(as_dict(once)) if as_json else as_text(once))
    return exit_code(once)
