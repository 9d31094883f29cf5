"""Job processes that are killed, frozen, drained and fed with bad photos."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import LeaseLost
from photo_api.renditions.decoder import Decoder, NoProcess
from photo_api.renditions.decoder_pool import DEATHS, DecoderPool
from photo_api.renditions.job import DisplayJob, RenditionJob
from photo_api.renditions.rereading import MetadataJob
from photo_api.storage.base import ObjectMissing
from tests.jobs.stage import (
    LEASE,
    Worker,
    handling,
    hang,
    job_of,
    leased,
    leased_by,
)
from tests.lifecycle.receipts import told
from tests.outages.faulty_store import faulty_store
from tests.own_stage import ask, database_of, endpoint_in, execute, holds, store_at, store_of
from tests.photographs import slow
from tests.service import User, eventually, running_service


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
    asyncio.run(execute(settings["PHOTO_API_DATABASE_URL"], "DROP FUNCTION block CASCADE"))
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
        store = store_of(settings)
        handler = RenditionJob(db, store, DecoderPool(store, [decoder]))
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
        assert len(noted) == 2, "renditions of the late run; they are not made once more"
    await decoder.aclose()


async def test_a_decoder_that_is_killed_is_not_the_photo_s_fault(
    settings: dict[str, str], user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the kernel when the machine's memory runs out: once more than a photo may crash one."""
    monkeypatch.setattr(queue, "RETRY_BASE", 0.05)
    decoder, killed = Decoder(), 0

    class Killed(RenditionJob):
        async def run(self, job: Job) -> None:
            nonlocal killed
            if killed == DEATHS:
                await super().run(job)
                return
            killed += 1
            working = asyncio.create_task(super().run(job))
            async with asyncio.timeout(20):
                while decoder.pid is None:
                    await asyncio.sleep(0.01)
            os.kill(decoder.pid, signal.SIGKILL)
            await working

    async with database_of(settings) as db:
        store = store_of(settings)
        async with handling(settings, db, Killed(db, store, DecoderPool(store, [decoder]))):
            photo_id = await asyncio.to_thread(lambda: user.upload()["id"])
            photo = await asyncio.to_thread(user.rendered, photo_id)
    assert (photo["renditions"], killed) == ("ready", DEATHS)
    await decoder.aclose()


def failing(settings: dict[str, str], photo_id: int) -> Any:
    """The photo's job, once it has an error."""
    eventually(lambda: job_of(settings, photo_id)["error"])
    return job_of(settings, photo_id)


async def test_a_decoder_that_cannot_be_started_is_not_the_photo_s_fault(
    settings: dict[str, str], user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = Decoder()
    async with database_of(settings) as db:
        with monkeypatch.context() as away:
            away.setattr(sys, "executable", "/nowhere/python")
            opened = psutil.Process().num_fds()
            for _ in range(5):
                with pytest.raises(NoProcess):
                    await decoder.render(b"")
            assert psutil.Process().num_fds() == opened
            photo_id = await asyncio.to_thread(lambda: user.upload()["id"])
            store = store_of(settings)
            handler = RenditionJob(db, store, DecoderPool(store, [decoder]))
            async with handling(settings, db, handler):
                job = await asyncio.to_thread(failing, settings, photo_id)
                assert job["handed_back"] >= job["attempt"] - (job["state"] == "leased")
                assert "no decoder can be started" in job["error"]
                away.undo()
                photo = await asyncio.to_thread(user.rendered, photo_id)
                assert photo["renditions"] == "ready"
    await decoder.aclose()


def test_a_failing_job_is_tried_again_and_then_buried(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """Here the store works but has trouble with this one object."""
    photo_id = user.upload()["id"]
    with faulty_store(endpoint_in(settings)) as relay:
        relay.answers(500, only=f"/{photo_id}/")
        start_worker(**store_at(settings, relay.endpoint), JOB_MAX_ATTEMPTS="2")
        retried = "SELECT 1 FROM jobs WHERE subject_id = $1 AND error IS NOT NULL"
        eventually(lambda: ask(settings, retried, photo_id), 10)
        assert user.photo(photo_id)["renditions"] == "pending"
        photo = user.rendered(photo_id, 20)
    cause = "attempts_exhausted:StoreUnavailable"
    assert (photo["renditions"], photo["renditions_error"]) == ("failed", cause)
    job = job_of(settings, photo_id)
    assert (job["state"], job["attempt"]) == ("dead", 2)
    assert "StoreUnavailable" in job["error"]
    assert user.api.get(f"/photos/{photo_id}/image", follow_redirects=True).status_code == 200


def test_an_outage_of_the_store_is_not_held_against_a_job(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    photo_id = user.upload()["id"]
    with faulty_store(endpoint_in(settings)) as relay:
        relay.refuses()
        start_worker(**store_at(settings, relay.endpoint), JOB_MAX_ATTEMPTS="2")
        eventually(lambda: job_of(settings, photo_id)["handed_back"] >= 3, 20)
        job = job_of(settings, photo_id)
        assert job["state"] != "dead"
        assert "StoreUnavailable" in job["error"] or "StoreDown" in job["error"]
        relay.passes()
        assert user.rendered(photo_id)["renditions"] == "ready"


def test_a_job_whose_workers_always_die_is_buried(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """Nobody is left to say that it failed, and so the lease alone counts."""
    photo_id = user.upload()["id"]
    ask(settings, "UPDATE jobs SET state = 'leased', attempt = 5, worker = 'dead'")
    start_worker(JOB_MAX_ATTEMPTS="5")
    assert user.rendered(photo_id)["renditions_error"] == "attempts_exhausted:worker_died"
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
    assert (told(draining)["jobs_handed_back"], told(draining)["jobs_kept"]) == (1, 0)


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
    """This one takes more time than there is, and kills each decoder it gets."""
    poisonous = user.upload(slow())["id"]
    good = [user.upload()["id"] for _ in range(3)]
    worker = start_worker(DECODE_SECONDS="1")
    assert [user.rendered(photo_id)["renditions"] for photo_id in good] == ["ready"] * 3
    photo = user.rendered(poisonous)
    assert (photo["renditions"], photo["renditions_error"]) == ("failed", "decoder_cpu")
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


@pytest.mark.parametrize("kind", [RenditionJob, DisplayJob, MetadataJob])
async def test_a_photo_that_is_deleted_while_its_job_is_at_work_is_no_failure(
    settings: dict[str, str], user: User, connections: list[Any], kind: type[Any]
) -> None:
    """One whose bytes alone are missing is."""
    photo_id = (await asyncio.to_thread(user.upload))["id"]
    await connections[0].execute("UPDATE photos SET renditions = 'failed'")
    job = await leased_by(connections[0], "one")
    async with database_of(settings) as db:
        store = store_of(settings)

        class Late(DecoderPool):
            async def make(self, job: Job, key: str, work: Any) -> Any:
                await store.delete([key])
                return await super().make(job, key, work)

        class Later(Late):
            async def make(self, job: Job, key: str, work: Any) -> Any:
                await asyncio.to_thread(user.api.delete, f"/photos/{photo_id}")
                return await super().make(job, key, work)

        late, later = Late(store, []), Later(store, [])
        of = (db,) if kind is MetadataJob else (db, store)
        with pytest.raises(ObjectMissing):
            await kind(*of, late).run(job)
        await kind(*of, later).run(job)
        await store.aclose()
    assert await connections[0].fetch("SELECT FROM jobs WHERE id = $1", job.id) == []


def test_the_service_runs_jobs_itself_unless_told_not_to(
    settings: dict[str, str], user: User, tmp_path: Path
) -> None:
    photo_id = user.upload()["id"]
    folder = tmp_path / "other"
    folder.mkdir()
    with running_service(settings, folder) as service:
        assert user.rendered(photo_id)["renditions"] == "ready"
        assert len(service.children("photo_api.job_worker")) == 1
