"""What is looked at on a store of either kind, by requests that anybody can make."""

import secrets
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from photo_api.provisioning import judging
from photo_api.provisioning.findings import Finding
from photo_api.provisioning.s3_requests import code_of
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.plain_requests import PlainRequests
from photo_api.storage.swift_requests import REFUSED_CERTIFICATE
from photo_base.clock import by_date
from photo_base.origins import ANY
from photo_base.preflight import LOOKS_SIGNED, STRANGER, leave, preflight, sent_for


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, or a container of a Swift, at one of its addresses, of which clients get some."""

    address: str
    is_swift: bool
    clients: bool

    @property
    def listing(self) -> str:
        return f"{self.address}?limit=1" if self.is_swift else f"{self.address}?list-type=2"

    def object(self) -> str:
        """One that is not there."""
        return f"{self.address}/{nowhere()}"


def nowhere() -> str:
    """A key under which there is no object."""
    return f"prove/{secrets.token_hex(16)}"


async def unless_unknown(code: str, look: Awaitable[list[Finding]]) -> list[Finding]:
    """What was found, or that no answer came, or that the answer's sender is not believed."""
    try:
        return await look
    except StoreUnavailable as error:
        if REFUSED_CERTIFICATE in str(error):
            fix = (
                "renew it, or give its authority's certificate in PHOTO_API_S3_CA_FILE or"
                " PHOTO_API_SWIFT_CA_FILE"
            )
            return [Finding("tls", "wrong", str(error), fix)]
        return [Finding(code, "unknown", str(error))]


async def look_at_addresses(plain: PlainRequests, inner: Place, outer: Place) -> list[Finding]:
    """What leads to both, the store's clock, and whether they are closed to strangers. `plain` may
    ask either."""
    same = inner.address == outer.address
    found = await unless_unknown("reach", _address(plain, outer if same else inner, clock=True))
    if not same:
        found += await unless_unknown("reach", _address(plain, outer, clock=False))
    for place in (inner,) if same else (inner, outer):
        found += await unless_unknown("public", look_as_stranger(plain, place))
    return found


async def _address(plain: PlainRequests, place: Place, *, clock: bool) -> list[Finding]:
    """The clock, unless others may answer for the store there."""
    asked = time.time()
    answer = await plain.ask("GET", place.listing)
    heard = time.time()
    found = [judging.tls(place.address, answer.certificate, heard, clients=place.clients)]
    if clock:
        found.append(judging.clock(by_date(answer.headers.get("date", ""), asked, heard)))
    return found


async def look_as_stranger(plain: PlainRequests, place: Place) -> list[Finding]:
    """Whether it is closed to who has no key. Raises `StoreUnavailable`."""
    listed = await plain.ask("GET", place.listing)
    read = await plain.ask("GET", place.object())
    is_list = (
        listed.status in (200, 204)
        if place.is_swift
        else listed.status == 200 and b"<ListBucketResult" in listed.body
    )
    not_found = read.status == 404 and (place.is_swift or code_of(read) == "NoSuchKey")
    return [
        judging.strangers(
            place.address,
            listed=listed.status,
            is_list=is_list,
            read=read.status,
            not_found=not_found,
        )
    ]


async def look_at_cors(
    plain: PlainRequests, reads: Place, uploads: Place, origins: Sequence[str]
) -> list[Finding]:
    """What pages of these origins may, and those of others. Raises `StoreUnavailable`."""
    found = []
    for origin in dict.fromkeys(map(sent_for, origins)):
        refused = []
        for method, place in (("GET", reads), ("PUT", uploads)):
            if not await allowed(plain, place, origin, method):
                refused.append(method)
        found.append(judging.cors(origin, refused))
    anybody = await allowed(plain, uploads, STRANGER, "PUT")
    wanted = any(one == ANY or one.endswith(f":{ANY}") for one in origins)
    return [*found, judging.cors_of_strangers(allowed=anybody, wanted=wanted)]


async def allowed(plain: PlainRequests, place: Place, origin: str, method: str) -> bool:
    """Whether a page may. Raises `StoreUnavailable`, also where the store says that it fails."""
    url = f"{place.object()}?{LOOKS_SIGNED}"
    answer = await plain.ask("OPTIONS", url, preflight(origin, method))
    if answer.status >= 500 or answer.status == 429:
        raise StoreUnavailable(f"OPTIONS: the store failed ({answer.status})")
    return 200 <= answer.status < 300 and leave(answer.headers, origin, method)


async def look_at_authorization(plain: PlainRequests, url: str) -> list[Finding]:
    """As a client that was redirected to this URL, of an object that is not there, and shows the
    API's token to whoever it comes to. Raises `StoreUnavailable`."""
    answer = await plain.ask("GET", url, {"Authorization": "Bearer of-nobody"})
    return [judging.authorization(answer.status, code_of(answer))]


async def try_url(plain: PlainRequests, what: str, url: str, method: str = "GET") -> list[Finding]:
    """A signed URL of an object that is not there. Raises `StoreUnavailable`."""
    answer = await plain.ask(method, url)
    return [judging.signed_url(what, answer.status, code_of(answer))]
