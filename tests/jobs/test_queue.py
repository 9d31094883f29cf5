"""The queue's statements and its runner on a real PostgreSQL."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from photo_api.db.pool import Database, DatabaseUnavailable
from photo_api.jobs import queue, runner
from photo_api.jobs.queue import CHANNEL, Job
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import JOB_DURATION
from photo_api.photos.upload_queries import NewPhoto, insert_ready, note_object
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.tracing import Tracer
from photo_base.tasks import cancel
from tests.jobs.stage import (
    KINDS,
    Recorder,
    enqueue,
    handling,
    leased_by,
    listener,
    running,
)
from tests.own_stage import at_work, database_of, store_of


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
        while jobs := await queue.lease(connection, "somebody", 60, KINDS):
            held += [job.subject_id for job in jobs]
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
        assert await queue.lease(connection, "one", 60, KINDS) == [], "not before its time"
        await connection.execute("UPDATE jobs SET available_at = now()")


async def test_a_job_handed_back_is_free_at_once_and_has_not_failed(connections: list[Any]) -> None:
    await enqueue(connections[0])
    for attempt in range(1, 4):
        job = await leased_by(connections[0], "one")
        assert (job.attempt, job.failures) == (attempt, 0)
        await queue.hand_back(connections[0], job)


async def test_a_postponed_job_waits_and_has_not_failed(connections: list[Any]) -> None:
    connection = connections[0]
    await enqueue(connection)
    job = await leased_by(connection, "one")
    await queue.postpone(connection, job, 60, "no store")
    assert await queue.lease(connection, "one", 60, KINDS) == [], "not before its time"
    await connection.execute("UPDATE jobs SET available_at = now()")
    again = await leased_by(connection, "two")
    assert (again.attempt, again.failures) == (2, 0)
    await queue.postpone(connection, job, 60, "late")
    assert await queue.renew(connection, again, 60), "a worker without its lease postpones nothing"


async def test_a_dead_job_is_kept_and_never_leased(connections: list[Any]) -> None:
    connection = connections[0]
    await enqueue(connection)
    assert await queue.bury(connection, await leased_by(connection, "one", 0), "hopeless")
    assert await queue.lease(connection, "two", 60, KINDS) == []
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

    new = NewPhoto(user_id, album_id, None, None, "x.jpg", "image/jpeg", 1, bytes(32))

    async def insert() -> bool:
        return await insert_ready(connection, new, 7, "photos/1/7/x.jpg", 0)

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


async def test_a_notification_wakes_the_runner(
    settings: dict[str, str], connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after its connection was lost: it never looks by itself here."""
    monkeypatch.setattr(runner, "POLL", 3600)
    looked, lease = asyncio.Event(), queue.lease

    async def look(*arguments: Any, **more: Any) -> Any:
        found = await lease(*arguments, **more)
        if not found:
            looked.set()
        return found

    monkeypatch.setattr(queue, "lease", look)
    connection = connections[0]
    async with running(settings) as recorder, asyncio.timeout(30):
        pid = await listener(connection)
        await looked.wait()
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
        counts = Counts()
        of_tests = "tests", counts, Tracer(loaded.logs, counts, None)
        handlers = {"renditions": handler}
        works = runner.Runner(db, store_of(settings), handlers, loaded.jobs, *of_tests)
        work = asyncio.create_task(works.run(LiveSettings(loaded)))
        await enqueue(connections[0], 1)
        assert await handler.done.get() == 1
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def test_a_job_that_has_nothing_to_write_is_not_finished_without_its_lease(
    settings: dict[str, str], connections: list[Any]
) -> None:
    await enqueue(connections[0])
    old, new = [await leased_by(connections[0], name, seconds=0) for name in ("one", "two")]
    async with database_of(settings) as db:
        with pytest.raises(runner.LeaseLost):
            await runner.finish(db, old)
        assert await connections[0].fetchval("SELECT attempt FROM jobs") == new.attempt
        await runner.finish(db, new)
        assert await connections[0].fetch("SELECT FROM jobs") == []


@pytest.mark.parametrize("committed", [True, False])
async def test_a_finish_whose_answer_is_lost_is_settled_by_the_table(
    settings: dict[str, str],
    connections: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
) -> None:
    """A job that is gone stays gone, one that is there is run again, and it has not failed."""
    monkeypatch.setattr(runner, "OUTAGE_PAUSE", (0.0, 0.1))
    finish, tries = queue.finish, list[Job]()

    async def unheard(db: Any, job: Job) -> bool:
        tries.append(job)
        if len(tries) > 1:
            return await finish(db, job)
        if committed:
            assert await finish(db, job)
        raise ConnectionResetError("its answer is lost")

    monkeypatch.setattr(queue, "finish", unheard)

    class Nothing(Recorder):
        async def run(self, job: Job) -> None:
            await runner.finish(self.db, job)
            self.done.put_nowait(job.subject_id)

    async with database_of(settings) as db, asyncio.timeout(20):
        handler = Nothing(db)
        async with handling(settings, db, handler):
            await enqueue(connections[0], 1)
            while not tries:
                await asyncio.sleep(0.02)
            await enqueue(connections[0], 2)
            subjects = [await handler.done.get() for _ in range(1 if committed else 2)]
    assert sorted(subjects) == ([2] if committed else [1, 2])
    assert [job.failures for job in tries] == [0] * len(tries)
    assert await connections[0].fetch("SELECT FROM jobs") == []


@pytest.mark.parametrize(("table", "result"), [("jobs", "handed_back"), ("elsewhere", "kept")])
async def test_at_the_end_it_counts_whether_a_job_could_be_handed_back(
    settings: dict[str, str], connections: list[Any], table: str, result: str
) -> None:
    counts, loaded, began = Counts(), load(settings), asyncio.Event()

    class Endless(Recorder):
        async def run(self, job: Job) -> None:
            began.set()
            await asyncio.Event().wait()

    async with database_of(settings) as db, asyncio.timeout(20):
        handlers = {"renditions": Endless(db)}
        of_tests = "tests", counts, Tracer(loaded.logs, counts, None)
        works = runner.Runner(db, store_of(settings), handlers, loaded.jobs, *of_tests)
        async with at_work(works.run(LiveSettings(loaded))):
            await enqueue(connections[0], 1)
            await began.wait()
            await connections[0].execute(f"ALTER TABLE jobs RENAME TO {table}_")
            await connections[0].execute(f"ALTER TABLE {table}_ RENAME TO {table}")
    if table != "jobs":
        await connections[0].execute(f"ALTER TABLE {table} RENAME TO jobs")
    counted = {values: sum(one.counts) for values, one in counts.buckets[JOB_DURATION].items()}
    assert counted == {("renditions", result): 1}


async def test_what_was_leased_for_others_is_handed_back_at_the_end(
    settings: dict[str, str], connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One asks for all that are free, and none of those has come for its job yet."""
    for number in range(8):
        await enqueue(connections[0], number)
        await connections[0].execute("UPDATE jobs SET user_id = subject_id + 1")
    await connections[0].execute(
        "INSERT INTO job_turns SELECT user_id FROM jobs ON CONFLICT DO NOTHING"
    )
    lease, numbers = queue.lease, list[int]()

    async def leased(*args: Any, **options: Any) -> list[Job]:
        found = await lease(*args, **options)
        numbers.append(len(found))
        if len(found) > 1:
            work.cancel()
        return found

    monkeypatch.setattr(queue, "lease", leased)

    class Endless(Recorder):
        async def run(self, job: Job) -> None:
            await asyncio.Event().wait()

    loaded, counts = load(settings | {"PHOTO_API_JOB_CONCURRENCY": "4"}), Counts()
    async with database_of(settings) as db, asyncio.timeout(20):
        of_tests = "tests", counts, Tracer(loaded.logs, counts, None)
        handlers = {"renditions": Endless(db)}
        works = runner.Runner(db, store_of(settings), handlers, loaded.jobs, *of_tests)
        work = asyncio.create_task(works.run(LiveSettings(loaded)))
        with suppress(asyncio.CancelledError):
            await work
    assert sum(numbers) == 4
    states = await connections[0].fetch("SELECT state, handed_back FROM jobs ORDER BY handed_back")
    assert [tuple(row) for row in states] == [("queued", 0)] * 4 + [("queued", 1)] * 4


async def test_a_lease_that_is_under_way_at_the_end_is_handed_back(
    settings: dict[str, str], connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is committed, and its answer comes later."""
    await enqueue(connections[0], 1)
    lease, committed = queue.lease, asyncio.Event()

    async def late(*args: Any, **options: Any) -> list[Job]:
        found = await lease(*args, **options)
        committed.set()
        await asyncio.sleep(0.2)
        return found

    monkeypatch.setattr(queue, "lease", late)
    async with database_of(settings) as db, asyncio.timeout(20):
        work = asyncio.create_task(runner_of(settings, db).run(LiveSettings(load(settings))))
        await committed.wait()
        await cancel(work)
    [row] = await connections[0].fetch("SELECT state, attempt, handed_back FROM jobs")
    assert tuple(row) == ("queued", 1, 1)


async def test_jobs_of_leases_without_an_answer_have_not_failed(
    settings: dict[str, str], connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many: nobody has run them."""
    await enqueue(connections[0], 1)
    lease, unanswered = queue.lease, 2

    async def lost(*args: Any, **options: Any) -> list[Job]:
        nonlocal unanswered
        found = await lease(*args, **options)
        if found and unanswered:
            unanswered -= 1
            raise TimeoutError
        return found

    monkeypatch.setattr(queue, "lease", lost)
    few = settings | {"PHOTO_API_JOB_MAX_ATTEMPTS": "1"}
    async with database_of(settings) as db, asyncio.timeout(20):
        work = asyncio.create_task(runner_of(few, db).run(LiveSettings(load(few))))
        while await connections[0].fetchval("SELECT count(*) FROM jobs WHERE state <> 'dead'"):
            await asyncio.sleep(0.05)
        await cancel(work)
    assert unanswered == 0
    assert await connections[0].fetchval("SELECT count(*) FROM jobs") == 0, "it was run"


def runner_of(settings: dict[str, str], db: Database) -> runner.Runner:
    """One that finishes jobs."""

    loaded, counts = load(settings), Counts()
    tracer = Tracer(loaded.logs, counts, None)
    handlers = {"renditions": Recorder(db)}
    return runner.Runner(db, store_of(settings), handlers, loaded.jobs, "tests", counts, tracer)
