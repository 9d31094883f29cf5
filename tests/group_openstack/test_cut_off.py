"""A scale-in that dies at any point, and the next one, on whatever machine: one instance less."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from photo_fleet.group.openstack.registry import LOCK
from photo_fleet.group.openstack.scale_in import Refusal, Removed, Unfinished
from tests.group_openstack.stage import Stage, staged
from tests.service import die_with_parent

WRITES = ("PUT", "POST", "mark", "update")


def kind(method: str, path: str) -> str:
    if method != "PATCH":
        return method
    return "mark" if "/resources/" in path else "update"


def hold(stage: Stage, number: int, method: str | None = None) -> None:
    """Have the n-th request (of this kind) wait."""
    seen = 0

    def meddle(_: int, sent: str, path: str) -> str | None:
        nonlocal seen
        seen += method is None or kind(sent, path) == method
        return "held" if seen == number and not stage.cloud.held.is_set() else None

    stage.cloud.meddle = meddle


def one_less(stage: Stage) -> None:
    assert [one.address for one in stage.cloud.deleted] == ["10.0.0.4"]
    assert len(stage.cloud.machines) == 3
    assert all(one.weight == 1 and not one.tags for one in stage.cloud.machines)
    assert stage.brutal == []
    assert stage.cloud.deleted[0].stops == 1


async def again(stage: Stage) -> None:
    """The same order; where the first has come to its end, the cooldown says so."""
    try:
        done: Removed | None = await stage.run()
    except Refusal as why:
        assert "cooldown" in str(why)  # noqa: PT017  (both ends are right)
        done = None
    assert done is None or done.left == 3


@pytest.mark.slow
async def test_cut_off_at_every_third_request(own: dict[str, str], role: str) -> None:
    """Whatever was asked is done or not, which the one that comes next cannot know."""
    for number in range(1, 100, 3):
        async with staged(own, role) as stage:
            hold(stage, number)
            run = asyncio.create_task(stage.run())
            await stage.eventually(partial(_held_or_done, stage, run))
            ended = run.done()
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
            stage.cloud.release.set()  # what was under way is done, and nobody hears of it
            await again(stage)
            one_less(stage)
        if ended:
            break
    assert 20 < number < 99


async def test_who_has_lost_the_lock_stops_nobody_while_another_has_it(
    stage: Stage, stack: dict[str, Any]
) -> None:
    """As after a host that stood still, or was cut off from the database."""
    hold(stage, 1, "PUT")
    run = asyncio.create_task(stage.run())
    await stage.eventually(stage.cloud.held.is_set)
    superuser = await asyncpg.connect(stack["superuser_url"])
    await superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = $1 AND datname = $2",
        *(LOCK, await stage.connection.fetchval("SELECT current_database()")),
    )
    await superuser.close()
    own = "(hashtextextended($1, 0))"
    await stage.connection.execute(f"SELECT pg_advisory_lock{own}", LOCK)
    stage.cloud.release.set()
    with pytest.raises(Unfinished, match="another scale-in goes on with it"):
        await run
    assert stage.cloud.machines[3].stops == 0
    await stage.connection.execute(f"SELECT pg_advisory_unlock{own}", LOCK)
    assert (await stage.run()).resumed
    one_less(stage)


async def test_a_balancer_that_is_busy_for_ever_is_told_as_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photo_fleet.group.openstack.scale_in.OUT_WITHIN", 0.3)
    stage.cloud.meddle = lambda _, method, __: "409" if method == "PUT" else None
    with pytest.raises(Unfinished, match=r"may be out of the pool or not: .* if it is\."):
        await stage.run()
    with pytest.raises(Refusal, match="nothing is unfinished"):
        await stage.run(resume=True)
    stage.cloud.meddle = lambda *_: None
    stage.cloud.pending = 3600.0  # it takes the change, and never has done it
    with pytest.raises(Unfinished, match="may be out of the pool or not"):
        await stage.run()
    assert stage.cloud.machines[3].stops == 0


def _held_or_done(stage: Stage, run: asyncio.Task[Removed]) -> bool:
    return stage.cloud.held.is_set() or run.done()


@pytest.mark.slow
@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
async def test_killed_at_each_request_that_writes(stage: Stage, tmp_path: Path, done: bool) -> None:
    """Each command goes on where the one before was killed."""
    for write in WRITES:
        hold(stage, 1, write)
        running = await command(stage, tmp_path)
        await stage.eventually(stage.cloud.held.is_set)
        running.send_signal(signal.SIGKILL)
        await running.wait()
        stage.cloud.forget_held = not done
        stage.cloud.release.set()
        await asyncio.sleep(0.2)
        stage.cloud.held.clear()
        stage.cloud.release.clear()
        if done and write == "POST":
            await stage.eventually(lambda: stage.cloud.machines[3].status == "SHUTOFF")
    stage.cloud.meddle = lambda *_: None
    last = await command(stage, tmp_path)
    code = await asyncio.wait_for(last.wait(), 60)
    told = tmp_path.joinpath("log").read_text()
    assert code == (1 if done else 0), told  # in the first case all was done: the cooldown
    one_less(stage)
    assert "Traceback" not in told
    assert stage.cloud.secret not in told


@pytest.mark.slow
async def test_two_commands_and_what_is_told(stage: Stage, tmp_path: Path) -> None:
    """By hand, twice at the same time: one less each, one after the other."""
    both = [await command(stage, tmp_path, "--now", "--json") for _ in range(2)]
    codes = [await asyncio.wait_for(one.wait(), 60) for one in both]
    told = tmp_path.joinpath("log").read_text()
    assert codes == [0, 0], told
    assert len(stage.cloud.machines) == 2
    assert stage.brutal == []
    assert '{"removed": {"address": "10.0.0.4:8000", "left": 3, "resumed": false' in told


async def command(stage: Stage, folder: Path, *more: str) -> asyncio.subprocess.Process:
    with folder.joinpath("log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "photo_fleet.cli", "group", "scale-in", *more),
            env={"PATH": os.environ["PATH"], **stage.environ},
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
