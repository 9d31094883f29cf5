"""`photo-fleet balance`: keep the members of this machine's nginx as the registry has them."""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from photo_base import event_loop
from photo_base.command_line import decimal, text
from photo_base.log_lines import JsonLines, log_to_stderr
from photo_base.tasks import first
from photo_fleet.balancer import metrics
from photo_fleet.balancer.database_address import VARIABLE, DatabaseAddress, Unusable
from photo_fleet.balancer.discovery import Discovery, discovery_token, known_to
from photo_fleet.balancer.follow import Balance
from photo_fleet.balancer.nginx_members import Nginx, NginxSocket
from photo_fleet.balancer.state import StateInUse
from photo_fleet.commands.spec_file import add_spec_file, spec_of
from photo_fleet.commands.values import listening_place
from photo_fleet.spec.fleet import Fleet

SOCKET = Path("/run/photo-fleet/members.sock")
STATE = Path("/var/lib/photo-fleet")

ONCE_WITHIN = 30.0
"""Seconds that `--once` gives the database, nginx and all probes together, beyond their own
timeouts."""

DONE, FAILED, UNUSABLE = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_spec_file(parser)
    parser.add_argument(
        "--database-url",
        type=text,
        metavar="URL",
        help=f"the registry's database; without it {VARIABLE} or the file {VARIABLE}_FILE (read"
        " anew for each connection), which"
        " other users of this machine cannot read off the process list",
    )
    parser.add_argument(
        "--socket",
        type=Path,
        default=SOCKET,
        help="nginx's control API; with membership"
        " by reload, pid file and members are beside it (%(default)s)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=STATE,
        metavar="DIR",
        help="keeps this balancer's id and how it stands (%(default)s)",
    )
    parser.add_argument(
        "--name",
        type=text,
        default=socket.gethostname(),
        help="what to call this balancer (%(default)s)",
    )
    parser.add_argument(
        "--probe-scale",
        type=decimal(1, 1000),
        default=1.0,
        metavar="N",
        help="probe members N times as often, never with less patience (%(default)g)",
    )
    parser.add_argument(
        "--discovery",
        type=listening_place,
        metavar="HOST:PORT",
        help="tell Prometheus there which instances run, at /targets, and of this host, at"
        " /metrics, for the bearer token PHOTO_FLEET_DISCOVERY_TOKEN or the file"
        " PHOTO_FLEET_DISCOVERY_TOKEN_FILE",
    )
    parser.add_argument(
        "--once", action="store_true", help="set the members once, print them, and end"
    )
    parser.add_argument("--json", action="store_true", help="with --once: print JSON")


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 ended as asked, 1 could not go on or (with `--once`) not within its time,
    2 not usable as called. Raises SpecError."""
    _, fleet = spec_of(options.file)
    try:
        address = DatabaseAddress(options.database_url, os.environ)
        token = discovery_token(os.environ) if options.discovery else ""
    except Unusable as error:
        print(f"photo-fleet balance: {error}", file=sys.stderr)
        return UNUSABLE
    log_to_stderr(JsonLines())
    # Its lines repeat ours, one for each question to nginx.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    balance = Balance(
        address,
        _nginx(fleet, options.socket),
        state=options.state,
        name=options.name,
        check=fleet.health_check,
        probe_scale=options.probe_scale,
    )
    try:
        if options.once:
            return asyncio.run(_once(balance, fleet, options.json))
        event_loop.run(_until_told(balance, _discovery(options.discovery, token, balance, fleet)))
    except (StateInUse, OSError) as error:
        print(f"photo-fleet balance: {error}", file=sys.stderr)
        return FAILED
    return DONE


async def _until_told(balance: Balance, discovery: Discovery | None = None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, balance.stop)
    if discovery is None:
        await balance.run()
        return
    for ended in await first(balance.run(), discovery.run()):
        ended.result()


def _discovery(
    place: tuple[str, int] | None, token: str, balance: Balance, fleet: Fleet
) -> Discovery | None:
    if place is None:
        return None
    certificate = fleet.balancer.tls.certificate
    return Discovery(
        *place, token, lambda: known_to(balance), lambda: metrics.text(balance, certificate)
    )


async def _once(balance: Balance, fleet: Fleet, as_json: bool) -> int:
    check = fleet.health_check
    running = asyncio.create_task(_until_told(balance))
    limit = ONCE_WITHIN + check.healthy * check.timeout
    try:
        async with asyncio.timeout(limit):
            while not balance.settled and not running.done():
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    settled, state = balance.settled, balance.state()
    balance.stop()
    await running
    if as_json:
        print(json.dumps({"settled": settled, **state}))
    elif settled:
        print(f"nginx has {len(state['members'])} members.")
        for member in state["members"]:
            print(f"  {member['instance']}  {member['address']}  {member['id']}")
    if settled:
        return DONE
    print(f"photo-fleet balance: {_obstacle(state, limit)}", file=sys.stderr)
    return FAILED


def _obstacle(state: Mapping[str, object], limit: float) -> str:
    if not state["nginx"]:
        return "nginx does not answer on the socket; does it run, and with these rendered files?"
    if not state["database"]:
        return "the registry does not answer; the log line above says why"
    return f"the members did not settle within {limit:g} s"


def _nginx(fleet: Fleet, socket: Path) -> Nginx:
    if fleet.balancer.membership == "lua":
        return NginxSocket(socket)

    from photo_fleet.balancer.nginx_reload import NginxReload
    from photo_fleet.render.nginx_members import members_file

    return NginxReload(socket.parent, lambda addresses: members_file(fleet, addresses))
