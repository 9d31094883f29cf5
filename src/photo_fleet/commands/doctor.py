"""`photo-fleet doctor`: what is wrong with a fleet that runs, the worst first."""

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from photo_base.command_line import COULD_NOT, progress
from photo_base.environment import Variable, read
from photo_base.log_lines import one_line
from photo_base.processes import CannotStart
from photo_fleet.balancer.database_address import Unusable
from photo_fleet.commands.sources import add_sources, commands_here, reached
from photo_fleet.commands.spec_file import add_spec_file, problems
from photo_fleet.commands.values import address, duration
from photo_fleet.doctor.diagnosis import Diagnosis
from photo_fleet.doctor.finding import SECTIONS
from photo_fleet.doctor.looking import look_around
from photo_fleet.doctor.reach import USUAL_WINDOW, Reach
from photo_fleet.doctor.sections import RULES, STAGES
from photo_fleet.doctor.text import body, lines
from photo_fleet.local_fleet.control import NoFleet
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import SpecError

OPS_TOKEN = Variable(
    "OPS_TOKEN", "what opens an instance's numbers", default="", parse=str, secret=True
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_spec_file(parser)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=SECTIONS,
        metavar="SECTION",
        help=f"only one of {', '.join(SECTIONS)}; may be given again",
    )
    parser.add_argument("--json", action="store_true", help="print all that was found as JSON")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also what is fine, and each open question"
    )
    parser.add_argument(
        "--strict", action="store_true", help="warnings and what is unknown count as errors"
    )
    parser.add_argument(
        "--since",
        type=duration,
        default=USUAL_WINDOW,
        metavar="TIME",
        help="of events, receipts, log lines and metrics, until now (1h)",
    )
    _add_places(parser)


def _add_places(parser: argparse.ArgumentParser) -> None:
    add_sources(parser)
    parser.add_argument(
        "--edge",
        type=address,
        metavar="URL",
        help="nginx's address (this host's, if the rendered files are here)",
    )
    parser.add_argument(
        "--nginx",
        type=Path,
        metavar="DIR",
        help=f"nginx's rendered files ({Places().prefix}, if they are here)",
    )
    parser.add_argument(
        "--units",
        type=Path,
        metavar="DIR",
        help="root folder of the units that are installed (/)",
    )


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 fine, or warnings and open questions only; 1 errors; 2 no usable spec,
    no fleet in `--data`, or wrong usage."""
    try:
        diagnosis = asyncio.run(_visit(options))
    except SpecError as error:
        if not options.json:
            raise
        print(json.dumps({"ok": False, "problems": problems(error), "findings": []}))
        return COULD_NOT
    except (NoFleet, CannotStart, Unusable) as error:
        if options.json:
            problem = {"file": "", "line": 0, "key": "", "text": str(error)}
            print(json.dumps({"ok": False, "problems": [problem], "findings": []}))
        else:
            print(f"photo-fleet doctor: {one_line(error)}", file=sys.stderr)
        return COULD_NOT
    if options.json:
        print(json.dumps(body(diagnosis, options.strict), ensure_ascii=False))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in lines(diagnosis, width, options.verbose):
            print(line)
    return diagnosis.exit_code(options.strict)


async def _visit(options: argparse.Namespace) -> Diagnosis:
    reach = await _reach(options, os.environ)
    seen = await look_around(reach, STAGES, lambda names: progress(f"looking at {names}"))
    told = Diagnosis.of(reach.spec_name, seen, RULES, options.only)
    commands = commands_here(options, reach.prometheus)
    return commands.diagnosis(told) if commands else told


async def _reach(options: argparse.Namespace, environ: Mapping[str, str]) -> Reach:
    """How the fleet is reached: as its folder or this host has it, but for what was named. Raises
    `SpecError`, `NoFleet`, `CannotStart`, `Unusable`."""
    reach = await reached(options, environ)
    if options.data is None:
        reach = _with_this_host(reach, environ)
    named = {
        "edge": options.edge,
        "units": options.units,
        "places": options.nginx and replace(Places(), prefix=str(options.nginx.absolute())),
    }
    given = {name: value for name, value in named.items() if value}
    return replace(reach, since=options.since, **given)


def _with_this_host(reach: Reach, environ: Mapping[str, str]) -> Reach:
    """What this host has and its environment tells."""
    here = Path(Places().prefix, "nginx.conf").exists()
    return replace(
        reach,
        ops_token=_ops_token(environ),
        edge=_edge(reach.spec) if here else "",
        places=Places() if here else None,
        units=Path("/"),
    )


def _edge(fleet: Fleet) -> str:
    if fleet.balancer.tls.certificate:
        return f"https://127.0.0.1:{Places().tls_port}"
    return f"http://127.0.0.1:{fleet.balancer.port}"


def _ops_token(environ: Mapping[str, str]) -> str:
    """Raises `Unusable`."""
    refused: list[str] = []
    token: str | None = read(OPS_TOKEN, environ, refused)
    if token is None:
        raise Unusable(refused[0])
    return token
