"""Work of the same key takes turns, that of others does not wait for it."""

import asyncio

from photo_api.photos.keyed_semaphore import KeyedSemaphore


async def test_so_many_of_a_key_are_at_work_and_nothing_is_left() -> None:
    turns, at_work, most = KeyedSemaphore(2), {"a": 0, "b": 0}, {"a": 0, "b": 0}

    async def work(key: str) -> None:
        async with turns.of(key):
            at_work[key] += 1
            most[key] = max(most[key], at_work[key])
            await asyncio.sleep(0.01)
            at_work[key] -= 1

    tasks = [asyncio.create_task(work(key)) for key in "aaaaabb"]
    await asyncio.sleep(0)
    tasks[4].cancel()  # a caller that gives up while waiting takes no turn along
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == {"a": 2, "b": 2}
    assert turns._turns == {}
