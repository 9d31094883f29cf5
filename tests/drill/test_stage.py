"""The pieces of a drill's stage: its spec, its relay before the store, and its faults by name."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import httpx
import pytest

from photo_base.processes import send
from photo_fleet.drill.faults.black_hole import BlackHole
from photo_fleet.drill.runner import demands_of
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.drill.stage.demands import Demands, stage_spec
from photo_fleet.drill.stage.http_relay import NORMAL, Behaviour, HttpRelay
from photo_fleet.drill.stage.process_tree import children, command_line, family, is_there
from photo_fleet.rules.checks import check
from photo_fleet.spec.fleet import Balancer
from tests.service import eventually, free_port

BODY = b"x" * 200_000


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A server behind the relay, which answers with the Host and the body that it got."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            length = int(fields.get("Content-Length", 0))
            told = fields["Host"].encode() + b" " + await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode().title()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""


@asynccontextmanager
async def relay_and_client() -> AsyncIterator[tuple[HttpRelay, httpx.AsyncClient]]:
    async with echo() as endpoint:
        relay = HttpRelay(free_port())
        relay.endpoint = endpoint
        await relay.start()
        try:
            async with httpx.AsyncClient(base_url=relay.url, timeout=5) as client:
                yield relay, client
        finally:
            await relay.stop()


async def test_the_relay_passes_bodies_and_the_host_unchanged() -> None:
    async with relay_and_client() as (relay, client):
        for _ in range(3):
            answer = await client.put("/photos/key", content=BODY)
            host = relay.url.removeprefix("http://").encode()
            assert answer.content == host + b" " + BODY


async def test_a_store_that_answers_5xx_does_so_on_connections_that_were_open_before() -> None:
    async with relay_and_client() as (relay, client):
        assert (await client.get("/photos/key")).status_code == 200
        await relay.behave(Behaviour("answer", status=503))
        refused = await client.put("/photos/key", content=BODY)
        assert (refused.status_code, "SlowDown" in refused.text) == (503, True)
        assert (await client.head("/photos/key")).status_code == 503
        await relay.behave(NORMAL)
        assert (await client.get("/photos/key")).status_code == 200


async def test_a_full_store_still_gives_what_it_has() -> None:
    async with relay_and_client() as (relay, client):
        await relay.behave(Behaviour("answer", status=507, only_writes=True))
        assert (await client.get("/photos/key")).status_code == 200
        assert (await client.put("/photos/key", content=BODY)).status_code == 507


async def test_a_store_that_hangs_answers_nothing_until_that_is_over() -> None:
    async with relay_and_client() as (relay, client):
        await relay.behave(Behaviour("hang"))
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/photos/key", timeout=0.5)
        asking = asyncio.create_task(client.get("/photos/key"))
        await asyncio.sleep(1)  # on a busy machine it is long on the way
        await relay.behave(NORMAL)
        with pytest.raises(httpx.TransportError):
            await asking
        assert (await client.get("/photos/key")).status_code == 200


async def test_a_store_that_refuses_takes_no_connection_until_that_is_over() -> None:
    async with relay_and_client() as (relay, client):
        await relay.behave(Behaviour("refuse"))
        with pytest.raises(httpx.ConnectError):
            await client.get("/photos/key")
        await relay.behave(NORMAL)
        assert (await client.get("/photos/key")).status_code == 200


async def test_a_slow_store_takes_its_time_for_each_request() -> None:
    async with relay_and_client() as (relay, client):
        await relay.behave(Behaviour("slow", delay=0.3))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(2):
            assert (await client.get("/photos/key")).status_code == 200
        assert loop.time() - began >= 0.6


@pytest.mark.parametrize("size", [2, 3, 12])
def test_the_spec_of_a_stage_has_no_errors(size: int) -> None:
    for demands in {demands_of(item) for item in SCENARIOS} | {Demands()}:
        findings = check(stage_spec(demands, size))
        errors = [item.code for item in findings if item.level == "error"]
        # Ending long before probes notice is the very thing that health-only removal shows.
        assert (errors == []) is (demands.removal == "deregister-first")


def test_a_stage_limits_its_clients_as_a_production_does() -> None:
    assert stage_spec(Demands(), 2).balancer.rate_limits == Balancer().rate_limits


async def test_a_black_hole_neither_takes_nor_refuses_connections() -> None:
    with closing(BlackHole("127.0.0.1", free_port())) as hole:
        hole.open()
        host, port = hole.address
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.open_connection(host, port)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_a_black_hole_waits_for_an_address_that_is_in_use() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    with closing(BlackHole(host, port)) as hole:
        with pytest.raises(TimeoutError):
            await hole.open_when_free(0.2)
        server.close()
        await hole.open_when_free(5)


def test_a_family_of_processes_is_found_and_signalled() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        child = eventually(lambda: children(parent.pid))[0]
        assert family(parent.pid) == [parent.pid, child]
        assert parent.pid in children(os.getpid())
        eventually(lambda: "input()" in command_line(child))
        send(family(parent.pid), signal.SIGKILL)
        eventually(lambda: not is_there(child))
        eventually(lambda: not is_there(parent.pid))  # though it is a zombie
    finally:
        parent.kill()
        parent.communicate()
