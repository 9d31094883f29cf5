"""Bulk operations: one change of up to 1,000 photos, in one transaction, with an answer for each.

An operation is a function of its feature, by the name that its body has as `operation`. It gets ids
that are distinct and ascend, which is the order in which photos are locked, and tells what became
of those that it has found; the others are `not_found`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field

from photo_api.db.pool import Database
from photo_api.http.fields import BodyId, in_range
from photo_api.http.idempotency import Key, create_once
from photo_api.http.openapi import example
from photo_api.photos import trash

MOST = 1000

Status = Literal["done", "unchanged", "not_found", "clamped"]
Found = dict[int, Status]


class BulkBody(BaseModel):
    """What all operations are told; each adds its name as `operation`, and what it needs."""

    # The first wrong one is reported, and no other is looked at.
    photo_ids: Annotated[
        list[BodyId], Field(min_length=1, max_length=MOST, fail_fast=True, examples=[[42, 43]])
    ]


class BulkResult(BaseModel):
    id: int
    status: Status


class BulkResults(BaseModel):
    """An answer for each id, once, in the order in which they came. `unchanged` is one that was so
    already; `not_found` one that is not yours, or not there where the operation looks for it; and
    `clamped` is done, but for a date that cannot be, which was moved to the nearest that can."""

    model_config = example(
        {"changed": 1, "results": [{"id": 42, "status": "done"}, {"id": 43, "status": "unchanged"}]}
    )
    changed: int
    results: list[BulkResult]


@dataclass(frozen=True, slots=True)
class Bulk:
    """One request. `days`: for how long deleted photos can be restored."""

    owner_id: int
    photo_ids: list[int]
    body: Any
    days: int
    request_id: str


Operation = Callable[[Any, Bulk], Awaitable[Found]]
"""With a connection in a transaction. It may raise `ApiError`, and then nothing is changed."""


async def carry_out(
    db: Database, key: Key | None, operation: Operation, bulk: Bulk
) -> dict[str, Any]:
    """The answer, of `BulkResults`. With a `key` that was used before nothing is changed once more:
    what can be found of the photos is `unchanged`."""
    wanted = list(dict.fromkeys(bulk.body.photo_ids))
    found: Found = {}

    async def create(connection: Any) -> int:
        found.update(await operation(connection, bulk))
        return 0

    if key is None:
        async with db.transaction() as connection:
            await create(connection)
    elif (await create_once(db, key, 200, create))[1]:
        async with db.transaction() as connection:
            known = await trash.lock(connection, bulk.owner_id, bulk.photo_ids)
        found.update(told(dict.fromkeys(known, False)))
    results = [{"id": _as_came(one), "status": found.get(one, "not_found")} for one in wanted]
    changed = sum(status in ("done", "clamped") for status in found.values())
    return {"changed": changed, "results": results}


def _as_came(photo_id: int) -> int | orjson.Fragment:
    """orjson writes 64 bits of a number, and an id in a body may be any."""
    return photo_id if in_range(photo_id) else orjson.Fragment(str(photo_id))


def in_order(photo_ids: list[int]) -> list[int]:
    """These ids as operations get them, without those that no photo can have."""
    return sorted(filter(in_range, set(photo_ids)))


async def lock_ready(connection: Any, bulk: Bulk) -> list[int]:
    """Those of the photos that are neither deleted nor another's; they stay so until the
    transaction ends."""
    found = await trash.lock(connection, bulk.owner_id, bulk.photo_ids)
    return [photo_id for photo_id, row in found.items() if row["status"] == "ready"]


def told(changed: Mapping[int, bool]) -> Found:
    """What was found, by whether it was changed."""
    return {id_: "done" if one else "unchanged" for id_, one in changed.items()}
