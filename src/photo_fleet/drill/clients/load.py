"""The load: people who arrive, whether or not the fleet keeps up with them."""

import asyncio
import random
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Literal, Self

from photo_base.tasks import cancel
from photo_fleet.drill.clients import behaviour, uploading
from photo_fleet.drill.clients.behaviour import Act
from photo_fleet.drill.clients.mix import Mix, schedule
from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.transport import allow_connections
from photo_fleet.drill.ledger import Ledger

AT_ONCE = 4
"""People who open their accounts at the same time; hashing passwords is work."""

ONE_ADDRESS_PAUSE = 1.0
"""Seconds between two people who open their accounts from the same address: they share its limit,
by default 5 such requests a second, and each takes two."""


class NotPrepared(Exception):
    """The fleet did not even take its clients in."""


class Load:
    """People who use the fleet at `url` as `mix` says. With `local` each has a loopback address of
    its own; `seed` repeats what they do, as far as the fleet's answers permit. They spread evenly
    over `url` and what `others` lead to the same fleet."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        mix: Mix,
        *,
        seed: int = 0,
        local: bool = True,
        others: Sequence[str] = (),
    ) -> None:
        self.ledger = ledger
        self._mix = mix
        self._seed = seed
        self._local = local
        self._tls = ssl.create_default_context()
        self._urls = (url, *others)
        self.people = [self._person(number) for number in range(mix.clients)]
        self._running = AsyncExitStack()
        self._errors: list[Exception] = []
        self._acts = _acts(mix)

    async def __aenter__(self) -> Self:
        allow_connections()
        for person in self.people:
            await self._running.enter_async_context(person)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def prepare(self) -> None:
        """Everybody opens an account with two albums, a photo and a share. Raises `NotPrepared`."""
        few = asyncio.Semaphore(AT_ONCE if self._local else 1)

        async def prepare(person: Person) -> bool:
            async with few:
                if not self._local:
                    await asyncio.sleep(ONE_ADDRESS_PAUSE)
                return await _settle_in(person, random.Random(f"{self._seed} {person.name}"))

        done = await asyncio.gather(*map(prepare, self.people))
        if not all(done):
            bad = [item for item in self.ledger.requests if item.outcome.value != "ok"][:3]
            told = "; ".join(f"{item.kind} {item.outcome.value} {item.detail}" for item in bad)
            raise NotPrepared(f"{done.count(False)} of {len(done)} clients: {told}")

    async def join(self) -> Person:
        """Somebody more, whom the schedule does not know: a fault does their acts. What they are
        promised is looked at in the end as everybody's. Raises `NotPrepared`."""
        person = await self._running.enter_async_context(self._person(len(self.people)))
        self.people.append(person)
        if not await _settle_in(person, random.Random(f"{self._seed} {person.name}")):
            raise NotPrepared(f"{person.name}, who joins later")
        return person

    def _person(self, number: int) -> Person:
        url = self._urls[number % len(self._urls)]
        return Person(
            number, url, self.ledger, local=self._local, tls=self._tls, fresh=self._mix.fresh
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Acts begin at their times from now on until `stop`; returns when the last one is over.
        Raises an ExceptionGroup of the mistakes that acts themselves made."""
        began = self.ledger.now()
        acts: set[asyncio.Task[None]] = set()
        stopped = asyncio.create_task(stop.wait())
        try:
            for arrival in schedule(self._mix, self._seed):
                due = began + arrival.at
                if await _stopped_before(stopped, due - self.ledger.now()):
                    break
                person, act = self.people[arrival.client], self._acts[arrival.act]
                task = asyncio.create_task(self._do(act, person, random.Random(arrival.seed), due))
                acts.add(task)
                task.add_done_callback(acts.discard)
            await asyncio.gather(*acts)
        finally:
            await cancel(stopped, *acts)
        if self._errors:
            raise ExceptionGroup("acts of the load went wrong", self._errors)

    async def _do(self, act: Act, person: Person, chance: random.Random, due: float) -> None:
        try:
            if await person.keep_session():
                await act(person, chance, due)
        except Exception as error:
            self._errors.append(error)


def _acts(mix: Mix) -> dict[str, Act]:
    slowly = {
        name: partial(act, seconds=mix.slow)
        for name, act in (
            ("slow_upload", uploading.slow_upload),
            ("slow_download", uploading.slow_download),
        )
    }
    plain: tuple[Act, ...] = (
        behaviour.list_photos,
        behaviour.list_albums,
        behaviour.thumbnail,
        behaviour.view_share,
        behaviour.edit_album,
        behaviour.arrange_album,
        behaviour.create_album,
        behaviour.create_share,
        behaviour.delete_photo,
        behaviour.missing,
        behaviour.refresh,
        behaviour.login,
        behaviour.sign_up,
        uploading.direct_upload,
        uploading.careless_upload,
        uploading.upload,
    )
    return {**slowly, **{act.__name__: act for act in plain}}


async def _settle_in(person: Person, chance: random.Random) -> bool:
    if not await person.sign_up():
        return False
    person.inbox = await behaviour.new_album(person, chance, None) or 0
    person.arranged = await behaviour.new_album(person, chance, None) or 0
    await uploading.upload(person, chance, None)
    await behaviour.create_share(person, chance, None)
    return bool(person.inbox and person.arranged and person.photos and person.links)


async def _stopped_before(stopped: "asyncio.Task[Literal[True]]", seconds: float) -> bool:
    """Whether the end comes before these seconds are over. With none left others get their turn."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(stopped), max(seconds, 0))
    await asyncio.sleep(0)
    return stopped.done()
