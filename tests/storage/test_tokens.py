"""One token for all who ask, renewed before its end; failures are neither stormed nor forgotten."""

import asyncio
from contextlib import suppress

import pytest

from photo_api.storage import tokens as module
from photo_api.storage.base import StoreRefused, StoreUnavailable
from photo_api.storage.tokens import LONGEST_LIFE, LONGEST_PAUSE, SHORTEST_LIFE, Token, Tokens

LIFE = 3600.0


class Keystone:
    """Counts what it is asked; `fails` is raised instead of an answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.life = LIFE
        self.fails: Exception | None = None
        self.opened = asyncio.Event()
        self.opened.set()
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    async def fetch(self) -> Token:
        self.asked += 1
        await self.opened.wait()
        if self.fails is not None:
            raise self.fails
        return Token(f"token {self.asked}", self.life)


@pytest.fixture
def keystone() -> Keystone:
    return Keystone()


@pytest.fixture
def tokens(keystone: Keystone) -> Tokens:
    return Tokens(keystone.fetch, keystone.clock)


async def settle(tokens: Tokens) -> None:
    """Until a question that is under way has its answer."""
    if tokens._asking is not None:
        await tokens._asking


async def test_all_who_wait_share_one_question(tokens: Tokens, keystone: Keystone) -> None:
    keystone.opened.clear()
    waiting = [asyncio.create_task(tokens.current()) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    keystone.opened.set()
    assert set(await asyncio.gather(*waiting[1:])) == {"token 1"}
    assert keystone.asked == 1


async def test_it_is_renewed_before_its_end_and_nobody_waits(
    tokens: Tokens, keystone: Keystone
) -> None:
    await tokens.current()
    keystone.now += LIFE * 0.7
    assert (await tokens.current(), keystone.asked) == ("token 1", 1)
    keystone.now += LIFE * 0.22
    keystone.opened.clear()
    assert [await tokens.current() for _ in range(10)] == ["token 1"] * 10
    keystone.opened.set()
    await settle(tokens)
    assert (await tokens.current(), keystone.asked) == ("token 2", 2)


async def test_instances_do_not_renew_together(keystone: Keystone) -> None:
    at = set()
    for _ in range(20):
        tokens = Tokens(keystone.fetch, keystone.clock)
        await tokens.current()
        assert tokens._held is not None
        at.add(round(tokens._held.renew_at - keystone.now))
    assert min(at) >= 0.75 * LIFE
    assert max(at) <= 0.9 * LIFE
    assert len(at) > 10


async def test_while_keystone_is_down_a_valid_token_serves(
    tokens: Tokens, keystone: Keystone
) -> None:
    await tokens.current()
    keystone.fails = StoreUnavailable("away")
    for _ in range(int(LIFE * 0.94)):
        keystone.now += 1
        assert await tokens.current() == "token 1"
        await settle(tokens)
    least = LIFE * 0.04 / LONGEST_PAUSE / 2
    assert least < keystone.asked < LIFE * 0.2 / LONGEST_PAUSE * 2
    keystone.now += LIFE * 0.05
    with pytest.raises(StoreUnavailable, match="away"):
        await tokens.current()
    keystone.fails = None
    keystone.now += LONGEST_PAUSE * 1.5
    assert (await tokens.current()).startswith("token ")


async def test_a_failure_is_not_asked_for_again_at_once(tokens: Tokens, keystone: Keystone) -> None:
    keystone.fails = StoreRefused("wrong password")
    for _ in range(100):
        with pytest.raises(StoreRefused, match="wrong password"):
            await tokens.current()
    assert keystone.asked == 1
    for _ in range(600):
        keystone.now += 1
        with pytest.raises(StoreRefused):
            await tokens.current()
    assert 600 / LONGEST_PAUSE / 1.5 < keystone.asked < 600 / LONGEST_PAUSE * 1.5 + 6


async def test_a_refused_token_is_replaced_once(tokens: Tokens, keystone: Keystone) -> None:
    first = await tokens.current()
    tokens.accepted(first)
    keystone.now += 60
    for _ in range(20):  # all that had it under way
        tokens.refused(first)
    assert await tokens.current() == "token 2"
    tokens.refused(first)  # one that comes late says nothing of the second
    assert (await tokens.current(), keystone.asked) == ("token 2", 2)


async def test_tokens_that_are_void_from_their_beginning_are_no_reason_to_ask_without_end(
    tokens: Tokens, keystone: Keystone
) -> None:
    asked_in = 600
    for _ in range(asked_in * 10):
        keystone.now += 0.1
        with suppress(StoreRefused):
            tokens.refused(await tokens.current())
    with pytest.raises(StoreRefused, match="just given"):
        await tokens.current()
    assert keystone.asked < asked_in / LONGEST_PAUSE * 1.5 + 6


async def test_one_that_is_taken_and_refused_in_turns_is_bounded_too(
    tokens: Tokens, keystone: Keystone
) -> None:
    for _ in range(1000):
        keystone.now += 0.01
        try:
            token = await tokens.current()
        except StoreRefused:
            continue
        tokens.accepted(token)
        tokens.refused(token)
    assert keystone.asked <= 15


@pytest.mark.parametrize("life", [-7200.0, 0.0, 1.0])
async def test_one_that_seems_to_be_over_is_tried(
    tokens: Tokens, keystone: Keystone, life: float
) -> None:
    """Keystone's clock and ours may differ by hours; that is no reason for a question a call."""
    keystone.life = life
    for _ in range(100):
        assert await tokens.current()
    assert keystone.asked == 1
    keystone.now += SHORTEST_LIFE
    await tokens.current()
    assert keystone.asked == 2


async def test_none_is_for_ever(tokens: Tokens, keystone: Keystone) -> None:
    """Such as one whose end Keystone gives as the year 9999."""
    keystone.life = 8000 * 365 * 86400.0
    await tokens.current()
    keystone.now += LONGEST_LIFE
    await tokens.current()
    assert keystone.asked == 2


async def test_other_credentials_are_tried_at_once(tokens: Tokens, keystone: Keystone) -> None:
    keystone.fails = StoreRefused("wrong password")
    with pytest.raises(StoreRefused):
        await tokens.current()
    keystone.fails = None
    tokens.forgive()
    assert await tokens.current() == "token 2"


async def test_a_keystone_that_hangs_is_given_up(
    tokens: Tokens, keystone: Keystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    keystone.opened.clear()
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
        await tokens.current()


@pytest.mark.parametrize("bug", [ValueError("a secret"), KeyError("a secret")])
async def test_a_bug_is_a_failure_that_tells_no_secret(
    tokens: Tokens, keystone: Keystone, bug: Exception
) -> None:
    keystone.fails = bug
    with pytest.raises(StoreUnavailable) as caught:
        await tokens.current()
    assert "secret" not in str(caught.value)


async def test_it_can_be_closed_while_it_asks(tokens: Tokens, keystone: Keystone) -> None:
    keystone.opened.clear()
    waiting = asyncio.create_task(tokens.current())
    async with asyncio.timeout(1):
        while not keystone.asked:
            await asyncio.sleep(0)
    await tokens.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
