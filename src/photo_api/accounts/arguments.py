"""The arguments of `photo-api users`; what runs is imported when it runs."""

import argparse
import os
import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from photo_api.settings.loading import load
from photo_base.command_line import LARGEST_ID, decimal, text, whole_number

Ask = Callable[[Coroutine[Any, Any, int]], int]
"""Runs what asks the database; its exit code."""

UNITS = {
    **{"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
}
LARGEST_QUOTA = 2**60
OF_THE_SETTING = -1
"""A quota that is the setting's, which holds for everyone without one of their own."""

LONGEST_HOURS = 24.0 * 365
MOST_LISTED = 10_000


def add_users(parser: argparse.ArgumentParser, ask: Ask) -> None:
    """The actions, which are run by `ask`."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def add(name: str, told: str, *aliases: str, whom: str | None = "EMAIL") -> Any:
        action = actions.add_parser(name, help=told, aliases=aliases)
        if whom is not None:
            action.add_argument("email", type=text, metavar=whom)
        action.add_argument(
            "--json", dest="as_json", action="store_true", help="print the result as JSON"
        )
        action.set_defaults(run=partial(_run, name.replace("-", "_"), ask))
        return action

    listing = add("list", "list accounts by their ids", whom=None)
    listing.add_argument("--search", type=text, help="only with this text in the e-mail")
    listing.add_argument(
        "--after",
        type=whole_number(0, LARGEST_ID),
        default=0,
        help="only with a larger id (%(default)s)",
    )
    listing.add_argument(
        "--limit",
        type=whole_number(1, MOST_LISTED),
        default=100,
        help="how many at most (%(default)s)",
    )
    create = add("create", "open an account; its owner sets the password by a link")
    create.add_argument("username", type=text)
    _add_quota(create.add_argument, "--quota")
    _add_hours(create)
    add("disable", "let nobody in; ends sessions and share links for good", "deactivate")
    add("enable", "let its owner log in again", "activate")
    _add_quota(add("quota", "show how much an account may hold, or set it").add_argument, "size")
    _add_hours(add("reset-password", "a link by which its owner sets a password anew"))
    invite = add("invite", "a link by which somebody may open an account", whom=None)
    invite.add_argument(
        "email", type=text, nargs="?", metavar="EMAIL", help="whom it is for; else anybody"
    )
    _add_hours(invite)
    delete = add("delete", "delete an account with its photos, for good")
    delete.add_argument("--yes", action="store_true", help="do it; else only say what would go")


def _add_quota(add: Callable[..., Any], name: str) -> None:
    optional: dict[str, Any] = {} if name.startswith("-") else {"nargs": "?"}
    add(
        name,
        type=_size,
        metavar="SIZE",
        help="such as 50GB; 0: no bound, `default`: as everyone",
        **optional,
    )


def _add_hours(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--hours",
        type=decimal(1 / 60, LONGEST_HOURS),
        default=72,
        help="for how long the link works (%(default)s)",
    )


def _size(value: str) -> int:
    """Bytes, or `OF_THE_SETTING`."""
    if value == "default":
        return OF_THE_SETTING
    written = re.fullmatch(r"([0-9]{1,19})([KMGT]?i?B)?", value)
    if written and (written[2] or "B") in UNITS:
        size = int(written[1]) * UNITS[written[2] or "B"]
        if size <= LARGEST_QUOTA:
            return size
    told = f"{value[:40]!a} is no size from 0B to 1048576TiB, such as 50GB, nor `default`"
    raise argparse.ArgumentTypeError(told)


def _run(action: str, ask: Ask, **options: Any) -> int:
    from photo_api.accounts import users_command

    return ask(users_command.ACTIONS[action](load(os.environ), **options))
