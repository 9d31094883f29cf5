"""Bodies of the photo routes, as OpenAPI documents them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictInt

from photo_api.http.fields import BodyId, LongText, Name, Title
from photo_api.http.openapi import example

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


class PhotoDetail(Photo):
    model_config = example(
        EXAMPLE
        | {
            "exif": {
                "taken_at": "2025-12-31T07:26:00+09:00",
                "taken_at_source": "EXIF DateTimeOriginal",
                "camera": "Canon EOS R6",
                "exposure_time": "1/200",
                "iso": 100,
            }
        }
    )
    exif: dict[str, Any] | None


class PhotoChange(BaseModel):
    """A field that is null or absent stays as it is; a blank one is cleared."""

    title: Annotated[Title | None, Field(examples=["Sunrise"])] = None
    description: Annotated[LongText | None, Field(examples=["The east island"])] = None


class PresignRequest(BaseModel):
    album_id: Annotated[BodyId, Field(examples=[7])]
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
