"""Bodies of the album routes, as OpenAPI documents them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

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
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


MOST_IDS = 10_000


class NewAlbum(BaseModel):
    name: Annotated[Name, Field(examples=["Dokdo"])]
    description: Annotated[LongText | None, Field(examples=["Two islands, one day"])] = None


class AlbumChange(BaseModel):
    """A field that is null or absent stays as it is; a blank description clears it."""

    name: Annotated[Name | None, Field(examples=["Ulleungdo"])] = None
    description: Annotated[LongText | None, Field(examples=[""])] = None
    cover_photo_id: Annotated[BodyId | None, Field(examples=[42])] = None


class PhotoIds(BaseModel):
    # The first wrong one is reported, and no other is looked at.
    photo_ids: Annotated[
        list[BodyId],
        Field(min_length=1, max_length=MOST_IDS, fail_fast=True, examples=[[42, 43]]),
    ]


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
    created_at: datetime
    updated_at: datetime


class AlbumPage(Album):
    model_config = example(EXAMPLE | {"photos": [PHOTO_EXAMPLE], "next": None})
    photos: list[Photo]
    next: str | None = Field(description="cursor of the following page, to send as `cursor`")
