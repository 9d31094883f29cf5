"""Originals of another service made ours: copied inside the store, with the type of their bytes.

Its photos stand in the table as pending, their `staging_key` naming the object in its bucket and no
time at which they expire. That bucket is only read.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from photo_api.jobs.queue import enqueuing
from photo_api.photos.formats import EXTENSIONS, SNIFF_LENGTH, sniff
from photo_api.photos.upload_queries import KEY_GRACE
from photo_api.storage.base import ObjectInfo, ObjectMissing, ObjectStore, StoreUnavailable

BATCH = 500
AT_ONCE = 16
TRIES, PAUSE = 3, 1.5
"""Of an object, and seconds in between: a store that takes writes again is known by then."""

MOST_KEPT_BACK = 100
"""Objects in a row: it is the store then, or the permission to read the bucket."""

MINE = "mine AS (SELECT id FROM photos WHERE id = $1 AND status = 'pending' FOR UPDATE)"
"""The photo $1 while it waits, locked first: a run that was killed may have a commit under way."""


@dataclass(slots=True)
class Moved:
    """What became of them; lists hold "photo id: object". Those of the first three lists stay
    pending, which nobody sees, and are tried again."""

    photos: int = 0
    missing: list[str] = field(default_factory=list)
    no_images: list[str] = field(default_factory=list)
    to_try_again: list[str] = field(default_factory=list)
    """Changed while they were copied, of a name that the store's client refuses, or kept back by a
    store that answers otherwise: archived, damaged, not ours to read."""
    other_types: list[str] = field(default_factory=list)
    """Photos whose bytes are another image than their row said."""
    other_sizes: list[str] = field(default_factory=list)
    """Photos whose object is shorter or longer than their row said."""

    @property
    def left(self) -> int:
        return len(self.missing) + len(self.no_images) + len(self.to_try_again)


async def move_objects(
    db: Any, store: ObjectStore, old: ObjectStore, bucket: str, progress: Callable[[str], None]
) -> Moved:
    """Make photos of all that wait, from the objects of `old`, whose bucket is `bucket`. May be
    broken off and run again, with another database too: what has been copied is found. Raises
    `StoreUnavailable`."""
    moved, after, in_a_row = Moved(), 0, 0
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(photo: Any) -> None:
        nonlocal in_a_row
        async with turns:
            move = partial(_move, db, store, old, bucket, photo, moved)
            failure = await _despite_failures(old, store, move)
            if failure is None:
                in_a_row = 0
                return
            moved.to_try_again.append(_told(photo))
            in_a_row += 1
            if in_a_row >= MOST_KEPT_BACK:
                raise failure

    while batch := await _waiting(db, after):
        try:
            async with asyncio.TaskGroup() as group:
                for photo in batch:
                    group.create_task(in_turn(photo))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        after = batch[-1]["id"]
        progress(f"{moved.photos} photos moved, {moved.left} left")
    await _show_to_visitors(db)
    return moved


async def _despite_failures(
    old: ObjectStore, store: ObjectStore, move: Callable[[], Awaitable[None]]
) -> StoreUnavailable | None:
    """Tried again while the store answers: the failures of others may have kept this one from being
    asked for. What keeps the object back in the end; raises it when the store does not answer."""
    failure = None
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(PAUSE)
        try:
            await move()
            return None
        except StoreUnavailable as error:
            failure = error
            if not (await _answers(old) and await _answers(store)):
                raise
    return failure


async def _answers(store: ObjectStore) -> bool:
    try:
        await store.ping()
    except StoreUnavailable:
        return False
    return True


async def _waiting(db: Any, after: int) -> list[Any]:
    rows: list[Any] = await db.fetch(
        "SELECT id, owner_id, staging_key, content_type, file_size FROM photos"
        " WHERE status = 'pending' AND upload_expires_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
        after, BATCH,
    )  # fmt: skip
    return rows


async def _move(
    db: Any, store: ObjectStore, old: ObjectStore, bucket: str, photo: Any, moved: Moved
) -> None:
    source = photo["staging_key"]
    told = _told(photo)
    try:
        # obstore would leave slashes at the ends out, and refuses empty segments, dots, controls.
        if source.strip("/") != source:
            raise ValueError(source)
        info, head = await old.peek(source, SNIFF_LENGTH)
    except ObjectMissing:
        moved.missing.append(told)
        return
    except ValueError:
        moved.to_try_again.append(told)
        return
    content_type = sniff(head)
    if content_type is None:
        moved.no_images.append(told)
        return
    key = _key(photo, content_type)
    copied = await _note(db, photo["id"], key) and await _copy(
        store, bucket, info, key, content_type
    )
    if not copied or not await _make_photo(db, photo["id"], key, content_type, info.size):
        moved.to_try_again.append(told)
        return
    moved.photos += 1
    if content_type != photo["content_type"]:
        moved.other_types.append(told)
    if info.size != photo["file_size"]:
        moved.other_sizes.append(told)


def _told(photo: Any) -> str:
    return f"{photo['id']}: {photo['staging_key']}"


def _key(photo: Any, content_type: str) -> str:
    """As an upload's, but the same each time: what was copied before is found."""
    name = hashlib.sha256(photo["staging_key"].encode()).hexdigest()[:32]
    return f"photos/{photo['owner_id']}/{photo['id']}/{name}{EXTENSIONS[content_type]}"


async def _note(db: Any, photo_id: int, key: str) -> bool:
    """Write the key down before its bytes are there. False while the sweep is deleting it, and when
    the photo does not wait any more: its key may be this one."""
    return await db.fetchval(
        f"WITH {MINE} INSERT INTO unreferenced_objects AS u (object_key, delete_after)"
        " SELECT $2, now() + make_interval(secs => $3) FROM mine"
        " ON CONFLICT (object_key)"
        " DO UPDATE SET delete_after = excluded.delete_after WHERE NOT u.taken RETURNING true",
        photo_id, key, float(KEY_GRACE),
    ) is not None  # fmt: skip


async def _copy(
    store: ObjectStore, bucket: str, source: ObjectInfo, key: str, content_type: str
) -> bool:
    """Whether there is a copy of the object as it was looked at."""
    try:
        known = await store.head(key)
        if known.size == source.size and known.last_modified > source.last_modified:
            return True
    except ObjectMissing:
        pass
    try:
        await store.copy_from(bucket, source.key, key, content_type=content_type)
        copy, head = await store.peek(key, SNIFF_LENGTH)
    except ObjectMissing:
        return False
    return copy.size == source.size and sniff(head) == content_type


async def _make_photo(db: Any, photo_id: int, key: str, content_type: str, size: int) -> bool:
    return await db.fetchval(
        f"""
        WITH {MINE}, adopted AS (
            DELETE FROM unreferenced_objects WHERE object_key = $2 AND NOT taken
            AND EXISTS (SELECT FROM mine) RETURNING object_key
        ), ready AS (
            UPDATE photos p SET status = 'ready', object_key = adopted.object_key,
                content_type = $3, file_size = $4
            FROM mine, adopted WHERE p.id = mine.id RETURNING p.id
        ), {enqueuing("renditions", "ready")}
        SELECT id FROM ready
        """,
        photo_id, key, content_type, size,
    ) is not None  # fmt: skip


async def _show_to_visitors(db: Any) -> None:
    """Photos were in their albums before they were ready: whoever looked through a shared album
    then has missed them."""
    await db.execute(
        "SELECT look_through_album(id, 0) FROM albums a"
        " WHERE EXISTS (SELECT FROM shares s WHERE s.album_id = a.id AND s.is_active)"
    )
