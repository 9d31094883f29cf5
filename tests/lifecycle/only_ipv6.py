"""Run in a network namespace without IPv4: the service and nginx, and a person who uploads. The
tests' store is outside of it, so a Unix socket leads there from an address of IPv6.

    python -m tests.lifecycle.only_ipv6 FOLDER SETTINGS
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx

from photo_fleet.balancer.membership import Decision, Member
from photo_fleet.balancer.nginx_members import member_lines
from photo_fleet.render.places import Places
from tests.photo_fleet.nginx_stage import Front, spec, start, write_files
from tests.photo_fleet.test_nginx_variants import use
from tests.service import die_with_parent, eventually

STORE = "http://[::1]:8333"
FRONT = "http://[2001:db8::7]:8099"

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def relay(serve: Callable[[Any], Awaitable[asyncio.Server]], inner: Open) -> None:
    """In a thread of its own, until the process ends: what comes in at `serve` goes to `inner`."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await inner()
        with closing(writer), closing(inner_writer):
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    async def run() -> None:
        async with await serve(pass_on) as server:
            listening.set()
            await server.serve_forever()

    listening = threading.Event()
    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    assert listening.wait(10)


def main(folder: Path, environ: dict[str, str]) -> None:
    """Ends with an error where anything is refused."""
    outside = folder / "store.sock"
    relay(
        lambda act: asyncio.start_server(act, "::1", 8333),
        lambda: asyncio.open_unix_connection(outside),
    )
    places = Places(
        prefix=f"{folder}/nginx", run=f"{folder}/run", logs=f"{folder}/logs",
        temp=f"{folder}/temp", port=8099, user="root",
    )  # fmt: skip
    (folder / "nginx").mkdir()
    bucket = environ["PHOTO_API_S3_BUCKET"]
    write_files(spec(store=STORE, bucket=bucket), places)
    own = {"PHOTO_API_S3_ENDPOINT": STORE, "PHOTO_API_S3_PUBLIC_ENDPOINT": FRONT}
    trusted = {"PHOTO_API_TRUSTED_PROXIES": "::1/128"}
    serve = [sys.executable, "-m", "photo_api.cli", "serve", "--migrate"]
    with ExitStack() as running:
        nginx = start(places)
        running.callback(nginx.wait, 15)
        running.callback(nginx.terminate)
        with (folder / "service.log").open("wb") as output:
            service = subprocess.Popen(
                [*serve, "--host", "::1", "--port", "8000"],
                env=environ | own | trusted,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,
            )
        running.callback(service.wait, 15)
        running.callback(service.terminate)
        told = member_lines(Decision((Member("boot", "[::1]:8000", "::1"),), False))
        transport = httpx.HTTPTransport(uds=places.members_socket)
        with httpx.Client(transport=transport) as control:
            eventually(lambda: Path(places.members_socket).exists())
            control.put("http://nginx/members", content=told).raise_for_status()
        eventually(lambda: httpx.get(f"{FRONT}/health").status_code == 200, 40)
        use(cast(Front, SimpleNamespace(url=FRONT)))
    log = [json.loads(line) for line in Path(places.access_log).read_text().splitlines()]
    assert {line["client"] for line in log} == {"2001:db8::7"}
    print("uploaded")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
