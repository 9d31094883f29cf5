"""The job queue on a real PostgreSQL, and job processes that are killed, frozen and drained."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from PIL import Image

from photo_api.db.pool import Database, DatabaseUnavailable
from photo_api.jobs import queue, runner
from photo_api.jobs.queue import CHANNEL, Job
from photo_api.jobs.runner import LeaseLost
from photo_api.photos.upload_queries import insert_ready, note_object
from photo_api.renditions.decoder import Decoder
from photo_api.renditions.job import RenditionJob
from photo_api.settings.loading import load
from tests.outages.faulty_store import faulty_store
from tests.own_stage import ask, database_of, execute, holds, own_database, store_of
from tests.photographs import encode
from tests.service import User, eventually, running_service

LEASE = 2.0
KINDS = ["renditions"]


@dataclass
class Worker:
    """A running `photo-api worker`: a supervisor and its job process, which has a decoder."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def jobs(self) -> psutil.Process:
        return self._child("photo_api.jobs.process")

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
        jobs.kill()
        self.process.wait()


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ | {"PHOTO_API_JOB_LEASE": str(LEASE)}) as settings:
        yield settings


@pytest.fixture
def user(settings: dict[str, str], tmp_path: Path) -> Iterator[User]:
    """Somebody on a service that leaves jobs to workers."""
    with running_service(settings, tmp_path, "--no-jobs") as service, service.new_user() as user:
        yield user


@pytest.fixture
def start_worker(settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a `photo-api worker`, with changed settings (without prefix)."""
    workers: list[Worker] = []

    def start(**changed: str) -> Worker:
        log_file = tmp_path / f"worker-{len(workers)}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "photo_api.cli", "worker"],
                env=settings | {f"PHOTO_API_{name}": value for name, value in changed.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        worker = Worker(process, log_file)
        workers.append(worker)
        eventually(lambda: '"ready"' in worker.log, 15)
        return worker

    yield start
    with ExitStack() as ending:
        for worker in workers:
            ending.callback(_end, worker)


def _end(worker: Worker) -> None:
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


# The queue's statements


@pytest.fixture
async def connections(settings: dict[str, str]) -> AsyncIterator[list[Any]]:
    url = settings["PHOTO_API_DATABASE_URL"]
    made = [await asyncpg.connect(url) for _ in range(4)]
    yield made
    for connection in made:
        await connection.close()


async def enqueue(connection: Any, subject_id: int = 1) -> None:
    await connection.execute(
        "INSERT INTO jobs (kind, subject_id) VALUES ('renditions', $1)", subject_id
    )


async def leased_by(connection: Any, worker: str, seconds: float = 60) -> Job:
    job = await queue.lease(connection, worker, seconds, KINDS)
    assert job is not None
    return job


async def test_who_lost_a_lease_changes_nothing(connections: list[Any]) -> None:
    one, two, *_ = connections
    await enqueue(one)
    old = await leased_by(one, "one", seconds=0)
    new = await leased_by(two, "two")
    assert (new.id, new.attempt) == (old.id, old.attempt + 1)
    before = await two.fetch("SELECT * FROM jobs")
    assert not await queue.renew(one, old, 60)
    assert not await queue.retry_later(one, old, "late")
    assert not await queue.bury(one, old, "late")
    assert not await queue.finish(one, old)
    await queue.hand_back(one, old)
    assert await two.fetch("SELECT * FROM jobs") == before
    assert await queue.renew(two, new, 60)
    assert await queue.finish(two, new)
    assert not await queue.finish(two, new), "it is done once"


async def test_a_job_has_one_holder_however_many_ask(connections: list[Any]) -> None:
    for number in range(40):
        await enqueue(connections[0], number)

    async def lease_all(connection: Any) -> list[int]:
        held = []
        while (job := await queue.lease(connection, "somebody", 60, KINDS)) is not None:
            held.append(job.subject_id)
        return held

    held = await asyncio.gather(*(lease_all(connection) for connection in connections))
    assert sorted(subject for one in held for subject in one) == list(range(40))


async def test_pauses_between_retries_double(connections: list[Any]) -> None:
    connection = connections[0]
    await enqueue(connection)
    for failures in range(10):
        job = await leased_by(connection, "one")
        assert job.failures == failures
        assert await queue.retry_later(connection, job, "no luck")
        pause = await connection.fetchval(
            "SELECT extract(epoch FROM available_at - now())::float8 FROM jobs"
        )
        longest = min(queue.RETRY_BASE * 2**failures, queue.LONGEST_RETRY) * 1.25
        assert longest * 0.55 < pause <= longest
        assert await queue.lease(connection, "one", 60, KINDS) is None, "not before its time"
        await connection.execute("UPDATE jobs SET available_at = now()")


async def test_a_job_handed_back_is_free_at_once_and_has_not_failed(connections: list[Any]) -> None:
    await enqueue(connections[0])
    for attempt in range(1, 4):
        job = await leased_by(connections[0], "one")
        assert (job.attempt, job.failures) == (attempt, 0)
        await queue.hand_back(connections[0], job)


async def test_a_dead_job_is_kept_and_never_leased(connections: list[Any]) -> None:
    connection = connections[0]
    await enqueue(connection)
    assert await queue.bury(connection, await leased_by(connection, "one", 0), "hopeless")
    assert await queue.lease(connection, "two", 60, KINDS) is None
    assert await connection.fetchval("SELECT error FROM jobs") == "hopeless"
    numbers = await queue.depth(connection)
    assert (numbers["queued"], numbers["leased"], numbers["dead"]) == (0, 0, 1)


async def test_a_job_of_a_failed_transaction_never_existed(connections: list[Any]) -> None:
    connection, listener, *_ = connections
    heard: list[object] = []
    await listener.add_listener(CHANNEL, lambda *call: heard.append(call))
    user_id = await connection.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ('a@b', 'a', '') RETURNING id"
    )
    album_id = await connection.fetchval(
        "INSERT INTO albums (owner_id, name) VALUES ($1, 'A') RETURNING id", user_id
    )
    await note_object(connection, "photos/1/7/x.jpg", 60)

    async def insert() -> bool:
        return await insert_ready(
            connection,
            user_id,
            album_id,
            7,
            title=None,
            description=None,
            filename="x.jpg",
            content_type="image/jpeg",
            size=1,
            sha256=bytes(32),
            key="photos/1/7/x.jpg",
        )

    failing = connection.transaction()
    await failing.start()
    assert await insert()
    await failing.rollback()
    assert await connection.fetch("SELECT * FROM jobs") == []
    assert await connection.fetchval("SELECT object_key FROM unreferenced_objects")
    assert heard == []
    assert await insert()
    assert await connection.fetchval("SELECT count(*) FROM jobs") == 1
    await listener.fetch("SELECT 1")
    assert len(heard) == 1


# The runner


class Recorder:
    """Does jobs by writing down their subjects."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.done: asyncio.Queue[int] = asyncio.Queue()

    async def run(self, job: Job) -> None:
        assert await queue.finish(self.db, job)
        self.done.put_nowait(job.subject_id)

    async def give_up(self, connection: Any, job: Job, reason: str) -> None:
        raise NotImplementedError


@asynccontextmanager
async def running(settings: dict[str, str]) -> AsyncIterator[Recorder]:
    loaded = load(settings)
    async with database_of(settings) as db:
        recorder = Recorder(db)
        handlers = {"renditions": recorder}
        work = asyncio.create_task(
            runner.Runner(db, store_of(settings), handlers, loaded.jobs, "tests").run(
                loaded.database
            )
        )
        yield recorder
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


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


async def test_a_notification_wakes_the_runner(
    settings: dict[str, str], connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after its connection was lost: it never looks by itself here."""
    monkeypatch.setattr(runner, "POLL", 3600)
    connection = connections[0]
    async with running(settings) as recorder, asyncio.timeout(15):
        pid = await listener(connection)
        await enqueue(connection, 1)
        await asyncio.sleep(0.3)
        assert recorder.done.empty(), "nobody has said a word"
        await connection.execute(f"NOTIFY {CHANNEL}")
        assert await recorder.done.get() == 1
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        await listener(connection, other_than=pid)
        await enqueue(connection, 2)
        await connection.execute(f"NOTIFY {CHANNEL}")
        assert await recorder.done.get() == 2


async def test_without_a_notification_it_looks_regularly(
    settings: dict[str, str], connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL", 0.1)
    async with running(settings) as recorder, asyncio.timeout(10):
        await listener(connections[0])
        await enqueue(connections[0], 1)
        assert await recorder.done.get() == 1


# Job processes


def test_a_killed_worker_s_job_is_done_by_another(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    doomed = start_worker()
    photo_id = hang(doomed, user)
    eventually(lambda: leased(settings, photo_id))
    start_worker()
    doomed.kill()
    photo = user.rendered(photo_id, LEASE + 10)
    assert photo["renditions"] == "ready"
    assert job_of(settings, photo_id) is None


def test_a_frozen_worker_s_late_result_is_refused(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """The first worker is stopped when it has written one of its two renditions; a second one does
    the job; then the first goes on where it was."""
    block = """
        CREATE FUNCTION block() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW;
        END $$;
        CREATE TRIGGER block BEFORE INSERT ON unreferenced_objects FOR EACH ROW
        WHEN (NEW.object_key LIKE '%-1-preview.webp') EXECUTE FUNCTION block();
    """
    asyncio.run(execute(settings["PHOTO_API_DATABASE_URL"], block))
    first = start_worker()
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"
    with asyncio.Runner() as loop:
        holder = loop.run(asyncpg.connect(settings["PHOTO_API_DATABASE_URL"]))
        loop.run(holder.execute("SELECT pg_advisory_lock(42)"))
        photo_id = user.upload()["id"]
        eventually(lambda: loop.run(holder.fetch(waiting)))
        frozen = first.jobs
        frozen.suspend()
        loop.run(holder.close())
    start_worker()
    assert user.rendered(photo_id, LEASE + 10)["renditions"] == "ready"
    keys = "SELECT thumbnail_key, preview_key FROM photos WHERE id = $1"
    [kept] = ask(settings, keys, photo_id)
    assert kept["thumbnail_key"].endswith("-2-thumbnail.webp")
    frozen.resume()
    eventually(lambda: "job was taken over; result dropped" in first.log)
    assert ask(settings, keys, photo_id) == [kept]
    assert ask(settings, "SELECT * FROM jobs") == []
    late = "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE '%-1-thumbnail.webp'"
    [[orphan]] = ask(settings, late)
    assert holds(settings, orphan)
    assert all(holds(settings, key) for key in kept)


async def test_a_late_result_changes_no_photo(
    settings: dict[str, str], user: User, connections: list[Any]
) -> None:
    """Neither while the successor is at work nor after it; and the sweep knows what it wrote."""
    photo_id = user.upload()["id"]
    old = await leased_by(connections[0], "one", seconds=0)
    new = await leased_by(connections[0], "two")
    look = "SELECT renditions, thumbnail_key, preview_key FROM photos WHERE id = $1"
    decoder = Decoder()
    async with database_of(settings) as db:
        handler = RenditionJob(db, store_of(settings), [decoder])
        with pytest.raises(LeaseLost):
            await handler.run(old)
        assert tuple(await db.fetchrow(look, photo_id)) == ("pending", None, None)
        await handler.run(new)
        result = await db.fetchrow(look, photo_id)
        assert result["renditions"] == "ready"
        with pytest.raises(LeaseLost):
            await handler.run(old)
        assert await db.fetchrow(look, photo_id) == result
        noted = await db.fetch("SELECT object_key FROM unreferenced_objects")
        assert len(noted) == 4, "two renditions for each late run"
    await decoder.aclose()


def test_a_failing_job_is_tried_again_and_then_buried(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """Here the store works but has trouble with this one object."""
    photo_id = user.upload()["id"]
    with faulty_store(settings["PHOTO_API_S3_ENDPOINT"]) as relay:
        relay.answers(500, only=f"/{photo_id}/")
        start_worker(S3_ENDPOINT=relay.endpoint, JOB_MAX_ATTEMPTS="2")
        retried = "SELECT 1 FROM jobs WHERE subject_id = $1 AND error IS NOT NULL"
        eventually(lambda: ask(settings, retried, photo_id), 10)
        assert user.photo(photo_id)["renditions"] == "pending"
        photo = user.rendered(photo_id, 20)
    assert (photo["renditions"], photo["renditions_error"]) == ("failed", "attempts_exhausted")
    job = job_of(settings, photo_id)
    assert (job["state"], job["attempt"]) == ("dead", 2)
    assert "StoreUnavailable" in job["error"]
    assert user.api.get(f"/photos/{photo_id}/image", follow_redirects=True).status_code == 200


def test_an_outage_of_the_store_is_not_held_against_a_job(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    photo_id = user.upload()["id"]
    with faulty_store(settings["PHOTO_API_S3_ENDPOINT"]) as relay:
        relay.refuses()
        start_worker(S3_ENDPOINT=relay.endpoint, JOB_MAX_ATTEMPTS="2")
        eventually(lambda: job_of(settings, photo_id)["handed_back"] >= 3, 20)
        job = job_of(settings, photo_id)
        assert job["state"] != "dead"
        assert "StoreUnavailable" in job["error"] or "StoreDown" in job["error"]
        relay.passes()
        assert user.rendered(photo_id)["renditions"] == "ready"


async def test_a_postponed_job_waits_and_has_not_failed(connections: list[Any]) -> None:
    connection = connections[0]
    await enqueue(connection)
    job = await leased_by(connection, "one")
    await queue.postpone(connection, job, 60, "no store")
    assert await queue.lease(connection, "one", 60, KINDS) is None, "not before its time"
    await connection.execute("UPDATE jobs SET available_at = now()")
    again = await leased_by(connection, "two")
    assert (again.attempt, again.failures) == (2, 0)
    await queue.postpone(connection, job, 60, "late")
    assert await queue.renew(connection, again, 60), "who lost the lease postpones nothing"


async def test_a_lost_database_is_not_held_against_a_job(
    settings: dict[str, str], connections: list[Any]
) -> None:
    """Its result cannot be written, nor that it could not; both happen when there is one again."""

    class Interrupted(Recorder):
        runs = 0

        async def run(self, job: Job) -> None:
            self.runs += 1
            if self.runs == 1:
                raise DatabaseUnavailable("while it ran")
            assert job.failures == 0
            await super().run(job)

    loaded = load(settings)
    async with database_of(settings) as db, asyncio.timeout(20):
        handler = Interrupted(db)
        work = asyncio.create_task(
            runner.Runner(
                db, store_of(settings), {"renditions": handler}, loaded.jobs, "tests"
            ).run(loaded.database)
        )
        await enqueue(connections[0], 1)
        assert await handler.done.get() == 1
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


def test_a_job_whose_workers_always_die_is_buried(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """Nobody is left to say that it failed, and so the lease alone counts."""
    photo_id = user.upload()["id"]
    ask(settings, "UPDATE jobs SET state = 'leased', attempt = 5, worker = 'dead'")
    start_worker(JOB_MAX_ATTEMPTS="5")
    assert user.rendered(photo_id)["renditions_error"] == "attempts_exhausted"
    assert job_of(settings, photo_id)["state"] == "dead"


def test_a_drained_worker_hands_its_job_back_at_once(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """At the beginning of its lame duck, and without a mark against the job."""
    draining = start_worker(JOB_LEASE="600", LAME_DUCK="5")
    photo_id = hang(draining, user)
    eventually(lambda: leased(settings, photo_id))
    draining.process.send_signal(signal.SIGTERM)
    eventually(lambda: job_of(settings, photo_id)["state"] == "queued", 4)
    assert draining.process.poll() is None
    job = job_of(settings, photo_id)
    assert (job["attempt"], job["handed_back"]) == (1, 1)
    assert (job["worker"], job["error"]) == (None, None)
    start_worker(JOB_MAX_ATTEMPTS="1")
    assert user.rendered(photo_id)["renditions"] == "ready"
    assert draining.process.wait(15) == 0
    assert "job handed back" in draining.log


def test_a_worker_stopped_without_a_lame_duck_hands_its_job_back_too(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    stopping = start_worker(JOB_LEASE="600", LAME_DUCK="0")
    photo_id = hang(stopping, user)
    eventually(lambda: leased(settings, photo_id))
    stopping.process.send_signal(signal.SIGTERM)
    assert stopping.process.wait(15) == 0
    job = job_of(settings, photo_id)
    assert (job["state"], job["handed_back"]) == ("queued", 1)


def test_a_poison_photo_blocks_nobody(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """A progressive JPEG is held in memory as a whole: this one kills each decoder it gets."""
    large = Image.new("RGB", (9000, 9000), (10, 200, 30))
    poison = encode(large, "JPEG", progressive=True, subsampling=0, quality=10)
    poisonous = user.upload(poison)["id"]
    good = [user.upload()["id"] for _ in range(3)]
    worker = start_worker(DECODE_MEMORY=str(512 * 1024**2))
    assert [user.rendered(photo_id)["renditions"] for photo_id in good] == ["ready"] * 3
    photo = user.rendered(poisonous)
    assert (photo["renditions"], photo["renditions_error"]) == ("failed", "decoder_memory")
    assert worker.jobs.is_running()
    assert job_of(settings, poisonous) is None
    assert user.rendered(user.upload()["id"])["renditions"] == "ready"


def test_a_photo_that_hangs_leaves_the_other_slots_free(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(JOB_CONCURRENCY="2")
    hung = hang(worker, user)
    decoder = worker.decoder
    eventually(lambda: leased(settings, hung))
    assert user.rendered(user.upload()["id"], 15)["renditions"] == "ready"
    assert user.photo(hung)["renditions"] == "pending"
    decoder.resume()
    assert user.rendered(hung)["renditions"] == "ready"


def test_a_job_process_that_dies_is_started_again(
    user: User, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker()
    first = worker.jobs
    os.kill(first.pid, signal.SIGKILL)
    assert user.rendered(user.upload()["id"])["renditions"] == "ready"
    assert worker.jobs.pid != first.pid


def test_a_job_whose_photo_is_gone_is_simply_done(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    photo_id = user.upload()["id"]
    user.api.delete(f"/photos/{photo_id}")
    worker = start_worker()
    eventually(lambda: job_of(settings, photo_id) is None)
    assert "job failed" not in worker.log


def test_the_service_runs_jobs_itself_unless_told_not_to(
    settings: dict[str, str], user: User, tmp_path: Path
) -> None:
    photo_id = user.upload()["id"]
    folder = tmp_path / "other"
    folder.mkdir()
    with running_service(settings, folder) as service:
        assert user.rendered(photo_id)["renditions"] == "ready"
        assert len(service.children("photo_api.jobs.process")) == 1
