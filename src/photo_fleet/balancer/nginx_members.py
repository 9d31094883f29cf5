"""nginx's members, set and read over the Unix socket of its control API."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from photo_fleet.balancer.membership import Decision, Member

TIME_BOX = 3.0
"""Seconds for one question; an nginx that hangs that long counts as not there."""


class NginxUnavailable(Exception):
    """nginx does not answer, or not as its control API should; the text says how."""


@dataclass(frozen=True, slots=True)
class Held:
    """What nginx has. `old_workers` are those of before a reload, which may still send to members
    of then."""

    members: frozenset[Member]
    old_workers: int


class Nginx(Protocol):
    """Some nginx whose members can be set. Both raise NginxUnavailable."""

    async def held(self) -> Held:
        """What it has now."""

    async def put(self, decision: Decision) -> Held:
        """Have exactly these members; when this returns no new request goes to any other, save from
        the old workers it tells of."""


class NginxSocket:
    """The control API at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def told(self) -> Mapping[str, Any]:
        """All that it tells of its members: with requests, errors and quarantines. Raises
        NginxUnavailable."""
        return await self._ask("GET")

    async def held(self) -> Held:
        told = await self.told()
        return _read(told, _members(told))

    async def put(self, decision: Decision) -> Held:
        told = await self._ask("PUT", member_lines(decision))
        return _read(told, frozenset(decision.members))

    async def _ask(self, method: str, body: str | None = None) -> dict[str, Any]:
        # A connection for each question: one kept open would hold up nginx's own reload and exit.
        # None is encrypted, and all authorities would be read for each, in 20 ms.
        transport = httpx.AsyncHTTPTransport(uds=str(self._path), verify=False)
        try:
            async with (
                asyncio.timeout(TIME_BOX),
                httpx.AsyncClient(transport=transport, timeout=TIME_BOX, trust_env=False) as client,
            ):
                answer = await client.request(method, "http://nginx/members", content=body)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise NginxUnavailable(f"{self._path}: {error or type(error).__name__}") from None
        if answer.status_code != 200:
            said = f"{answer.status_code} {answer.text[:200]}".strip()
            raise NginxUnavailable(f"{self._path}: {method} answers {said}")
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise NginxUnavailable(f"{self._path}: {method} does not answer with a JSON object")
        return told


def member_lines(decision: Decision) -> str:
    """The decision as nginx takes it (`render/lua/photo/member_list.lua`): a line for each member,
    and at the end how many they are, so that what is cut short is refused."""
    members = [f"member {one.id} {one.address} {one.instance}" for one in decision.members]
    lines = [f"panic {str(decision.panic).lower()}", *members, f"end {len(members)}"]
    return "\n".join(lines) + "\n"


def _read(told: Mapping[str, Any], members: frozenset[Member]) -> Held:
    old = told.get("active_old_workers", 0)
    return Held(members, old if isinstance(old, int) else 0)


def _members(told: Mapping[str, Any]) -> frozenset[Member]:
    try:
        return frozenset(
            Member(str(one["id"]), str(one["address"]), str(one["instance"]))
            for one in told["members"]
        )
    except (KeyError, TypeError):
        raise NginxUnavailable("GET /members does not list id, address and instance") from None
