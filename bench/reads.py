"""The routes that read: what we are asked, and the statements that the limit sends for the same."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import request
from bench.world import SHOWN, World
from photo_api.accounts.tokens import digest
from photo_api.albums.queries import album_page
from photo_api.http.fields import MAX_ID
from photo_api.photos.queries import image, photos
from photo_api.shares.queries import view

DEFAULT_LIMIT = 50
READS = ("photo-list-20", "photo-list-10000", "album-page", "share-view", "image-redirect")
Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A row: targets that are asked in turn, and for each the arguments of `query`."""

    name: str
    query: Callable[..., Awaitable[Any]]
    asked: Sequence[tuple[str, Arguments]]
    token: str | None
    status: int = 200

    @property
    def ours(self) -> list[bytes]:
        return [request("GET", target, token=self.token) for target, _ in self.asked]

    @property
    def limit_paths(self) -> list[str]:
        return [f"/{self.name}/{number}" for number in range(len(self.asked))]

    @property
    def limits(self) -> list[bytes]:
        """The limit's requests; they carry the token too, which it does not look at."""
        return [request("GET", path, token=self.token) for path in self.limit_paths]


def reads(world: World) -> list[Read]:
    """Those of `READS`. The share is asked by 16 links, one for each connection: with a single one,
    the wait for its counter's row would be all that is measured."""
    few, many, page = world.few, world.many, (MAX_ID, 0, DEFAULT_LIMIT)
    album = f"/api/albums/{world.album_id}?limit={SHOWN}"
    links = [
        (f"/api/share/{token}?limit={SHOWN}", (digest(token), -1, 0, SHOWN + 1))
        for token in world.share_tokens
    ]
    return [
        Read("photo-list-20", photos, [("/api/photos/", (few.id, *page))], few.token),
        Read("photo-list-10000", photos, [("/api/photos/", (many.id, *page))], many.token),
        Read(
            "album-page",
            album_page,
            [(album, (many.id, world.album_id, -1, 0, SHOWN + 1))],
            many.token,
        ),
        Read("share-view", view, links, None),
        Read(
            "image-redirect",
            image,
            [(f"/api/photos/{world.photo_id}/image", (few.id, world.photo_id))],
            few.token,
            302,
        ),
    ]
