"""People who use the fleet: an account each, an address of their own, and what they remember."""

import random
import ssl
from asyncio import Lock
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import orjson

from photo_fleet.drill.clients.transport import Answer, Call, Line, client_address
from photo_fleet.drill.ledger import Ledger

PASSWORD = "a password for drills"  # noqa: S105  (accounts of a drill hold nothing)
EXPIRES_SOON = 20.0
"""Seconds before the end of an access token at which its owner gets another."""


class Person:
    """Somebody with an account. `photos` are theirs that they believe to be there, with digests;
    `inbox` is the album that uploads go to, `arranged` the one that is edited, `links` their
    shares' tokens."""

    def __init__(
        self,
        number: int,
        url: str,
        ledger: Ledger,
        *,
        local: bool = True,
        tls: ssl.SSLContext | None = None,
        fresh: float = 0.0,
    ) -> None:
        self.name = f"client-{number}"
        self.ledger = ledger
        self.email = ""
        self.id = 0
        self.photos: dict[int, str] = {}
        self.deleting: set[int] = set()
        self.inbox = 0
        self.arranged = 0
        self.links: dict[int, str] = {}
        self._fresh = fresh
        self._token = ""
        self._refresh_token = ""
        self._expires = 0.0
        self._session = Lock()
        address = client_address(number) if local else None
        self._line = Line(url, ledger, self.name, address=address, tls=tls)
        self._same = partial(Person, number, url, local=local, tls=tls, fresh=fresh)

    def newcomer(self, ledger: Ledger | None = None) -> "Person":
        """Somebody else at the same address, without an account yet."""
        return self._same(ledger=ledger or self.ledger)

    async def sign_up(self, due: float | None = None) -> bool:
        """Open an account and log in; whether that worked."""
        self.email = f"{self.ledger.mint()}@example.org"
        account = {"email": self.email, "username": self.name, "password": PASSWORD}
        call = Call(
            "register",
            "POST",
            "/auth/register",
            (201,),
            fits=lambda _, body: orjson.loads(body)["email"] == self.email,
            json=account,
        )
        # The first may have been carried out and only its answer be lost.
        again = replace(call, provoked=lambda status: status == 400)
        answer = await self._line.insist(call, due=due, again=again)
        if answer.ok:
            self.id = answer.json()["id"]
        return answer.status in (201, 400) and await self.log_in()

    async def log_in(self, due: float | None = None) -> bool:
        """Begin another session; whether that worked."""
        content = {"email": self.email, "password": PASSWORD}
        return await self._get_tokens("login", "/auth/login", content, due)

    async def refresh(self, due: float | None = None) -> None:
        """Exchange the refresh token, or log in where there is none. Does nothing while that is
        going on already."""
        if not self._session.locked():
            async with self._session:
                await self._renew(due)

    async def keep_session(self) -> bool:
        """Make sure of an access token; whether there is one."""
        if self._token and self.ledger.now() < self._expires - EXPIRES_SOON:
            return True
        async with self._session:
            if self._token and self.ledger.now() < self._expires - EXPIRES_SOON:
                return True
            return await self._renew(None)

    async def fetch(self, call: Call) -> Answer:
        """Send it as oneself over a kept connection, and a second time when it fails."""
        return await self._line.insist(self._signed(call))

    async def act(
        self,
        call: Call,
        chance: random.Random,
        *,
        due: float | None = None,
        once: bool = False,
        again: Call | None = None,
    ) -> Answer:
        """Send it as oneself over a kept or a fresh connection. Unless `once`, what fails is tried
        a second time, as `again` where that is not the very same."""
        call = self._signed(call)
        fresh = chance.random() < self._fresh
        if once:
            answer = await self._line.send(call, due=due, fresh=fresh)
        else:
            second = None if again is None else self._signed(again)
            answer = await self._line.insist(call, due=due, fresh=fresh, again=second)
        if answer.status == 401 and call.target == "api":
            self._token = ""
        return answer

    async def visit(self, call: Call, chance: random.Random, due: float) -> Answer:
        """Send it as somebody without an account."""
        return await self._line.send(call, due=due, fresh=chance.random() < self._fresh)

    def is_leaving(self, photo_id: int) -> bool:
        """Whether one of our own acts deletes or has deleted the photo."""
        return photo_id in self.deleting

    def _signed(self, call: Call) -> Call:
        """With the token, where there is one and it belongs: the store knows its visitors by the
        URL."""
        if call.target != "api" or not self._token:
            return call
        headers = {**call.headers, "Authorization": f"Bearer {self._token}"}
        return replace(call, headers=headers)

    async def _renew(self, due: float | None) -> bool:
        if self._refresh_token:
            content = {"refresh_token": self._refresh_token}
            if await self._get_tokens("refresh", "/auth/refresh", content, due):
                return True
        return await self.log_in(None if self._refresh_token else due)

    async def _get_tokens(
        self, kind: str, path: str, content: Mapping[str, str], due: float | None
    ) -> bool:
        call = Call(kind, "POST", path, fits=_has_tokens, json=content)
        # A refresh token whose use was never answered may have been used up.
        again = replace(call, provoked=lambda status: kind == "refresh" and status == 401)
        answer = await self._line.insist(call, due=due, again=again)
        if answer.ok:
            told: dict[str, Any] = answer.json()
            self._token, self._refresh_token = told["access_token"], told["refresh_token"]
            self._expires = self.ledger.now() + told["expires_in"]
        else:
            self._refresh_token = ""
        return answer.ok

    async def __aenter__(self) -> Self:
        await self._line.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._line.__aexit__()


def _has_tokens(_: Mapping[str, str], body: bytes) -> bool:
    told = orjson.loads(body)
    return bool(told["access_token"] and told["refresh_token"] and told["expires_in"] > 0)
