"""Bodies of the timeline's routes, as OpenAPI documents them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from photo_api.http.fields import BodyId
from photo_api.http.openapi import example

MOST_TILES = 200


class Month(BaseModel):
    month: str
    photos: int


class Timeline(BaseModel):
    """Months in which there are photos, the latest first."""

    model_config = example(
        {"months": [{"month": "2024-05", "photos": 123}, {"month": "2024-02", "photos": 4}]}
    )
    months: list[Month]


class MonthPage(BaseModel):
    """Photos of a month, the latest first: the first of `ids` has the first of `ratios` (width by
    height; null: not known yet) and the first of `days`."""

    model_config = example(
        {
            "month": "2024-05",
            "ids": [44, 42, 41],
            "ratios": [1.33, 0.75, None],
            "days": [31, 12, 12],
            "favourites": [42],
            "next": None,
        }
    )
    month: str
    ids: list[int]
    ratios: list[float | None]
    days: list[int]
    favourites: Annotated[list[int], Field(description="those of `ids`")]
    next: Annotated[
        str | None,
        Field(description="the cursor of what is behind a full page"),
    ]


class TilesRequest(BaseModel):
    photo_ids: Annotated[
        list[BodyId], Field(min_length=1, max_length=MOST_TILES, examples=[[44, 42, 41]])
    ]


class Tile(BaseModel):
    """What a page shows of a photo before anybody opens it. `thumbnail_url` is for an `<img>`: it
    needs no token, and is null until there is a thumbnail, or where none can be made."""

    id: int
    title: str | None
    original_filename: str
    content_type: str
    width: int | None
    height: int | None
    blurhash: str | None
    sort_at: str
    favourite: bool
    archived: bool
    renditions: Literal["pending", "ready", "partial", "failed"]
    thumbnail_url: str | None


class Tiles(BaseModel):
    """In the order of `photo_ids`, without those that there are not."""

    model_config = example(
        {
            "tiles": [
                {
                    "id": 42,
                    "title": "Sunrise",
                    "original_filename": "IMG_0042.jpg",
                    "content_type": "image/jpeg",
                    "width": 4032,
                    "height": 3024,
                    "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
                    "sort_at": "2025-12-31T07:26:00",
                    "favourite": True,
                    "archived": False,
                    "renditions": "ready",
                    "thumbnail_url": "https://store.example.org/photos/renditions/1/42/…",
                }
            ]
        }
    )
    tiles: list[Tile]
