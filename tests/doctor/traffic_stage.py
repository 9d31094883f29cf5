"""A real nginx and a real registry, before small servers that answer as instances do and can
misbehave: most faults of traffic need no more."""

import asyncio
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import judge, look_around
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.sections import STAGES
from photo_fleet.doctor.seen import Seen
from photo_fleet.doctor.traffic import RULES
from photo_fleet.render.nginx_members import members_file
from photo_fleet.spec.fleet import Fleet
from tests.own_stage import ask
from tests.photo_fleet.nginx_stage import (
    Backend,
    Backends,
    Behaviour,
    Front,
    Received,
    answer,
    backends,
    running_front,
    spec,
)
from tests.service import eventually

REGISTERED = """
    INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state,
        started_at, changed_at, heartbeat_at)
    VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, now() - make_interval(secs => $9),
        now() - make_interval(secs => $10), now() - make_interval(secs => $11))
    ON CONFLICT (boot_id) DO UPDATE SET state = excluded.state, workers = excluded.workers,
        started_at = excluded.started_at, changed_at = excluded.changed_at,
        heartbeat_at = excluded.heartbeat_at
"""


@dataclass
class Toy:
    """An instance, as the registry has it and as it answers. `spent` is its processor time."""

    backend: Backend
    boot_id: str = field(default_factory=lambda: str(uuid4()))
    version: str = "0.1.0"
    word: str = "healthy"
    spent: float = 1.0
    served: int = 0

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def member(self) -> dict[str, str]:
        return {"id": self.boot_id, "address": self.backend.address, "instance": self.name}


@dataclass
class Stage:
    """The fleet. `findings` looks at it anew."""

    settings: dict[str, str]
    servers: Backends
    front: Front
    toys: list[Toy]

    @property
    def reach(self) -> Reach:
        url = self.settings["PHOTO_API_DATABASE_URL"]
        front = self.front
        return Reach(front.fleet, "fleet.toml", lambda: url, "", front.url, front.places)

    def another(self) -> Toy:
        """One more, not registered yet, and not of those that `sound` has."""
        toy = Toy(self.servers.start())
        toy.backend.behaviour = _as_instance(toy)
        return toy

    def registered(
        self,
        toy: Toy,
        state: str = "ready",
        *,
        since: float = 3000,
        silent: float = 0,
        workers: int = 1,
        started: float = 3600,
    ) -> None:
        """Its row: in this state for so many seconds, silent for so many."""
        host, _, port = toy.backend.address.rpartition(":")
        who = (toy.boot_id, toy.name, socket.gethostname(), toy.version, host, int(port), workers)
        ask(self.settings, REGISTERED, *who, state, started, since, silent)

    def followed(self, name: str = "nginx-1", *, unseen: float = 0) -> None:
        """A balancer's row."""
        query = (
            "INSERT INTO balancers (id, name, seen_at)"
            " VALUES (gen_random_uuid(), $1, now() - make_interval(secs => $2))"
        )
        ask(self.settings, query, name, unseen)

    def put(self, *toys: Toy, panic: bool = False) -> None:
        """nginx's members, since some minutes ago."""
        if self.front.fleet.balancer.membership == "lua":
            self.front.put(*(toy.member for toy in toys), panic=panic)
            self.a_while_ago()
        else:
            text = members_file(self.front.fleet, [toy.backend.address for toy in toys])
            self.reload(text)

    def reload(self, text: str) -> None:
        """Members in a file of this text."""
        Path(self.front.places.members_include).write_text(text)
        before = self._workers()
        self.front.process.send_signal(signal.SIGHUP)
        eventually(lambda: self._workers() and not self._workers() & before, 10)
        self.a_while_ago()

    def a_while_ago(self) -> None:
        """Let the members have been like this for a while."""
        places = self.front.places
        for file in (places.members_file, places.members_include):
            with suppress(FileNotFoundError):
                os.utime(file, (time.time() - 600,) * 2)

    def _workers(self) -> set[int]:
        return {one.pid for one in psutil.Process(self.front.process.pid).children()}

    def sound(self, *toys: Toy) -> None:
        """All of them are ready, members, and followed; nothing was asked for yet."""
        Path(self.front.places.access_log).write_text("")
        ask(self.settings, "DELETE FROM instances")
        ask(self.settings, "DELETE FROM balancers")
        for toy in toys or self.toys:
            self.registered(toy)
        self.followed()
        self.put(*(toys or self.toys))

    def asked(self, times: int, client: str = "") -> Counter[str]:
        """Requests through nginx, over one connection; who answered."""
        transport = httpx.HTTPTransport(local_address=client or None)
        with httpx.Client(base_url=self.front.url, transport=transport, timeout=10) as http:
            answers = [http.get("/api/albums") for _ in range(times)]
        return Counter(one.json()["from"] for one in answers if one.status_code == 200)

    def findings(self, reach: Reach | None = None) -> dict[str, Finding]:
        """What is found, by code."""
        return {finding.code: finding for finding in judged(reach or self.reach)[0]}


def seen(reach: Reach) -> Seen:
    """All that the doctor sees."""
    return asyncio.run(look_around(reach, STAGES, lambda _: None))


def judged(reach: Reach) -> tuple[list[Finding], list[Unknown]]:
    """What it says of traffic."""
    return judge(seen(reach), RULES)


@contextmanager
def traffic_stage(
    settings: dict[str, str], number: int = 3, fleet: Fleet | None = None
) -> Iterator[Stage]:
    """A sound fleet of so many instances, in a database of its own."""
    with backends() as servers, running_front(fleet or spec()) as front:
        stage = Stage(settings, servers, front, [])
        stage.toys = [stage.another() for _ in range(number)]
        yield stage


def _as_instance(toy: Toy) -> Behaviour:
    async def behave(backend: Backend, request: Received, writer: asyncio.StreamWriter) -> None:
        if request.target == "/metrics":
            _send(writer, metrics_of(toy), "text/plain")
        elif request.target.startswith("/health"):
            _send(writer, json.dumps(_health(toy)), "application/json")
        else:
            toy.served += 1
            await answer(backend, request, writer)
        if request.headers.get("connection") == "close":
            await writer.drain()
            writer.close()

    return behave


def _health(toy: Toy) -> Mapping[str, object]:
    at = datetime.now(UTC).isoformat()
    told = {"status": toy.word, "instance": toy.name, "version": toy.version, "timestamp": at}
    return {**told, "checks": {"database": {"ok": True, "latency_ms": 1.0, "age_ms": 1}}}


def metrics_of(toy: Toy) -> str:
    """What Prometheus is told of it."""
    about = f'instance="{toy.name}",node="n",region="",version="{toy.version}"'
    return (
        f'photo_api_info{{{about},boot_id="{toy.boot_id}"}} 1\n'
        "photo_api_ready 1\n"
        f'photo_api_cpu_seconds_total{{process="web"}} {toy.spent}\n'
        f'http_requests_total{{method="GET",handler="/api/albums",status="200"}} {toy.served}\n'
    )


def _send(writer: asyncio.StreamWriter, text: str, kind: str) -> None:
    body = text.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
