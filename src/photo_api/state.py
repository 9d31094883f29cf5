"""What the lifespan makes once and every request gets: typed, and from one place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from photo_api.accounts.authentication import Authenticator
from photo_api.accounts.passwords import Passwords
from photo_api.accounts.throttle import LoginThrottle
from photo_api.accounts.tokens import AccessTokens, RefreshTokens
from photo_api.cloud.identity import Identity
from photo_api.db.pool import Database
from photo_api.delivery.base import UploadSigner
from photo_api.health.details import Details
from photo_api.health.worker_health import WorkerHealth
from photo_api.metrics.reporting import Reporting
from photo_api.photos.changes import Changes
from photo_api.photos.confirmations import Confirmations
from photo_api.photos.delivery import Delivery
from photo_api.photos.kept_pages import KeptPages
from photo_api.photos.presentation import rendition_filename
from photo_api.photos.thumbnail_urls import ThumbnailUrls
from photo_api.settings.loading import HeldSecrets, Settings
from photo_api.shares.sealing import Sealer
from photo_api.storage.base import ObjectStore
from photo_api.storage.buffers import Budget

THROTTLE_CONTEXT = b"throttle:"

TILES_BYTES = 4 * 1024 * 1024
"""Of tiles that are kept presented, mostly about 2.5 kB each."""


@dataclass(slots=True)
class AppState:
    """One worker's parts. Those that hold a key are there after `use`, which replaces them when a
    secret has changed."""

    settings: Settings
    identity: Identity
    health: WorkerHealth
    metrics: Reporting
    details: Details
    db: Database
    store: ObjectStore
    owners: Delivery
    visitors: Delivery
    uploads: UploadSigner
    passwords: Passwords
    confirmations: Confirmations
    changes: Changes
    upload_memory: Budget
    authenticator: Authenticator = field(init=False)
    access_tokens: AccessTokens = field(init=False)
    refresh_tokens: RefreshTokens = field(init=False)
    throttle: LoginThrottle = field(init=False)
    sealer: Sealer = field(init=False)
    thumbnail_urls: ThumbnailUrls = field(init=False)
    tile_pages: KeptPages = field(init=False)
    held_secrets: HeldSecrets = field(init=False)

    def use(self, settings: Settings) -> None:
        """Serve by these settings from now on, which differ by their secrets at most."""
        auth, self.settings = settings.auth, settings
        throttle_key = THROTTLE_CONTEXT + next(iter(auth.secret_keys.values())).encode()
        self.access_tokens = AccessTokens(auth.jwt_keys, auth.access_ttl)
        self.authenticator = Authenticator(
            self.access_tokens, self.db, auth.user_cache, self.metrics.counts
        )
        self.refresh_tokens = RefreshTokens(auth.secret_keys)
        self.throttle = LoginThrottle(self.db, throttle_key, auth.registrations_per_address)
        self.sealer = Sealer(auth.secret_keys)
        self.thumbnail_urls = ThumbnailUrls(auth.secret_keys, settings.delivery.window)
        self.tile_pages = KeptPages(TILES_BYTES)
        self.held_secrets = HeldSecrets(settings)

    def thumbnail_url(
        self, owner_id: int, photo_id: int, key: str | None, filename: str
    ) -> str | None:
        """That of `thumbnails` for one photo."""
        [url] = self.thumbnails(owner_id, [(photo_id, key, filename)])
        return url

    def thumbnails(
        self, owner_id: int, photos: Sequence[tuple[int, str | None, str]]
    ) -> list[str | None]:
        """For an `<img>`, which sends no token, the thumbnails of photos by their id, its key and
        their name; None for None. Where the service streams them, the addresses are relative to
        the API's base."""
        reader = self.owners.reader
        if reader is not None:
            return reader.urls([(key, rendition_filename(name)) for _, key, name in photos])
        url = self.thumbnail_urls.url
        return [None if key is None else url(owner_id, photo_id) for photo_id, key, _ in photos]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated request: whose it is, and the parts to serve it with."""

    user_id: int
    state: AppState


class Bearer(SecurityBase):
    """Declares the scheme in OpenAPI and makes the caller; one dependency, since each costs."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Caller:
        # Not `request.state` and `request.headers`, which are made anew for each request.
        ours = request.scope["state"]
        state: AppState = ours["app"]
        header: bytes | None = ours["given"].get(b"authorization")
        authorization = None if header is None else header.decode("latin-1")
        user_id = await state.authenticator.user_id(authorization)
        ours["user_id"] = user_id  # for the access log
        return Caller(user_id, state)


async def app_state(request: Request) -> AppState:
    """The worker's parts, for routes that anyone may call."""
    return cast(AppState, request.scope["state"]["app"])


Authenticated = Annotated[Caller, Depends(Bearer())]
Anyone = Annotated[AppState, Depends(app_state)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeat a request with the same key and it takes effect once (24 hours)",
        examples=["6f1c9a52-create-album"],
    ),
]
