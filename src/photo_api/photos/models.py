"""Bodies of the photo routes, as OpenAPI documents them."""

from datetime import datetime
from functools import partial
from operator import is_
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from photo_api.http.fields import BodyId, LongText, Moment, Name, Title, WallTime, offset_of
from photo_api.http.openapi import example
from photo_api.photos.queries import NewDate

EXAMPLE: dict[str, Any] = {
    "id": 42,
    "owner_id": 1,
    "title": "Sunrise",
    "description": None,
    "filename": "5b0c7d1e9f3a4c2d8e6f7a8b9c0d1e2f.jpg",
    "original_filename": "IMG_0042.jpg",
    "content_type": "image/jpeg",
    "file_size": 2_345_678,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
    "url": "/photos/42/image",
    "width": 4032,
    "height": 3024,
    "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    "taken_at": "2025-12-31T07:26:00+09:00",
    "renditions": "ready",
    "renditions_error": None,
    "thumbnail_url": "https://store.example.org/photos/renditions/1/42/5b0c-1-thumbnail.webp?…",
    "preview_url": "https://store.example.org/photos/renditions/1/42/5b0c-1-preview.webp?…",
}


class Photo(BaseModel):
    """`renditions` says whether thumbnail and preview are there yet, and whether they
    show the whole picture: those of a JPEG that is cut short are partial. Their URLs are null until
    then, and where they cannot be made. `taken_at` is from the
    metadata, with an offset where one is told, in local time otherwise, and a day where that is all
    that is known; the date of an edit it never is."""

    model_config = example(EXAMPLE)
    id: int
    owner_id: int
    title: str | None
    description: str | None
    filename: str
    original_filename: str
    content_type: str
    file_size: int
    created_at: datetime
    updated_at: datetime
    url: str
    width: int | None
    height: int | None
    blurhash: str | None
    taken_at: str | None
    renditions: Literal["pending", "ready", "partial", "failed"]
    renditions_error: str | None
    thumbnail_url: str | None
    preview_url: str | None


DateSource = Literal["user", "exif", "xmp", "iptc", "png", "filename", "file_modified_at", "upload"]


class PhotoDetail(Photo):
    """`sort_at` is when the photo was taken, by the clock on the wall there, which is `utc_offset`
    minutes ahead of UTC (null: not known), and `date_source` who told it. `dates_passed_over` names
    those who told one that cannot be; `user`: it was moved to the nearest that can."""

    model_config = example(
        EXAMPLE
        | {
            "exif": {
                "taken_at": "2025-12-31T07:26:00+09:00",
                "taken_at_source": "EXIF DateTimeOriginal",
                "camera": "Canon EOS R6",
                "exposure_time": "1/200",
                "iso": 100,
            },
            "sort_at": "2025-12-31T07:26:00",
            "utc_offset": 540,
            "date_source": "exif",
            "dates_passed_over": [],
            "file_modified_at": None,
            "favourite": True,
            "archived": False,
            "camera": "Canon EOS R6",
            "latitude": None,
            "longitude": None,
        }
    )
    exif: dict[str, Any] | None
    sort_at: str
    utc_offset: int | None
    date_source: DateSource
    dates_passed_over: list[DateSource] | None
    file_modified_at: datetime | None
    favourite: bool
    archived: bool
    camera: str | None
    latitude: float | None
    longitude: float | None


class DateChange(BaseModel):
    """The user's word on when a photo was taken, which comes before all that its file tells."""

    sort_at: Annotated[
        WallTime | None,
        Field(
            description="by the clock on the wall there; an offset, where it has one, becomes"
            " `utc_offset`. What is before 1826 or ahead of now is moved to what can be",
            examples=["2024-05-12T15:30:00"],
        ),
    ] = None
    utc_offset: Annotated[
        StrictInt | None, Field(ge=-12 * 60, le=14 * 60, description="minutes", examples=[540])
    ] = None
    date_source: Annotated[
        Literal["file"] | None, Field(description="`file` gives the date back to the file")
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.date_source and (self.sort_at or self.utc_offset is not None):
            text = "`date_source` gives the date back, which `sort_at` or `utc_offset` would set"
            raise PydanticCustomError("date", text)
        return self

    def date(self) -> NewDate:
        """What it asks for."""
        offset = offset_of(self.sort_at) if self.utc_offset is None else self.utc_offset
        wall = self.sort_at and self.sort_at.replace(tzinfo=None)
        return NewDate(wall, offset, self.date_source is not None)


class PhotoChange(DateChange):
    """A field that is null or absent stays as it is; a blank text is cleared."""

    title: Annotated[Title | None, Field(examples=["Sunrise"])] = None
    description: Annotated[LongText | None, Field(examples=["The east island"])] = None
    favourite: Annotated[StrictBool | None, Field(examples=[True])] = None
    archived: Annotated[
        StrictBool | None,
        Field(description="archived photos are in no timeline", examples=[False]),
    ] = None


FileModified = Annotated[
    Moment | None,
    Field(
        exclude_if=partial(
            is_, None
        ),  # so that a request without it is the same to the release before
        description="when the file was changed last, with your system's offset from UTC: its date"
        " where neither metadata nor name tell one",
        examples=["2024-05-12T15:30:00+09:00"],
    ),
]


class PresignRequest(BaseModel):
    album_id: Annotated[
        BodyId | None, Field(description="none: the photo is in no album", examples=[7])
    ] = None
    filename: Annotated[Name, Field(examples=["IMG_0042.jpg"])]
    content_type: Annotated[
        str,
        Field(
            max_length=100,
            description="what your system takes the file for; empty or application/octet-stream"
            " where it does not know. The photo gets the type that its bytes have",
            examples=["image/jpeg"],
        ),
    ]
    file_size: Annotated[StrictInt, Field(gt=0, examples=[2_345_678])]
    title: Annotated[Title | None, Field(examples=["Sunrise"])] = None
    description: Annotated[LongText | None, Field(examples=["The east island"])] = None
    sha256: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-fA-F]{64}$",
            max_length=64,
            description="hex digest of the file; no other bytes become this photo",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ] = None
    on_duplicate: Annotated[
        Literal["keep", "reuse"],
        Field(description="`reuse`: bytes that you have already give you the photo you have"),
    ] = "keep"
    file_modified_at: FileModified = None


PRESIGN_EXAMPLE: dict[str, Any] = {
    "photo_id": 42,
    "upload_url": "https://store.example.org/photos/staging/1/42/9d2c…?X-Amz-Signature=…",
    "object_key": "staging/1/42/9d2c…",
    "expires_in": 900,
    "upload_method": "PUT",
    "upload_headers": {"Content-Type": "image/jpeg"},
    "duplicate": False,
}


class PresignedUpload(BaseModel):
    """Where to PUT the bytes. With `duplicate` true there is nothing to upload, and the other
    fields are null or empty."""

    model_config = example(PRESIGN_EXAMPLE)
    photo_id: int
    upload_url: str | None
    object_key: str | None
    expires_in: int
    upload_method: Literal["PUT"]
    upload_headers: dict[str, str]
    duplicate: bool


class ConfirmRequest(BaseModel):
    photo_id: Annotated[BodyId, Field(examples=[42])]


class Confirmed(BaseModel):
    model_config = example(
        {
            "photo_id": 42,
            "filename": EXAMPLE["filename"],
            "url": EXAMPLE["url"],
            "message": "Upload confirmed",
            "duplicate": False,
        }
    )
    photo_id: int
    filename: str
    url: str
    message: str
    duplicate: bool


class Uploaded(BaseModel):
    model_config = example(
        {
            "id": 42,
            "filename": EXAMPLE["filename"],
            "original_filename": EXAMPLE["original_filename"],
            "content_type": "image/jpeg",
            "file_size": 2_345_678,
            "url": EXAMPLE["url"],
            "message": "Photo uploaded",
            "duplicate": False,
        }
    )
    id: int
    filename: str
    original_filename: str
    content_type: str
    file_size: int
    url: str
    message: str
    duplicate: bool
