"""Which of several tasks ended first, and what becomes of the others."""

import asyncio

import pytest

from photo_base.tasks import cancel, first


async def _never(seen: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        seen.append("cancelled")


async def test_the_first_is_told_and_coroutines_beside_it_are_cancelled() -> None:
    seen: list[str] = []
    task = asyncio.create_task(_never(seen))
    try:
        [ended] = await first(_never(seen), task, asyncio.sleep(0, "done"))
        assert ended.result() == "done"
        assert seen == ["cancelled"], "of the coroutine, which is over before the answer"
        assert not task.done(), "a task goes on"
    finally:
        await cancel(task)
    assert seen == ["cancelled"] * 2


async def test_several_that_ended_come_in_the_order_in_which_they_were_given() -> None:
    late, soon = (asyncio.get_running_loop().create_future() for _ in range(2))
    soon.set_result("second")
    late.set_result("first")
    assert [ended.result() for ended in await first(late, soon)] == ["first", "second"]


async def test_what_the_first_raised_is_the_callers_to_raise() -> None:
    async def fails() -> None:
        raise LookupError("told")

    [ended] = await first(asyncio.Event().wait(), fails())
    with pytest.raises(LookupError, match="told"):
        ended.result()


async def test_none_is_told_when_the_time_is_over_or_the_caller_is_cancelled() -> None:
    seen: list[str] = []
    assert await first(_never(seen), timeout=0.01) == []
    waiting = asyncio.create_task(first(_never(seen)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await cancel(waiting)
    assert waiting.cancelled()
    assert seen == ["cancelled"] * 2
