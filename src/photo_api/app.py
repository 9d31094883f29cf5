"""The composition root: everything a worker is made of is made here, once, and passed on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict, get_args

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from photo_api.accounts.own_account import router as own_account
from photo_api.accounts.passwords import Passwords
from photo_api.accounts.routes import router as accounts
from photo_api.albums.routes import of_photos as albums_of_photos
from photo_api.albums.routes import router as albums
from photo_api.cloud.identity import Identity
from photo_api.contract import API_PREFIX
from photo_api.db.pool import follow_database
from photo_api.delivery.base import ReadSigner
from photo_api.delivery.cdn_state import Path
from photo_api.delivery.opening import open_reader, open_signer
from photo_api.delivery.windows import window_within
from photo_api.gallery.routes import install_gallery
from photo_api.gallery.share_routes import ProblemPages
from photo_api.health.details import Details
from photo_api.health.routes import router as health_routes
from photo_api.health.routes import scraped
from photo_api.health.worker_health import WorkerHealth
from photo_api.http.admission import Admission
from photo_api.http.client_address import network_of
from photo_api.http.cross_origin import CrossOrigin
from photo_api.http.direct_route import Dispatch
from photo_api.http.docs import install_docs
from photo_api.http.errors import install_error_handlers
from photo_api.http.head import answering_head
from photo_api.http.middleware import ErrorBoundary, RequestContext
from photo_api.jobs.queue import depth
from photo_api.jobs.statistics import fleet_gauges, statistics
from photo_api.metrics.declared import UPLOAD_MEMORY_HELD
from photo_api.metrics.reporting import Reporting
from photo_api.photos.changes import Changes
from photo_api.photos.confirmations import Confirmations
from photo_api.photos.delivery import Delivery, Way
from photo_api.photos.keeping_routes import router as keeping
from photo_api.photos.routes import router as photos
from photo_api.photos.streams import Streams
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.shares.routes import router as shares
from photo_api.state import AppState
from photo_api.storage.buffers import Budget
from photo_api.storage.opening import follow_store
from photo_api.telemetry.logs import AccessLog
from photo_api.timeline.routes import router as timeline
from photo_api.tracing import Tracer

UPLOAD_PATH = f"{API_PREFIX}/photos"

OWNERS_CACHE = 3600
"""Seconds for which an owner's browser may keep streamed bytes."""


NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""FastAPI's own, which would look for OpenTelemetry with each request; ours are `tracing` and
`metrics`."""


class LifespanState(TypedDict):
    """What Starlette copies into every request's state."""

    app: AppState


def create_app(
    live: LiveSettings,
    identity: Identity,
    health: WorkerHealth,
    access_log: AccessLog,
    metrics: Reporting,
    tracer: Tracer,
) -> ASGIApp:
    """The ASGI application of one worker. Nothing is connected before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[LifespanState]:
        async with AsyncExitStack() as stack:
            state = await _open(live, identity, health, metrics, stack)
            health.phase.serve()
            yield {"app": state}

    app = FastAPI(
        title="Photo API",
        version=identity.version,
        description="Accounts, photos, albums and share links; made for many instances at once.",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    add_routes(app)
    install_error_handlers(app)
    install_docs(app)
    pages = install_gallery(app) if live.now.http.gallery == "on" else None
    wrapped = _wrap(app, live.now)
    trusted, phase = live.now.http.trusted_proxies, health.phase
    counts = metrics.counts
    whole = RequestContext(wrapped, identity.instance, phase, access_log, trusted, counts, tracer)
    if pages is not None:
        whole.for_people = ProblemPages(wrapped, pages.problem)
    return whole


def add_routes(app: FastAPI) -> None:
    """Those of all features."""
    # Not include_router, which would put each router behind a matching of its own: routes are tried
    # in this order, those that are asked for most first.
    features = keeping, photos, albums, albums_of_photos, shares, timeline, accounts, own_account
    for router in (*features, health_routes, scraped):
        app.router.routes.extend(answering_head(router.routes))
    app.include_router(health_routes, prefix=API_PREFIX, include_in_schema=False)


async def _open(
    live: LiveSettings,
    identity: Identity,
    health: WorkerHealth,
    metrics: Reporting,
    stack: AsyncExitStack,
) -> AppState:
    settings = live.now
    db = await stack.enter_async_context(follow_database(live, "photo-api web"))
    counts = metrics.counts
    db.watched_by(counts, "web")
    metrics.read_fleet = lambda: fleet_gauges(db)
    keys, store = await stack.enter_async_context(follow_store(live, counts))
    passwords = Passwords(settings.auth.hash_concurrency, settings.auth.hash_queue)
    stack.callback(passwords.close)
    health.watch_storage(store.ping)
    urls = settings.delivery

    streams = Streams(urls.max_streams, counts)
    ways = {_way(settings, path) for path in get_args(Path)}

    def delivery(readers: str, window: int, cache: int) -> Delivery:
        signers: dict[Way, ReadSigner] = {}
        if "store" in ways:
            signers["store"] = open_signer(settings, keys, window)
        if "cdn" in ways:
            signers["cdn"] = open_reader(live, keys, window)
        for way, signer in signers.items():
            signer.windows.watched_by(counts, readers, way)
        made = Delivery(readers, store, signers, streams, cache)
        health.delivery.follow(lambda path: made.use(_way(settings, path)))
        return made

    for_visitors = min(urls.window, window_within(urls.share_url_ttl))
    memory = Budget(settings.uploads.memory, network_of)
    counts.watch(UPLOAD_MEMORY_HELD, read=lambda: memory.held)
    state = AppState(
        settings=settings,
        identity=identity,
        health=health,
        metrics=metrics,
        details=Details(health, lambda: depth(db), lambda: statistics(db)),
        db=db,
        store=store,
        owners=delivery("owners", urls.window, OWNERS_CACHE),
        visitors=delivery("visitors", for_visitors, for_visitors),
        uploads=open_signer(settings, keys, urls.window),
        passwords=passwords,
        confirmations=Confirmations(),
        changes=Changes(),
        upload_memory=memory,
    )
    live.follow(state.use)
    return state


def _way(settings: Settings, path: Path) -> Way:
    """How photos are delivered while the fleet is on this path."""
    if settings.delivery.mode == "stream":
        return "streamed"
    if not settings.cdn.provider:
        return "store"
    if path == "cdn":
        return "cdn"
    return "streamed" if settings.cdn.fallback == "stream" else "store"


def _wrap(app: FastAPI, settings: Settings) -> ASGIApp:
    """Middleware, inside out: CORS headers also on errors. `RequestContext` comes around it."""
    wrapped: ASGIApp = Admission(Dispatch(app), settings.http, {UPLOAD_PATH})
    wrapped = ErrorBoundary(wrapped)
    if settings.http.cors_origins:
        wrapped = CrossOrigin(wrapped, settings.http.cors_origins)
    return wrapped
