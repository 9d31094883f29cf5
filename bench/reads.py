"""The routes that read: what we are asked, and the statements that the limit sends for the same.

A *hot* row asks for the same over and over, which a worker has presented and signed a moment ago. A
*cold* one goes through so many photos that nothing of an answer is still kept when it is asked for
again, as where many users share many workers; who asks is known from a moment ago in either.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from bench.load import json_request, request
from bench.plan import STATEMENT_PATH
from bench.world import SHOWN, World
from photo_api.accounts.tokens import digest
from photo_api.albums.orders import POSITION
from photo_api.albums.queries import album_page
from photo_api.albums.routes import FIRST_PAGE
from photo_api.http.cursors import encode_cursor
from photo_api.http.fields import MAX_ID
from photo_api.photos.filters import PhotoQuery
from photo_api.photos.finding import Page, find
from photo_api.photos.queries import image, photos
from photo_api.shares.queries import view
from photo_api.timeline.queries import month, months, tiles
from photo_api.timeline.routes import MOST_OF_A_MONTH

DEFAULT_LIMIT = 50
SHORT = 20
TILES = 100
HOT = ("photo-list-20", "photo-list-10000", "album-page", "share-view", "image-redirect")
COLD = (
    *("photo-list-20-cold", "photo-list-50-cold", "album-page-cold", "share-view-cold"),
    "image-redirect-cold",
)
WHOLE = "album-whole"
TIMELINE = ("timeline", "timeline-month", "tiles", "tiles-cold")
FINDING: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "filter-date": {"order": "taken"},
        "filter-favourite": {"favourite": "true"},
        "filter-camera": {"camera": "Pixel 8"},
        "filter-box": {"bbox": "126,37,128,38"},
        "filter-two": {"camera": "Pixel 8", "favourite": "true"},
        "search-frequent": {"q": "서울"},
        "search-rare": {"q": "봉화"},
    }
)
"""What lists are asked for by rows of these names."""
OF_LARGE = ("timeline", "tiles", "filter", "search")
"""How rows begin that need somebody with 200,000 photos."""
SIZE_OF_LARGE = 200_000
Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A target of ours, the arguments of its statement, the token of whoever asks, and what is
    posted, if it is."""

    target: str
    args: Arguments
    token: str | None = None
    posted: object = None

    def to(self, path: str) -> bytes:
        """The request, for this path."""
        if self.posted is not None:
            return json_request(path, self.posted, token=self.token)
        return request("GET", path, token=self.token)


@dataclass(frozen=True, slots=True)
class Read:
    """A row: what is asked in turn. Where answers are `alike`, the limit gives the first of them to
    all, which has as many bytes."""

    name: str
    query: Callable[..., Awaitable[Any]]
    asked: Sequence[Asked]
    status: int = 200
    alike: bool = False

    @property
    def ours(self) -> list[bytes]:
        return [asked.to(asked.target) for asked in self.asked]

    @property
    def limit_paths(self) -> list[str]:
        return [f"{STATEMENT_PATH}/{self.name}-{number}" for number in range(len(self.asked))]

    @property
    def limits(self) -> list[bytes]:
        """The limit's requests; they carry the token too, which it does not look at."""
        pairs = zip(self.limit_paths, self.asked, strict=True)
        return [asked.to(path) for path, asked in pairs]


def reads(world: World) -> list[Read]:
    """Those of `HOT`, `COLD`, `TIMELINE` and `FINDING`, and `WHOLE`."""
    large = [*_timeline(world), *_finding(world)] if world.large_ids else []
    return [*_hot(world), *_cold(world), _whole(world), *large]


def read_named(world: World, name: str) -> Read:
    """That of this name."""
    return next(read for read in reads(world) if read.name == name)


def _hot(world: World) -> list[Read]:
    """The share is asked by 16 links, one for each connection: with a single one, the wait for its
    counter's row would be all that is measured."""
    few, many, page = world.few, world.many, (MAX_ID, 0, DEFAULT_LIMIT)
    album = f"/api/albums/{world.album_id}?limit={SHOWN}"
    album_args = many.id, world.album_id, POSITION, POSITION.start, 0, SHOWN + 1
    photo = f"/api/photos/{world.photo_id}/image"
    lists, redirect = "/api/photos/", (few.id, world.photo_id)
    return [
        Read("photo-list-20", photos, [Asked(lists, (few.id, *page), few.token)]),
        Read("photo-list-10000", photos, [Asked(lists, (many.id, *page), many.token)]),
        Read("album-page", PAGE, [Asked(album, album_args, many.token)]),
        Read("share-view", VIEW, [_share(token) for token in world.share_tokens]),
        Read("image-redirect", image, [Asked(photo, redirect, few.token)], 302),
    ]


def _cold(world: World) -> list[Read]:
    cold, owner = world.cold, world.cold.owner

    def lists(limit: int) -> list[Asked]:
        asked = []
        for before in cold.photo_ids[limit - 1 : -limit : limit]:
            target = f"/api/photos/?cursor={encode_cursor(before)}&limit={limit}"
            asked.append(Asked(target, (owner.id, before, 0, limit), owner.token))
        return asked

    albums = [
        Asked(
            f"/api/albums/{album_id}?limit={SHOWN}",
            (owner.id, album_id, POSITION, POSITION.start, 0, SHOWN + 1),
            owner.token,
        )
        for album_id in cold.album_ids
    ]
    images = [
        Asked(f"/api/photos/{photo_id}/image", (owner.id, photo_id), owner.token)
        for photo_id in cold.photo_ids
    ]
    shares = [_share(token) for token in cold.share_tokens]
    return [
        Read("photo-list-20-cold", photos, lists(SHORT), alike=True),
        Read("photo-list-50-cold", photos, lists(DEFAULT_LIMIT), alike=True),
        Read("album-page-cold", PAGE, albums, alike=True),
        Read("share-view-cold", VIEW, shares, alike=True),
        Read("image-redirect-cold", image, images, 302, alike=True),
    ]


def _whole(world: World) -> Read:
    """All photos of the largest album, page after page as `next` leads through them."""
    owner, album_id = world.many, world.whole_id
    asked = []
    for number, after in enumerate((-1, *world.whole_positions[FIRST_PAGE - 1 :: FIRST_PAGE])):
        cursor = f"?cursor={encode_cursor(after)}" if number else ""
        args = owner.id, album_id, POSITION, (after,), 0, FIRST_PAGE + 1
        asked.append(Asked(f"/api/albums/{album_id}{cursor}", args, owner.token))
    if len(world.whole_positions) % FIRST_PAGE == 0:
        asked.pop()  # behind the last photo
    return Read(WHOLE, PAGE, asked)


def _timeline(world: World) -> list[Read]:
    """Months of 2,000 photos one after the other, and tiles 100 at a time: of the same view over
    and over, and of those through which somebody scrolls."""
    owner, ids = world.large, world.large_ids
    starts = [datetime(year, month, 1) for year in range(2016, 2024) for month in range(1, 13)]
    pages = [
        Asked(
            f"/api/timeline/{first:%Y-%m}",
            (owner.id, first, (following, 0), MOST_OF_A_MONTH),
            owner.token,
        )
        for first, following in pairwise(starts)
    ]
    views = [
        Asked(
            "/api/photos/tiles",
            (owner.id, ids[first : first + TILES]),
            owner.token,
            {"photo_ids": ids[first : first + TILES]},
        )
        for first in range(0, min(len(ids), 20_000) - TILES, TILES)
    ]
    return [
        Read("timeline", MONTHS, [Asked("/api/timeline", (owner.id,), owner.token)]),
        Read("timeline-month", MONTH, pages),
        Read("tiles", tiles, views[:1]),
        Read("tiles-cold", tiles, views, alike=True),
    ]


def _finding(world: World) -> list[Read]:
    """The first page of each, over and over."""
    owner, found = world.large, list[Read]()
    for name, asked in FINDING.items():
        page = Page(PhotoQuery.model_validate(asked).filters(), limit=DEFAULT_LIMIT)
        target = f"/api/photos/?{urlencode(asked)}"
        found.append(Read(name, find, [Asked(target, (1.0, owner.id, page), owner.token)]))
    return found


MONTHS = partial(months, archived=False)
MONTH = partial(month, archived=False)
VIEW = partial(view, counts=True)
PAGE = partial(album_page, covers=False)


def _share(token: str) -> Asked:
    return Asked(
        f"/api/share/{token}?limit={SHOWN}", (digest(token), POSITION, POSITION.start, 0, SHOWN + 1)
    )
