"""`photo-fleet role`: the SQL of the database role with which a balancer sees only the registry."""

import argparse
import json

from photo_base.command_line import text
from photo_fleet.balancer.registry import READ, WRITTEN, role_statements

DEFAULT_ROLE = "photo_fleet_balance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--name", type=_role_name, default=DEFAULT_ROLE, help="of the role (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print name, rights and SQL as JSON")


def run(options: argparse.Namespace) -> int:
    """Print it; always 0."""
    statements = role_statements(options.name)
    if options.json:
        rights = {"select": [*READ, *WRITTEN], "insert_update_delete": [*WRITTEN]}
        print(json.dumps({"role": options.name, "rights": rights, "sql": statements}))
    else:
        print(statements, end="")
    return 0


def _role_name(value: str) -> str:
    try:
        role_statements(text(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value
