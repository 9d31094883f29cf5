"""Users take turns: nobody's many pictures hold up another's one."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.passed import PASSED_FOR, Passed
from photo_api.jobs.queue import Job
from photo_api.registry import leases
from tests.jobs.stage import KINDS, Recorder, Worker, handling
from tests.own_stage import ask, database_of
from tests.service import User, eventually, jpeg

READ = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'jobs'"


async def user_with(connection: Any, photos: int, kind: str = "renditions") -> int:
    """A new user with so many photos for each of which such a job waits."""
    user: int = await connection.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ($1, 'u', '') RETURNING id",
        f"{uuid4().hex}@example.org",
    )
    await connection.execute(
        "WITH made AS (INSERT INTO photos (owner_id, status, album_id, original_filename,"
        "  content_type, file_size, object_key) SELECT $1, 'ready', 0, '', '', 1,"
        "  gen_random_uuid()::text FROM generate_series(1, $2) RETURNING id)"
        " INSERT INTO jobs (kind, subject_id) SELECT $3, id FROM made ORDER BY id",
        user, photos, kind,
    )  # fmt: skip
    return user


async def owner_of_next(connection: Any) -> int:
    return await next_owner(connection, Passed())


async def add_job(connection: Any, owner: int) -> None:
    """For a photo that the user has."""
    await connection.execute(
        "INSERT INTO jobs (kind, subject_id) SELECT 'renditions', min(id) FROM photos"
        " WHERE owner_id = $1", owner,
    )  # fmt: skip


async def next_owner(connection: Any, passed: Passed) -> int:
    """Whose job is leased by who has passed these turns."""
    [job] = await queue.lease(connection, "worker", 60, KINDS, passed=passed)
    owner: int = await connection.fetchval(
        "SELECT owner_id FROM photos WHERE id = $1", job.subject_id
    )
    return owner


async def test_one_small_photo_waits_for_one_job_at_most(connections: list[Any]) -> None:
    one = connections[0]
    many = await user_with(one, 30)
    assert await owner_of_next(one) == many
    single = await user_with(one, 1)
    assert await owner_of_next(one) == single
    assert await owner_of_next(one) == many, "and nobody is left out"


async def test_who_has_the_fewest_at_work_comes_next(connections: list[Any]) -> None:
    one = connections[0]
    first, second, third = [await user_with(one, 9) for _ in range(3)]
    leased = [await owner_of_next(one) for _ in range(9)]
    for round_ in (leased[:3], leased[3:6], leased[6:]):
        assert sorted(round_) == sorted((first, second, third))
    assert leased[3:6] == leased[:3] == leased[6:], "of those, whose last began longest ago"


async def test_several_at_once_are_those_that_came_one_after_the_other(
    connections: list[Any],
) -> None:
    one = connections[0]
    owners = [await user_with(one, 3) for _ in range(3)]
    one_by_one = one.transaction()
    await one_by_one.start()
    expected = [await owner_of_next(one) for _ in range(3)]
    await one_by_one.rollback()
    leased = await queue.lease(one, "worker", 60, KINDS, most=4)
    found = await one.fetch(
        "SELECT owner_id FROM photos WHERE id = ANY ($1)", [job.subject_id for job in leased]
    )
    assert len(leased) == 3, "nobody's second one beside another's first"
    assert sorted(row["owner_id"] for row in found) == sorted(expected) == sorted(owners)
    again = await queue.lease(one, "worker", 60, KINDS, most=4)
    assert len(again) == 1, "whoever has the fewest at work is looked for anew"


async def test_turns_without_a_job_are_passed_for_a_moment(connections: list[Any]) -> None:
    one, now = connections[0], 100.0
    passed = Passed(lambda: now)
    idle = await user_with(one, 1)
    assert await next_owner(one, passed) == idle
    await one.execute("DELETE FROM jobs")
    first, second, third, fourth = [await user_with(one, 1) for _ in range(4)]
    await one.execute("UPDATE job_turns SET last_lease = now() - make_interval(secs => 1000 - id)"
        " FROM unnest($1::bigint[]) WITH ORDINALITY AS turn (owner, id) WHERE user_id = owner",
        [idle, first, second, third, fourth],
    )  # fmt: skip
    now += 1
    assert await next_owner(one, passed) == first
    await add_job(one, idle)
    assert await next_owner(one, passed) == second, "it was found without a job a moment ago"
    now += PASSED_FOR
    assert await next_owner(one, passed) == idle
    assert await next_owner(one, passed) == third
    await one.execute("DELETE FROM jobs")
    await add_job(one, idle)
    assert await next_owner(one, passed) == idle, "nobody waits for a moment while none has a job"


async def test_nobody_waits_for_the_turn_that_another_lease_notes(connections: list[Any]) -> None:
    one, two, *_ = connections
    owner = await user_with(one, 2)
    async with one.transaction():
        assert await owner_of_next(one) == owner
        async with asyncio.timeout(5):
            assert await owner_of_next(two) == owner


async def test_all_is_leased_however_many_ask_at_once(connections: list[Any]) -> None:
    owners = {await user_with(connections[0], 20): 20, await user_with(connections[0], 3): 3}

    async def lease_all(connection: Any) -> list[int]:
        held = []
        while jobs := await queue.lease(connection, "somebody", 60, KINDS):
            held += [job.id for job in jobs]
        return held

    held = [job for one in await asyncio.gather(*map(lease_all, connections)) for job in one]
    assert len(held) == len(set(held)) == sum(owners.values())


async def test_a_job_without_a_turn_is_leased_all_the_same(connections: list[Any]) -> None:
    one = connections[0]
    owner = await user_with(one, 2)
    await one.execute("DELETE FROM job_turns")
    assert await owner_of_next(one) == owner
    assert await owner_of_next(one) == owner


async def test_a_turn_is_found_behind_any_number_of_idle_ones(connections: list[Any]) -> None:
    one = connections[0]
    owners = [await user_with(one, 2) for _ in range(2)]
    await one.execute(
        "INSERT INTO job_turns SELECT n, '-infinity' FROM generate_series(1000000, $1) n",
        1_000_000 + 2 * queue.NEAR,
    )
    assert [await owner_of_next(one) for _ in range(4)] == owners * 2


async def test_one_user_s_many_jobs_are_not_read(connections: list[Any]) -> None:
    """Neither to see that there is one nor to find another's."""
    one = connections[0]
    many, single = await user_with(one, 20_000), await user_with(one, 1)
    await one.execute("ANALYZE jobs, job_turns")
    for owner in (many, single, many):
        async with one.transaction():
            assert await owner_of_next(one) == owner
            assert await one.fetchval(READ) < 100


ALL = ["renditions", "display"]


async def next_kind(connection: Any) -> str:
    [job] = await queue.lease(connection, "worker", 60, ALL, thumbnails_first=True)
    return job.kind


async def test_thumbnails_come_before_display_renditions(connections: list[Any]) -> None:
    """Of whomever they are: everybody sees the preview until then."""
    one = connections[0]
    for _ in range(20):
        await user_with(one, 2, "display")
    assert await next_kind(one) == "display"
    await user_with(one, 3)
    await user_with(one, 1)
    kinds = [await next_kind(one) for _ in range(5)]
    assert kinds == ["renditions"] * 4 + ["display"]


async def test_display_renditions_are_not_read_in_search_of_a_thumbnail(
    connections: list[Any],
) -> None:
    one = connections[0]
    for photos in (20_000, *[2] * 20):
        await user_with(one, photos, "display")
    await one.execute("ANALYZE jobs, job_turns")
    for expected in ("display", "renditions", "display"):
        if expected == "renditions":
            await user_with(one, 1)
        async with one.transaction():
            assert await next_kind(one) == expected
            assert await one.fetchval(READ) < 200


async def test_display_renditions_have_their_turn_while_thumbnails_wait(
    settings: dict[str, str], connections: list[Any]
) -> None:
    """Or somebody's import would keep everybody's waiting for its whole time."""
    await user_with(connections[0], 40)
    await user_with(connections[0], 2, "display")
    done: list[str] = []
    async with database_of(settings) as db:
        recorder = Noting(db, done)
        async with handling(settings, db, recorder, display=recorder), asyncio.timeout(30):
            while len(done) < 42:
                await asyncio.sleep(0.02)
    last = max(number for number, kind in enumerate(done) if kind == "display")
    assert 2 < last < 20


class Noting(Recorder):
    """Writes down the kinds."""

    def __init__(self, db: Database, kinds: list[str]) -> None:
        super().__init__(db)
        self._kinds = kinds

    async def run(self, job: Job) -> None:
        await super().run(job)
        self._kinds.append(job.kind)


@pytest.mark.slow
def test_a_small_photo_passes_thirty_large_ones(
    settings: dict[str, str], user: User, start_worker: Callable[..., Worker]
) -> None:
    """With a real job process, which makes one photo's renditions after the other."""
    ask(settings, "CREATE TABLE begun (user_id bigint, at timestamptz DEFAULT clock_timestamp())")
    ask(
        settings,
        "CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO begun VALUES (NEW.user_id); RETURN NULL; END $$",
    )
    ask(
        settings,
        "CREATE TRIGGER note_lease AFTER UPDATE ON jobs FOR EACH ROW"
        " WHEN (NEW.attempt > OLD.attempt) EXECUTE FUNCTION note_lease()",
    )
    large, album = jpeg(4000, 3000), user.album()["id"]
    for _ in range(30):
        user.upload(large, album)
    started = "SELECT at FROM begun WHERE user_id = $1 ORDER BY at"
    with User(str(user.api.base_url).removesuffix("/api/")) as other:
        start_worker(JOB_CONCURRENCY="1", JOB_LEASE="60")
        eventually(lambda: len(ask(settings, started, user.account["id"])) >= 2, 30)
        small = other.upload()["id"]
        uploaded = ask(settings, "SELECT clock_timestamp()")[0][0]
        assert other.rendered(small, 60)["renditions"] == "ready"
        begun = ask(settings, started, other.account["id"])[0][0]
    before = [at for (at,) in ask(settings, started, user.account["id"]) if uploaded < at < begun]
    assert len(before) <= 1, "what was at work, and it may have begun just then"
    waiting = "SELECT count(*) FROM jobs WHERE user_id = $1 AND state = 'queued'"
    assert ask(settings, waiting, user.account["id"])[0][0] >= 10
    ask(settings, "DROP FUNCTION note_lease CASCADE")
    ask(settings, "DROP TABLE begun")


async def test_who_lost_a_turn_gets_one_and_comes_first(connections: list[Any]) -> None:
    """Pruned in the moment in which a job of theirs was being queued."""
    one = connections[0]
    await user_with(one, 20)
    forgotten = await user_with(one, 1)
    await one.execute("DELETE FROM job_turns WHERE user_id = $1", forgotten)
    await owner_of_next(one)
    lease = await leases.acquire(one, uuid4().hex, "test", 60.0)
    assert lease is not None
    await queue.Turns().look_after(one, lease)
    assert await owner_of_next(one) == forgotten
