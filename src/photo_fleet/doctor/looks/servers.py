"""The instances, asked by HTTP as a balancer, an operator and a Prometheus would."""

import asyncio
import ipaddress
import json
import socket
import statistics
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from photo_api.contract import HEALTH_PATH, LIVE_PATH, METRICS_PATH
from photo_base.clock import Offset, busy, offset, surest
from photo_base.http_probe import Unreachable
from photo_base.log_lines import one_line, redacted
from photo_fleet.balancer.probes import ask, failed
from photo_fleet.doctor.looks.exposition import Metrics, parse
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed
from photo_fleet.rules.server import ProbeError, as_operator, detailed, fetch

MOST_SERVERS, MOST_AT_ONCE = 200, 16
HEALTH_TIMES, LIVE_TIMES, MOST_SLOW = 5, 3, 2
"""How often a path is asked, and how often slowly or in vain until that suffices."""
SURELY_SLOW = 1.0
SLOW, PAUSE = 0.25, 0.5
"""Seconds of an answer, or of a look at the database, that one such number alone does not prove;
and how long the next is waited for: instances look once a second."""
LEAST_PATIENCE, MOST_PATIENCE = 2.0, 6.0
"""Seconds for an answer; between them it is the balancer's own timeout."""
LONGEST = 25.0
"""Seconds for all servers together."""
LARGEST_METRICS = 4 * 1024 * 1024

SHOWN = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT instance, address, port, state, heartbeat_at FROM'
    ' instances ORDER BY heartbeat_at DESC LIMIT 20"'
)

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One path, asked one time after the other over new connections, as balancers do. `status` is
    that of the last answer, 0 when there was none, `word` its body's `status`. `latencies` are the
    seconds of each answer without those in which this process itself was busy or had no
    processor; `failures` say of each other time what kept the answer away, and `late` is how many
    of them were connections on which nothing came for `patience` seconds. `reached`: somebody took
    or refused a connection; a network that lets nobody through does neither."""

    path: str
    status: int = 0
    word: str = ""
    latencies: tuple[float, ...] = ()
    failures: tuple[str, ...] = ()
    late: int = 0
    patience: float = 0.0
    reached: bool = False

    @property
    def usual(self) -> float | None:
        """Seconds of the answer in the middle; None without any."""
        return statistics.median(self.latencies) if self.latencies else None


@dataclass(frozen=True, slots=True)
class Server:
    """What an instance that the registry calls alive told. `problem` says why the rest, or some of
    it, is missing. `health` (the path that balancers ask) and `live` are None when it was not
    asked at all. `clock` is its clock against ours. `database_s` are the seconds that its own looks
    at the database took, a few in a row where the first was slow. `config` and `statistics` are
    told with the operator's token alone, and None otherwise."""

    boot: Boot
    problem: str = ""
    health: Asked | None = None
    live: Asked | None = None
    clock: Offset | None = None
    version: str = ""
    database_s: tuple[float, ...] = ()
    checks: Mapping[str, Told] = field(default_factory=dict)
    config: Told | None = None
    statistics: Told | None = None
    metrics: Metrics | None = None

    @property
    def answers(self) -> bool:
        """Whether somebody answered at its address."""
        return any(asked is not None and asked.latencies for asked in (self.health, self.live))

    @property
    def told(self) -> bool:
        """Whether it was itself who answered, with what it depends on."""
        return bool(self.checks)


@dataclass(frozen=True, slots=True)
class ServersLook:
    """Those that serve HTTP and that the registry calls alive: the latest boot at each address, the
    first `MOST_SERVERS`; `left_out` are so many more."""

    servers: tuple[Server, ...] = ()
    left_out: int = 0

    @property
    def answering(self) -> tuple[Server, ...]:
        """Those that told something."""
        return tuple(server for server in self.servers if server.told)

    def all_told(self) -> None:
        """Raises `Unseen` unless every instance that lives told something: for a rule to end
        with."""
        mute = [server for server in self.servers if not server.told]
        if not self.servers:
            raise Unseen("the registry has no instance that lives and serves", SHOWN)
        if mute:
            which = listed(f"{one.boot.instance}: {one.problem}" for one in mute)
            asked = mute[0].boot.asked(f"{HEALTH_PATH}/detailed")
            raise Unseen(f"{len(mute)} of {len(self.servers)} told nothing ({which})", asked)
        if self.left_out:
            raise Unseen(f"{self.left_out} more instances than are asked", SHOWN)


async def take(reach: Reach, seen: Seen) -> ServersLook:
    """Raises `Unseen` without a registry, which tells where instances are."""
    registry = seen.need(RegistryLook)
    # Two that say the same loopback address may be on two machines.
    latest = {
        (boot.place, boot.node if _is_loopback(boot.address) else ""): boot
        for boot in sorted(registry.alive, key=lambda boot: boot.started_at)
        if boot.workers
    }
    boots = sorted(latest.values(), key=lambda boot: (boot.instance, boot.started_at))
    turns, until = asyncio.Semaphore(MOST_AT_ONCE), time.monotonic() + LONGEST

    async def one(boot: Boot) -> Server:
        async with turns:
            left = until - time.monotonic()
            try:
                async with asyncio.timeout(max(0, left)):
                    return await _look(boot, reach)
            except TimeoutError:
                return Server(boot, f"the {LONGEST:g} s for all instances were over")

    servers = await asyncio.gather(*(one(boot) for boot in boots[:MOST_SERVERS]))
    return ServersLook(tuple(servers), max(0, len(boots) - MOST_SERVERS))


async def _look(boot: Boot, reach: Reach) -> Server:
    if problem := _unreachable(boot):
        return Server(boot, problem)
    probes = reach.spec.health_check
    patience = min(max(probes.timeout, LEAST_PATIENCE), MOST_PATIENCE)
    (live, bodies, clocks), (health, more, later) = await asyncio.gather(
        _ask(boot, LIVE_PATH, LIVE_TIMES, patience), _ask(boot, probes.path, HEALTH_TIMES, patience)
    )
    bodies, clocks = bodies + more, clocks + later
    looks = (_database_s(body) for body in bodies)
    server = Server(
        boot,
        health=health,
        live=live,
        clock=surest(clocks) if clocks else None,
        database_s=tuple(dict.fromkeys(took for took in looks if took is not None)),
    )
    if not server.answers:
        return replace(server, problem=(*live.failures, *health.failures)[0])
    names = {str(body.get("instance")) for body in bodies}
    if boot.instance not in names:
        told = ", ".join(sorted(names)) or "something else"
        return replace(server, clock=None, problem=f"{told} answers at {boot.place}")
    return await _as_operator(server, bodies[-1], reach.ops_token)


async def _ask(
    boot: Boot, path: str, times: int, patience: float
) -> tuple[Asked, list[Told], list[Offset]]:
    asked = Asked(path, patience=patience)
    bodies: list[Told] = []
    clocks: list[Offset] = []
    while not _enough(asked, times):
        at, began, was_busy = time.time(), time.monotonic(), busy()
        try:
            status, body = _parsed(await ask(boot.place, path, patience))
        except OSError as error:
            failure = one_line(failed(error, patience).detail)[:200]
            asked = replace(
                asked,
                failures=(*asked.failures, failure),
                late=asked.late + isinstance(error, TimeoutError),
                reached=asked.reached or not isinstance(error, Unreachable),
            )
            continue
        took, heard = time.monotonic() - began - (busy() - was_busy), time.time()
        asked = replace(
            asked,
            status=status,
            word=str(body.get("status", ""))[:20],
            latencies=(*asked.latencies, max(0.0, took)),
            reached=True,
        )
        bodies.append(body)
        if (told := _time(body)) is not None:
            clocks.append(offset(told, at, heard))
        if max(took, _database_s(body) or 0.0) > SLOW:
            await asyncio.sleep(PAUSE)
    return asked, bodies, clocks


def _enough(asked: Asked, times: int) -> bool:
    """Also when it is slow for sure: who is asked for longer takes the time of others."""
    slow = sum(took > SURELY_SLOW for took in asked.latencies) + len(asked.failures)
    return slow >= MOST_SLOW or len(asked.latencies) + len(asked.failures) >= times


async def _as_operator(server: Server, body: Told, token: str) -> Server:
    """With what it tells in detail, and its metrics."""
    place = f"http://{server.boot.place}"
    version = str(body.get("version", ""))[:64]
    problems: list[str] = []
    async with as_operator(token) as client:
        details, scraped = await asyncio.gather(
            detailed(client, place),
            fetch(client, f"{place}{METRICS_PATH}", LARGEST_METRICS),
            return_exceptions=True,
        )
    for one in (details, scraped):
        if isinstance(one, ProbeError):
            problems.append(one_line(one)[:200])
        elif isinstance(one, BaseException):
            raise one
    told = body if isinstance(details, BaseException) else redacted(details)
    status, content = (0, b"") if isinstance(scraped, BaseException) else scraped
    if status not in (0, 200):
        problems.append(f"{METRICS_PATH} answers {status}")
    return replace(
        server,
        problem="; ".join(problems),
        version=version,
        checks={name: one for name, one in (_part(told, "checks") or {}).items() if _is_check(one)},
        config=_part(told, "config"),
        statistics=_part(told, "statistics"),
        metrics=parse(content.decode(errors="replace")) if status == 200 else None,
    )


def _unreachable(boot: Boot) -> str:
    """Why nobody here can ask it."""
    try:
        ipaddress.ip_address(boot.address)
    except ValueError:
        return f"its address in the registry, {boot.address}, is no IP address"
    if not 0 < boot.port < 65_536:
        return f"its port in the registry, {boot.port}, is none"
    if _is_loopback(boot.address) and boot.node != socket.gethostname():
        return f"its address, {boot.address}, is for its own machine ({boot.node}) alone"
    return ""


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return address == "localhost"


def _parsed(answer: bytes) -> tuple[int, Told]:
    """Status and body, empty unless it is one of the service. Raises `ConnectionError` for what is
    no answer in HTTP."""
    head, _, content = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ConnectionError(0, "no answer in HTTP" if answer else "closed without an answer")
    try:
        body = redacted(json.loads(content))
    except ValueError:
        body = None
    return int(words[1][:3]), body if isinstance(body, dict) else {}


def _time(body: Told) -> float | None:
    """What its clock showed."""
    try:
        at = datetime.fromisoformat(body["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    return at.timestamp() if at.tzinfo else None


def _database_s(body: Told) -> float | None:
    """Seconds that the instance's own look at the database took."""
    check = (_part(body, "checks") or {}).get("database")
    took = check.get("latency_ms") if isinstance(check, dict) else None
    return float(took) / 1000 if isinstance(took, int | float) else None


def _part(told: Told, name: str) -> Told | None:
    found = told.get(name)
    return found if isinstance(found, dict) else None


def _is_check(told: object) -> bool:
    return isinstance(told, dict) and isinstance(told.get("ok"), bool)
