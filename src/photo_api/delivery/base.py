"""Signed URLs, by which clients and the store exchange bytes without Python in between."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from photo_api.delivery.windows import UrlWindows


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


class UrlSigner(Protocol):
    """Makes signed URLs on the public address; pure computation, no request to anyone."""

    windows: "UrlWindows"
    binds_bytes: bool
    """Whether an upload's URL takes those of the declared size, type and digest alone; of others,
    confirming has to tell."""

    def read(self, key: str, *, filename: str, method: Literal["GET", "HEAD"] = "GET") -> SignedUrl:
        """A bucketed URL: the same key, filename and method give the same URL for a while.

        `filename` becomes an inline Content-Disposition of the answer."""

    def upload(
        self, key: str, *, content_type: str, size: int, sha256: bytes | None, expires_in: int
    ) -> SignedUpload:
        """A URL for one PUT: where it `binds_bytes`, of exactly `size` bytes of `content_type` (and
        digest) only."""
