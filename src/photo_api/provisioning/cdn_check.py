"""`photo-api storage check` of a CDN: by small objects that are deleted again, since only of what
is there it can be told who reads it."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from photo_api.delivery import cdn_probe
from photo_api.delivery.opening import StoreKeys, open_reader
from photo_api.provisioning import judging
from photo_api.provisioning.findings import Finding
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.base import ObjectStore
from photo_api.storage.opening import follow_store
from photo_api.storage.plain_requests import PlainAnswer, PlainRequests
from photo_api.storage.swift_containers import STAGING

WINDOWS = (3600, 3607, 3613, 3617)
"""Seconds. URLs of different windows are signed differently."""


@dataclass(frozen=True, slots=True)
class Cdn:
    """A CDN, and what it is asked by."""

    live: LiveSettings
    keys: StoreKeys
    plain: PlainRequests

    def url(self, key: str, window: int = WINDOWS[0]) -> str:
        """As clients get it."""
        return open_reader(self.live, self.keys, window).read(key, filename="check").url

    async def get(self, url: str) -> PlainAnswer:
        """Raises `StoreUnavailable`."""
        return await self.plain.ask("GET", url, most=cdn_probe.MOST)


async def check_cdn(settings: Settings) -> list[Finding]:
    """What the CDN gives to whom. Raises `StoreUnavailable`."""
    live = LiveSettings(settings)
    of_store = settings.swift if settings.store == "swift" else settings.s3
    async with (
        follow_store(live) as (keys, store),
        PlainRequests(of_store.authorities) as plain,
        _objects(store) as (first, second, staged),
    ):
        cdn = Cdn(live, keys, plain)
        url, other = cdn.url(first), cdn.url(second)
        answer = await cdn.get(url)
        found = [
            judging.tls(settings.cdn.url, answer.certificate, time.time(), clients=True),
            judging.cdn_read(answer.status, same=answer.body == cdn_probe.bytes_of(first)),
        ]
        if found[-1].state != "ok":
            return found  # then a refusal says nothing
        await cdn.get(other)  # what is in its cache by now must be refused all the same
        for what, wrong in (
            ("without a token", url.partition("?")[0]),
            ("with the token of another object", _elsewhere(url, other)),
            ("of an upload that nobody has looked at", cdn.url(staged)),
        ):
            found.append(judging.cdn_refusal(what, (await cdn.get(wrong)).status))
        return [*found, await _cached(cdn, first)]


@asynccontextmanager
async def _objects(store: ObjectStore) -> AsyncIterator[tuple[str, str, str]]:
    """Two where clients read, and one where they upload."""
    keys = (
        cdn_probe.new_key(),
        cdn_probe.new_key(),
        f"{STAGING}check/{secrets.token_hex(16)}",
    )
    try:
        for key in keys:
            await cdn_probe.put(store, key)
        yield keys
    finally:
        await store.delete(keys)


def _elsewhere(url: str, other: str) -> str:
    """The query of `url` at the address of `other`."""
    return f"{other.partition('?')[0]}?{urlsplit(url).query}"


async def _cached(cdn: Cdn, key: str) -> Finding:
    """Whether it finds with other tokens what it has fetched with the first. A CDN of many machines
    may not at once."""
    told: bool | None = None
    for window in WINDOWS[1:]:
        answer = await cdn.get(cdn.url(key, window))
        told = judging.was_cached(answer.headers)
        if told is not False:
            break
    return judging.cdn_cache(told)
