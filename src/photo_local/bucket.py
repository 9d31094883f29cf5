"""A bucket of an embedded store, as `photo-api storage init` makes it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from photo_api.provisioning.s3_init import Wanted, init_bucket
from photo_api.provisioning.s3_requests import BucketRequests, said
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.bucket import Bucket
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.plain_requests import PlainRequests

PROBE: Final = "/embedded-probe"


class BucketAdmin:
    """What is done once to a bucket, with blocking I/O: call it in a thread. All of it raises
    `StoreUnavailable`."""

    def __init__(
        self, endpoint: str, bucket: str, region: str, access_key: str, secret_key: str
    ) -> None:
        credentials = StaticCredentials(access_key, secret_key)
        self._bucket = Bucket(endpoint, bucket, region, credentials)

    def prepare(self, cors_origins: Sequence[str]) -> None:
        """Create the bucket if it is missing, replace its CORS rules, and try it out."""
        asyncio.run(self._prepare(cors_origins))

    def send(self, method: str, rest: str, body: bytes = b"") -> None:
        """One signed request, which must succeed; `rest` is what follows the bucket's name."""
        asyncio.run(self._send(method, rest, body))

    async def _prepare(self, origins: Sequence[str]) -> None:
        async with self._requests() as requests:
            for found in await init_bucket(requests, Wanted(origins, exact=True)):
                if found.state not in ("made", "left"):
                    raise StoreUnavailable(f"{found.code}: {found.told}")
            # SeaweedFS answers for a while before it finds the volumes that hold the bytes.
            for method in ("PUT", "GET", "DELETE"):
                await _succeed(requests, method, PROBE, b"probe" if method == "PUT" else b"")

    async def _send(self, method: str, rest: str, body: bytes) -> None:
        async with self._requests() as requests:
            await _succeed(requests, method, rest, body)

    @asynccontextmanager
    async def _requests(self) -> AsyncIterator[BucketRequests]:
        async with PlainRequests() as plain:
            yield BucketRequests(plain, self._bucket)


async def _succeed(requests: BucketRequests, method: str, rest: str, body: bytes) -> None:
    answer = await requests.ask(method, rest, body)
    if answer.status >= 300:
        raise StoreUnavailable(f"{method}: the store answers {said(answer)}")
