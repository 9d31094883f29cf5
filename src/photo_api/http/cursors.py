"""Opaque cursors of keyset pagination: a position in an order, not a number of rows to skip."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query

from photo_api.errors import ApiError, Code

MAX_POSITION = 2**63 - 1
LENGTH = 8


Cursor = Annotated[
    str | None,
    Query(
        max_length=64,
        description="of the page before: `next`, or from its Link header",
        examples=["AAAAAAAAACo"],
    ),
]


def encode_cursor(position: int) -> str:
    """A cursor behind this position."""
    return urlsafe_b64encode(position.to_bytes(LENGTH)).rstrip(b"=").decode()


def cursor_behind(page: Sequence[object], rows: Sequence[Any]) -> str | None:
    """A cursor behind the last row that made it into the page; None when all did, or none."""
    return encode_cursor(rows[len(page) - 1]["position"]) if 0 < len(page) < len(rows) else None


def next_page(path: str, last: int, limit: int) -> dict[str, str]:
    """The header that names the page behind this position."""
    return {"Link": f'<{path}?cursor={encode_cursor(last)}&limit={limit}>; rel="next"'}


def decode_cursor(cursor: str) -> int:
    """The position. Raises `ApiError` BAD_REQUEST for anything that `encode_cursor` never gave."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=")
    except ValueError:
        raw = b""
    position = int.from_bytes(raw)
    if len(raw) != LENGTH or position > MAX_POSITION or encode_cursor(position) != cursor:
        raise ApiError(Code.BAD_REQUEST, "The cursor is not one that this API gave; begin anew")
    return position
