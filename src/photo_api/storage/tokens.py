"""The token of an account, as each process holds it, renewed before its end."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from photo_api.storage.base import StoreRefused, StoreUnavailable
from photo_base.tasks import cancel

log = logging.getLogger(__name__)

RENEW_AT = (0.75, 0.9)
"""The share of a token's life after which it is renewed; by chance, so that not all instances that
were started together ask at the same time."""
SPARED = 0.95
"""The share of its life in which it is used: a request with it may take a while to arrive."""
SHORTEST_LIFE, LONGEST_LIFE = 30.0, 24 * 3600.0
"""Seconds for which a token is used that Keystone has just given, however old it says that it is:
the store knows better, and nobody is asked without an end. None is for ever."""
PATIENCE = 8.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
"""Seconds without a question after the first failure, and after many."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a request shows, for `life` seconds from when it was issued."""

    value: str = field(repr=False)
    life: float


@dataclass(slots=True)
class _Held:
    value: str
    since: float
    renew_at: float
    ends: float
    accepted: bool = False


class Tokens:
    """Gives a valid token, which `fetch` gets: one question at a time, whoever waits for it, and
    after a failure none for a while. `fetch` raises `StoreUnavailable`."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Token]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._held: _Held | None = None
        self._asking: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = float("-inf")
        self._failure = StoreUnavailable("there is no token yet")

    async def aclose(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            await cancel(self._asking)

    async def current(self) -> str:
        """A token that is valid, by its own account. Waits only where there is none. Raises
        `StoreUnavailable`, and at once while a failure is fresh."""
        now, held = self._clock(), self._held
        if held is None or now >= held.ends:
            self._held = None
            return await self._first(now)
        if now >= held.renew_at and now >= self._not_before:
            self._ask()
        return held.value

    def accepted(self, value: str) -> None:
        """The store has taken this token."""
        if self._held is not None and self._held.value == value and not self._held.accepted:
            self._held.accepted = True
            self._failures = 0

    def refused(self, value: str) -> None:
        """The store has refused it: it is void before its time, as after a change of password. One
        that was void from its beginning is no reason to ask again at once."""
        held, now = self._held, self._clock()
        if held is None or held.value != value:
            return
        self._held = None
        if not held.accepted or now - held.since < FIRST_PAUSE:
            self._failed(StoreRefused("the store refuses tokens that Keystone has just given"))

    def forgive(self) -> None:
        """Ask again at the next occasion: the credentials are others now."""
        self._failures, self._not_before = 0, float("-inf")

    async def _first(self, now: float) -> str:
        if self._asking is None or self._asking.done():
            if now < self._not_before:
                raise type(self._failure)(str(self._failure))
            self._ask()
        assert self._asking is not None
        await asyncio.shield(self._asking)
        if self._held is None:
            raise type(self._failure)(str(self._failure))
        return self._held.value

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._asked())

    async def _asked(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                token = await self._fetch()
        except StoreUnavailable as error:
            self._failed(error)
        except TimeoutError:
            self._failed(StoreUnavailable(f"Keystone gave no answer within {PATIENCE:g} s"))
        except Exception as error:  # nobody else would hear of it
            log.exception("a token cannot be asked for")
            self._failed(StoreUnavailable(f"a token cannot be asked for: {type(error).__name__}"))
        else:
            self._hold(token)

    def _hold(self, token: Token) -> None:
        now, life = self._clock(), min(max(token.life, SHORTEST_LIFE), LONGEST_LIFE)
        renew_at = now + life * random.uniform(*RENEW_AT)
        self._held = _Held(token.value, now, renew_at, now + life * SPARED)

    def _failed(self, error: StoreUnavailable) -> None:
        """A token that is held already stays in use."""
        self._failure = error
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures, 9), LONGEST_PAUSE)
        self._failures += 1
        self._not_before = self._clock() + pause * random.uniform(0.75, 1.25)
        log.warning("no new token: %s", error)
