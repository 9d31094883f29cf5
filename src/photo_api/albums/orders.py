"""The orders in which an album can be shown, and where a page of each begins.

By position is as the owner has arranged it: without a choice, and at once, in one statement. An
album with another order costs a second one, unless the cursor names its order already.
"""

from collections.abc import Awaitable, Callable, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from photo_api.errors import ApiError, Code
from photo_api.http.cursors import (
    MAX_POSITION,
    decode_cursor,
    decode_moment,
    encode_cursor,
    encode_moment,
)
from photo_api.http.pages import behind, ended_by_bytes
from photo_api.photos.presentation import COLUMNS

OTHER = "The cursor is of another order than the album has now; begin anew"
TAKEN = ("sort_at", "photo_id")


@dataclass(frozen=True, slots=True)
class Order:
    """What `albums.sort` names. `keys` are columns of `album_photos` that tell photos of an album
    apart, of these `kinds`; `start` is before all of them. `tag` begins this order's cursors."""

    name: str
    tag: str
    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    start: tuple[Any, ...]
    descending: bool

    def columns(self, table: str) -> str:
        return ", ".join(f"{table}.{key}" for key in self.keys)

    def by(self, table: str) -> str:
        """For ORDER BY."""
        way = " DESC" if self.descending else ""
        return ", ".join(f"{table}.{key}{way}" for key in self.keys)

    def beyond(self, table: str, bound: str) -> str:
        """The condition that a row comes after this one."""
        return f"({self.columns(table)}) {'<' if self.descending else '>'} {bound}"

    def cursor_behind(self, page: Sized, rows: Sequence[Any]) -> str | None:
        """A cursor behind the last row that made it into the page; None when all did, or none."""
        if not 0 < len(page) < len(rows):
            return None
        keys = [rows[len(page) - 1][key] for key in self.keys]
        return self.tag + (encode_moment(*keys) if self.keys == TAKEN else encode_cursor(*keys))

    def after(self, cursor: str) -> tuple[Any, ...] | None:
        """The keys behind which this cursor of the order is; None for one of another order. Raises
        `ApiError` BAD_REQUEST for what no order gave."""
        length = len(encode_moment(*self.start) if self.keys == TAKEN else encode_cursor(0))
        text = cursor.removeprefix(self.tag)
        if len(text) != length or cursor != self.tag + text:
            return None
        return decode_moment(text) if self.keys == TAKEN else (decode_cursor(text),)


ORDERS = {
    order.name: order
    for order in (
        Order("position", "", ("position",), ("bigint",), (-1,), False),
        Order("-position", "p", ("position",), ("bigint",), (MAX_POSITION,), True),
        Order("taken", "t", TAKEN, ("timestamp", "bigint"), (datetime.min, 0), False),
        Order("-taken", "u", TAKEN, ("timestamp", "bigint"), (datetime.max, MAX_POSITION), True),
    )
}
POSITION = ORDERS["position"]


def place_of(cursor: str | None) -> tuple[Order, tuple[Any, ...]]:
    """The order of a cursor, and the keys behind which it is. Raises `ApiError` BAD_REQUEST for
    anything that no order gave."""
    if not cursor:
        return POSITION, POSITION.start
    for order in ORDERS.values():
        after = order.after(cursor)
        if after is not None:
            return order, after
    return POSITION, (decode_cursor(cursor),)


def photos_in(
    order: Order, limit: str, skip: str, after: Sequence[str], condition: str = ""
) -> str:
    """The photos of the album `a` in this order, behind the keys `after`; all are parameters. By
    position there are none where the album has another order: that costs others nothing. What
    is skipped is read of an index alone. Photos that are not ready do not count by position,
    which is the contract's order; an album has none but those that are being moved here."""
    keys = ", ".join(f"{one}::{kind}" for one, kind in zip(after, order.kinds, strict=True))
    if order is POSITION:
        condition += " AND a.sort = 'position'"
        bound = behind(after=after[0], skip=skip)
    else:
        bound = (
            f"(SELECT {keys} WHERE {skip}::bigint = 0 UNION ALL"
            f" (SELECT {order.columns('x')} FROM album_photos x WHERE {skip} > 0"
            f" AND x.album_id = a.id AND {order.beyond('x', f'({keys})')} ORDER BY {order.by('x')}"
            f" OFFSET greatest({skip} - 1, 0) LIMIT 1))"
        )
    return ended_by_bytes(
        f"SELECT {order.columns('m')}, {COLUMNS} FROM album_photos m JOIN photos p"
        " ON p.id = m.photo_id AND p.status = 'ready' WHERE m.album_id = a.id"
        f" AND {order.beyond('m', bound)}{condition} ORDER BY {order.by('m')} LIMIT {limit}",
        order=order.by("p"),
    )


Fetch = Callable[[Order, tuple[Any, ...]], Awaitable[list[Any]]]
"""Rows of an album with its photos in this order behind the keys, and its `sort`."""


async def in_its_order(fetch: Fetch, cursor: str | None) -> tuple[list[Any], Order]:
    """The rows in the album's own order, and that order; no rows without an album. Raises
    `ApiError` BAD_REQUEST for a cursor of another order."""
    order, after = place_of(cursor)
    rows = await fetch(order, after)
    if not rows or rows[0]["sort"] == order.name:
        return rows, order
    if cursor:
        raise ApiError(Code.BAD_REQUEST, OTHER)
    order = ORDERS[rows[0]["sort"]]
    return await fetch(order, order.start), order
