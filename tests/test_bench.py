"""The benchmark: what its figures are held against, and that both sides answer the same."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import orjson
import pytest

from bench.capture import capture
from bench.compare import Sample, Side, in_turns, throughput_row
from bench.context import Bench, Effort, open_bench, open_ground
from bench.job_queue import job_rows
from bench.limit import raw_pool
from bench.load import Load, LoadFailed
from bench.other import Base
from bench.reads import COLD, HOT, WHOLE, reads
from bench.report import Goal, Row, as_table
from bench.rows import presign_row, read_row, upload_row, whole_album_row
from bench.world import Sizes
from photo_api.settings.loading import load

SMALL = Sizes(many=1_100, cold=100, total=1_500, of_other=20)
BRIEF = Effort(rounds=1, seconds=0.05, starts=1, batch=1)
SLOW, FAST = Sample(100, 0.1, 500, 0.98), Sample(200, 0.1, 400, 0.97)
IDLE = Sample(200, 0.1, 250, 0.6)


def test_the_rates_decide_where_both_sides_are_saturated() -> None:
    row = throughput_row("list", "req/s", [[SLOW, FAST]], Goal(0.6))
    assert (row.decides, row.judged, row.verdict) == ("rate", 0.5, "miss")


def test_the_cpu_decides_where_a_side_waits_for_something_else() -> None:
    ours = Sample(110, 0.1, 300, 0.98)
    row = throughput_row("presign", "req/s", [[ours, IDLE]], Goal(0.75))
    assert row.ratio == 0.55
    assert (row.decides, row.verdict) == ("CPU", "ok")
    assert row.judged == pytest.approx(250 / 300)


def test_a_row_without_two_servers_is_held_against_what_was_measured() -> None:
    row = Row("memory", "MB", 140, goal=Goal(130, at_most=True))
    assert (row.decides, row.verdict) == ("", "miss")


def test_another_server_has_a_column_and_may_have_a_goal() -> None:
    rounds = [[SLOW, FAST, Sample(20, 1)], [SLOW, FAST, Sample(50, 1)]]
    row = throughput_row("whole", "albums/s", rounds, None, Goal(2))
    assert (row.other, row.other_ratio, row.verdict) == (35, 3.5, "ok")
    assert "≥ 2 other" in as_table([row])
    assert throughput_row("whole", "albums/s", [[SLOW, FAST]], None, Goal(2)).verdict == ""


async def test_another_server_that_fails_costs_its_column_and_not_the_run() -> None:
    async def work() -> Load:
        await asyncio.sleep(0.001)
        return Load(1, 0.001, [0.001])

    async def failing() -> Load:
        raise LoadFailed("HTTP/1.1 429")

    sides = [Side(work), Side(work), Side(failing, optional=True)]
    rounds = await in_turns("list", sides, 2)
    assert len(rounds) == 2
    row = throughput_row("list", "req/s", rounds, None)
    assert row.ratio is not None
    assert row.other is None
    with pytest.raises(LoadFailed):
        await in_turns("list", [Side(work), Side(failing)], 1)


async def test_the_limit_has_the_drivers_own_pool(environ: dict[str, str]) -> None:
    settings = load(environ).database
    async with raw_pool(settings) as pool:
        assert type(pool) is asyncpg.Pool
        assert pool.get_size() == settings.pool_size
        assert await pool.fetchval("SHOW timezone") == "UTC"


@asynccontextmanager
async def _bench(folder: Path) -> AsyncIterator[Bench]:
    """A small one, beside which the service itself is another server."""
    async with open_ground(folder) as ground, ground.launcher.service() as other:
        base = f"http://{other.address.host}:{other.address.port}"
        async with open_bench(ground, SMALL, Base(base)) as bench:
            yield bench


@pytest.mark.slow
async def test_the_limit_answers_as_the_service_does(tmp_path: Path) -> None:
    async with _bench(tmp_path) as bench, httpx.AsyncClient(timeout=30) as client:
        found = reads(bench.world)
        assert [read.name for read in found] == [*HOT, *COLD, WHOLE]
        for read in found:
            for ours, limit in zip(read.ours[:3], read.limits[:3], strict=True):
                answer = await capture(client, bench.service.address, ours)
                bare = await capture(client, bench.limit.address, limit)
                assert bare.status == answer.status == read.status, read.name
                near = abs(len(bare.body) - len(answer.body)) <= len(answer.body) / 50
                same = _timeless(bare.body) == _timeless(answer.body)
                assert near if read.alike else same, read.name
        pages = [await _page(client, bench, asked) for asked in found[-1].ours]
        ids = {photo["id"] for page in pages for photo in page}
        assert len(ids) == SMALL.many == sum(map(len, pages))
        assert bench.other is not None
        assert [row.name for row in await job_rows(bench, BRIEF)] == ["jobs", "job pick-up"]
        for rows in (
            [row for name in (*HOT, *COLD) for row in await read_row(bench, BRIEF, name)],
            await whole_album_row(bench, BRIEF),
            await presign_row(bench, BRIEF),
            await upload_row(bench, BRIEF, "upload-3mb-4", 3, 4),
        ):
            for row in rows:
                assert (row.other is None) == (row.name in COLD), row.name
                assert (row.other_cpu_us is None) == (row.other is None), row.name


def _timeless(body: bytes) -> bytes:
    """Each URL is another one after some minutes, each at its own time."""
    return re.sub(rb"(X-Amz-Date|X-Amz-Signature|response-expires)=[^&\"]*", rb"\1", body)


async def _page(client: httpx.AsyncClient, bench: Bench, asked: bytes) -> list[dict[str, int]]:
    answer = await capture(client, bench.service.address, asked)
    photos: list[dict[str, int]] = orjson.loads(answer.body)["photos"]
    return photos
