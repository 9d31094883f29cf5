"""The bulk operation `date`: the user's word on when many photos were taken."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from photo_api.http.openapi import example
from photo_api.photos.bulk import Bulk, BulkBody, Found, lock_ready
from photo_api.photos.models import DateChange
from photo_api.photos.queries import dating

CENTURIES = 300 * 366 * 86_400


class BulkDate(BulkBody, DateChange):
    """Sets all to one date, or shifts each by so many seconds, for a camera whose clock was wrong;
    `utc_offset` is the offset from UTC of all of them, and no clock is moved by it. To repeat a
    shift for whose answer you have waited in vain, send an Idempotency-Key."""

    model_config = example(
        {"operation": "date", "photo_ids": [42, 43], "shift_seconds": -28_800, "utc_offset": 60}
    )
    operation: Literal["date"]
    shift_seconds: Annotated[
        StrictInt | None, Field(ge=-CENTURIES, le=CENTURIES, examples=[3600])
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = [self.sort_at, self.shift_seconds, self.date_source]
        if sum(one is not None for one in given) > 1:
            text = "only one of `sort_at`, `shift_seconds` and `date_source` can be done"
            raise PydanticCustomError("date", text)
        if self.date().is_nothing and self.shift_seconds is None:
            raise PydanticCustomError("date", "say which date")
        return self


DATE = f"""UPDATE photos p SET {dating(2, shift="$5")}, updated_at = now()
FROM (SELECT id, sort_at, utc_offset, date_source FROM photos
    WHERE id = ANY ($1::bigint[]) AND status = 'ready') AS mine
WHERE p.id = mine.id RETURNING p.id, 'user' = ANY (p.dates_passed_over) AS moved,
    (p.sort_at, p.utc_offset, p.date_source)
        IS DISTINCT FROM (mine.sort_at, mine.utc_offset, mine.date_source) AS changed"""


async def date(connection: Any, bulk: Bulk) -> Found:
    """Set or shift the dates of photos, or give them back to their files."""
    mine = await lock_ready(connection, bulk)
    shift = bulk.body.shift_seconds
    rows = await connection.fetch(DATE, mine, *bulk.body.date(), shift and float(shift))
    return {
        row["id"]: "unchanged" if not row["changed"] else "clamped" if row["moved"] else "done"
        for row in rows
    }
