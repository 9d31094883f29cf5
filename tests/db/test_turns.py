"""Places are given in turn, to nobody who has gone, and nobody waits for longer than they said."""

import asyncio
import time

import pytest

from photo_api.db.connections import Turns


async def test_places_go_in_turn_to_those_who_still_wait() -> None:
    turns, given = Turns(2, 60), list[int]()

    async def wait(number: int) -> None:
        await turns.take()
        given.append(number)

    await turns.take()
    await turns.take()
    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # before its turn
    turns.give_back()
    waiting[1].cancel()  # in the moment of its turn
    await asyncio.wait(waiting[:3])
    assert given == [2]
    turns.give_back()
    turns.give_back()
    await asyncio.wait(waiting)
    assert given == [2, 3, 4]
    assert not turns.is_free
    turns.give_back()
    turns.give_back()
    assert [turns.is_free, await turns.take() > 0, turns.is_free] == [True, True, True]


async def test_everybody_waits_for_as_long_and_no_place_is_lost() -> None:
    turns = Turns(1, 0.1)
    await turns.take()
    loop, ended = asyncio.get_running_loop(), list[float]()

    async def wait(after: float) -> None:
        await asyncio.sleep(after)
        began = loop.time()
        with pytest.raises(TimeoutError):
            await turns.take()
        ended.append(loop.time() - began)

    began = time.monotonic()
    await asyncio.gather(*map(wait, (0, 0.04, 0.08)))
    stalled = time.monotonic() - began - 0.18
    assert all(0.09 < seconds < 0.15 + stalled for seconds in ended)
    turns.give_back()
    await turns.take()
    assert not turns.is_free
