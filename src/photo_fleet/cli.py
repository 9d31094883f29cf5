"""The `photo-fleet` command. Only the module of the command that is asked for is imported.

A command's module offers `add_arguments(parser)` and `run(options) -> int`; one that serves several
commands finds its name in `options.command`, and before that in `parser.get_default("command")`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import NamedTuple

from photo_base.command_line import COULD_NOT, INTERRUPTED, Parser, missing, telling
from photo_base.log_lines import shown
from photo_base.proxies import spare_loopback
from photo_fleet.spec.loading import SpecError


class Command(NamedTuple):
    """One subcommand and the module that does it."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("check", "check", "find what contradicts in the spec, with the arithmetic"),
    Command("render", "render", "write nginx, systemd and cloud-init files of the spec"),
    Command("balance", "balance", "keep nginx's members as the registry has them"),
    Command("edge-keys", "edge_keys", "write the secrets that nginx verifies images' URLs with"),
    Command("role", "role", "print the SQL of the balancer's database role"),
    Command("up", "up", "run a whole fleet on this machine"),
    Command("status", "fleet", "show the fleet that runs here"),
    Command("scale", "fleet", "set how many instances it should have"),
    Command("deploy", "fleet", "replace its instances one at a time"),
    Command("drain", "fleet", "end one of its instances gracefully"),
    Command("kill", "fleet", "end one of its instances at once, as a drill"),
    Command("group", "group", "shrink a cloud's group without losing a request"),
    Command("dashboard", "dashboard", "show what Prometheus knows of the fleet, as one page"),
    Command("doctor", "doctor", "find what is wrong with a fleet that runs, the worst first"),
    Command("report", "report", "judge a day, a week or a month by the operator's check list"),
    Command("replay", "replay", "see what scaling policies would have done with a traffic"),
    Command(
        "drill", "drill", "inject faults into a fleet of its own and account for every request"
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code: 0 done, 1 failed, 2 wrong usage, unreadable spec, or output
    that could not be written."""
    return telling(partial(_run, sys.argv[1:] if argv is None else list(argv)))


def _run(arguments: list[str]) -> int:
    spare_loopback(os.environ)
    asked = next((word for word in arguments if not word.startswith("-")), "")
    if asked and (lack := missing("fleet")):
        print(f"photo-fleet: {lack}", file=sys.stderr)
        return COULD_NOT
    options = _parser(asked).parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SpecError as error:
        print(shown(error), file=sys.stderr)
        return COULD_NOT
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser(asked: str) -> argparse.ArgumentParser:
    """All commands by name and help; the arguments only of the one that is `asked` for."""
    parser = Parser(
        prog="photo-fleet", description="The operations plane of Photo API: a fleet from one spec."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.help, description=command.help)
        subparser.set_defaults(command=command.name)
        if command.name == asked:
            _complete(subparser, f"photo_fleet.commands.{command.module}")
    return parser


def _complete(parser: argparse.ArgumentParser, name: str) -> None:
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        parser.error("this command is not part of this release")
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)


if __name__ == "__main__":
    sys.exit(main())
