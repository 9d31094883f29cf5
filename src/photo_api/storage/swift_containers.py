"""In which containers of an account what is."""

from dataclasses import dataclass

from photo_api.settings.swift import SwiftSettings

STAGING = "staging/"
"""What clients upload to, in a container of its own, whose key signs nothing else."""


@dataclass(frozen=True, slots=True)
class Containers:
    """Their names; none has a slash."""

    photos: str
    staging: str
    segments: str
    """Where those of large objects are: with the photos, as a temporary URL opens one container and
    no other, also where an object consists of others."""

    def of(self, key: str) -> str:
        """Where the object with this key is."""
        return self.staging if key.startswith(STAGING) else self.photos


def containers_of(settings: SwiftSettings) -> Containers:
    """The configured ones."""
    photos = settings.container
    return Containers(photos, settings.staging_container, segments=photos)
