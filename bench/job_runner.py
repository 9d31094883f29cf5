"""The jobs of a service without its maintenance, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from photo_api.db.pool import Database
from photo_api.jobs.runner import Handler, Runner
from photo_api.metrics.counts import Counts
from photo_api.renditions.decoder import DecodeLimits, Decoder
from photo_api.renditions.decoder_pool import DecoderPool
from photo_api.renditions.job import DisplayJob, RenditionJob
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.shares.job import SharedAlbumJob
from photo_api.storage.base import ObjectStore
from photo_api.tracing import Tracer
from photo_base.tasks import cancel


@asynccontextmanager
async def running_jobs(settings: Settings, db: Database, store: ObjectStore) -> AsyncIterator[None]:
    """While this is open, jobs are taken as they come."""
    counts, jobs = Counts(), settings.jobs
    limits = DecodeLimits(memory_bytes=jobs.decode_memory, cpu_seconds=jobs.decode_seconds)
    async with AsyncExitStack() as stack:
        decoders = [Decoder(limits) for _ in range(jobs.concurrency)]
        for decoder in decoders:
            stack.push_async_callback(decoder.aclose)
        pool = DecoderPool(store, decoders)
        handlers: dict[str, Handler] = {
            "renditions": RenditionJob(db, store, pool),
            "display": DisplayJob(db, store, pool),
            "shared_album": SharedAlbumJob(db),
        }
        tracer = Tracer(settings.logs, counts, None)
        runner = Runner(db, store, handlers, jobs, "bench", counts, tracer)
        running = asyncio.create_task(runner.run(LiveSettings(settings)))
        try:
            yield
        finally:
            await cancel(running)
