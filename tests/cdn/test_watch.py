"""The probe of the CDN, with a real database and a real store, and what it makes of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from photo_api.cloud.identity import Identity
from photo_api.db.pool import Database
from photo_api.delivery import cdn_probe
from photo_api.delivery.cdn_probe import CdnProbe
from photo_api.delivery.opening import open_signer
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import CDN_PROBES
from photo_api.photos.reconcile import reconcile
from photo_api.photos.sweep import sweep
from photo_api.registry import cdn_paths, cdn_watch, leases
from photo_api.registry.cdn_watch import CdnWatch
from photo_api.registry.leases import Lease
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.opening import follow_store
from photo_api.storage.plain_requests import PlainRequests
from photo_base.listener import Listener
from photo_fleet.drill.stage.http_relay import NORMAL, Behaviour, HttpRelay
from tests.own_stage import OpenStore, endpoint_in, own_bucket, own_database, reached_at
from tests.service import free_port

INTERVAL = 0.1
"""Seconds between two probes here: every other round may come too early to count."""

ME = Identity("00000000-0000-0000-0000-0000000000c1", "10.0.0.1", "node", None, "0")
BAD = Behaviour("answer", 502)
DUE = "delete_after < now() + interval '1 hour'"
CDN = "https://cdn.example.org"


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, own_bucket(stack, environ)) as settings:
        yield settings


@dataclass
class Stage:
    """A CDN and a store that fail when they are told to, and what probes the one by the other."""

    db: Database
    cdn: HttpRelay
    store_relay: HttpRelay
    store: OpenStore
    new_watch: Callable[[str], CdnWatch]
    lease: Lease
    counts: Counts
    name: str

    async def take_over(self) -> Lease:
        """The lease, for another instance."""
        await leases.release(self.db, self.lease)
        lease = await leases.acquire(self.db, self.lease.name, "another", 60)
        assert lease is not None
        self.lease = lease
        return lease

    async def state(self) -> tuple[str, int]:
        row = (await cdn_paths.read(self.db, self.name)).state
        return row.path, row.in_a_row

    async def rounds(self, watch: CdnWatch, number: int) -> None:
        """So many results that count."""
        for _ in range(number):
            await asyncio.sleep(INTERVAL / 2)
            await watch.round(self.lease)

    async def events(self) -> list[str]:
        query = (
            "SELECT event || coalesce(': ' || cause, '') FROM instance_events WHERE boot_id = $1"
        )
        return [row[0] for row in await self.db.fetch(query + " ORDER BY id", ME.boot_id)]


@pytest.fixture
async def stage(settings: dict[str, str], db: Database) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        cdn, store_relay = HttpRelay(free_port()), HttpRelay(free_port())
        for relay in (cdn, store_relay):
            relay.endpoint = endpoint_in(settings)
            await relay.start()
            stack.push_async_callback(relay.stop)
        live = LiveSettings(load(reached_at(settings, store_relay.url)))
        keys, store = await stack.enter_async_context(follow_store(live))
        plain = await stack.enter_async_context(PlainRequests())
        by_cdn = load(settings | public_at(settings, cdn.url))
        signer = open_signer(by_cdn, keys, 3600)
        counts, name = Counts(), f"{CDN}/{uuid4().hex}"
        probe = CdnProbe(plain, store, lambda key: signer.read(key, filename="probe").url)

        def new_watch(instance: str = ME.instance) -> CdnWatch:
            return CdnWatch(db, store, probe, name, INTERVAL, ME, counts)

        lease = await leases.acquire(db, uuid4().hex, "tests", 60)
        assert lease is not None
        await db.execute("DELETE FROM instance_events")
        yield Stage(db, cdn, store_relay, store, new_watch, lease, counts, name)


def public_at(settings: dict[str, str], url: str) -> dict[str, str]:
    kind = "SWIFT" if settings.get("PHOTO_API_STORE") == "swift" else "S3"
    return {f"PHOTO_API_{kind}_PUBLIC_ENDPOINT": url}


async def test_three_failures_switch_and_three_successes_switch_back(stage: Stage) -> None:
    watch = stage.new_watch("a")
    await stage.rounds(watch, 2)
    assert await stage.state() == ("cdn", 0)
    first = (await cdn_paths.read(stage.db, stage.name)).probe_key
    await stage.cdn.behave(BAD)
    await stage.rounds(watch, 2)
    assert await stage.state() == ("cdn", 2)
    assert await stage.events() == []
    await stage.rounds(watch, 1)
    assert await stage.state() == ("fallback", 0)
    assert await stage.events() == ["cdn_failed: HTTP 502"]
    told = await cdn_paths.path(stage.db, stage.name)
    assert told is not None
    assert (told["path"], told["error"]) == ("fallback", "HTTP 502")
    await stage.db.execute("UPDATE cdn_paths SET stay = 0 WHERE cdn = $1", stage.name)
    await stage.rounds(watch, 1)
    assert await stage.state() == ("fallback", 0)
    await stage.cdn.behave(NORMAL)
    await stage.rounds(watch, 2)
    assert await stage.state() == ("fallback", 2)
    await stage.rounds(watch, 1)
    assert await stage.state() == ("cdn", 0)
    assert await stage.events() == ["cdn_failed: HTTP 502", "cdn_back"]
    second = (await cdn_paths.read(stage.db, stage.name)).probe_key
    assert None not in (first, second)
    assert first != second, "it was in the cache"
    assert stage.counts.sums[CDN_PROBES] == {("ok",): 5, ("failed",): 4}


async def test_a_store_that_is_away_leaves_all_as_it_is(stage: Stage) -> None:
    watch = stage.new_watch("a")
    await stage.rounds(watch, 1)
    await stage.cdn.behave(BAD)
    await stage.rounds(watch, 2)
    for away in (Behaviour("refuse"), BAD):
        await stage.store_relay.behave(away)
        await stage.rounds(watch, 2)
        assert await stage.state() == ("cdn", 2)
    assert stage.counts.sums[CDN_PROBES] == {("ok",): 1, ("failed",): 2, ("unknown",): 4}
    assert await stage.events() == []


async def test_what_fails_is_counted_on_by_the_next_instance(stage: Stage) -> None:
    await stage.rounds(stage.new_watch("a"), 1)
    await stage.cdn.behave(BAD)
    await stage.rounds(stage.new_watch("a"), 2)
    await stage.take_over()
    assert await stage.state() == ("cdn", 2)
    await stage.rounds(stage.new_watch("b"), 1)
    assert await stage.state() == ("fallback", 0)


async def test_of_two_results_at_nearly_the_same_time_one_counts(stage: Stage) -> None:
    one, other = stage.new_watch("a"), stage.new_watch("b")
    await stage.rounds(one, 1)
    await stage.cdn.behave(BAD)
    await asyncio.sleep(INTERVAL)
    slow = Behaviour("slow", delay=INTERVAL)
    await stage.store_relay.behave(slow)
    await asyncio.gather(one.round(stage.lease), other.round(stage.lease))
    assert await stage.state() == ("cdn", 1)
    await other.round(stage.lease)
    await other.round(stage.lease)
    assert (await stage.state())[1] <= 2


async def meanwhile(stage: Stage, watch: CdnWatch, act: Callable[[], Awaitable[object]]) -> None:
    """A round during which its process stands still, and the world goes on."""
    await stage.store_relay.behave(Behaviour("slow", delay=0.4))
    running = asyncio.create_task(watch.round(stage.lease))
    await asyncio.sleep(0.2)
    await act()
    await running
    await stage.store_relay.behave(NORMAL)


async def test_who_comes_back_late_counts_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is another's by then; or is still its own, and its look was too long ago."""
    watch = stage.new_watch("a")
    await stage.rounds(watch, 1)
    await stage.cdn.behave(BAD)
    await stage.rounds(watch, 2)
    await asyncio.sleep(INTERVAL)
    await meanwhile(stage, watch, stage.take_over)
    assert await stage.state() == ("cdn", 2)
    monkeypatch.setattr(cdn_paths, "LONGEST_ROUND", 0.3)
    await meanwhile(stage, watch, lambda: asyncio.sleep(0))
    assert await stage.state() == ("cdn", 2)
    monkeypatch.undo()
    await meanwhile(stage, watch, lambda: asyncio.sleep(0))
    assert await stage.state() == ("fallback", 0)


async def test_a_result_counts_upon_the_one_that_it_was_made_after(stage: Stage) -> None:
    """Two look at once, and the one that began first ends last."""
    one, other = stage.new_watch("a"), stage.new_watch("b")
    await stage.rounds(one, 1)
    await stage.cdn.behave(BAD)
    await stage.rounds(one, 2)
    await asyncio.sleep(INTERVAL)

    async def succeed() -> None:
        await stage.cdn.behave(NORMAL)
        await other.round(stage.lease)
        assert await stage.state() == ("cdn", 0)

    await meanwhile(stage, one, succeed)
    assert await stage.state() == ("cdn", 0)
    assert await stage.events() == []


async def test_a_database_whose_clock_was_changed_is_no_reason_to_switch(stage: Stage) -> None:
    watch = stage.new_watch("a")
    await stage.rounds(watch, 1)
    await stage.cdn.behave(BAD)
    await stage.rounds(watch, 1)
    move = "UPDATE cdn_paths SET counted_at = counted_at {0}, since = since {0} WHERE cdn = $1"
    await stage.db.execute(move.format("+ interval '1 day'"), stage.name)
    await stage.rounds(watch, 1)
    assert await stage.state() == ("cdn", 2), "it counts on, and waits for nothing"
    await stage.db.execute(move.format("- interval '1 day'"), stage.name)
    await stage.rounds(watch, 1)
    assert await stage.state() == ("cdn", 1), "what was a day ago is not in a row with it"


ANSWERS = {
    "HTTP 302": b"HTTP/1.1 302 Found\r\nLocation: {store}\r\nContent-Length: 0\r\n\r\n",
    "HTTP 403": b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP 206": b"HTTP/1.1 206 Part\r\nContent-Length: 0\r\n\r\n",
    "other bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "over 65536 bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(200_000),
    "no answer within 0.5 s": None,
    "RemoteProtocolError": b"",
}


class Stranger(Listener):
    """Somebody who answers in the CDN's place."""

    answer: bytes | None = b""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self.answer is None:
            await asyncio.sleep(60)
        writer.write(self.answer or b"")
        await writer.drain()
        writer.close()


@pytest.mark.parametrize("error", ANSWERS)
async def test_whatever_else_is_answered_has_failed(
    stage: Stage, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect is not followed, and no more is read than is needed."""
    monkeypatch.setattr(cdn_probe, "TIME_BOX", 0.5)
    key = cdn_probe.new_key()
    await cdn_probe.put(stage.store, key)
    stranger = Stranger(free_port())
    stranger.answer = ANSWERS[error]
    await stranger.start()
    url = f"http://127.0.0.1:{stranger.address[1]}/{{}}?signature=secret"
    async with PlainRequests() as plain:
        outcome = await CdnProbe(plain, stage.store, url.format).look(key)
    await stranger.stop()
    await stage.store.delete([key])
    assert outcome.result == "failed"
    assert outcome.error is not None
    assert error in outcome.error
    assert "secret" not in outcome.error
    assert "store failed" not in outcome.error


async def test_an_object_that_is_lost_is_made_anew(stage: Stage) -> None:
    watch = stage.new_watch("a")
    await stage.rounds(watch, 1)
    key = (await cdn_paths.read(stage.db, stage.name)).probe_key
    assert key is not None
    await stage.store.delete([key])
    await stage.rounds(watch, 1)
    assert await stage.state() == ("cdn", 0)
    await stage.rounds(watch, 1)
    assert stage.counts.sums[CDN_PROBES] == {("ok",): 2, ("unknown",): 1}
    assert (await cdn_paths.read(stage.db, stage.name)).probe_key not in (None, key)


async def test_the_object_is_replaced_now_and_then_and_swept(stage: Stage) -> None:
    """It is no orphan to anybody."""
    watch = stage.new_watch("a")
    await stage.rounds(watch, 1)
    first = (await cdn_paths.read(stage.db, stage.name)).probe_key
    old = f"- interval '{cdn_watch.ANOTHER_OBJECT_AFTER} s'"
    await stage.db.execute(f"UPDATE cdn_paths SET probe_made_at = probe_made_at {old}")
    await stage.rounds(watch, 2)
    second = (await cdn_paths.read(stage.db, stage.name)).probe_key
    assert first != second
    report = await reconcile(
        stage.db, stage.store, staged_for=0, repair=False, adopt=False, force=False, restored=True
    )
    assert report.objects >= 2
    assert report.clean, report.orphans
    assert await stage.db.fetchval(f"SELECT count(*) FROM unreferenced_objects WHERE {DUE}") == 0
    await stage.db.execute("UPDATE unreferenced_objects SET delete_after = now() - interval '1 s'")
    await sweep(stage.db, stage.store, 0, stage.lease)
    assert [info.key async for info in stage.store.list("renditions/")] == []


async def test_who_has_no_lease_makes_no_object(stage: Stage) -> None:
    lease = stage.lease
    await stage.take_over()
    await stage.new_watch("a").round(lease)
    assert await stage.db.fetchval("SELECT count(*) FROM cdn_paths WHERE cdn = $1", stage.name) == 0
    assert stage.counts.sums[CDN_PROBES] == {("unknown",): 1}
