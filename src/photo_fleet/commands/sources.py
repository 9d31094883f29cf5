"""Where a command reads of a fleet that runs: as its folder on this machine has it, or this host's
environment, but for what is named."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from photo_base.command_line import text
from photo_fleet.balancer.database_address import VARIABLE, DatabaseAddress, Unusable
from photo_fleet.commands.spec_file import spec_of
from photo_fleet.commands.values import address
from photo_fleet.doctor.reach import Reach
from photo_fleet.local_fleet.commands_here import CommandsHere
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.reach import reach_of


def add_sources(parser: argparse.ArgumentParser) -> None:
    """The arguments --data, --database-url and --prometheus."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="the folder of a fleet that `photo-fleet up` runs on this machine: its spec, and what"
        " is not named otherwise",
    )
    parser.add_argument(
        "--database-url",
        type=text,
        metavar="URL",
        help=f"the registry's database; without it {VARIABLE} or the file {VARIABLE}_FILE",
    )
    parser.add_argument(
        "--prometheus", type=address, metavar="URL", help="Prometheus's address (none)"
    )


async def reached(options: argparse.Namespace, environ: Mapping[str, str]) -> Reach:
    """With the spec FILE, or that of the fleet in `--data`. Raises `SpecError`, `NoFleet`,
    `CannotStart`, `Unusable`."""
    if options.data is None:
        name, fleet = spec_of(options.file)
        told = environ.get(VARIABLE) or f"{VARIABLE}_FILE" in environ
        database = DatabaseAddress(None, environ) if told else None
        reach = Reach(spec=fleet, spec_name=name, database=database)
    elif options.file is None:
        reach = await reach_of(Layout(options.data.absolute()))
    else:
        raise Unusable("--data has a spec of its own: name no FILE beside it")
    if options.database_url:
        reach = replace(reach, database=DatabaseAddress(options.database_url, environ))
    return replace(reach, prometheus=options.prometheus or reach.prometheus)


def commands_here(options: argparse.Namespace, prometheus: str) -> CommandsHere | None:
    """What is to be said of commands; None in production, as which rules say them."""
    if options.data is None:
        return None
    return CommandsHere(Layout(options.data.absolute()), prometheus)
