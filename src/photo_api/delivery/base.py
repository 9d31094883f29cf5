"""Signed URLs, by which clients and the store exchange bytes without Python in between."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from photo_api.delivery.windows import UrlWindows

Method = Literal["GET", "HEAD"]


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL for one method. `valid_for` is how many seconds it certainly still works."""

    url: str
    valid_for: int


@dataclass(frozen=True, slots=True)
class SignedUpload:
    """A PUT URL and exactly the headers to send with it (none that browsers forbid)."""

    url: str
    headers: dict[str, str]


class ReadSigner(Protocol):
    """Makes URLs to read with, on the public address of the store or of a CDN before it; pure
    computation, no request to anyone."""

    windows: "UrlWindows"

    at_once: int
    """How many may be signed in a row before others have their turn."""

    def read(self, key: str, *, filename: str, method: Method = "GET") -> SignedUrl:
        """A bucketed URL: the same key, filename and method give the same URL for a while.

        `filename` becomes an inline Content-Disposition of the answer, where the address can be
        told one."""

    def urls(self, files: Iterable[tuple[str | None, str]]) -> list[str | None]:
        """Those of files by key and name, for a GET; None for None."""


class UploadSigner(Protocol):
    """Makes URLs to upload with, on the public address of the store."""

    binds_bytes: bool
    """Whether an upload's URL takes those of the declared size, type and digest alone; of others,
    confirming has to tell."""

    def upload(
        self, key: str, *, content_type: str, size: int, sha256: bytes | None, expires_in: int
    ) -> SignedUpload:
        """A URL for one PUT: where it `binds_bytes`, of exactly `size` bytes of `content_type` (and
        digest) only."""


class StoreSigner(ReadSigner, UploadSigner, Protocol):
    """An object store's own."""

    def signed_origin(self, key: str, begins: int) -> str:
        """A URL that works from a window's beginning to one window after its end, for a GET by
        a cache before the store, which gives the answer its name and tells how long to keep it."""

    def keys(self) -> object:
        """What signs now: equal until it changes."""

    def keys_end(self) -> float | None:
        """When what signs now stops to be believed, in epoch seconds; None for never."""
