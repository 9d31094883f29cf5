"""A supervisor that stands still for a while, and then hears everything."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from photo_api.supervisor.control_channel import ControlChannel, messages
from photo_api.supervisor.spawning import socket_pair

SENT = 200
"""Of 8 kB each: more than a socket holds."""


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_all_that_wait_to_be_heard_are_heard(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def heard() -> list[int]:
        ours, theirs = socket_pair()
        channel = ControlChannel(theirs.detach())
        sending = [
            asyncio.create_task(channel.send(f"{number} {'x' * 8000}")) for number in range(SENT)
        ]
        await asyncio.sleep(0.05)
        assert not all(task.done() for task in sending), "the socket is full"
        numbers = []
        async with asyncio.timeout(10):
            async for message in messages(ours):
                numbers.append(int(message.partition(" ")[0]))
                if len(numbers) == SENT:
                    break
            await asyncio.gather(*sending)
        ours.close()
        return numbers

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(heard()) == list(range(SENT))
