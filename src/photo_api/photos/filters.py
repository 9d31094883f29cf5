"""What of one's photos a list may be asked for, as query parameters."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlencode

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from photo_api.http.cursors import Cursor
from photo_api.http.fields import STORABLE, Limit, Skip
from photo_api.http.openapi import example
from photo_api.photos.search import Terms, terms_of

Type = Literal["jpeg", "png", "gif", "webp", "heic", "heif", "avif"]
IN_NO_ALBUM = "none"


class Box(NamedTuple):
    """In degrees; one whose west is east of its east reaches over the date line."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class Filters:
    """What all photos of a list have in common; None asks nothing."""

    taken_from: datetime | None = None
    taken_before: datetime | None = None
    terms: Terms | None = None
    camera: str | None = None
    content_type: str | None = None
    favourite: bool | None = None
    archived: bool | None = None
    has_place: bool | None = None
    box: Box | None = None
    album: int | None = None
    in_no_album: bool = False
    without_renditions: bool = False


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("date", "There is no such day or time") from error
    return text


def _box(text: str) -> str:
    west, south, east, north = map(float, text.split(","))
    if abs(west) > 180 or abs(east) > 180 or not -90 <= south <= north <= 90:
        raise PydanticCustomError("box", "Degrees: west,south,east,north")
    return text


Moment = Annotated[
    str | None,
    Query(
        max_length=19,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$",
        description="by the clock on the wall where it was taken; a day alone is its beginning",
        examples=["2024-05-12"],
    ),
    AfterValidator(lambda text: text and _moment(text)),
]
DEGREES = r"-?[0-9]{1,3}(\.[0-9]{1,10})?"


class PhotoQuery(BaseModel):
    """Without any of what follows `cursor` the list is that of all photos, newest upload first."""

    model_config = ConfigDict(frozen=True)

    skip: Skip = 0
    limit: Limit = 50
    behind: Annotated[Cursor, Field(alias="cursor")] = None
    order: Annotated[
        Literal["taken"] | None,
        Query(description="the last one taken first, as in all lists of what is asked for below"),
    ] = None
    taken_from: Moment = None
    taken_before: Moment = None
    q: Annotated[
        str | None,
        Query(
            max_length=200,
            description="words or parts of words of title, description (its first 2,000"
            " characters), file name and camera, all of which have to be there; of one or two"
            " letters, whole words",
            examples=["서울 IMG_2024"],
        ),
        STORABLE,
    ] = None
    camera: Annotated[
        str | None,
        Query(max_length=255, description="of `/photos/facets`", examples=["Canon EOS R6"]),
        STORABLE,
    ] = None
    type: Annotated[Type | None, Query(description="what the bytes are")] = None
    favourite: Annotated[Literal["true"] | None, Query(description="favourites alone")] = None
    archived: Annotated[
        bool | None, Query(description="what is archived alone; false: all but that")
    ] = None
    has_place: Annotated[
        bool | None, Query(description="whether it is known where it was taken")
    ] = None
    bbox: Annotated[
        str | None,
        Query(
            max_length=63,
            pattern=f"^{DEGREES}(,{DEGREES}){{3}}$",
            description="west,south,east,north in degrees; over the date line, west is the larger",
            examples=["126.7,37.4,127.2,37.7"],
        ),
        AfterValidator(lambda text: text and _box(text)),
    ] = None
    album: Annotated[
        str | None,
        Query(
            max_length=16,
            pattern=r"^(none|[1-9][0-9]{0,15})$",
            description="an album's id, or `none`: what is in no album",
            examples=["7"],
        ),
    ] = None
    missing: Annotated[
        Literal["renditions"] | None, Query(description="photos that have no thumbnail")
    ] = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.by_date and self.skip:
            raise PydanticCustomError(
                "skip", "`skip` is of the list without filters; follow the Link header instead"
            )
        if self.q is not None and terms_of(self.q) is None:
            raise PydanticCustomError("q", "`q` has neither letters nor digits")
        return self

    @property
    def by_date(self) -> bool:
        """Whether the list is one in the order of dates."""
        return not self.model_fields_set.isdisjoint(FILTERS)

    def filters(self) -> Filters:
        album = self.album
        box = self.bbox and Box(*map(float, self.bbox.split(",")))
        return Filters(
            taken_from=datetime.fromisoformat(self.taken_from) if self.taken_from else None,
            taken_before=datetime.fromisoformat(self.taken_before) if self.taken_before else None,
            terms=terms_of(self.q) if self.q is not None else None,
            camera=self.camera,
            content_type=self.type and f"image/{self.type}",
            favourite=True if self.favourite else None,
            archived=self.archived,
            has_place=self.has_place,
            box=box or None,
            album=int(album) if album not in (None, IN_NO_ALBUM) else None,
            in_no_album=album == IN_NO_ALBUM,
            without_renditions=self.missing is not None,
        )

    def asked(self) -> str:
        """The filters, as a query string."""
        given = self.model_dump(include=self.model_fields_set & FILTERS, exclude_none=True)
        return urlencode({name: _written(value) for name, value in given.items()})


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


FILTERS = frozenset(PhotoQuery.model_fields) - {"skip", "limit", "behind"}


class Facets(BaseModel):
    """Values of the filters `camera` and `type`."""

    model_config = example({"cameras": ["Canon EOS R6", "Pixel 8"], "types": ["jpeg", "heic"]})
    cameras: list[str]
    types: list[Type]
