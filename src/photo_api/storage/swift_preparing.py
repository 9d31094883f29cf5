"""Makes a container as the service needs it: with the keys of its signed URLs, and for browsers."""

from collections.abc import Sequence
from urllib.parse import quote

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.swift_requests import SLOW, Asked, SwiftRequests

_KEYS = ("X-Container-Meta-Temp-URL-Key", "X-Container-Meta-Temp-URL-Key-2")


async def prepare_container(
    requests: SwiftRequests, name: str, keys: Sequence[str], origins: Sequence[str] = ("*",)
) -> None:
    """Create it, or change one that is there. It takes URLs that one of `keys` has signed, at most
    two, and no others from then on; but a proxy of Swift may know what was for a minute, so sign
    with a new key only later than that. Raises `StoreUnavailable`."""
    both = (*keys, "", "")
    headers = {
        **dict(zip(_KEYS, both, strict=False)),
        "X-Container-Meta-Access-Control-Allow-Origin": " ".join(origins),
        "X-Container-Meta-Access-Control-Max-Age": "3600",
        "X-Container-Meta-Access-Control-Expose-Headers": "etag content-range",
    }
    place = quote(name, safe="")
    for method in ("PUT", "POST"):
        # A PUT changes a container that is there too, but not where others have made it meanwhile.
        answer = await requests.ask(Asked(method, place, headers, timeout=SLOW))
        if answer.status not in (201, 202, 204):
            raise StoreUnavailable(f"{method} of container {name}: HTTP {answer.status}")
