"""The failure detector: which other instances are silent, and which of these are lost.

Silence towards the database is no proof, nor is a port that does not answer where the network lets
nobody through. So an instance is declared lost only by one whose own heartbeats came without a gap
for a whole `LOST_AFTER`, and only if its port

- refuses or answers wrongly: the machine is there and the process is not, or
- takes the connection and says nothing: it hangs, or
- cannot be reached, or it has none, while this instance reaches other members' ports; if no other
  member is left, it must have reached this one's since it started itself.

An instance that is not declared lost keeps its row until it is pruned; its leases and its jobs run
out by themselves, and balancers notice it by their probes.
"""

import asyncio
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any

from photo_api.contract import LIVE_PATH
from photo_api.registry import queries
from photo_api.telemetry.events import Event
from photo_api.telemetry.failures import bug
from photo_base import http_probe
from photo_base.tasks import cancel

log = logging.getLogger(__name__)

Connect = Callable[[], AbstractAsyncContextManager[Any]]
Note = Callable[[str, str], None]

ANSWER_WAIT = 2.0
"""Seconds for an answer, connecting and all."""

MOST_SUSPECTS, PEERS = 32, 3
"""How many are asked at the same time."""

MOST_REACHED = 1000
"""Boots that are remembered as reached."""

CUT_OFF_AFTER = 3
"""Looks in a row that reached no other member, after which it logs that."""


class Answer(Enum):
    """The result of asking a process whether it lives."""

    ALIVE = "alive"
    DEAD = "dead"  # its machine answers, or something else at its port
    HANGS = "hangs"
    UNREACHABLE = "unreachable"


class FailureDetector:
    """Looks at others after each heartbeat, in a task beside, one look at a time. `note` is given
    an event and its cause."""

    def __init__(
        self, me: queries.Boot, connected: Connect, note: Callable[[str, str], None]
    ) -> None:
        self._me = me
        self._connected = connected
        self._note = note
        self._unbroken_since: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._reached: OrderedDict[str, None] = OrderedDict()
        self._in_vain = 0

    def heartbeat_failed(self) -> None:
        """A heartbeat has failed: the unbroken count begins again."""
        self._unbroken_since = None
        self._break_off()

    def heartbeat_written(self, gap: float) -> None:
        """A heartbeat has succeeded, `gap` seconds after the one before. After an outage of the
        database, and after this instance stood still, all others look silent: only a whole
        `LOST_AFTER` without a gap lets it judge."""
        now = time.monotonic()
        if gap > queries.GAP:
            self._break_off()  # what it has seen is from before, or of others that stood still too
            self._unbroken_since = now
        self._unbroken_since = self._unbroken_since or now
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(now - self._unbroken_since))

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await cancel(self._looking)

    def _break_off(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self, unbroken: float) -> None:
        try:
            async with self._connected() as connection:
                boot_id = self._me.boot_id
                peers = await queries.peers(connection, boot_id, PEERS)
                judging = unbroken >= queries.LOST_AFTER
                silent = await queries.suspects(connection, boot_id, MOST_SUSPECTS * judging)
            if lost := await self._lost(peers, silent):
                async with self._connected() as connection:
                    declared = await queries.declare_lost(connection, lost, self._me)
                for boot_id in declared:
                    log.warning("declared lost", extra={"fields": _end_of(boot_id)})
        except Exception as error:
            kind = type(error).__name__
            log.warning("cannot look after others: %s", kind, exc_info=bug(error))

    async def _lost(self, peers: list[Any], silent: list[Any]) -> list[str]:
        """The boots of `silent` that are proven lost."""
        asked = [*peers, *(row for row in silent if not row["replaced"])]
        answers = await asyncio.gather(*(self._ask(row) for row in asked))
        found = dict(zip((row["boot_id"] for row in asked), answers, strict=True))
        reaching = self._remember(peers, found)
        lost = [row["boot_id"] for row in silent if row["replaced"]]
        for row in silent:
            match found.get(row["boot_id"]):
                case Answer.DEAD | Answer.HANGS:
                    lost.append(row["boot_id"])
                case Answer.UNREACHABLE if reaching or (
                    not peers and row["boot_id"] in self._reached
                ):
                    lost.append(row["boot_id"])
        return lost

    def _remember(self, peers: list[Any], found: dict[str, Answer]) -> bool:
        """Whether a peer was reached now; a change is logged."""
        reached = [boot for boot, answer in found.items() if answer is not Answer.UNREACHABLE]
        for boot in reached:
            self._reached[boot] = None
            self._reached.move_to_end(boot)
        while len(self._reached) > MOST_REACHED:
            self._reached.popitem(last=False)
        reaching = any(row["boot_id"] in reached for row in peers)
        if peers:
            self._log_change(peers, reaching)
        return reaching

    def _log_change(self, peers: list[Any], reaching: bool) -> None:
        if reaching and self._in_vain >= CUT_OFF_AFTER:
            log.info("other instances can be reached again")
            self._note("peers_reachable", f"{len(peers)} asked")
        self._in_vain = 0 if reaching else self._in_vain + 1
        if self._in_vain == CUT_OFF_AFTER:
            asked = ", ".join(f"{row['address']}:{row['port']}" for row in peers)
            log.warning(
                "no other instance can be reached, so that none is declared lost by its silence:"
                " let instances reach each other's port",
                extra={"fields": {"asked": asked}},
            )
            self._note("peers_unreachable", f"no connection to {asked}")

    async def _ask(self, row: Any) -> Answer:
        if not row["workers"]:
            return Answer.UNREACHABLE  # it only does jobs, and has no port
        if row["node"] != self._me.node and _is_loopback(row["address"]):
            return Answer.UNREACHABLE  # that would ask this machine
        return await ask(row["address"], row["port"])


async def ask(address: str, port: int) -> Answer:
    """Whether the process behind this address answers within `ANSWER_WAIT` seconds that it
    lives."""
    try:
        async with http_probe.get(address, port, LIVE_PATH, ANSWER_WAIT) as answer:
            status = await answer.readline()
    except TimeoutError:
        return Answer.HANGS
    except http_probe.Unreachable:
        return Answer.UNREACHABLE
    except OSError:
        return Answer.DEAD
    return Answer.ALIVE if status.split()[1:2] == [b"200"] else Answer.DEAD


def _end_of(boot_id: str) -> dict[str, object]:
    """For the log: all that is known of the end of this boot."""
    return {"event": Event.INSTANCE_ENDED, "ending": "lost", "ended_boot": boot_id}


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
