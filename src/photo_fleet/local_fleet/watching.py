"""Prometheus, Alertmanager and a Pushgateway beside a local fleet, where they are installed, on
loopback, by the rendered configuration: with the balancer's discovery, or this gateway in place of
the spec's, and with nobody whom Alertmanager would tell."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM

from photo_base.processes import CannotStart, Program, Running, find_program, write
from photo_base.tasks import cancel
from photo_fleet.balancer.discovery import Discovery, Targets
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.render import alertmanager, prometheus
from photo_fleet.render.alert import NOMINAL, Windows
from photo_fleet.spec.fleet import Fleet

USUAL_PORT, USUAL_GATEWAY_PORT, USUAL_ALERTS_PORT = 9090, 9091, 9093
LONGEST_STOP = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
KEPT, RESENT = "2d", "5s"
"""The first alerts are lost: where Alertmanager is, Prometheus knows only after some seconds."""


Tell = Callable[[str, str, str], None]
"""Of the journal: who, what kind of event, and what it is."""


def untold(_instance: str, _kind: str, _text: str) -> None:
    """To nobody."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """A program beside the fleet at `url`, which is empty where none runs; `told` says so, or why
    there is none: a fleet goes on without it."""

    told: str
    url: str = ""


@asynccontextmanager
async def gateway_beside(layout: Layout, tell: Tell = untold) -> AsyncIterator[Watcher]:
    """A Pushgateway that keeps nothing on disk: for the instances of a spec that has them push, and
    for what else somebody pushes."""
    name, folder = "prometheus-pushgateway", layout.data / "pushgateway"
    folder.mkdir(exist_ok=True)
    with _held_port(USUAL_GATEWAY_PORT) as port:
        address = f"127.0.0.1:{port}"
        options = [f"--web.listen-address={address}", "--persistence.file=", "--log.level=warn"]
        program = _program(name, options, layout, folder)
        async with _beside("Pushgateway", name, program, address, tell) as watcher:
            yield watcher


@asynccontextmanager
async def alertmanager_beside(
    fleet: Fleet, layout: Layout, tell: Tell = untold
) -> AsyncIterator[Watcher]:
    """An Alertmanager that groups alerts and shows them, and tells nobody."""
    name, folder = "prometheus-alertmanager", layout.data / "alertmanager"
    folder.mkdir(exist_ok=True)
    write(folder / "alertmanager.yml", alertmanager.example(fleet, hooks=""))
    with _held_port(USUAL_ALERTS_PORT) as port:
        address = f"127.0.0.1:{port}"
        options = [f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
        options += [f"--web.listen-address={address}", "--cluster.listen-address="]
        program = _program(name, [*options, "--log.level=warn"], layout, folder)
        async with _beside("Alertmanager", name, program, address, tell) as watcher:
            yield watcher


@asynccontextmanager
async def prometheus_beside(
    fleet: Fleet,
    layout: Layout,
    known: Callable[[], Targets | None],
    metrics: Callable[[], str],
    gateway: str = "",
    windows: Windows = NOMINAL,
    tell: Tell = untold,
) -> AsyncIterator[Watcher]:
    """A Prometheus that scrapes the instances which `known` gives, unless they push, what `metrics`
    gives of nginx's host, and the gateway at this address; with the rules of alerts."""
    token, folder = secrets.token_hex(16), layout.data / "prometheus"
    folder.mkdir(exist_ok=True)
    write(folder / "discovery-token", token, 0o600)
    with _held_port() as asked, _held_port(USUAL_PORT) as port:
        place, address = f"http://127.0.0.1:{asked}", f"127.0.0.1:{port}"
        for name, text in _files(fleet, place, gateway, str(folder), windows).items():
            write(folder / name, text)
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        options += [f"--storage.tsdb.retention.time={KEPT}", f"--web.listen-address={address}"]
        options += ["--enable-feature=exemplar-storage", f"--rules.alert.resend-delay={RESENT}"]
        program = _program("prometheus", options, layout, folder)
        discovery = Discovery("127.0.0.1", asked, token, known, metrics)
        discovering = asyncio.create_task(discovery.run())
        try:
            async with _beside("Prometheus", "prometheus", program, address, tell) as watcher:
                yield watcher
        finally:
            await cancel(discovering)


def _program(name: str, options: Sequence[str], layout: Layout, folder: Path) -> Program | None:
    """Debian's program of that package; None where it is not installed."""
    if (program := find_program(name)) is None:
        return None
    environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    log = layout.logs / f"{name}.log"
    return Program(name, [program, *options], environ, log, folder, "TERM")


@asynccontextmanager
async def _beside(
    title: str, package: str, program: Program | None, address: str, tell: Tell
) -> AsyncIterator[Watcher]:
    """That program, until this ends or this process dies."""
    if program is None:
        yield Watcher(f"no {title} is installed (apt-get install {package})")
        return
    try:
        running = await Running.start(program)
    except CannotStart as error:
        yield Watcher(str(error))
        return
    keeping = asyncio.create_task(_keep(title, running, tell))
    try:
        yield Watcher(f"{title} answers at http://{address}", f"http://{address}")
    finally:
        await cancel(keeping)


async def _keep(title: str, running: Running, tell: Tell) -> None:
    """Start it again whenever it ends, ever more seldom while that is at once, as on a full disk;
    and end it with this task."""
    pause = FIRST_PAUSE
    try:
        while True:
            began = time.monotonic()
            code = await running.wait()
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            again = f"see {running.program.log}; starting it again in {pause:g} s"
            tell("", "watched", f"{title} ended with {code}, {again}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            with suppress(CannotStart):  # told as an end, too
                running = await Running.start(running.program)
    finally:
        await running.stop((SIGTERM, LONGEST_STOP))


def _files(
    fleet: Fleet, discovery: str, gateway: str, folder: str, windows: Windows = NOMINAL
) -> dict[str, str]:
    local = replace(fleet.metrics, discovery=discovery)
    files = prometheus.files(replace(fleet, metrics=local), windows)
    if gateway and not local.pushgateway:
        files["prometheus.yml"] += "\n".join(prometheus.pushed(gateway)) + "\n"
    return {name: text.replace(prometheus.SECRETS, folder) for name, text in files.items()}


@contextmanager
def _held_port(wanted: int = 0) -> Iterator[int]:
    """A port of loopback for one program, this one if it can be had. It is bound here for as long,
    so that of fleets which begin at the same moment each has its own."""
    with socket.socket() as held:
        try:
            held.bind(("127.0.0.1", wanted))
        except OSError:
            held.bind(("127.0.0.1", 0))
        # Now a program that asks to share it, as all of these do, may listen there; and whoever
        # looks for a port as above still finds it taken.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield held.getsockname()[1]
