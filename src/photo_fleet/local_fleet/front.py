"""What stands before the instances, as the group sees it: members and what they carry."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx

from photo_fleet.balancer.membership import Member

LOOK = 1.0
TIME_BOX = 2.0


class Keeper(Protocol):
    """Whatever keeps nginx's members; `photo_fleet.balancer.follow.Balance` is the real one."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The members that nginx confirmed last."""

    def state(self) -> dict[str, Any]:
        """How it stands; `panic` is whether members are kept although they are ill."""

    async def run(self) -> None:
        """Until `stop`."""

    def stop(self) -> None:
        """End `run`; nginx keeps its members."""


class NginxFront:
    """Members as `balance` has them; what they carry as nginx counts it."""

    def __init__(self, balance: Keeper, socket: Path) -> None:
        self._balance = balance
        self._socket = socket
        self._carried: Mapping[str, float] = {}

    def is_member(self, boot_id: str) -> bool:
        """Whether nginx was told to send to this boot."""
        return any(member.id == boot_id for member in self._balance.members)

    def in_flight(self, boot_id: str) -> float | None:
        """Requests that nginx waits for; None when it cannot tell."""
        return self._carried.get(boot_id)

    @property
    def panic(self) -> bool:
        """Whether members are kept although they are ill."""
        return bool(self._balance.state()["panic"])

    async def follow(self) -> None:
        """Ask nginx what its members carry, until cancelled."""
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        async with httpx.AsyncClient(transport=transport, timeout=TIME_BOX) as nginx:
            while True:
                self._carried = await _carried(nginx)
                await asyncio.sleep(LOOK)


async def _carried(nginx: httpx.AsyncClient) -> dict[str, float]:
    try:
        told: Any = (await nginx.get("http://nginx/members")).json()
        return {str(item["id"]): float(item["in_flight"]) for item in told["members"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return {}
