"""The S3 access key of the machine's role, kept fresh."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from photo_api.cloud.credentials import fetch_role_credentials
from photo_api.cloud.metadata import InstanceMetadata, NoAnswer
from photo_api.cloud.sigv4 import Credentials
from photo_api.storage.base import StoreUnavailable

log = logging.getLogger(__name__)

RENEW_BEFORE = 300.0
"""Seconds before a key's end from when on EC2 promises to have the next one."""

_RETRY_SECONDS = (5.0, 15.0)


class InstanceRoleCredentials:
    """The key of the machine's IAM role by IMDSv2, renewed for as long as this is entered.

    As described in the EC2 user guide, "Retrieve security credentials from instance metadata";
    `metadata_url` is http://169.254.169.254 on EC2.
    """

    def __init__(self, metadata_url: str, clock: Callable[[], float] = time.time) -> None:
        self._metadata = InstanceMetadata(metadata_url)
        self._clock = clock
        self._credentials: Credentials | None = None
        self._task: asyncio.Task[None] | None = None

    def current(self) -> Credentials:
        """The key in force."""
        found = self._credentials
        if found is None or (found.expires_at is not None and found.expires_at <= self._clock()):
            raise StoreUnavailable("the machine's role gives no valid access key")
        return found

    async def __aenter__(self) -> Self:
        """Get the first key and keep it fresh from now on. Raises `StoreUnavailable`."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def refresh(self) -> None:
        """Get a new key. Raises `StoreUnavailable`, and then the present key stays."""
        try:
            self._credentials = await fetch_role_credentials(self._metadata)
        except NoAnswer as error:
            raise StoreUnavailable(f"the metadata service: {error}") from None

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("the role's access key could not be renewed: %s", error)
            except Exception:  # the next try may do better, and the present key lasts a while
                log.exception("the role's access key could not be renewed")

    def _pause(self) -> float:
        """Until it is time to renew; when it is already, a moment, so that nobody is stormed."""
        expires_at = self._credentials.expires_at if self._credentials else None
        due = 0.0 if expires_at is None else expires_at - RENEW_BEFORE - self._clock()
        return max(due, random.uniform(*_RETRY_SECONDS))
