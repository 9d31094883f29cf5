"""Types of request fields that more than one feature takes."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StringConstraints
from pydantic_core import PydanticCustomError, PydanticKnownError

from photo_api.visible_text import composed, line, name, paragraphs

MAX_ID = 2**53 - 1
"""Clients keep ids in IEEE doubles."""

MAX_LIMIT = 100


# PostgreSQL's text holds any Unicode but NUL; lone surrogates pydantic refuses by itself.
STORABLE = StringConstraints(pattern=r"^[^\x00]*$")

Text = Annotated[str, STORABLE]
"""Text that can be stored."""


LARGEST_GAIN = 4
"""Characters that become one at most when they are composed."""


def in_form(form: Callable[[str], str], most: int) -> BeforeValidator:
    """Text is brought into this form, in which ASCII is already, before its length of `most` is
    looked at: decomposed Hangul has up to three times the characters that people see. What cannot
    become as short is refused without that work."""

    def bring(value: object) -> object:
        if not isinstance(value, str) or value.isascii():
            return value
        if len(value) > LARGEST_GAIN * most:
            raise PydanticKnownError("string_too_long", {"max_length": most})
        return form(value)

    return BeforeValidator(bring)


COMPOSED = in_form(composed, 255)


def _shown(clean: Callable[[str], str]) -> AfterValidator:
    """What hides is left out and not refused: phones and word processors put it into names."""
    return AfterValidator(
        lambda text: text if text.isascii() and text.isprintable() else clean(text)
    )


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$"),
    _shown(name),
    COMPOSED,
]
"""Text on one line, with something to see in it."""

LongText = Annotated[
    str,
    Field(max_length=10_000),
    STORABLE,
    _shown(paragraphs),
    in_form(composed, 10_000),
]
Title = Annotated[str, Field(max_length=255), STORABLE, _shown(line), COMPOSED]

BodyId = StrictInt
"""An id in a body: any integer is well-formed, one that is out of range is merely unknown."""


def in_range(value: int) -> bool:
    """Whether this can be an id at all; a bigint could not even be asked about others."""
    return 1 <= value <= MAX_ID


def _written_as(pattern: str) -> BeforeValidator:
    """pydantic alone would take `5.0`, `+5`, ` 5` and `1_0` too, and Python not 4,301 digits."""
    form = re.compile(pattern)

    def check(value: object) -> object:
        if isinstance(value, str) and form.fullmatch(value) is None:
            raise PydanticKnownError("int_parsing")
        return value

    return BeforeValidator(check)


FormId = Annotated[int, _written_as(r"-?[0-9]{1,400}")]
"""An id in a form, in any range as a `BodyId`."""

PathId = Annotated[int, _written_as(r"[1-9][0-9]{0,15}"), Path(ge=1, le=MAX_ID, examples=[42])]
"""An id in a path, where an object has one name: no `007`. `http.errors` makes a 404 of one that
does not validate."""


def _clamp(value: int) -> int:
    return min(value, MAX_LIMIT)


RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def _as_text(value: object) -> object:
    """pydantic alone would take days, and seconds since 1970."""
    if not isinstance(value, str) or RFC_3339.fullmatch(value) is None:
        raise PydanticCustomError("date", "must be a date and time as RFC 3339 has them")
    return value


def _storable(value: datetime) -> datetime:
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("date", "must be in a year from 1 to 9999, in UTC too") from None
    return value


def _with_offset(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("date", "must say its offset from UTC")
    return value


WallTime = Annotated[datetime, AfterValidator(_storable), BeforeValidator(_as_text)]
"""With or without an offset from UTC."""

Moment = Annotated[WallTime, AfterValidator(_with_offset)]


def offset_of(moment: datetime | None) -> int | None:
    """From UTC, in minutes."""
    offset = None if moment is None else moment.utcoffset()
    return None if offset is None else round(offset.total_seconds() / 60)


COUNT = _written_as(r"-?[0-9]{1,18}")

Skip = Annotated[
    int,
    COUNT,
    Query(ge=0, description="how many to leave out", examples=[0]),
]
Limit = Annotated[
    int,
    COUNT,
    Query(ge=0, description=f"how many at most; above {MAX_LIMIT} is {MAX_LIMIT}", examples=[50]),
    AfterValidator(_clamp),
]
