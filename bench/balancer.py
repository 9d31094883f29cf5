"""What it costs nginx that its members change without a reload: the configuration that the fleet
renders with Lua, against the same with a plain upstream."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from signal import SIGTERM
from time import monotonic
from typing import Literal

import httpx

from bench.compare import Side, in_turns, throughput_row
from bench.context import Effort, Ground
from bench.load import Address, Load, drive, request
from bench.processes import HOST, Processes
from bench.report import Goal, Row
from photo_base.processes import CannotStart, Program, Running
from photo_fleet.balancer.membership import Decision, Member
from photo_fleet.balancer.nginx_members import member_lines
from photo_fleet.local_fleet.nginx import required_nginx
from photo_fleet.render import nginx as rendering
from photo_fleet.render.nginx_members import members_file
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Fleet, RateLimit, RateLimits
from photo_local.ports import free_port

NEXT_TO_A_PLAIN_ONE = Goal(1 / 1.08)
INSTANCES = 3
CONNECTIONS = 32
PATIENCE = 15.0
IMAGE = request("GET", "/api/photos/1/image", headers={"Authorization": f"Bearer {'x' * 200}"})

# An instance that costs nothing: a redirect to a signed URL.
INSTANCE = """daemon off;
worker_processes 1;
pid {folder}/instances.pid;
error_log {folder}/instances.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{
        {listens}
        location / {{
            add_header Cache-Control "private, max-age=900" always;
            add_header X-Request-ID $http_x_request_id always;
            return 302 https://photos.example.org/bucket/key?X-Amz-Signature={signature};
        }}
        location /health {{ return 200; }}
    }}
}}
"""


async def nginx_row(ground: Ground, effort: Effort) -> list[Row]:
    """Image redirects of an instance that costs next to nothing, through either; the CPU is that of
    nginx with all its workers, and its goal tells how much more Lua may take."""
    async with AsyncExitStack() as stack:
        ports = [free_port() for _ in range(INSTANCES)]
        await stack.enter_async_context(_instances(ground.folder, ports))
        sides = [
            await stack.enter_async_context(_front(ground.folder, ports, membership, effort))
            for membership in ("lua", "reload")
        ]
        rounds = await in_turns("nginx", sides, effort.rounds)
    return [throughput_row("nginx", "req/s", rounds, NEXT_TO_A_PLAIN_ONE)]


@asynccontextmanager
async def _instances(folder: Path, ports: Sequence[int]) -> AsyncIterator[None]:
    listens = " ".join(f"listen {HOST}:{port};" for port in ports)
    text = INSTANCE.format(folder=folder, listens=listens, signature="0" * 64)
    path = folder / "instances.conf"
    path.write_text(text)
    async with _nginx(Places(), path, folder):
        for port in ports:
            await _answers(f"http://{HOST}:{port}/health")
        yield


@asynccontextmanager
async def _front(
    folder: Path, ports: Sequence[int], membership: Literal["lua", "reload"], effort: Effort
) -> AsyncIterator[Side]:
    """nginx as the fleet has it, but for limits of rates, which would end the measurement."""
    any_rate = RateLimits(*[RateLimit(100_000, 100_000)] * len(fields(RateLimits)))
    fleet = Fleet(balancer=replace(Balancer(), rate_limits=any_rate, membership=membership))
    below = folder / f"nginx-{membership}"
    places, addresses = Places.below(below, free_port()), [f"{HOST}:{port}" for port in ports]
    _write_files(fleet, places, addresses)
    async with _nginx(places, Path(places.prefix) / "nginx.conf", below) as running:
        await _answers(f"http://{HOST}:{places.port}/edge/health")
        if membership == "lua":
            await _put(places, addresses)
        assert places.port is not None
        address = Address(HOST, places.port)

        async def work() -> Load:
            asked = itertools.repeat(IMAGE)
            return await drive(
                address, asked, connections=CONNECTIONS, expect=302, seconds=effort.seconds
            )

        yield Side(work, Processes([running.pid]))


def _write_files(fleet: Fleet, places: Places, addresses: Sequence[str]) -> None:
    for made in (places.run, places.logs, places.temp, places.cache):
        Path(made).mkdir(mode=0o700, parents=True)
    for name, text in rendering.files(fleet, places).items():
        path = Path(places.prefix) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Path(places.members_include).write_text(members_file(fleet, addresses))


async def _put(places: Places, addresses: Sequence[str]) -> None:
    members = tuple(
        Member(f"boot-{number}", address, f"instance-{number}")
        for number, address in enumerate(addresses)
    )
    transport = httpx.AsyncHTTPTransport(uds=places.members_socket)
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
        told = await client.put(
            "http://nginx/members", content=member_lines(Decision(members, False))
        )
        told.raise_for_status()


@asynccontextmanager
async def _nginx(places: Places, configuration: Path, folder: Path) -> AsyncIterator[Running]:
    command = [required_nginx(places), "-e", str(folder / "error.log"), "-c", str(configuration)]
    environ = {"PATH": "/usr/sbin:/usr/bin:/bin"}
    program = Program("nginx", command, environ, folder / "nginx.log", folder, "TERM")
    running = await Running.start(program)
    try:
        yield running
    finally:
        await running.stop((SIGTERM, PATIENCE))


async def _answers(url: str) -> None:
    deadline = monotonic() + PATIENCE
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                await client.get(url)
                return
            except httpx.TransportError as error:
                if monotonic() > deadline:
                    raise CannotStart(f"nginx does not answer at {url}: {error}") from error
            await asyncio.sleep(0.05)
