"""Bodies of the album routes, as OpenAPI documents them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from photo_api.http.fields import BodyId, LongText, Name
from photo_api.http.openapi import example
from photo_api.photos.models import EXAMPLE as PHOTO_EXAMPLE
from photo_api.photos.models import Photo

EXAMPLE: dict[str, Any] = {
    "id": 7,
    "owner_id": 1,
    "name": "Dokdo",
    "description": "Two islands, one day",
    "cover_photo_id": 42,
    "photo_count": 1,
    "sort": "position",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


MOST_IDS = 10_000
MOST_MOVED = 1000

Sort = Literal["position", "-position", "taken", "-taken"]


class NewAlbum(BaseModel):
    name: Annotated[Name, Field(examples=["Dokdo"])]
    description: Annotated[LongText | None, Field(examples=["Two islands, one day"])] = None


class AlbumChange(BaseModel):
    """A field that is null or absent stays as it is; a blank description clears it."""

    name: Annotated[Name | None, Field(examples=["Ulleungdo"])] = None
    description: Annotated[LongText | None, Field(examples=[""])] = None
    cover_photo_id: Annotated[BodyId | None, Field(examples=[42])] = None
    sort: Annotated[
        Sort | None,
        Field(
            description="`position`: as arranged, additions last; `taken`: by `sort_at` of the"
            " photos; with `-` from the last to the first",
            examples=["-taken"],
        ),
    ] = None


class PhotoIds(BaseModel):
    # The first wrong one is reported, and no other is looked at.
    photo_ids: Annotated[
        list[BodyId],
        Field(min_length=1, max_length=MOST_IDS, fail_fast=True, examples=[[42, 43]]),
    ]


class PhotoMove(BaseModel):
    """Where to: one of the three. Photos come in the order of their ids here."""

    photo_ids: Annotated[
        list[BodyId],
        Field(min_length=1, max_length=MOST_MOVED, fail_fast=True, examples=[[43]]),
    ]
    before: Annotated[BodyId | None, Field(examples=[42])] = None
    after: BodyId | None = None
    to: Literal["start", "end"] | None = None

    @model_validator(mode="after")
    def names_one_place(self) -> Self:
        places = self.before, self.after, self.to
        if sum(place is not None for place in places) != 1:
            raise PydanticCustomError("one_place", "name one of before, after and to")
        if {self.before, self.after} & set(self.photo_ids):
            raise PydanticCustomError("own_place", "a photo is moved before or after another one")
        return self


class Changed(BaseModel):
    model_config = example({"message": "Added 2 photos", "count": 2})
    message: str
    count: int


class Album(BaseModel):
    model_config = example(EXAMPLE)
    id: int
    owner_id: int
    name: str
    description: str | None
    cover_photo_id: int | None
    photo_count: int
    sort: Sort
    created_at: datetime
    updated_at: datetime


COVER_EXAMPLE = {
    "photo_id": 42,
    "thumbnail_url": PHOTO_EXAMPLE["thumbnail_url"],
    "blurhash": PHOTO_EXAMPLE["blurhash"],
}


class Cover(BaseModel):
    """The photo that was chosen, or else the one that the album shows first."""

    model_config = example(COVER_EXAMPLE)
    photo_id: int
    thumbnail_url: str | None
    blurhash: str | None


class AlbumWithCover(Album):
    model_config = example(EXAMPLE | {"cover": COVER_EXAMPLE})
    cover: Cover | None = Field(
        None, description="only with `covers=true`; null for an album without photos"
    )


class AlbumPage(AlbumWithCover):
    model_config = example(EXAMPLE | {"photos": [PHOTO_EXAMPLE], "next": None})
    photos: list[Photo]
    next: str | None = Field(description="cursor of the following page, to send as `cursor`")
