"""What clients read photos from in place of the store, as a spec has it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from photo_base.environment import AS_BROWSERS_WRITE
from photo_fleet.spec.kinds import Location

CdnAddress = Annotated[str, Location(rf"(?:{AS_BROWSERS_WRITE}/?)?", "https://cdn.example.org")]


@dataclass(frozen=True, slots=True)
class Cdn:
    """A CDN before the store, whose keys are the secret `cdn-keys`."""

    provider: Literal["none", "nginx", "cloudfront", "akamai", "nhn"] = "none"
    url: CdnAddress = ""
    """Its address in the URLs that clients get."""
    digest: Literal["sha256", "sha1"] = "sha256"
    """What CloudFront's signatures and Akamai's tokens are made by."""
    fallback: Literal["store", "stream"] = "store"
    """How photos are delivered while it fails: by the store's URLs, or through the instances."""
