"""Memory of parts that is kept for the next ones."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from photo_api.storage import part_memory
from photo_api.storage.buffers import KEPT, PART_SIZE, Budget, Parts, Share
from photo_api.storage.part_memory import Block, PartMemory

KIB = 1024


@pytest.fixture
def memory() -> PartMemory:
    return PartMemory(64 * KIB, 128 * KIB)


def used(memory: PartMemory, room: int) -> Block:
    """A block that is written to as far as there is room."""
    block = memory.take(room)
    block.memory[:room] = b"x" * room
    return block


async def test_what_is_given_back_is_taken_again(memory: PartMemory) -> None:
    block = used(memory, 10 * KIB)
    memory.give_back(block, 10 * KIB)
    assert memory.kept == 12 * KIB, "whole pages"
    assert memory.take(64 * KIB) is block
    assert memory.kept == 0


async def test_nobody_gets_what_somebody_may_read_still(memory: PartMemory) -> None:
    """As a store may, that was given up or has not answered."""
    block = used(memory, KIB)
    with memoryview(block.memory)[:KIB]:
        memory.give_back(block, KIB)
        assert memory.kept == 0
        assert memory.take(KIB) is not block


async def test_no_more_is_kept_than_may_be(memory: PartMemory) -> None:
    for block in [used(memory, 64 * KIB) for _ in range(4)]:
        memory.give_back(block, 64 * KIB)
    assert memory.kept == 128 * KIB
    memory.keep_within(100 * KIB)
    assert memory.kept == 64 * KIB


async def test_a_small_part_takes_no_more_memory_than_its_room(memory: PartMemory) -> None:
    memory.give_back(used(memory, 64 * KIB), 64 * KIB)
    block = memory.take(5 * KIB)
    assert block.memory[: 8 * KIB] == b"x" * 8 * KIB
    assert not any(block.memory[8 * KIB : 64 * KIB]), "which was given to the kernel"
    memory.give_back(block, KIB)
    assert memory.kept == 8 * KIB


async def test_after_some_quiet_nothing_is_kept(
    memory: PartMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_memory, "QUIET", 0.2)
    memory.give_back(used(memory, KIB), KIB)
    for _ in range(6):
        await asyncio.sleep(0.1)
        memory.give_back(memory.take(KIB), KIB)
        assert memory.kept
    async with asyncio.timeout(10):
        while memory.kept:
            await asyncio.sleep(0.05)


async def repeated(byte: bytes, size: int) -> AsyncIterator[bytes]:
    for _ in range(size // KIB):
        yield byte * KIB


async def test_a_part_that_is_read_beyond_its_end_stays_as_it_was() -> None:
    budget = Budget(4 * PART_SIZE)
    first = Parts(repeated(b"a", 64 * KIB), Share(budget, "a", 64 * KIB))
    part = await first.next()
    assert part is not None
    sent = memoryview(part)  # what a client of the store holds, until its request has ended
    first.close()
    second = Parts(repeated(b"b", 64 * KIB), Share(budget, "b", 64 * KIB))
    following = await second.next()
    assert following is not None
    assert bytes(following) == b"b" * 64 * KIB
    assert bytes(sent) == b"a" * 64 * KIB


async def test_parts_of_one_stream_after_the_other_have_the_same_memory() -> None:
    budget = Budget(4 * PART_SIZE)
    for byte in (b"a", b"b", b"c"):
        parts = Parts(repeated(byte, 64 * KIB), Share(budget, "a", 64 * KIB))
        part = await parts.next()
        assert part is not None
        assert bytes(part) == byte * 64 * KIB
        parts.close()
        assert budget.memory.kept == 64 * KIB


async def test_what_is_kept_and_what_is_held_fit_into_the_budget_together() -> None:
    budget = Budget(4 * PART_SIZE)
    streams = [
        Parts(repeated(b"a", PART_SIZE), Share(budget, party, PART_SIZE)) for party in "aabb"
    ]
    for parts in streams:
        await parts.next()
    for parts in streams:
        parts.close()
    assert budget.memory.kept == KEPT
    assert budget.take_now("c", PART_SIZE + 1)
    assert budget.memory.kept == KEPT - 2 * PART_SIZE
