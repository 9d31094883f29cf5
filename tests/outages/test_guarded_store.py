"""The store's guard: retries, time limits and the breaker, on the real store behind a relay."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest

from photo_api.cloud.sigv4 import Credentials
from photo_api.resilience import FAILURES_TO_OPEN, Breaker, RetryBudget
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.base import ObjectMissing, StoreDown, StoreUnavailable
from photo_api.storage.buffers import Budget, Share
from photo_api.storage.guarded import GuardedStore
from photo_api.storage.opening import follow_store, open_store
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.own_stage import bucket_in, endpoint_in, reached_at, store_of

MIB = 1024 * 1024
PROMISED = 5.0
"""Seconds in which a request is answered that meets a hanging store."""
BUSY = 3.0
"""What a busy machine may add to that."""


@pytest.fixture
def faulty(environ: dict[str, str]) -> Iterator[FaultyStore]:
    with faulty_store(endpoint_in(environ)) as relay:
        yield relay


@asynccontextmanager
async def opened(environ: dict[str, str], faulty: FaultyStore) -> AsyncIterator[GuardedStore]:
    live = LiveSettings(load(reached_at(environ, faulty.endpoint)))
    async with follow_store(live) as (_, store):
        yield store


@pytest.fixture
async def store(environ: dict[str, str], faulty: FaultyStore) -> AsyncIterator[GuardedStore]:
    """As every process opens it."""
    async with opened(environ, faulty) as store:
        yield store


@pytest.fixture
def key() -> str:
    return f"test-{uuid4().hex}/object"


def ping_of(environ: dict[str, str]) -> str:
    """How the request begins, or what is in its address, by which the store is pinged."""
    on_swift = environ.get("PHOTO_API_STORE") == "swift"
    return f"/{bucket_in(environ)} HTTP" if on_swift else "list-type=2"


async def fails(call: Awaitable[object]) -> float:
    """The seconds after which it failed."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await call
    return time.monotonic() - began


async def until_down(store: GuardedStore, faulty: FaultyStore) -> None:
    """Fail until the store is not asked any more."""
    async with asyncio.timeout(60):
        while True:
            try:
                await store.head("x")
            except StoreDown:
                return
            except StoreUnavailable:
                pass


async def until_up(store: GuardedStore) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await store.head("x")
            except ObjectMissing:
                return
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def chunks(count: int, pause: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(MIB)
        await asyncio.sleep(pause)


async def test_a_single_failure_is_not_seen(
    store: GuardedStore, faulty: FaultyStore, key: str
) -> None:
    async def mend() -> None:
        before = faulty.requests
        while faulty.requests == before:
            await asyncio.sleep(0.001)
        faulty.passes()

    await store.put_bytes(key, b"bytes", content_type="image/png")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.put_bytes(key, b"bytes", content_type="image/png"),
        lambda: store.get(key),
        lambda: store.peek(key, 3),
        lambda: store.open(key),
        lambda: store.head(key),
        lambda: store.copy(key, f"{key}-copy"),
        lambda: store.delete([f"{key}-copy"]),
    ]
    for call in calls:
        faulty.answers(503, "SlowDown")
        await asyncio.gather(call(), mend())


async def test_what_is_missing_is_no_failure(store: GuardedStore) -> None:
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(ObjectMissing):
            await store.get(uuid4().hex)


async def test_one_bad_object_does_not_stop_the_others(
    store: GuardedStore, faulty: FaultyStore, key: str
) -> None:
    await store.put_bytes(key, b"good", content_type="image/png")
    faulty.answers(500, only="bad-object")
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable):
            await store.get("bad-object")
        assert await store.get(key) == b"good"


async def test_a_failing_store_is_left_alone(store: GuardedStore, faulty: FaultyStore) -> None:
    faulty.answers(500)
    await until_down(store, faulty)
    before = faulty.requests
    calls = [store.put_bytes("x", b"", content_type="image/png") for _ in range(500)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in found} == {StoreDown}
    assert "has been failing" in str(found[0])
    assert faulty.requests - before < 20, "pings, and perhaps one that is let through"


async def test_a_store_that_refuses_writes_alone_is_read_and_no_ping_makes_it_writable(
    store: GuardedStore, faulty: FaultyStore, key: str
) -> None:
    await store.put_bytes(key, b"bytes", content_type="image/png")
    faulty.answers(507, "InsufficientStorage", only="PUT ")

    async def write() -> None:
        await store.put_bytes(key, b"other", content_type="image/png")

    async with asyncio.timeout(60):
        while True:
            try:
                await write()
            except StoreDown:
                break
            except StoreUnavailable:
                pass
    assert await store.get(key) == b"bytes"
    await store.ping()
    with pytest.raises(StoreDown):
        await write()
    faulty.passes()
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreDown):
                await write()
                break
            await asyncio.sleep(0.05)
    assert await store.get(key) == b"other"


async def test_retries_stay_within_their_budget(
    environ: dict[str, str], faulty: FaultyStore
) -> None:
    """A store in which every second request or more fails sees little more than its usual load."""
    inner = store_of(reached_at(environ, faulty.endpoint))
    never = Breaker("never open", failures=10**9)
    store = GuardedStore(inner, never, never, RetryBudget())
    faulty.answers(500)
    for _ in range(60):
        await fails(store.head("x"))
    assert faulty.requests <= 60 * 1.1 + 10


async def test_a_ping_passes_an_open_breaker_and_closes_it(
    environ: dict[str, str], faulty: FaultyStore
) -> None:
    inner = store_of(reached_at(environ, faulty.endpoint))
    breaker = Breaker("object store", pause=3600)
    store = GuardedStore(inner, breaker, Breaker("writes"), RetryBudget())
    breaker.trip()
    with pytest.raises(StoreDown):
        await store.head("x")
    faulty.answers(500)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    assert breaker.is_open
    faulty.passes()
    await store.ping()
    with pytest.raises(ObjectMissing):
        await store.head("x")


@pytest.mark.s3_only("it permits single requests; Swift a whole container, or nothing")
async def test_without_permission_to_list_a_call_finds_out_that_the_store_is_back(
    environ: dict[str, str], faulty: FaultyStore
) -> None:
    inner = store_of(reached_at(environ, faulty.endpoint))
    store = GuardedStore(
        inner, Breaker("object store", pause=0.5), Breaker("writes"), RetryBudget()
    )
    faulty.answers(500)
    await until_down(store, faulty)
    faulty.answers(403, "AccessDenied", only=ping_of(environ))
    await until_up(store)
    await store.aclose()


@pytest.mark.parametrize("fault", ["hang", "refuse"])
async def test_each_call_is_bounded(
    store: GuardedStore,
    faulty: FaultyStore,
    environ: dict[str, str],
    key: str,
    fault: str,
) -> None:
    """Also an upload in parts that has begun. Each gets a store of its own, whose breaker is
    closed."""
    (faulty.hangs if fault == "hang" else faulty.refuses)()

    async def alone(call: Callable[[GuardedStore], Awaitable[object]]) -> float:
        async with opened(environ, faulty) as own:
            return await fails(call(own))

    async def listed(own: GuardedStore) -> None:
        await own.ping()

    took = await asyncio.gather(
        alone(lambda own: own.get(key)),
        alone(lambda own: own.head(key)),
        alone(lambda own: own.peek(key, 5)),
        alone(lambda own: own.open(key)),
        alone(lambda own: own.copy(key, f"{key}-copy")),
        alone(lambda own: own.delete([key])),
        alone(lambda own: own.put_bytes(key, bytes(MIB), content_type="image/png")),
        alone(lambda own: own.put(key, chunks(1), content_type="image/png")),
        alone(lambda own: own.put(key, chunks(12), content_type="image/png")),
        alone(listed),
    )
    assert max(took) < PROMISED + BUSY, took


async def test_a_write_that_hangs_takes_the_store_for_down_at_once(
    store: GuardedStore, faulty: FaultyStore, key: str
) -> None:
    faulty.hangs()
    await fails(store.copy(key, f"{key}-copy"))
    with pytest.raises(StoreDown, match="not asked"):
        await store.head(key)


async def test_a_hanging_upload_is_given_up_and_leaves_nothing(
    store: GuardedStore, faulty: FaultyStore, key: str
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        async for chunk in chunks(7):
            yield chunk
        faulty.hangs()
        async for chunk in chunks(20):
            yield chunk

    assert await fails(store.put(key, stream(), content_type="image/png")) < PROMISED + BUSY
    faulty.passes()
    await until_up(store)
    with pytest.raises(ObjectMissing):
        await store.head(key)


def size_of(value: object) -> int:
    """Bytes that it holds or looks at."""
    with suppress(ValueError):  # a view that was released
        return len(value) if isinstance(value, bytes | bytearray | memoryview) else 0
    return 0


@pytest.mark.slow
@pytest.mark.s3_only("obstore, which may keep the future of a call, and its exception")
async def test_what_a_call_that_was_given_up_leaves_behind_holds_no_part(
    environ: dict[str, str], faulty: FaultyStore, key: str
) -> None:
    store = store_of(reached_at(environ, faulty.endpoint))
    faulty.hangs()
    putting = asyncio.create_task(store.put(key, chunks(7), content_type="image/png"))
    async with asyncio.timeout(10):
        while not faulty.hanging:
            await asyncio.sleep(0.01)
    putting.cancel()
    await asyncio.sleep(0)
    faulty.passes()
    with pytest.raises(asyncio.CancelledError) as given_up:
        await putting
    frames = [frame for frame, _ in traceback.walk_tb(given_up.value.__traceback__)]
    values = [value for frame in frames for value in frame.f_locals.values()]
    held = [part for value in values for part in getattr(value, "__dict__", {}).values()]
    assert "_put_parts" in [frame.f_code.co_name for frame in frames]
    assert max(map(size_of, (*values, *held)), default=0) < MIB
    await store.aclose()


async def test_a_slow_upload_is_not_cut(store: GuardedStore, faulty: FaultyStore, key: str) -> None:
    """A part takes longer than the patience, and the store answers pings meanwhile."""
    faulty.slow(rate=MIB)
    await store.put(key, chunks(11), content_type="image/png")
    faulty.passes()
    assert (await store.head(key)).size == 11 * MIB


@pytest.mark.slow
async def test_a_store_that_is_busy_with_our_own_writes_is_not_down(
    store: GuardedStore, environ: dict[str, str], faulty: FaultyStore, key: str
) -> None:
    """It answers no ping, and each upload takes longer than the patience."""
    budget = Budget(64 * MIB)
    faulty.busy(5.0, never=ping_of(environ))

    async def put(number: int) -> None:
        share = Share(budget, str(number), 4 * MIB)
        await store.put(f"{key}-{number}", chunks(4), content_type="image/png", share=share)

    await asyncio.gather(*map(put, range(12)))
    faulty.passes()
    assert (await store.head(f"{key}-0")).size == 4 * MIB


async def test_a_slow_client_is_no_hanging_store(
    store: GuardedStore, environ: dict[str, str], faulty: FaultyStore, key: str
) -> None:
    """Nothing is asked of the store while the client is silent."""

    async def pausing() -> AsyncIterator[bytes]:
        async for chunk in chunks(7):
            yield chunk
        faulty.hangs(only=ping_of(environ))
        await asyncio.sleep(4.5)
        yield bytes(MIB)

    await store.put(key, pausing(), content_type="image/png")
    assert (await store.head(key)).size == 8 * MIB


async def test_a_client_that_goes_away_says_nothing_of_the_store(
    store: GuardedStore, key: str
) -> None:
    class Gone(Exception):
        pass

    async def broken(count: int) -> AsyncIterator[bytes]:
        async for chunk in chunks(count):
            yield chunk
        raise Gone

    for count in (1, 7):
        for _ in range(FAILURES_TO_OPEN + 1):
            with pytest.raises(Gone):
                await store.put(key, broken(count), content_type="image/png")
    with pytest.raises(ObjectMissing):
        await store.head(key)


async def test_a_stream_that_breaks_off_is_not_repeated(
    store: GuardedStore, faulty: FaultyStore, key: str
) -> None:
    await store.put_bytes(key, bytes(8 * MIB), content_type="image/png")
    faulty.resets()
    before = faulty.requests
    with pytest.raises(StoreUnavailable):
        async for _ in (await store.open(key)).chunks:
            pass
    assert faulty.requests - before <= 2


class FromRole:
    """A role's key, as `InstanceRoleCredentials` gives it: none once it has expired."""

    def __init__(self, key: Credentials) -> None:
        self.key: Credentials | None = key

    def current(self) -> Credentials:
        if self.key is None:
            raise StoreUnavailable("the machine's role gives no valid access key")
        return self.key


@pytest.mark.s3_only("keys of an instance's role; Keystone's tokens have tests of their own")
async def test_an_expired_role_is_an_outage_that_ends_with_the_next_key(
    environ: dict[str, str], faulty: FaultyStore
) -> None:
    s3 = load(environ).s3
    key = Credentials(s3.access_key, s3.secret_key, expires_at=time.time() + 0.5)
    source = FromRole(key)
    s3 = load(environ | {"PHOTO_API_S3_ENDPOINT": faulty.endpoint}).s3
    async with open_store(s3, source) as store:
        await store.ping()
        source.key = None
        await asyncio.sleep(0.6)
        await until_down(store, faulty)
        source.key = Credentials(s3.access_key, s3.secret_key, expires_at=time.time() + 3600)
        await until_up(store)
