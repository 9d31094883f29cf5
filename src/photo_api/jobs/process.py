"""The job process beside the web workers: renditions and the sweep.

Run as `python -m photo_api.jobs.process --name jobs --boot-id ID --orders FD`; it takes its orders
as a web worker does, and `drain` already hands back what it has leased.
"""

import argparse
import asyncio
import logging
import os
import random
import signal
from contextlib import AsyncExitStack, suppress

from photo_api.db.pool import Database, open_database
from photo_api.jobs.runner import Runner
from photo_api.lifecycle.identity import identify
from photo_api.lifecycle.orders import Orders
from photo_api.photos.sweep import sweep
from photo_api.renditions.decoder import DecodeLimits, Decoder
from photo_api.renditions.job import KIND, RenditionJob
from photo_api.settings.loading import Settings, load
from photo_api.storage.base import ObjectStore
from photo_api.storage.opening import open_credentials
from photo_api.storage.s3 import S3Store
from photo_api.telemetry.logs import configure_logging

log = logging.getLogger(__name__)


def main() -> None:
    """The job process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--boot-id", required=True)
    parser.add_argument("--orders", type=int, required=True)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    settings = load(os.environ)
    identity = identify(settings.lifecycle, options.boot_id)
    configure_logging(settings.logs, identity.instance, options.name)
    # The boot's id: whoever declares this instance lost frees its leases by it.
    asyncio.run(_run(settings, identity.boot_id, Orders(options.orders)))


async def _run(settings: Settings, worker: str, orders: Orders) -> None:
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(settings.database, "photo-api jobs"))
        credentials = await stack.enter_async_context(open_credentials(settings.s3, settings.cloud))
        s3 = settings.s3
        store = S3Store(s3.endpoint, s3.bucket, s3.region, credentials)
        stack.push_async_callback(store.aclose)
        work = asyncio.create_task(_work(settings, db, store, worker, stack))
        await orders.report("ready")
        async for order in orders:
            if order in ("drain", "stop"):
                work.cancel()
            if order == "stop":
                break
        else:
            os._exit(1)  # the supervisor is gone
        with suppress(asyncio.CancelledError):
            await work


async def _work(
    settings: Settings, db: Database, store: ObjectStore, worker: str, stack: AsyncExitStack
) -> None:
    jobs = settings.jobs
    limits = DecodeLimits(
        memory_bytes=jobs.decode_memory, cpu_seconds=jobs.decode_seconds, max_pixels=jobs.max_pixels
    )
    decoders = [Decoder(limits) for _ in range(jobs.concurrency)]
    for decoder in decoders:
        stack.push_async_callback(decoder.aclose)
    handlers = {KIND: RenditionJob(db, store, decoders)}
    runner = Runner(db, handlers, jobs, worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run(settings.database))
        tasks.create_task(_sweep_regularly(settings, db, store))


async def _sweep_regularly(settings: Settings, db: Database, store: ObjectStore) -> None:
    while True:
        await asyncio.sleep(settings.jobs.sweep_interval * random.uniform(0.8, 1.2))
        try:
            await sweep(db, store, settings.uploads.longest_put)
        except Exception as error:  # the next round tries again
            log.warning("sweep failed: %s", type(error).__name__)


if __name__ == "__main__":
    main()
