"""Prometheus beside a local fleet, where it is installed: the rendered configuration, with the
balancer's discovery, on loopback."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from signal import SIGTERM

from photo_base.processes import CannotStart, Program, Running, find_program, write
from photo_base.tasks import cancel
from photo_fleet.balancer.discovery import Discovery, Targets
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.render import prometheus
from photo_fleet.spec.fleet import Fleet

USUAL_PORT = 9090
LONGEST_STOP = 5.0
KEPT = "2d"


@asynccontextmanager
async def prometheus_beside(
    fleet: Fleet, layout: Layout, known: Callable[[], Targets | None]
) -> AsyncIterator[str]:
    """Its address, or why there is none, for people to read: a fleet goes on without it. `known`
    gives the instances that there are."""
    program = find_program("prometheus")
    if program is None:
        yield "no Prometheus is installed (apt-get install prometheus)"
        return
    token, port = secrets.token_hex(16), _free_port()
    discovering = asyncio.create_task(Discovery("127.0.0.1", port, token, known).run())
    running = None
    try:
        address = f"127.0.0.1:{_free_port(USUAL_PORT)}"
        folder = layout.data / "prometheus"
        folder.mkdir(exist_ok=True)
        write(folder / "discovery-token", token, 0o600)
        write(folder / "prometheus.yml", _config(fleet, f"http://127.0.0.1:{port}", str(folder)))
        command = [program, f"--config.file={folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={folder}/data", f"--storage.tsdb.retention.time={KEPT}"]
        command += [f"--web.listen-address={address}", "--enable-feature=exemplar-storage"]
        environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        log = layout.logs / "prometheus.log"
        try:
            running = await Running.start(
                Program("prometheus", command, environ, log, folder, "TERM")
            )
            told = f"Prometheus answers at http://{address}"
        except CannotStart as error:
            told = str(error)
        yield told
    finally:
        if running is not None:
            await running.stop((SIGTERM, LONGEST_STOP))
        await cancel(discovering)


def _config(fleet: Fleet, discovery: str, folder: str) -> str:
    local = replace(fleet.metrics, discovery=discovery, pushgateway="")
    text = prometheus.files(replace(fleet, metrics=local))["prometheus.yml"]
    return text.replace(prometheus.SECRETS, folder)


def _free_port(wanted: int = 0) -> int:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
