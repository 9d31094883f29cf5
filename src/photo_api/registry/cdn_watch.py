"""The CDN, looked at by the one process that does so for the whole fleet."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from photo_api.cloud.identity import Identity
from photo_api.delivery import cdn_probe
from photo_api.delivery.cdn_probe import CdnProbe, Outcome
from photo_api.delivery.cdn_state import judged
from photo_api.delivery.opening import StoreKeys, open_reader
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import CDN_PROBES
from photo_api.registry import cdn_paths
from photo_api.registry.cdn_paths import Counted, Row
from photo_api.registry.leases import Lease
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.base import ObjectMissing, ObjectStore, StoreUnavailable
from photo_api.telemetry.events import Event

log = logging.getLogger(__name__)

ANOTHER_OBJECT_AFTER = 600.0
"""Seconds after which the probe's object is replaced by one that no CDN has in its cache: else a
CDN that reaches its store no more would look well for as long as the cache lasts."""

KEPT = 7200.0
"""Seconds after which the sweep deletes such an object."""


class CdnWatch:
    """Rounds of the probe of the CDN at the address `cdn`, which are to be `interval` seconds
    apart."""

    def __init__(
        self,
        db: Any,
        store: ObjectStore,
        probe: CdnProbe,
        cdn: str,
        interval: float,
        me: Identity,
        counts: Counts,
    ) -> None:
        self._db = db
        self._store = store
        self._probe = probe
        self._cdn = cdn
        self.interval = interval
        self._me = me
        self._counts = counts

    async def round(self, lease: Lease) -> None:
        """Make one result, and count it unless another was counted a moment ago."""
        row = await cdn_paths.read(self._db, self._cdn)
        if not row.state.is_due(row.at.timestamp(), self.interval):
            return
        key, is_new = await self._object(lease, row)
        if is_new:  # which may have taken long
            row = await cdn_paths.read(self._db, self._cdn)
        outcome = await self._look(lease, key)
        self._counts.add(CDN_PROBES, outcome.result)
        if outcome.result == "unknown":
            log.info("the CDN cannot be judged: %s", outcome.error)
            return
        ok, now = outcome.result == "ok", row.at.timestamp()
        state = judged(row.state, ok=ok, now=now, interval=self.interval)
        # Back on the CDN only by an object that it has to fetch from the store first.
        kept = None if state.path == "fallback" != row.state.path else key
        counted = Counted(row, state, outcome.error, kept, is_new)
        if await cdn_paths.count(self._db, lease, self._cdn, counted, self._me):
            self._tell(counted)

    async def _object(self, lease: Lease, row: Row) -> tuple[str | None, bool]:
        """The probe's object, and whether it is a new one; None where there is none, and none can
        be stored."""
        if row.probe_key is not None and 0 <= row.probe_age < ANOTHER_OBJECT_AFTER:
            return row.probe_key, False
        key = cdn_probe.new_key()
        try:
            if await cdn_paths.note_object(self._db, lease, key, KEPT):
                await cdn_probe.put(self._store, key)
                return key, True
        except StoreUnavailable as error:
            log.info("the CDN's probe has no new object: %s", error)
        return row.probe_key, False

    async def _look(self, lease: Lease, key: str | None) -> Outcome:
        if key is None:
            return Outcome("unknown", "there is no object to fetch")
        try:
            return await self._probe.look(key)
        except ObjectMissing:
            await cdn_paths.forget_object(self._db, lease, key)
            return Outcome("unknown", "the store has lost the object")

    def _tell(self, counted: Counted) -> None:
        if not counted.switched:
            return
        if counted.state.path == "fallback":
            fields = {"event": Event.CDN_FAILED, "error": counted.error}
            log.error("the CDN fails: the fleet delivers without it", extra={"fields": fields})
        else:
            fields = {"event": Event.CDN_BACK}
            log.warning("the CDN is well: the fleet delivers by it", extra={"fields": fields})


@asynccontextmanager
async def open_watch(
    live: LiveSettings, keys: StoreKeys, db: Any, store: ObjectStore, me: Identity, counts: Counts
) -> AsyncIterator[CdnWatch | None]:
    """That of the configured CDN, if there is one. It trusts the authorities that the store's
    certificate may have besides the system's."""
    settings = live.now
    if not settings.cdn.provider:
        yield None
        return
    # Here alone: it brings an HTTP client.
    from photo_api.storage.plain_requests import PlainRequests

    reader = open_reader(live, keys, settings.delivery.window)
    of_store = settings.swift if settings.store == "swift" else settings.s3
    async with PlainRequests(of_store.authorities) as requests:
        probe = CdnProbe(requests, store, lambda key: reader.read(key, filename="probe").url)
        interval = settings.cdn.probe_interval
        yield CdnWatch(db, store, probe, settings.cdn.url, interval, me, counts)
