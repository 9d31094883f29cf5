"""Opaque cursors of keyset pagination: a position in an order, not a number of rows to skip."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query

from photo_api.errors import ApiError, Code

MAX_POSITION = 2**63 - 1
EPOCH = datetime(1, 1, 1)
LAST = (datetime.max - EPOCH) // timedelta(microseconds=1)
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
    return _text(position.to_bytes(LENGTH))


def next_page(path: str, last: int, limit: int, asked: str = "") -> dict[str, str]:
    """The header that names the page behind this position; `asked` is what else its query has."""
    return {"Link": f'<{path}?cursor={encode_cursor(last)}&limit={limit}{asked}>; rel="next"'}


def next_found(path: str, cursor: str, limit: int, asked: str) -> dict[str, str]:
    """The same behind a cursor, with what the list was `asked` for as a query string."""
    return {"Link": f'<{path}?cursor={cursor}&limit={limit}&{asked}>; rel="next"'}


def decode_cursor(cursor: str) -> int:
    """The position. Raises `ApiError` BAD_REQUEST for anything that `encode_cursor` never gave."""
    position = int.from_bytes(_raw(cursor, LENGTH))
    if position > MAX_POSITION:
        raise _unknown()
    return position


def encode_moment(moment: datetime, number: int) -> str:
    """A cursor behind this id in the order of a local time and ids."""
    since = (moment - EPOCH) // timedelta(microseconds=1)
    return _text(since.to_bytes(LENGTH) + number.to_bytes(LENGTH))


def decode_moment(cursor: str) -> tuple[datetime, int]:
    """The position. Raises `ApiError` BAD_REQUEST for anything that `encode_moment` never gave."""
    raw = _raw(cursor, 2 * LENGTH)
    since, number = int.from_bytes(raw[:LENGTH]), int.from_bytes(raw[LENGTH:])
    if since > LAST or number > MAX_POSITION:
        raise _unknown()
    return EPOCH + timedelta(microseconds=since), number


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(cursor: str, length: int) -> bytes:
    """So many bytes, in the one spelling that `_text` gives them."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"==")
    except ValueError:
        raw = b""
    if len(raw) != length or _text(raw) != cursor:
        raise _unknown()
    return raw


def _unknown() -> ApiError:
    return ApiError(Code.BAD_REQUEST, "The cursor is not one that this API gave; begin anew")
