"""Which of several tasks ended first, and what becomes of the others."""

import asyncio
import socket
import threading
import time

import pytest

from photo_base.tasks import beside, cancel, first


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


async def test_what_ended_while_the_process_stood_still_has_ended_in_time() -> None:
    loop, (near, far) = asyncio.get_running_loop(), socket.socketpair()
    with near, far:
        near.setblocking(False)

        def stand_still() -> None:
            far.send(b"told in time")
            time.sleep(1)

        async def hear() -> None:
            await loop.sock_recv(near, 100)
            for _ in range(5):  # news go through several hands
                await asyncio.sleep(0)

        loop.call_soon(stand_still)
        told = asyncio.create_task(hear())
        assert await first(told, timeout=0.1) == [told]
        assert await first(loop.create_future(), timeout=0.1) == []


async def test_work_beside_tells_its_result_or_its_failure() -> None:
    assert await beside(lambda: 7, "seven") == 7

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await beside(fails, "fails")


async def test_without_a_thread_nothing_is_done_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="thread"):
        await beside(lambda: 7, "seven")
