"""The arguments of `photo-api storage`; what runs is imported when it runs."""

import argparse
import os
from collections.abc import Callable, Coroutine
from typing import Any

from photo_api.settings.loading import load

Ask = Callable[[Coroutine[Any, Any, int]], int]
"""Runs what asks the store; its exit code."""


def add_storage(parser: argparse.ArgumentParser, ask: Ask) -> None:
    """The actions, which are run by `ask`."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    init = actions.add_parser(
        "init", help="make the bucket or the containers as the service needs them"
    )
    init.add_argument("--dry-run", action="store_true", help="say what would be made")
    init.add_argument(
        "--exact",
        action="store_true",
        help="also take away keys of signed URLs, and origins of pages, that are not configured",
    )
    check = actions.add_parser("check", help="say what is wrong with how the store is set up")
    prove = actions.add_parser(
        "prove", help="attack the store with objects that are thrown away, and say what holds"
    )
    for action, run in ((init, _init), (check, _check), (prove, _prove)):
        action.add_argument(
            "--json", dest="as_json", action="store_true", help="print the findings as JSON"
        )
        action.set_defaults(run=run, ask=ask)


def _init(*, ask: Ask, **options: bool) -> int:
    from photo_api.provisioning.command import init_command

    return ask(init_command(load(os.environ), **options))


def _check(*, ask: Ask, as_json: bool) -> int:
    from photo_api.provisioning.command import check_command

    return ask(check_command(load(os.environ), as_json=as_json))


def _prove(*, ask: Ask, as_json: bool) -> int:
    from photo_api.provisioning.proof.command import prove_command

    return ask(prove_command(load(os.environ), as_json=as_json))
