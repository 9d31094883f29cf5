"""`photo-fleet up`: a whole fleet on this machine, until Ctrl-C."""

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from photo_base.command_line import COULD_NOT, decimal, missing, whole_number
from photo_base.line_output import LineOutput, as_text
from photo_base.processes import CannotStart
from photo_base.tasks import cancel
from photo_fleet.commands.spec_file import BUILT_IN, DEFAULT_FILE, add_spec_file, spec_of
from photo_fleet.local_fleet.embedded import STORES, StoreOptions
from photo_fleet.local_fleet.fleet import LocalFleet, Stand
from photo_fleet.local_fleet.journal import Event
from photo_fleet.local_fleet.layout import DEFAULT_DATA, Layout

DEFAULT_PORT = 8080
SECOND_SIGNAL = 1.0
"""A signal this many seconds after the first is a second one, and ends everything at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `up` understands."""
    add_spec_file(parser)
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="folder that keeps everything (%(default)s)"
    )
    parser.add_argument(
        "--port",
        type=whole_number(1, 65535),
        default=DEFAULT_PORT,
        help="where nginx listens (%(default)s)",
    )
    parser.add_argument(
        "--time-scale",
        type=decimal(1, 1000),
        default=1.0,
        metavar="N",
        help="make policy windows, cooldowns, warm-up and probe intervals N times as short; drains"
        " and timeouts stay (%(default)g)",
    )
    parser.add_argument(
        "--store",
        choices=tuple(STORES),
        default="s3",
        help="s3: SeaweedFS; swift: OpenStack's, with a Keystone (%(default)s)",
    )
    parser.add_argument("--no-view", action="store_true", help="lines instead of the live view")
    parser.add_argument("--json", action="store_true", help="each event as a line of JSON")


def run(options: argparse.Namespace) -> int:
    """Run it; 0 when it was asked to end and did, 1 when it could not run, 2 without the embedded
    database and store. Raises `SpecError`."""
    if lack := missing("local"):
        print(f"photo-fleet up: {lack}", file=sys.stderr)
        return COULD_NOT
    name, spec = spec_of(options.file)
    if name == BUILT_IN:
        print(f"no {DEFAULT_FILE} here: the defaults of fleet.example.toml", file=sys.stderr)
    layout = Layout(options.data.absolute())
    stand = Stand(StoreOptions(options.store))
    fleet = LocalFleet(spec, layout, options.port, options.time_scale, watched=True, stand=stand)
    try:
        asyncio.run(_run(fleet, options))
    except CannotStart as error:
        print(f"photo-fleet up: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(fleet: LocalFleet, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    _on_signals(fleet, stop)
    # A terminal that stands still or is gone holds up no fleet; its hang-up ends it after a drain.
    output = LineOutput(sys.stdout.fileno())
    sys.stdout = as_text(output)
    if options.json or options.no_view or not sys.stdout.isatty():
        output.gap = lambda number: _line(_dropped(number), options).encode() + b"\n"
        fleet.journal.heard = lambda item: print(_line(item, options))
    else:
        from photo_fleet.local_fleet.view import show

        showing = asyncio.create_task(show(fleet.status))
        try:
            await fleet.run(stop)
        finally:
            await cancel(showing)
        return
    await fleet.run(stop)


def _line(event: Event, options: argparse.Namespace) -> str:
    return json.dumps(event.describe()) if options.json else str(event)


def _dropped(number: int) -> Event:
    return Event(time.time(), "", "lines dropped", f"{number} that nobody read")


def _on_signals(fleet: LocalFleet, stop: asyncio.Event) -> None:
    """The first one drains, a second one kills what still drains."""
    first: list[float] = []

    def ask() -> None:
        now = time.monotonic()
        if first and now - first[0] >= SECOND_SIGNAL:
            fleet.hurry.set()
        elif not first:
            first.append(now)
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)
