"""The object store, asked as a stranger would: without a key, and never to write."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx

from photo_base.clock import Offset, by_date
from photo_base.log_lines import one_line
from photo_base.origins import with_own
from photo_base.preflight import LOOKS_SIGNED, STRANGER, leave, preflight, sent_for
from photo_fleet.doctor.looks.servers import ServersLook, Told
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.store import Swift

PATIENCE, LONGEST = 4.0, 15.0
"""Seconds for an answer, and for all of one address."""
LARGEST_ANSWER = 64 * 1024
MOST_ORIGINS = 10
GUESSED = "photos/1/0"
LISTING = "?list-type=2&max-keys=1"
NAME = re.compile("[A-Za-z0-9._-]{1,255}")
CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")


@dataclass(frozen=True, slots=True)
class Preflight:
    """How the store answered a page of `origin` that wants to send `method` (Fetch, 4.8)."""

    origin: str
    method: str
    status: int
    allowed: bool


@dataclass(frozen=True, slots=True)
class StorePlace:
    """One address of the bucket, of a Swift the container; `clients` are given it. They upload to
    `uploads`. `problem` says why the rest is not known.
    `listed`: strangers see which objects there are. `readable`: one who names an object that is not
    there is told so, which is only for those who may read. `clock` is the store's against ours."""

    address: str
    bucket: str
    clients: bool
    kind: str = "s3"
    uploads: str = ""
    problem: str = ""
    listed: bool = False
    readable: bool = False
    preflights: tuple[Preflight, ...] = ()
    clock: Offset | None = None


@dataclass(frozen=True, slots=True)
class StoreLook:
    """The address that clients get, and the one that instances use, where it is another. `origins`
    are those of front ends that were asked for, each as a browser would send it."""

    places: tuple[StorePlace, ...]
    origins: tuple[str, ...] = ()


async def take(reach: Reach, seen: Seen) -> StoreLook:
    """Raises `Unseen` where nobody tells an address."""
    configs = list(_configs(seen))
    places = _places(reach.spec, configs)
    if not places:
        raise Unseen("nobody tells the object store's address", "photo-fleet check")
    origins = _origins(reach.spec, configs)
    found = await asyncio.gather(*(_look(place, origins) for place in places))
    return StoreLook(tuple(found), origins)


def _configs(seen: Seen) -> Iterator[Told]:
    try:
        servers = seen.need(ServersLook).servers
    except Unseen:
        return
    yield from (server.config for server in servers if server.config is not None)


def _places(fleet: Fleet, configs: Sequence[Told]) -> list[StorePlace]:
    """As an instance tells it, or else the spec."""
    inner = fleet.service.store or fleet.balancer.store
    public = fleet.service.public_url if fleet.balancer.store else inner
    bucket = fleet.balancer.bucket
    told = next((place for config in configs if (place := _told(config.get("store")))), None)
    if told is not None and told.kind == "swift":
        return [told]
    if told is None and fleet.store.kind == "swift":
        return _swift_places(fleet.store.swift)
    if told is not None:
        public, bucket = told.address, told.bucket
    addresses = dict.fromkeys(filter(None, (public, inner)))
    return [StorePlace(one, bucket, one == public, uploads=bucket) for one in addresses]


def _swift_places(swift: Swift) -> list[StorePlace]:
    """The account as clients find it, and as instances do, where they find it elsewhere."""
    if not swift.account:
        return []
    account = urlsplit(swift.account)
    public = swift.public or f"{account.scheme}://{account.netloc}"
    addresses = dict.fromkeys((f"{public}{account.path}", swift.account))
    names = swift.container, swift.staging_container
    return [
        StorePlace(one, names[0], place == 0, "swift", names[1])
        for place, one in enumerate(addresses)
    ]


def _told(store: object) -> StorePlace | None:
    """What an instance tells of it, if that can be an address."""
    if not isinstance(store, dict) or not _is_address(store.get("address")):
        return None
    bucket, uploads = str(store.get("bucket")), str(store.get("uploads"))
    if not NAME.fullmatch(bucket) or not NAME.fullmatch(uploads):
        return None
    kind = "swift" if store.get("kind") == "swift" else "s3"
    return StorePlace(store["address"].rstrip("/"), bucket, True, kind, uploads)


def _is_address(told: object) -> bool:
    if not isinstance(told, str) or not told.isprintable() or len(told) > 500:
        return False
    try:
        parts = urlsplit(told)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in told
    except ValueError:
        return False


def _origins(fleet: Fleet, configs: Sequence[Told]) -> tuple[str, ...]:
    told = [*with_own(fleet.service.public_url, fleet.service.cors_origins)]
    for config in configs:
        listed = config.get("cors_origins")
        told += [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    return tuple(dict.fromkeys(one[:300] for one in told if one.isascii()))[:MOST_ORIGINS]


async def _look(place: StorePlace, origins: Sequence[str]) -> StorePlace:
    # Who it is, is looked at elsewhere: here nothing is told to anybody.
    client = httpx.AsyncClient(timeout=PATIENCE, trust_env=False, verify=False)  # noqa: S501
    try:
        async with asyncio.timeout(LONGEST), client:
            return await _as_stranger(client, place, origins)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:  # TimeoutError too
        reason = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        return replace(place, problem=f"{place.address}: {reason}")


async def _as_stranger(
    client: httpx.AsyncClient, place: StorePlace, origins: Sequence[str]
) -> StorePlace:
    base, uploads = f"{place.address}/{place.bucket}", f"{place.address}/{place.uploads}"
    is_swift = place.kind == "swift"
    asked = time.time()
    listing = await _get(client, f"{base}?limit=1" if is_swift else f"{base}/{LISTING}")
    clock = by_date(listing.date, asked, time.time())
    guessed = await _get(client, f"{base}/{GUESSED}")
    if listing.status >= 500 and guessed.status >= 500:
        return replace(place, problem=f"{place.address} answers {listing.status}", clock=clock)
    preflights = [
        await _preflight(client, into, origin, method)
        for origin in dict.fromkeys((STRANGER, *map(sent_for, origins)))
        for method, into in (("GET", base), ("PUT", uploads))
    ]
    return replace(
        place,
        listed=_is_list(listing, is_swift),
        # Who may not read is not told what is there: S3 says 403 then, Swift 401.
        readable=guessed.status == 200
        or (guessed.status == 404 and (is_swift or guessed.code == "NoSuchKey")),
        preflights=tuple(preflights),
        clock=clock,
    )


def _is_list(answer: "_Answer", is_swift: bool) -> bool:
    """Swift lists an empty container by 204."""
    if is_swift:
        return answer.status in (200, 204)
    return answer.status == 200 and b"<ListBucketResult" in answer.body


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    date: str

    @property
    def code(self) -> str:
        found = CODE.search(self.body)
        return found[1].decode() if found else ""


async def _get(client: httpx.AsyncClient, url: str) -> _Answer:
    body = b""
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        async for piece in answer.aiter_raw():
            body += piece[: LARGEST_ANSWER - len(body)]
            if len(body) >= LARGEST_ANSWER:
                break
    return _Answer(answer.status_code, body, answer.headers.get("Date", ""))


async def _preflight(client: httpx.AsyncClient, base: str, origin: str, method: str) -> Preflight:
    url = f"{base}/{GUESSED}?{LOOKS_SIGNED}"
    async with client.stream("OPTIONS", url, headers=preflight(origin, method)) as answer:
        allowed = answer.is_success and leave(answer.headers, origin, method)
    return Preflight(one_line(origin), method, answer.status_code, allowed)
