"""What signs temporary URLs of a Swift: tried with URLs of objects that are not there, so that
nothing is written or read."""

from collections.abc import Sequence

from photo_api.delivery.opening import open_signer
from photo_api.provisioning import judging
from photo_api.provisioning.findings import Finding
from photo_api.provisioning.looking import look_at_authorization, nowhere, try_url
from photo_api.settings.loading import Settings
from photo_api.storage.plain_requests import PlainRequests
from photo_api.storage.swift_containers import STAGING
from photo_api.storage.swift_opening import BY_PREFERENCE, allowed_digests
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.url_keys import Digest, UrlKeys, UrlKeySource

WINDOW = 3600


async def try_keys(
    settings: Settings, requests: SwiftRequests, plain: PlainRequests
) -> list[Finding]:
    """What signs URLs, and whether those by each of the keys are taken. Raises
    `StoreUnavailable`."""
    swift, named = settings.swift, allowed_digests(await requests.info())
    allowed = [one for one in BY_PREFERENCE if one in named]
    candidates = allowed or list(BY_PREFERENCE)
    if swift.digest != "auto":
        candidates = [swift.digest, *(one for one in candidates if one != swift.digest)]
    accepted: Digest | None = None
    for one in candidates:
        [tried] = await _try(settings, plain, 0, one)
        if tried.state == "ok":
            accepted = one
            break
    found = [judging.digest(swift.digest, allowed, accepted or "")]
    if accepted is not None:
        keys = UrlKeySource(UrlKeys(_key(swift.url_keys, 0), "", accepted))
        url = open_signer(settings, keys, WINDOW).read(nowhere(), filename="photo").url
        found += await look_at_authorization(plain, url)
    for at in range(max(len(swift.url_keys), len(swift.staging_url_keys))):
        found += await _try(settings, plain, at, accepted or candidates[0], staging=True)
    return found


async def _try(
    settings: Settings, plain: PlainRequests, at: int, digest: Digest, *, staging: bool = False
) -> list[Finding]:
    """URLs by the first keys, or the second. Raises `StoreUnavailable`."""
    swift = settings.swift
    which = ("first", "second")[at]
    keys = UrlKeys(_key(swift.url_keys, at), _key(swift.staging_url_keys, at), digest)
    signer = open_signer(settings, UrlKeySource(keys), WINDOW)
    found = []
    if keys.photos:
        url = signer.read(nowhere(), filename="photo").url
        found += await try_url(plain, f"photos, by the {which} key", url)
    if staging and keys.staging:
        put = signer.upload(
            STAGING + nowhere(), content_type="image/jpeg", size=1, sha256=None, expires_in=900
        )
        # A signature for PUT is one for HEAD.
        found += await try_url(plain, f"uploads, by the {which} key", put.url, "HEAD")
    return found


def _key(keys: Sequence[str], at: int) -> str:
    return keys[at] if at < len(keys) else ""
