"""Bodies of the routes of keeping, as OpenAPI documents them."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from photo_api.http.fields import BodyId, Moment
from photo_api.http.openapi import example
from photo_api.photos.bulk import MOST, BulkBody
from photo_api.photos.dating import BulkDate
from photo_api.photos.models import EXAMPLE, Photo

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class BulkKeep(BulkBody):
    """`delete` puts into the trash, `restore` takes out of it, `purge` deletes from it for good."""

    model_config = example({"operation": "favourite", "photo_ids": [42, 43]})
    operation: Literal[
        "delete", "restore", "purge", "favourite", "unfavourite", "archive", "unarchive"
    ]


class BulkMove(BulkBody):
    """Puts photos at an album's end, in this order. With `from_album_id` those alone that are in
    that one, which they leave."""

    model_config = example(
        {"operation": "move", "photo_ids": [42, 43], "album_id": 7, "from_album_id": 8}
    )
    operation: Literal["move"]
    album_id: Annotated[BodyId, Field(examples=[7])]
    from_album_id: Annotated[BodyId | None, Field(examples=[8])] = None

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.album_id == self.from_album_id:
            raise PydanticCustomError("same_album", "album_id and from_album_id are the same album")
        return self


class TrashedPhoto(Photo):
    model_config = example(
        EXAMPLE | {"trashed_at": "2026-02-01T00:00:00Z", "purge_at": "2026-03-03T00:00:00Z"}
    )
    trashed_at: datetime
    purge_at: datetime = Field(description="from then on it is deleted for good")


class EmptyRequest(BaseModel):
    until: Annotated[
        Moment | None,
        Field(
            description="what was deleted later stays; of the answer before, when the rest is"
            " asked for. Now, by default",
            examples=["2026-02-01T00:00:00Z"],
        ),
    ] = None


class Emptied(BaseModel):
    model_config = example({"purged": 5000, "left": 1234, "until": "2026-02-01T00:00:00Z"})
    purged: int
    left: int = Field(
        description="repeat with `until` while there are some; of more than 100,000 these are told"
    )
    until: datetime


class CheckRequest(BaseModel):
    sha256: Annotated[
        list[Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$", max_length=64)]],
        Field(
            min_length=1,
            max_length=MOST,
            fail_fast=True,
            description="hex digests of files",
            examples=[[DIGEST]],
        ),
    ]


class CheckedFile(BaseModel):
    sha256: str
    status: Literal["absent", "present", "trashed"]
    photo_id: int | None


class Checked(BaseModel):
    """An answer for each digest, in their order."""

    model_config = example({"results": [{"sha256": DIGEST, "status": "present", "photo_id": 42}]})
    results: list[CheckedFile]


def purge_at(trashed_at: datetime, days: int) -> datetime:
    """When the sweep may delete what is in the trash since `trashed_at`."""
    return trashed_at + timedelta(days=days)


BulkRequest = BulkKeep | BulkMove | BulkDate
"""By its `operation`."""
