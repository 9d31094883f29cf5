"""Makes the stage of a proof: what the service has, and what its operator has besides."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

from photo_api.cloud.sigv4 import quote_path
from photo_api.delivery.base import StoreSigner
from photo_api.delivery.opening import open_signer
from photo_api.provisioning.proof.pieces import InSegments, Large, Multipart
from photo_api.provisioning.proof.stage import AsOwner, Stage
from photo_api.provisioning.s3_requests import BucketRequests
from photo_api.provisioning.swift_rules import public_account
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.base import ObjectStore
from photo_api.storage.bucket import Bucket
from photo_api.storage.credentials import CredentialSource
from photo_api.storage.opening import follow_store
from photo_api.storage.plain_requests import PlainAnswer, PlainRequests
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers, containers_of
from photo_api.storage.swift_requests import Asked, SwiftRequests
from photo_api.storage.swift_segments import Segments
from photo_api.storage.url_keys import Digest, UrlKeySource

WINDOW = 60
SEGMENT = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Access:
    """What differs between the kinds of stores; as in `Stage`."""

    large: Large
    as_owner: AsOwner
    base: str
    place: Callable[[str], str]


@asynccontextmanager
async def open_stage(settings: Settings) -> AsyncIterator[Stage]:
    """For one proof. What was put there is the caller's to `clean`. Raises `StoreUnavailable`."""
    authorities = (settings.swift if settings.store == "swift" else settings.s3).authorities
    async with (
        follow_store(LiveSettings(settings)) as (keys, store),
        PlainRequests(authorities) as plain,
        AsyncExitStack() as more,
    ):

        def signer_at(seconds: float) -> StoreSigner:
            signer = open_signer(settings, keys, WINDOW)
            signer.windows.clock = lambda: time.time() + seconds
            return signer

        digest: Digest = "sha256"
        if isinstance(keys, UrlKeySource):
            # Here alone, as wherever the store is opened, for what it imports.
            from photo_api.storage.swift_opening import open_requests

            account, _ = await more.enter_async_context(open_requests(settings.swift))
            access, digest = _on_swift(settings, account), keys.current().digest
        else:
            access = _on_s3(settings, keys, store, plain)
        yield Stage(
            settings=settings,
            store=store,
            large=access.large,
            signer_at=signer_at,
            as_owner=access.as_owner,
            plain=plain,
            base=access.base,
            place=access.place,
            digest=digest,
        )


def _on_s3(
    settings: Settings, credentials: CredentialSource, store: ObjectStore, plain: PlainRequests
) -> _Access:
    s3 = settings.s3
    bucket = Bucket(s3.endpoint, s3.bucket, s3.region, credentials, s3.authorities)
    requests = BucketRequests(plain, bucket)

    async def as_owner(method: str, key: str) -> PlainAnswer:
        return await requests.ask(method, f"/{quote_path(key)}")

    base = (s3.public_endpoint or s3.endpoint).rstrip("/")
    return _Access(
        Multipart(store, requests), as_owner, base, lambda key: f"{s3.bucket}/{quote_path(key)}"
    )


def _on_swift(settings: Settings, requests: SwiftRequests) -> _Access:
    names = containers_of(settings.swift)
    together = Containers(names.photos, names.staging, names.photos)

    def place(key: str) -> str:
        return f"{quote(names.of(key), safe='')}/{quote(key)}"

    async def as_owner(method: str, key: str) -> PlainAnswer:
        answer = await requests.ask(Asked(method, place(key)))
        return PlainAnswer(answer.status, answer.headers, answer.body)

    large = SwiftStore(requests, together, segment_size=SEGMENT, largest=SEGMENT + 1)
    segments = Segments(requests, together.segments, SEGMENT)
    base = public_account(settings.swift)
    return _Access(InSegments(large, segments), as_owner, base, place)
