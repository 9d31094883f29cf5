"""Job processes of one's own, and what a test looks at of their queue."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from photo_api.db.pool import Database
from photo_api.jobs import queue, runner
from photo_api.jobs.queue import Job
from photo_api.metrics.counts import Counts
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.tracing import Tracer
from tests.own_stage import ask, at_work, database_of, store_of
from tests.service import User, eventually

LEASE = 2.0


KINDS = ["renditions"]


@dataclass
class Worker:
    """A running `photo-api worker`: a supervisor and its job process, which has a decoder."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def jobs(self) -> psutil.Process:
        return self._child("photo_api.job_worker")

    @property
    def decoder(self) -> psutil.Process:
        return self._child("photo_api.renditions.child")

    def _child(self, module: str) -> psutil.Process:
        def running() -> list[psutil.Process]:
            family = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in family if module in child.cmdline()]

        return eventually(running)[0]

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def kill(self) -> None:
        """As a machine that loses its power."""
        jobs = self.jobs
        self.process.kill()
        with suppress(psutil.NoSuchProcess):  # it ends with its parent
            jobs.kill()
        self.process.wait()


def end(worker: Worker) -> None:
    if worker.process.poll() is None:
        for child in psutil.Process(worker.process.pid).children(recursive=True):
            child.resume()
        worker.process.terminate()
        worker.process.wait(15)


def hang(worker: Worker, user: User) -> int:
    """Give a worker a photo with which it does not come to an end; the photo's id."""
    user.rendered(user.upload()["id"])  # the decoder is started when there is something to decode
    worker.decoder.suspend()
    return int(user.upload()["id"])


def job_of(settings: dict[str, str], photo_id: int) -> Any:
    rows = ask(settings, "SELECT * FROM jobs WHERE subject_id = $1", photo_id)
    return rows[0] if rows else None


def leased(settings: dict[str, str], photo_id: int) -> bool:
    job = job_of(settings, photo_id)
    return job is not None and job["state"] == "leased"


async def enqueue(connection: Any, subject_id: int = 1) -> None:
    await connection.execute(
        "INSERT INTO jobs (kind, subject_id) VALUES ('renditions', $1)", subject_id
    )


async def leased_by(connection: Any, worker: str, seconds: float = 60) -> Job:
    [job] = await queue.lease(connection, worker, seconds, KINDS)
    return job


class Recorder:
    """Does jobs by writing down their subjects."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.done: asyncio.Queue[int] = asyncio.Queue()

    async def run(self, job: Job) -> None:
        assert await queue.finish(self.db, job)
        self.done.put_nowait(job.subject_id)

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        raise NotImplementedError


@asynccontextmanager
async def running(settings: dict[str, str]) -> AsyncIterator[Recorder]:
    async with database_of(settings) as db:
        recorder = Recorder(db)
        async with handling(settings, db, recorder):
            yield recorder


@asynccontextmanager
async def handling(
    settings: dict[str, str], db: Database, handler: runner.Handler, **more: runner.Handler
) -> AsyncIterator[None]:
    """Jobs are run in this process: by `handler` those of kind `renditions`."""
    loaded = load(settings)
    handlers = {"renditions": handler} | more
    counts = Counts()
    tracer = Tracer(loaded.logs, counts, None)
    works = runner.Runner(db, store_of(settings), handlers, loaded.jobs, "tests", counts, tracer)
    async with at_work(works.run(LiveSettings(loaded))):
        yield


LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = $1"


async def listener(connection: Any, other_than: int | None = None) -> int:
    """The process id of the backend that the runner listens on."""
    name = await connection.fetchval("SELECT current_database()")
    async with asyncio.timeout(10):
        while True:
            pids = {row["pid"] for row in await connection.fetch(LISTENERS, name)}
            if pids - {other_than}:
                return int((pids - {other_than}).pop())
            await asyncio.sleep(0.02)
