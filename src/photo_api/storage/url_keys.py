"""The keys that sign Swift's temporary URLs, and how they sign."""

from dataclasses import dataclass, field, replace
from typing import Literal

Digest = Literal["sha1", "sha256", "sha512"]


@dataclass(frozen=True, slots=True)
class UrlKeys:
    """One key for each container, so that who has that of the staged files reads no photo."""

    photos: str = field(repr=False)
    staging: str = field(repr=False)
    digest: Digest = "sha256"


class UrlKeySource:
    """Gives the keys to sign with now; a container takes two at a time, while one replaces the
    other."""

    def __init__(self, keys: UrlKeys) -> None:
        self._keys = keys

    def current(self) -> UrlKeys:
        """The keys in force, the same object until they change."""
        return self._keys

    def use(self, photos: str, staging: str) -> None:
        """Sign with these from now on."""
        self._change(replace(self._keys, photos=photos, staging=staging))

    def use_digest(self, digest: Digest) -> None:
        """Sign by this from now on."""
        self._change(replace(self._keys, digest=digest))

    def _change(self, keys: UrlKeys) -> None:
        if keys != self._keys:
            self._keys = keys
