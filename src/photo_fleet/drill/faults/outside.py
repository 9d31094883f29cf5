"""What can be done to any fleet of which only the address is known."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from photo_api.contract import API_PREFIX
from photo_fleet.drill.records import Fault

BEGUN = (
    f"POST {API_PREFIX}/auth/login HTTP/1.1\r\nHost: drill\r\nContent-Type: application/json\r\n"
    'Content-Length: 4096\r\n\r\n{"email": "'
).encode()
LONGEST_HOLD = 1.0
"""Seconds after which a client that began a request goes away."""


@dataclass(slots=True)
class Surroundings:
    """What is known of any fleet: its address, beside the drill's own clock and chance."""

    url: str
    now: Callable[[], float]
    chance: random.Random = field(default_factory=random.Random)

    def span(
        self,
        name: str,
        began: float,
        instance: str | None = None,
        left: float | None = None,
        unkept: tuple[str, ...] = (),
    ) -> Fault:
        """A fault that ends now."""
        return Fault(name, began, self.now(), instance, left, unkept)


async def observe(scene: Surroundings, *, seconds: float) -> Fault:
    """Nothing is done."""
    began = scene.now()
    await asyncio.sleep(seconds)
    return scene.span("observe", began)


async def hang_up(scene: Surroundings, *, clients: int, seconds: float) -> Fault:
    """So many clients begin a request and break it off, again and again."""
    began = scene.now()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(_begin_and_break_off(scene) for _ in range(clients)))
    return scene.span("hang-up", began)


async def _begin_and_break_off(scene: Surroundings) -> None:
    address = urlsplit(scene.url)
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(BEGUN)
            await asyncio.sleep(LONGEST_HOLD * scene.chance.random())
            writer.transport.abort()
