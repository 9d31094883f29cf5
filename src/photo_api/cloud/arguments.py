"""The arguments of `photo-api member`. What it takes is imported when it runs."""

import argparse
import asyncio
import os
from typing import Any

from photo_api.contract import DEFAULT_PORT
from photo_base.command_line import LONGEST_WAIT, decimal, whole_number


def add_member(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("action", choices=["out", "in"])
    parser.add_argument(
        "--port",
        type=whole_number(1, 65535),
        default=DEFAULT_PORT,
        help="where this machine's instance listens (%(default)s)",
    )
    parser.add_argument(
        "--within",
        type=decimal(1, LONGEST_WAIT),
        default=20,
        help="seconds until it is given up; `in` waits for /health in them too (%(default)s)",
    )
    parser.add_argument(
        "--json", dest="as_json", action="store_true", help="print the result as JSON"
    )
    parser.set_defaults(run=_member)


def _member(**options: Any) -> int:
    from photo_api.cloud.member_command import member_command

    return asyncio.run(member_command(os.environ, **options))
