"""The budget of bytes that streams to the store share."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from photo_api.storage import buffers
from photo_api.storage.buffers import (
    PART_SIZE,
    PARTS_HELD,
    Budget,
    GaveWay,
    NoRoom,
    Parts,
    Share,
)

MIB = 1024 * 1024


async def soon() -> None:
    """Let everybody go on who can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield bytes(size)


async def stalling(size: int) -> AsyncIterator[bytes]:
    yield bytes(size)
    await asyncio.sleep(60)


async def sizes(parts: Parts) -> list[int]:
    found = []
    while (part := await parts.next()) is not None:
        found.append(len(part))
    return found


@pytest.fixture
def budget() -> Budget:
    """Of four parts; a party has two."""
    return Budget(4 * PART_SIZE)


async def test_one_party_has_half_and_others_have_the_rest(budget: Budget) -> None:
    for party in ("a", "b"):
        assert budget.take_now(party, PART_SIZE)
        assert budget.take_now(party, PART_SIZE)
        assert not budget.take_now(party, 1)
    assert not budget.take_now("c", 1)
    assert budget.held == 4 * PART_SIZE


async def test_who_waits_longest_is_first_and_nobody_passes(budget: Budget) -> None:
    for party in "aabb":
        assert budget.take_now(party, PART_SIZE)
    served: list[str] = []

    async def wait(name: str, room: int) -> None:
        await budget.take(name, room)
        served.append(name)

    waiting = []
    for name, room in (("large", PART_SIZE), ("small", MIB), ("b", MIB)):
        waiting.append(asyncio.create_task(wait(name, room)))
        await soon()
    budget.give_back("a", MIB)
    await soon()
    assert served == [], "the small one would have room, but came later"
    assert not budget.take_now("other", 1)
    budget.give_back("a", PART_SIZE - MIB)
    budget.give_back("a", MIB)
    await soon()
    assert served == ["large", "small"], "b has its half"
    budget.give_back("b", PART_SIZE)
    await asyncio.gather(*waiting)


async def test_the_network_that_has_least_is_first() -> None:
    """Of one that has all it may have, nobody is waited for."""
    budget = Budget(4 * PART_SIZE, lambda party: party[0])
    parties = ("a1", "a1", "b1", "b2")
    for party in parties:
        assert budget.take_now(party, PART_SIZE)
    served: list[str] = []

    async def wait(party: str) -> None:
        await budget.take(party, PART_SIZE)
        served.append(party)

    waiting = []
    for party in ("a1", "c1", "c2", "c3", "d1", "c4", "d2"):
        waiting.append(asyncio.create_task(wait(party)))
        await soon()
    for party in reversed(parties):
        budget.give_back(party, PART_SIZE)
        await soon()
    assert served == ["c1", "d1", "a1", "c2"]
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)


async def test_who_gives_up_lets_the_next_one_in(budget: Budget) -> None:
    for party in "aabb":
        assert budget.take_now(party, PART_SIZE)
    first = asyncio.create_task(budget.take("c", PART_SIZE))
    await soon()
    second = asyncio.create_task(budget.take("d", MIB))
    await soon()
    budget.give_back("a", MIB)
    first.cancel()
    await second
    assert budget.held == 4 * PART_SIZE


async def test_room_that_comes_as_its_waiter_goes_is_given_on(budget: Budget) -> None:
    for party in "aabb":
        assert budget.take_now(party, PART_SIZE)
    waiting = asyncio.create_task(budget.take("c", PART_SIZE))
    await soon()
    budget.give_back("a", PART_SIZE)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.held == 3 * PART_SIZE


async def test_a_wait_has_an_end(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "LONGEST_WAIT", 0.05)
    assert budget.take_now("a", 2 * PART_SIZE)
    parts = Parts(chunks(MIB), Share(budget, "a", MIB))
    with pytest.raises(NoRoom):
        await parts.next()
    assert budget.held == 2 * PART_SIZE


async def test_a_slow_stream_gives_way_when_others_wait(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of several the slowest alone."""
    monkeypatch.setattr(buffers, "PATIENCE", 0.2)

    shares = [Share(budget, "a", PART_SIZE) for _ in range(3)]
    slow, faster = (
        asyncio.create_task(Parts(stalling(size), share).next())
        for size, share in zip((1, MIB), shares, strict=False)
    )
    await asyncio.sleep(0.5)
    assert not slow.done(), "nobody waits"
    assert await sizes(Parts(chunks(MIB), shares[2])) == [MIB]
    with pytest.raises(GaveWay):
        await slow
    assert not faster.done()
    faster.cancel()
    await asyncio.wait([faster])
    assert budget.held == MIB


@pytest.mark.parametrize(
    "parties", [["a1", "a1", "a2", "a2"], ["a1", "b1", "c1", "d1"]], ids=" ".join
)
async def test_a_network_that_has_more_gives_way_however_fast_it_is(
    parties: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, for one that has less: whoever has no more than that waits for its turn."""
    monkeypatch.setattr(buffers, "PATIENCE", 0.1)
    monkeypatch.setattr(buffers, "TURN", 0.3)
    monkeypatch.setattr(buffers, "SLOWEST", 1)
    monkeypatch.setattr(buffers, "LONGEST_WAIT", 1.0)
    budget = Budget(4 * PART_SIZE, lambda party: party[0])
    filling = [
        asyncio.create_task(Parts(stalling(MIB + number), Share(budget, party, PART_SIZE)).next())
        for number, party in enumerate(reversed(parties))
    ]
    await soon()
    waiting = asyncio.create_task(sizes(Parts(chunks(MIB), Share(budget, "e1", MIB))))
    await asyncio.wait([waiting])
    gave_way = [one for one in filling if one.done()]
    if len(set(parties)) == 4:
        assert isinstance(waiting.exception(), NoRoom)
        assert gave_way == []
    else:
        assert waiting.result() == [MIB]
        assert [type(one.exception()) for one in gave_way] == [GaveWay]
        assert gave_way == filling[:1], "the slowest"
    for one in filling:
        one.cancel()
    await asyncio.wait(filling)


async def test_parts_that_are_lent_have_room_until_they_are_dropped() -> None:
    """In whatever order, by any thread; no further one is filled before."""
    budget = Budget(4 * PARTS_HELD * PART_SIZE)
    size = PARTS_HELD * PART_SIZE + 6 * MIB
    parts = Parts(chunks(*[MIB] * (size // MIB)), Share(budget, "a", size))
    lent = [await parts.next_lent() for _ in range(PARTS_HELD)]
    following = asyncio.create_task(parts.next_lent())
    await soon()
    assert not following.done()
    await asyncio.to_thread(lent.pop)
    await following
    assert budget.held == PARTS_HELD * PART_SIZE
    last = asyncio.create_task(parts.next_lent())
    await soon()
    assert not last.done()
    lent.clear()
    assert len(await last or b"") == MIB
    assert budget.held == PART_SIZE + MIB
    del following, last
    await soon()
    assert budget.held == 0


async def test_a_part_that_is_sent_holds_nothing_while_its_client_is_waited_for(
    budget: Budget,
) -> None:
    parts = Parts(stalling(PART_SIZE), Share(budget, "a", 2 * PART_SIZE))
    lent = await parts.next_lent()
    following = asyncio.create_task(parts.next_lent())
    await soon()
    assert budget.held == PART_SIZE
    del lent
    await soon()
    assert budget.held == 0
    following.cancel()
    await asyncio.wait([following])


async def test_nobody_waits_for_parts_of_a_stream_that_was_given_up() -> None:
    budget = Budget(4 * PARTS_HELD * PART_SIZE)
    parts = Parts(chunks(*[MIB] * 21), Share(budget, "a", 21 * MIB))
    lent = [await parts.next_lent() for _ in range(PARTS_HELD)]
    following = asyncio.create_task(parts.next_lent())
    await soon()
    parts.close()
    with pytest.raises(ConnectionAbortedError):
        await following
    lent.clear()
    await soon()
    assert budget.held == 0


async def test_a_source_that_fails_leaves_nothing_behind(budget: Budget) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield bytes(PART_SIZE + 1)
        raise ConnectionError

    parts = Parts(failing(), Share(budget, "a", 2 * PART_SIZE))
    assert len(await parts.next() or b"") == PART_SIZE
    with pytest.raises(ConnectionError):
        await parts.next()
    assert budget.held == PART_SIZE
    parts.close()
    assert budget.held == 0


async def test_what_is_filled_after_the_end_has_no_room(budget: Budget) -> None:
    """Whoever reads a stream for obstore goes on after the upload was given up."""
    resumed = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield bytes(1)
        await resumed.wait()

    parts = Parts(waiting(), Share(budget, "a", MIB))
    filling = asyncio.create_task(parts.next())
    await soon()
    assert budget.held == MIB
    parts.close()
    resumed.set()
    await filling
    assert budget.held == 0


async def test_a_part_takes_what_it_may_have_and_keeps_what_it_has(budget: Budget) -> None:
    share = Share(budget, "a", 3 * MIB)
    parts = Parts(chunks(MIB, MIB), share)
    reading = asyncio.create_task(parts.next())
    await soon()
    assert len(await reading or b"") == 2 * MIB
    assert budget.held == 2 * MIB
    assert await parts.next() is None


@pytest.mark.parametrize("longest", [1, 7 * MIB, 10**9])
async def test_parts_are_the_stream_whatever_was_told_of_its_length(
    budget: Budget, longest: int
) -> None:
    found = bytearray()
    parts = Parts(chunks(*[MIB - 1] * 13), Share(budget, "a", longest))
    while (part := await parts.next()) is not None:
        assert len(part) <= PART_SIZE
        found += part
        parts.let_go()
    assert found == bytes(13 * (MIB - 1))
    assert budget.held == 0
