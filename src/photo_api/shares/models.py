"""Bodies of the share routes, as OpenAPI documents them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool, StrictInt

from photo_api.http.openapi import example
from photo_api.photos.models import EXAMPLE as PHOTO_EXAMPLE
from photo_api.photos.models import Photo


class NewShare(BaseModel):
    expires_in_days: Annotated[
        StrictInt | None,
        Field(ge=1, le=365, description="without it the link works until revoked", examples=[30]),
    ] = None
    allow_original: Annotated[
        StrictBool,
        Field(
            description="let visitors have originals with all that is written in them, such as the"
            " place where they were taken; without it they get the same picture without metadata"
        ),
    ] = False


class Share(BaseModel):
    """`token` is null when the key that seals it has been retired; such a link still works."""

    model_config = example(
        {
            "id": 3,
            "album_id": 7,
            "token": "h4Zr…",
            "is_active": True,
            "expires_at": "2026-02-01T00:00:00Z",
            "view_count": 0,
            "allow_original": False,
            "created_at": "2026-01-01T00:00:00Z",
            "share_url": "https://photos.example.org/share/h4Zr…",
        }
    )
    id: int
    album_id: int
    token: str | None
    is_active: bool
    expires_at: datetime | None
    view_count: int
    allow_original: bool
    created_at: datetime
    share_url: str | None


SHARED_PHOTO: dict[str, Any] = PHOTO_EXAMPLE | {"url": "/share/h4Zr…/photos/42/image"}


class SharedAlbum(BaseModel):
    model_config = example(
        {
            "album_name": "Dokdo",
            "album_description": "Two islands, one day",
            "photo_count": 1,
            "photos": [SHARED_PHOTO],
            "created_at": "2026-01-01T00:00:00Z",
            "next": None,
        }
    )
    album_name: str
    album_description: str | None
    photo_count: int
    photos: list[Photo]
    created_at: datetime
    next: str | None
