"""Whether what the spec says of the CDN is an address that clients can use, and instances take."""

from collections.abc import Iterator

from photo_fleet.rules.findings import Contradiction
from photo_fleet.spec.fleet import Fleet

WITHOUT = {"cdn.provider": "none", "cdn.url": ""}


def address(fleet: Fleet) -> Iterator[Contradiction]:
    """Provider and address go together."""
    cdn = fleet.cdn
    if bool(cdn.url) == (cdn.provider != "none"):
        return
    numbers = f'cdn.provider "{cdn.provider}" with cdn.url "{cdn.url}": both are set, or none'
    yield Contradiction("error", "cdn-address", numbers, "no instance starts", (WITHOUT,))


def tls(fleet: Fleet) -> Iterator[Contradiction]:
    """Whoever sees a signed URL may use it."""
    cdn = fleet.cdn
    if not cdn.url.startswith("http://"):
        return
    mixed = fleet.service.public_url.startswith("https://")
    consequence = (
        "browsers load nothing without TLS into a page that came with it: no photo is shown"
        if mixed
        else "photos and signed URLs go over the network for everybody to read"
    )
    secure = {"cdn.url": f"https://{cdn.url.removeprefix('http://')}"}
    numbers = f'cdn.url "{cdn.url}" is not https://'
    yield Contradiction("error" if mixed else "warning", "cdn-tls", numbers, consequence, (secure,))


def itself(fleet: Fleet) -> Iterator[Contradiction]:
    """The service has no objects under their keys."""
    public = fleet.service.public_url
    if not public or fleet.cdn.url.rstrip("/") != public.rstrip("/"):
        return
    numbers = f'cdn.url "{fleet.cdn.url}" is service.public_url, where the API answers'
    yield Contradiction("error", "cdn-itself", numbers, "every image is 404", (WITHOUT,))


def digest(fleet: Fleet) -> Iterator[Contradiction]:
    """Two of them have a choice."""
    cdn = fleet.cdn
    if cdn.digest == "sha256" or cdn.provider not in ("nginx", "nhn"):
        return
    numbers = f'cdn.digest "{cdn.digest}" with cdn.provider "{cdn.provider}", which has no choice'
    way = {"cdn.digest": "sha256"}
    yield Contradiction("error", "cdn-digest", numbers, "no instance starts", (way,))


RULES = (address, tls, itself, digest)
