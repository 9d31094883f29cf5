"""The S3 access key of the machine's own role, from the EC2 metadata service."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from types import TracebackType
from typing import Self
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.sigv4 import Credentials

log = logging.getLogger(__name__)

RENEW_BEFORE = 300.0
"""Seconds before a key's end from when on EC2 promises to have the next one."""

_TIMEOUT = 2.0
_SESSION_SECONDS = "60"
_RETRY_SECONDS = (5.0, 15.0)


class InstanceRoleCredentials:
    """The key of the machine's IAM role by IMDSv2, renewed for as long as this is entered.

    As described in the EC2 user guide, "Retrieve security credentials from instance metadata";
    `metadata_url` is http://169.254.169.254 on EC2.
    """

    def __init__(self, metadata_url: str, clock: Callable[[], float] = time.time) -> None:
        self._url = metadata_url.rstrip("/")
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def refresh(self) -> None:
        """Get a new key. Raises `StoreUnavailable`, and then the present key stays."""
        self._credentials = await asyncio.to_thread(self._fetch)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("the role's access key could not be renewed: %s", error)

    def _pause(self) -> float:
        """Until it is time to renew; when it is already, a moment, so that nobody is stormed."""
        expires_at = self._credentials.expires_at if self._credentials else None
        due = 0.0 if expires_at is None else expires_at - RENEW_BEFORE - self._clock()
        return max(due, random.uniform(*_RETRY_SECONDS))

    def _fetch(self) -> Credentials:
        try:
            token = self._ask(
                "PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", _SESSION_SECONDS
            )
            path = "meta-data/iam/security-credentials/"
            role = self._ask("GET", path, "X-aws-ec2-metadata-token", token).split("\n")[0]
            answer = self._ask("GET", path + quote(role), "X-aws-ec2-metadata-token", token)
            return _parse(answer)
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            # Only the kind: a message could quote the answer, which holds the key.
            raise StoreUnavailable(f"the metadata service: {type(error).__name__}") from None

    def _ask(self, method: str, path: str, header: str, value: str) -> str:
        request = Request(f"{self._url}/latest/{path}", method=method, headers={header: value})
        # The address is link-local: a proxy from the environment cannot reach it.
        with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT) as response:
            text: str = response.read(65_536).decode()
            return text.strip()


def _parse(answer: str) -> Credentials:
    found = json.loads(answer)
    return Credentials(
        access_key=found["AccessKeyId"],
        secret_key=found["SecretAccessKey"],
        session_token=found["Token"],
        expires_at=datetime.fromisoformat(found["Expiration"]).timestamp(),
    )
