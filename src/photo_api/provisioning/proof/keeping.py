"""What the store keeps, and what it lets go of."""

from collections.abc import AsyncIterator
from contextlib import suppress

from photo_api.provisioning.proof.attack import Attack
from photo_api.provisioning.proof.outcomes import Outcome, served
from photo_api.provisioning.proof.stage import TYPE, Stage
from photo_api.provisioning.proof.uploads import CONTENT
from photo_api.storage.base import ObjectMissing

MIB = 1024 * 1024
LARGE = 6 * MIB + 1
PIECE = 256 * 1024


async def listed(stage: Stage) -> Outcome:
    keys = [stage.photo() for _ in range(3)]
    for key in keys:
        await stage.store.put_bytes(key, CONTENT, content_type=TYPE)
    prefix = keys[0].rpartition("/")[0] + "/"
    found = {info.key: info.size async for info in stage.store.list(prefix)}
    if any(found.get(key) != len(CONTENT) for key in keys):
        there = sum(key in found for key in keys)
        return Outcome("fails", f"{there} of {len(keys)} objects are listed at once")
    return Outcome("holds", "objects are listed at once, with their sizes")


async def deleted(stage: Stage) -> Outcome:
    keys = [stage.photo() for _ in range(3)]
    for key in keys:
        await stage.store.put_bytes(key, CONTENT, content_type=TYPE)
    await stage.store.delete(keys)
    left = [key for key in keys if await _is_there(stage, key)]
    if left:
        return Outcome("fails", f"{len(left)} of {len(keys)} are there after their deletion")
    return Outcome("holds", "what was deleted is gone, several at once")


async def large(stage: Stage) -> Outcome:
    """A stream of several parts or segments, its copy, and the deletion of both."""
    source, target = await stage.large_photo(), await stage.large_photo()
    store = stage.large.store
    await store.put(source, stream(LARGE), content_type=TYPE)
    info = await store.head(source)
    if info.size != LARGE:
        return Outcome("fails", f"{LARGE} bytes were streamed, HEAD tells {info.size}")
    await store.copy(source, target, content_type=TYPE)
    expected = b"".join([piece async for piece in stream(LARGE)])
    for key, what in ((source, "the stream"), (target, "its copy")):
        if await store.get(key) != expected:
            return Outcome("fails", f"{what} has other bytes")
    got = served(await stage.ask("GET", stage.read_url(source)), expected, "GET by its URL")
    if got.state != "holds":
        return got
    await store.delete([source, target])
    if left := await stage.large.left(source) + await stage.large.left(target):
        return Outcome("fails", f"its deletion leaves {left} {stage.large.parts}")
    return Outcome("holds", f"{LARGE} bytes, copied and deleted: no {stage.large.parts} are left")


async def broken_off(stage: Stage) -> Outcome:
    key, store = await stage.large_photo(), stage.large.store
    with suppress(_Broken):
        await store.put(key, stream(LARGE, broken=True), content_type=TYPE)
    if await _is_there(stage, key):
        return Outcome("fails", "a stream that was broken off is an object")
    if left := await stage.large.left(key):
        return Outcome("fails", f"a stream that was broken off leaves {left} {stage.large.parts}")
    return Outcome("holds", f"a stream that was broken off leaves no {stage.large.parts}")


class _Broken(Exception):
    """The client went away."""


async def stream(size: int, *, broken: bool = False) -> AsyncIterator[bytes]:
    for at in range(0, size, PIECE):
        yield at.to_bytes(8) * (min(PIECE, size - at) // 8) + b"!" * (min(PIECE, size - at) % 8)
    if broken:
        raise _Broken


async def _is_there(stage: Stage, key: str) -> bool:
    try:
        await stage.store.head(key)
    except ObjectMissing:
        return False
    return True


def _makes_large(stage: Stage) -> bool:
    """S3 gets what is streamed in parts; on Swift it depends on how large photos may be."""
    settings = stage.settings
    return not stage.is_swift or settings.uploads.max_size > settings.swift.segment_size


ATTACKS = (
    Attack(
        "listed",
        "a list has what is there",
        "photo-api reconcile takes photos for lost that are there; run it only long after uploads",
        listed,
    ),
    Attack(
        "deleted",
        "what is deleted is gone",
        "photos stay that users have deleted: give the key the right to delete",
        deleted,
    ),
    Attack(
        "large",
        "what is stored in pieces is whole, is copied whole, and goes whole",
        "files get lost or stay as pieces that are paid for. On Swift the proxy's pipeline must"
        " have copy before slo and dlo",
        large,
        needed=_makes_large,
    ),
    Attack(
        "large-broken-off",
        "a stream that is broken off leaves nothing",
        "pieces stay that are paid for; let a lifecycle rule abort unfinished uploads",
        broken_off,
        needed=_makes_large,
    ),
)
