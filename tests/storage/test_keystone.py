"""Tokens of a Keystone, versions 2.0 and 3, at a real Swift: what ends their life before its time,
and what a Keystone that is away does not end."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from photo_api.cloud.keystone import Account
from photo_api.storage import keystone as ours
from photo_api.storage import tokens
from photo_api.storage.base import ObjectMissing, StoreRefused, StoreUnavailable
from photo_api.storage.keystone import fetch_token
from photo_api.storage.swift import SwiftStore
from photo_api.storage.swift_containers import Containers
from photo_api.storage.tokens import Tokens
from photo_local.keystone import PROJECT, USER
from tests.openstack.account import account_of, open_account, open_store
from tests.openstack.keystone import PASSWORD, Keystone
from tests.openstack.keystone_v2 import KeystoneV2, serving
from tests.openstack.swift import Swift, ask
from tests.storage.test_contract import MIB, content, stream

pytestmark = pytest.mark.needs("memcached")


@pytest.fixture
async def opened(
    swift: Swift, containers: Containers
) -> AsyncIterator[tuple[SwiftStore, KeystoneV2]]:
    async with open_account(swift, containers) as opened:
        yield opened


@pytest.fixture
async def served_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a token is after a twentieth of a second here."""
    monkeypatch.setattr(tokens, "FIRST_PAUSE", 0.05)


async def put(store: SwiftStore, key: str) -> None:
    await store.put_bytes(key, b"data", content_type="image/png")


async def test_one_token_serves_all(opened: tuple[SwiftStore, KeystoneV2], prefix: str) -> None:
    store, keystone = opened
    await asyncio.gather(*(put(store, f"{prefix}{number}") for number in range(20)))
    assert keystone.asked == 1


@pytest.mark.usefixtures("served_for_a_while")
async def test_a_token_that_is_void_before_its_time_is_replaced_once(
    opened: tuple[SwiftStore, KeystoneV2], swift: Swift, prefix: str
) -> None:
    store, keystone = opened
    await put(store, prefix + "x")
    await asyncio.sleep(0.1)
    swift.forget()
    reads = await asyncio.gather(*(store.get(prefix + "x") for _ in range(20)))
    assert set(reads) == {b"data"}
    assert keystone.asked == 2


@pytest.mark.usefixtures("served_for_a_while")
async def test_a_stream_is_not_begun_with_a_token_that_is_void(
    opened: tuple[SwiftStore, KeystoneV2], swift: Swift, prefix: str
) -> None:
    store, keystone = opened
    await put(store, prefix + "x")
    await asyncio.sleep(0.1)
    swift.forget()
    store._requests._accepted_at = float("-inf")  # long ago
    await store.put(prefix + "x", stream(6 * MIB), content_type="image/png")
    assert await store.get(prefix + "x") == content(6 * MIB)
    assert keystone.asked == 2


@pytest.mark.usefixtures("served_for_a_while")
async def test_a_stream_that_meets_one_is_refused_and_the_next_is_not(
    opened: tuple[SwiftStore, KeystoneV2], swift: Swift, prefix: str
) -> None:
    store, _ = opened
    await put(store, prefix + "x")
    await asyncio.sleep(0.1)
    swift.forget()
    with pytest.raises(StoreRefused):
        await store.put(prefix + "x", stream(6 * MIB), content_type="image/png")
    assert await store.get(prefix + "x") == b"data"
    await store.put(prefix + "x", stream(6 * MIB), content_type="image/png")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_a_keystone_that_fails_does_not_stop_a_valid_token(
    opened: tuple[SwiftStore, KeystoneV2], swift: Swift, prefix: str, status: int
) -> None:
    store, keystone = opened
    await put(store, prefix + "x")
    keystone.status = status
    held = store._requests._tokens._held
    assert held is not None
    held.renew_at = 0.0
    for _ in range(20):
        assert await store.get(prefix + "x") == b"data"
        await asyncio.sleep(0.01)
    assert keystone.asked == 2
    swift.forget()
    kind = StoreRefused if status == 401 else StoreUnavailable
    for _ in range(20):
        with pytest.raises(kind):
            await store.get(prefix + "x")
    assert keystone.asked <= 4


@pytest.mark.parametrize("life", [-3600.0, 0.0, 3600.0])
@pytest.mark.parametrize("catalogue", [None, []])
async def test_neither_clock_nor_catalogue_can_lead_it_astray(
    swift: Swift, containers: Containers, prefix: str, life: float, catalogue: list[Any] | None
) -> None:
    """An expired token led others to an empty address, or to a question for each request."""
    async with open_account(swift, containers) as (store, keystone):
        keystone.life, keystone.catalogue = life, catalogue
        for _ in range(5):
            await put(store, prefix + "x")
        assert keystone.asked == 1


async def test_a_token_that_comes_late_serves_who_asks_then(
    opened: tuple[SwiftStore, KeystoneV2],
) -> None:
    store, keystone = opened
    keystone.delay = 0.3
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.ping(), 0.02)
    async with asyncio.timeout(5):
        await store.ping()
    assert keystone.asked == 1


async def test_tokens_that_the_store_refuses_are_not_asked_for_without_end(
    swift: Swift, containers: Containers
) -> None:
    _, url = swift.sign_in()
    async with serving(KeystoneV2(lambda: ("void", url))) as keystone:
        async with open_store(account_of(keystone), url, containers) as store:
            for _ in range(50):
                with pytest.raises(StoreRefused):
                    await store.ping()
        assert keystone.asked <= 2


async def test_a_wrong_password_is_told_without_it(swift: Swift) -> None:
    async with serving(KeystoneV2(swift.sign_in)) as keystone:
        wrong = replace(account_of(keystone), password="do-not-show-this")
        assert "do-not-show" not in repr(wrong)
        with pytest.raises(StoreRefused, match="401") as caught:
            await asyncio.to_thread(fetch_token, wrong)
        assert "do-not-show" not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
async def store_v3(openstack: tuple[Keystone, Swift]) -> AsyncIterator[SwiftStore]:
    keystone, swift = openstack
    account = Account(f"{keystone.url}/v3", USER, PASSWORD, keystone.project)
    url = f"{swift.url}/v1/AUTH_{keystone.project}"
    token, _ = keystone.sign_in(USER, PASSWORD, PROJECT)
    containers = Containers("photos", "staging", "segments")
    for name in (containers.photos, containers.staging):
        assert ask("PUT", f"{url}/{name}", X_Auth_Token=token).status in (201, 202)
    async with open_store(account, url, containers) as store:
        yield store


@pytest.mark.slow
@pytest.mark.timeout(300)  # a Keystone takes its time to start on a busy machine
async def test_a_real_keystone(
    openstack: tuple[Keystone, Swift], store_v3: SwiftStore, prefix: str
) -> None:
    keystone, _ = openstack
    wrong = Account(f"{keystone.url}/v3", USER, "wrong", keystone.project)
    with pytest.raises(StoreRefused):
        await asyncio.to_thread(fetch_token, wrong)
    token = await asyncio.to_thread(fetch_token, replace(wrong, password=PASSWORD))
    assert 3500 < token.life <= 3600
    await store_v3.put(prefix + "x", stream(6 * MIB), content_type="image/png")
    await store_v3.copy(prefix + "x", prefix + "y", content_type="image/jpeg")
    assert {info.key async for info in store_v3.list(prefix)} == {prefix + "x", prefix + "y"}
    await store_v3.delete([prefix + "x", prefix + "y"])
    with pytest.raises(ObjectMissing):
        await store_v3.head(prefix + "x")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_real_keystone_that_is_away(
    openstack: tuple[Keystone, Swift], store_v3: SwiftStore, prefix: str
) -> None:
    keystone, _ = openstack
    await put(store_v3, prefix + "x")
    keystone.hold()
    try:
        assert await store_v3.get(prefix + "x") == b"data"
        account = Account(f"{keystone.url}/v3", USER, PASSWORD, keystone.project)
        with pytest.raises(StoreUnavailable):
            await asyncio.to_thread(fetch_token, account)
    finally:
        keystone.let_go()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_application_credential_will_do(
    openstack: tuple[Keystone, Swift], store_v3: SwiftStore, prefix: str
) -> None:
    keystone, _ = openstack
    account = Account(f"{keystone.url}/v3", credential=keystone.application_credential("first"))
    assert account.credential[1] not in repr(account)
    asked = ours.Keystone(account)
    tokens = Tokens(asked.fetch)
    store_v3._requests._tokens = tokens
    await put(store_v3, prefix + "x")
    # The next one has another id and another secret; with the first go the tokens that it has.
    following = replace(account, credential=keystone.application_credential("second"))
    keystone.end_credential(account.credential[0])
    openstack[1].forget()
    await asyncio.sleep(1.1)
    with pytest.raises(StoreRefused, match="refuses the application credential"):
        await store_v3.get(prefix + "x")
    assert asked.use(following)
    assert not asked.use(following)
    tokens.forgive()
    assert await store_v3.get(prefix + "x") == b"data"
    wrong = replace(following, credential=(following.credential[0], "wrong"))
    with pytest.raises(StoreRefused, match="refuses the application credential"):
        await asyncio.to_thread(fetch_token, wrong)
    await tokens.aclose()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_project_is_found_by_its_name(openstack: tuple[Keystone, Swift]) -> None:
    keystone, _ = openstack
    account = Account(f"{keystone.url}/v3", USER, PASSWORD, project_name=PROJECT)
    assert (await asyncio.to_thread(fetch_token, account)).value
    for wrong in (
        replace(account, project_name="none"),
        replace(account, project_domain="none"),
    ):
        with pytest.raises(StoreRefused):
            await asyncio.to_thread(fetch_token, wrong)
    elsewhere = replace(account, auth_url=f"{keystone.url}/elsewhere/v3")
    with pytest.raises(StoreUnavailable, match="404"):
        await asyncio.to_thread(fetch_token, elsewhere)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_changed_password_ends_tokens_before_their_time(
    openstack: tuple[Keystone, Swift], store_v3: SwiftStore, prefix: str
) -> None:
    keystone, swift = openstack
    await put(store_v3, prefix + "x")
    keystone.change_password("another")
    try:
        swift.forget()  # Swift itself believes a token for minutes
        for _ in range(2):
            with pytest.raises(StoreRefused):
                await store_v3.get(prefix + "x")
    finally:
        keystone.change_password(PASSWORD)
    store_v3._requests._tokens.forgive()
    # Keystone takes a token of the second of the change for one from before it.
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                assert await store_v3.get(prefix + "x") == b"data"
                return
            await asyncio.sleep(0.2)
