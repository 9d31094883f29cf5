"""The job process beside the web workers: renditions and the fleet's maintenance.

Run as `python -m photo_api.job_worker --name jobs --boot-id ID --control FD`; it takes commands as
a web worker does, and `drain` already hands back what it has leased.
"""

from photo_api.own_process import die_with_parent, resident_bytes

if __name__ == "__main__":
    die_with_parent()

import asyncio
import json
import logging
import os
import sys
from contextlib import AsyncExitStack

from photo_api.accounts.deletion_job import DeletionJob
from photo_api.db.migrations import missing_migrations
from photo_api.db.pool import Database, DatabaseUnavailable, follow_database
from photo_api.jobs.runner import Handler, Runner
from photo_api.maintenance import Maintenance
from photo_api.registry.cdn_watch import CdnWatch, open_watch
from photo_api.renditions.decoder import DecodeLimits, Decoder
from photo_api.renditions.decoder_pool import DecoderPool
from photo_api.renditions.job import DisplayJob, RenditionJob
from photo_api.renditions.rereading import MetadataJob
from photo_api.settings.secrets import LiveSettings
from photo_api.shares.job import SharedAlbumJob
from photo_api.storage.base import ObjectStore
from photo_api.storage.opening import follow_store
from photo_api.supervisor.worker_process import WorkerProcess, worker_process
from photo_api.telemetry.failures import bug
from photo_api.telemetry.pushgateway import Pushgateway
from photo_base import event_loop
from photo_base.capacity import job_pool
from photo_base.postgres import FAILURES, reason

log = logging.getLogger(__name__)

SCHEMA_POLL = 0.5
REPORT_INTERVAL = 5.0


def main() -> None:
    """The job process."""
    with worker_process() as worker:
        try:
            event_loop.run(_run(worker))
        except Exception as error:
            kind = type(error).__name__
            log.error("the job process ends: %s: %s", kind, error, exc_info=bug(error))
            sys.exit(1)


async def _run(worker: WorkerProcess) -> None:
    live = worker.secrets.live
    async with AsyncExitStack() as stack:
        size = job_pool(live.now.jobs.concurrency)
        db = await stack.enter_async_context(follow_database(live, "photo-api jobs", size))
        counts = worker.metrics.counts
        db.watched_by(counts, "jobs")
        keys, store = await stack.enter_async_context(follow_store(live, counts))
        watch = open_watch(live, keys, db, store, worker.identity, counts)
        cdn = await stack.enter_async_context(watch)
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(_work(live, db, store, worker, stack, cdn))
            if worker.draining:
                work.cancel()  # before its first step
            reporting = tasks.create_task(_report_memory(worker))
            counting = tasks.create_task(worker.metrics.keep())
            obeying = tasks.create_task(_obey(worker, work))
            obeying.add_done_callback(lambda _: (reporting.cancel(), counting.cancel()))
    await worker.metrics.close()


async def _obey(worker: WorkerProcess, work: asyncio.Task[None]) -> None:
    await worker.channel.send("ready")
    async for command, value in worker.channel:
        if command == "secrets":
            worker.secrets.update(value)
        if command in ("drain", "retire", "stop"):
            work.cancel()
        if command == "stop":
            return
    os._exit(1)  # the supervisor is gone


async def _report_memory(worker: WorkerProcess) -> None:
    while True:
        await worker.channel.send(f"load {json.dumps({'memory_bytes': resident_bytes()})}")
        await asyncio.sleep(REPORT_INTERVAL)


async def _work(
    live: LiveSettings,
    db: Database,
    store: ObjectStore,
    worker: WorkerProcess,
    stack: AsyncExitStack,
    cdn: CdnWatch | None,
) -> None:
    # An instance that declares this one lost frees its leases by the boot's id.
    jobs, holder = live.now.jobs, worker.identity.boot_id
    limits = DecodeLimits(memory_bytes=jobs.decode_memory, cpu_seconds=jobs.decode_seconds)
    decoders = [Decoder(limits) for _ in range(jobs.concurrency)]
    for decoder in decoders:
        stack.push_async_callback(decoder.aclose)
    worker.metrics.children = lambda: [one.pid for one in decoders if one.pid is not None]
    pool = DecoderPool(store, decoders)
    handlers: dict[str, Handler] = {
        "renditions": RenditionJob(db, store, pool),
        "display": DisplayJob(db, store, pool),
        "shared_album": SharedAlbumJob(db),
        "metadata": MetadataJob(db, pool),
        "closed_account": DeletionJob(db),
    }
    counts, tracer = worker.metrics.counts, worker.tracer
    runner = Runner(db, store, handlers, jobs, holder, counts, tracer)
    await _wait_for_schema(db)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run(live))
        uploads = live.now.uploads
        gateway = Pushgateway.of(live)
        maintenance = Maintenance(db, store, jobs.sweep_interval, uploads, holder, gateway, cdn)
        tasks.create_task(maintenance.run())


async def _wait_for_schema(db: Database) -> None:
    """An instance may boot before its database is there, or before anybody has migrated it."""
    waits = False
    while True:
        try:
            missing = await missing_migrations(db)
        except (DatabaseUnavailable, *FAILURES) as error:
            missing = [reason(error.__cause__ or error)]
            if not waits and bug(error):
                log.warning("cannot look at the schema", exc_info=error)
        if not missing:
            return
        if not waits:
            log.info("waiting for the schema", extra={"fields": {"missing": missing}})
        waits = True
        await asyncio.sleep(SCHEMA_POLL)


if __name__ == "__main__":
    main()
