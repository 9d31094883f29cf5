"""`photo-fleet status | scale | deploy | drain | kill`: said to the fleet that `up` runs."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from photo_base.command_line import decimal, text, whole_number
from photo_base.processes import CannotStart
from photo_fleet.local_fleet.control import NoFleet, ask
from photo_fleet.local_fleet.deploys import Deploys
from photo_fleet.local_fleet.layout import DEFAULT_DATA, Layout

UNFINISHED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command that `parser` is for understands."""
    command = parser.get_default("command")
    if command == "scale":
        parser.add_argument(
            "size", type=whole_number(0, 1000), metavar="N", help="instances, from min to max"
        )
    elif command in ("drain", "kill"):
        parser.add_argument(
            "name", type=text, metavar="NAME", help="an instance, as `status` shows it"
        )
    elif command == "deploy":
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--resume", action="store_true", help="finish a deploy that was interrupted or failed"
        )
        which.add_argument(
            "--back",
            action="store_true",
            help="return from such a deploy to the release before it",
        )
        which.add_argument(
            "--release",
            type=Path,
            metavar="DIR",
            help="source tree or virtual environment to start instances from (that of `up`)",
        )
        parser.add_argument(
            "--start-limit",
            type=decimal(1, 86400),
            default=60,
            metavar="SECONDS",
            help="in which a newcomer must get ready (%(default)g)",
        )
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="the fleet's folder (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each step")


def run(options: argparse.Namespace) -> int:
    """0 done, 1 refused, failed or gone back, 2 no fleet runs there; of `status` 3: a deploy is
    unfinished and nobody works on it."""
    layout = Layout(options.data.absolute())
    try:
        answer = asyncio.run(ask(layout.control, _request(options), _progress(options.json)))
    except KeyboardInterrupt:
        if options.command == "deploy":
            print("given up; `photo-fleet status` shows how far it came", file=sys.stderr)
        raise
    except NoFleet as error:
        text = f"{error}{_left_behind(layout)}" if options.command == "status" else str(error)
        print(f"photo-fleet {options.command}: {text}", file=sys.stderr)
        return 2
    if not answer.pop("done"):
        if options.json:
            print(json.dumps(answer))
        print(f"photo-fleet {options.command}: {answer['error']}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(answer))
    elif options.command == "status":
        _show(answer)
    else:
        print(f"{answer['text']} ({answer['seconds']:g} s)")
    unfinished = options.command == "status" and answer["deploy"] and answer["deploy"]["mend"]
    return UNFINISHED if unfinished else 0


def _left_behind(layout: Layout) -> str:
    """Of a fleet that does not run: whether a deploy of it has not ended."""
    try:
        deploys = Deploys(layout.deploys)
    except CannotStart as error:
        return f"\n{error}"
    if deploys.unfinished is None:
        return ""
    told = f"the deploy of {deploys.unfinished.release.label} has not ended"
    return f"\n{told}: `{deploys.command('--resume')}` finishes it, --back returns, once it runs"


def _request(options: argparse.Namespace) -> dict[str, object]:
    names = ("size", "name", "start_limit", "resume", "back")
    asked = {name: getattr(options, name, None) for name in names}
    release: Path | None = getattr(options, "release", None)
    asked["release"] = str(release.absolute()) if release else None
    told = {name: value for name, value in asked.items() if value is not None}
    return {"do": options.command, **told}


def _progress(as_json: bool) -> Any:
    def say(text: str) -> None:
        print(json.dumps({"progress": text}) if as_json else text, flush=True)

    return say


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console

    from photo_fleet.local_fleet.view import picture

    Console(highlight=False).print(picture(status))
