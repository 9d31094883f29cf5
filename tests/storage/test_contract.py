"""What every object store does, whatever is behind it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from photo_api.storage.base import ObjectChanged, ObjectMissing, ObjectStore
from photo_api.storage.buffers import PART_SIZE, Budget, Share

MIB = 1024 * 1024
ODD_NAMES = ["독도 사진.jpg", "a b+c%20d.jpg", "q?x=1&y#z.jpg", "quote'\"*.jpg", "~(-_.!)", "é|é"]


async def stream(total: int, chunk: int = 65536) -> AsyncIterator[bytes]:
    """`total` bytes that differ from place to place."""
    data = content(total)
    for at in range(0, total, chunk):
        yield data[at : at + chunk]


def content(size: int) -> bytes:
    unit = b"".join(number.to_bytes(4, "big") for number in range(4096))
    return (unit * (size // len(unit) + 1))[:size]


async def collect(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
async def test_what_is_put_can_be_got(store: ObjectStore, prefix: str, size: int) -> None:
    await store.put(prefix + "x", stream(size), content_type="image/jpeg")
    assert await store.get(prefix + "x") == content(size)
    assert (await store.head(prefix + "x")).size == size


async def test_bytes_can_be_put_and_replaced(store: ObjectStore, prefix: str) -> None:
    for data in (b"one", b"", b"three"):
        await store.put_bytes(prefix + "x", data, content_type="image/png")
        assert await store.get(prefix + "x") == data


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_keys(store: ObjectStore, prefix: str, name: str) -> None:
    key = prefix + name
    await store.put_bytes(key, b"odd", content_type="image/png")
    assert await store.get(key) == b"odd"
    await store.copy(key, key + ".copy")
    await store.copy(key, key + ".anew", content_type="image/jpeg")
    assert await store.get(key + ".anew") == b"odd"
    everything = [key, key + ".copy", key + ".anew"]
    assert {info.key async for info in store.list(prefix)} == set(everything)
    await store.delete(everything)
    assert [info async for info in store.list(prefix)] == []


async def test_head_tells_size_and_age(store: ObjectStore, prefix: str) -> None:
    await store.put_bytes(prefix + "x", b"12345", content_type="image/png")
    info = await store.head(prefix + "x")
    assert (info.key, info.size) == (prefix + "x", 5)
    assert info.etag
    assert '"' not in info.etag
    assert abs(datetime.now(UTC) - info.last_modified) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("length", "expected"), [(0, b""), (4, b"0123"), (10, b"0123456789"), (99, b"0123456789")]
)
async def test_peek(store: ObjectStore, prefix: str, length: int, expected: bytes) -> None:
    await store.put_bytes(prefix + "x", b"0123456789", content_type="image/png")
    info, head = await store.peek(prefix + "x", length)
    assert (info.size, head) == (10, expected)


async def test_peek_at_an_empty_object(store: ObjectStore, prefix: str) -> None:
    await store.put_bytes(prefix + "x", b"", content_type="image/png")
    info, head = await store.peek(prefix + "x", 32)
    assert (info.size, head) == (0, b"")


@pytest.mark.parametrize(
    ("start", "end", "read"),
    [
        (0, None, (0, 10)),
        (3, None, (3, 10)),
        (3, 5, (3, 5)),
        (0, 99, (0, 10)),
        (9, 10, (9, 10)),
        (5, 5, (5, 5)),
        (10, None, (10, 10)),
        (50, 60, (10, 10)),
    ],
)
async def test_open_reads_a_range(
    store: ObjectStore, prefix: str, start: int, end: int | None, read: tuple[int, int]
) -> None:
    data = b"0123456789"
    await store.put_bytes(prefix + "x", data, content_type="image/png")
    opened = await store.open(prefix + "x", start, end)
    assert (opened.start, opened.end, opened.info.size) == (*read, 10)
    assert await collect(opened.chunks) == data[slice(*read)]


async def test_open_an_empty_object(store: ObjectStore, prefix: str) -> None:
    await store.put_bytes(prefix + "x", b"", content_type="image/png")
    opened = await store.open(prefix + "x")
    assert (opened.start, opened.end, await collect(opened.chunks)) == (0, 0, b"")


async def test_a_large_object_is_read_in_pieces(store: ObjectStore, prefix: str) -> None:
    await store.put(prefix + "x", stream(6 * MIB), content_type="image/png")
    opened = await store.open(prefix + "x", 100)
    pieces = [chunk async for chunk in opened.chunks]
    assert max(map(len, pieces)) <= MIB
    assert b"".join(pieces) == content(6 * MIB)[100:]


async def test_copy_keeps_bytes_and_leaves_the_source(store: ObjectStore, prefix: str) -> None:
    await store.put_bytes(prefix + "a", b"data", content_type="image/png")
    await store.copy(prefix + "a", prefix + "b")
    assert await store.get(prefix + "a") == await store.get(prefix + "b") == b"data"


async def test_a_copy_is_made_of_what_was_looked_at_only(store: ObjectStore, prefix: str) -> None:
    await store.put_bytes(prefix + "x", b"first", content_type="image/png")
    looked_at = (await store.peek(prefix + "x", 3))[0].etag
    await store.put_bytes(prefix + "x", b"other", content_type="image/png")
    with pytest.raises(ObjectChanged):
        await store.copy(prefix + "x", prefix + "y", content_type="image/png", etag=looked_at)
    with pytest.raises(ObjectMissing):
        await store.head(prefix + "y")
    etag = (await store.head(prefix + "x")).etag
    await store.copy(prefix + "x", prefix + "y", content_type="image/png", etag=etag)
    assert await store.get(prefix + "y") == b"other"


async def test_missing_objects(store: ObjectStore, prefix: str) -> None:
    missing = prefix + "nothing"
    with pytest.raises(ObjectMissing):
        await store.get(missing)
    with pytest.raises(ObjectMissing):
        await store.head(missing)
    with pytest.raises(ObjectMissing):
        await store.peek(missing, 10)
    with pytest.raises(ObjectMissing):
        await store.open(missing, 3)
    with pytest.raises(ObjectMissing):
        await store.copy(missing, prefix + "target")
    with pytest.raises(ObjectMissing):
        await store.copy(missing, prefix + "target", content_type="image/jpeg")


async def test_deleting_is_repeatable(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{number}" for number in range(3)]
    for key in keys[:2]:
        await store.put_bytes(key, b"x", content_type="image/png")
    await store.delete(keys)
    await store.delete(keys[:1])
    await store.delete([])
    assert [info async for info in store.list(prefix)] == []


async def test_list_is_of_a_whole_prefix(store: ObjectStore, prefix: str) -> None:
    for name in ("a/1", "a/deep/er/2", "ab/3"):
        await store.put_bytes(prefix + name, name.encode(), content_type="image/png")
    listed = {info.key: info.size async for info in store.list(prefix + "a/")}
    assert listed == {prefix + "a/1": 3, prefix + "a/deep/er/2": 11}
    everything = {info.key async for info in store.list("")}
    assert everything >= {prefix + "a/1", prefix + "ab/3"}


async def test_a_failing_source_leaves_nothing(store: ObjectStore, prefix: str) -> None:
    class ClientGone(Exception):
        pass

    async def interrupted(total: int) -> AsyncIterator[bytes]:
        async for chunk in stream(total):
            yield chunk
        raise ClientGone

    budget = Budget(4 * PART_SIZE)
    for total in (1000, 4 * MIB, 5 * MIB, 6 * MIB, 12 * MIB):
        share = Share(budget, "a", 20 * MIB)
        with pytest.raises(ClientGone):
            await store.put(prefix + "x", interrupted(total), content_type="image/png", share=share)
        assert budget.held == 0, total
    assert [info async for info in store.list(prefix)] == []


async def test_streams_that_share_little_memory_all_arrive(store: ObjectStore, prefix: str) -> None:
    """There is room for one part, and each stream has three."""
    budget, sizes = Budget(2 * PART_SIZE), [11 * MIB + number for number in range(4)]

    async def put(size: int) -> None:
        share = Share(budget, "a", size)
        key = f"{prefix}{size}"
        await store.put(key, stream(size), content_type="image/png", share=share)

    await asyncio.gather(*map(put, sizes))
    assert budget.held == 0
    for size in sizes:
        assert (await store.head(f"{prefix}{size}")).size == size
    assert await store.get(f"{prefix}{sizes[3]}") == content(sizes[3])


async def test_ping(store: ObjectStore) -> None:
    await store.ping()
