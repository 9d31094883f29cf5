"""`photo-fleet group scale-in`: one instance fewer where the cloud's own way is a hard kill."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from photo_base import event_loop
from photo_base.command_line import text
from photo_base.log_lines import JsonLines, log_to_stderr, shown
from photo_base.tasks import first
from photo_fleet.balancer.database_address import DatabaseAddress, Unusable
from photo_fleet.commands.spec_file import add_spec_file, spec_of
from photo_fleet.commands.values import listening_place
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import SpecError

DONE, FAILED, UNUSABLE, UNFINISHED = 0, 1, 2, 3

Say = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    acts = parser.add_subparsers(required=True, metavar="COMMAND", dest="act")
    about = "take one instance out of OpenStack's group, when it has drained"
    scale_in = acts.add_parser("scale-in", help=about, description=f"{about}.")
    add_spec_file(scale_in)
    scale_in.add_argument(
        "--instance", type=text, default="", metavar="ADDRESS", help="this one (the newest)"
    )
    scale_in.add_argument(
        "--now", action="store_true", help="do not wait for the end of the policy's cooldown"
    )
    scale_in.add_argument(
        "--resume", action="store_true", help="only finish what is unfinished, and begin nothing"
    )
    scale_in.add_argument(
        "--accept-lost",
        action="store_true",
        help="remove a server that is shut off also when its instance never said that it stopped",
    )
    scale_in.add_argument(
        "--listen",
        type=listening_place,
        metavar="HOST:PORT",
        help="stay, and do it for each alarm that is posted to /scale-in/TOKEN there; the token is"
        " PHOTO_FLEET_SCALE_IN_TOKEN or in the file PHOTO_FLEET_SCALE_IN_TOKEN_FILE",
    )
    scale_in.add_argument("--json", action="store_true", help="print JSON, a line for each step")


def run(options: argparse.Namespace) -> int:
    """0 removed, 1 nothing was begun, 2 not usable as called, 3 begun and not finished. Raises
    SpecError where nobody wants JSON."""
    try:
        _, fleet = spec_of(options.file)
        work = _listening(options, fleet) if options.listen else _by_hand(options, fleet)
    except Unusable as error:
        return _told(options, str(error), UNUSABLE)
    except SpecError as error:
        if not options.json:
            raise
        return _told(options, str(error), UNUSABLE)
    return work()


def _by_hand(options: argparse.Namespace, fleet: Fleet) -> Callable[[], int]:
    from photo_fleet.group.openstack.scale_in import Order, Refusal, Unfinished

    def say(line: str) -> None:
        print(json.dumps({"progress": line}) if options.json else shown(line), flush=True)

    order = Order(options.instance, options.now, options.resume, options.accept_lost)
    scale_in = _scale_in(fleet, os.environ, say)

    def work() -> int:
        try:
            done = event_loop.run(scale_in(order))
        except Refusal as why:
            return _told(options, str(why), FAILED)
        except Unfinished as why:
            return _told(options, str(why), UNFINISHED)
        except KeyboardInterrupt:
            print("given up; `--resume` finishes what was begun", file=sys.stderr)
            raise
        if options.json:
            print(json.dumps({"removed": asdict(done)}))
        else:
            print(f"{shown(done.address)} is removed; {done.left} members are left")
            print(_of_its_end(done.receipt))
        return DONE

    return work


def _listening(options: argparse.Namespace, fleet: Fleet) -> Callable[[], int]:
    from photo_fleet.group.openstack.receiver import Receiver, scale_in_token

    if options.instance or options.now or options.resume or options.accept_lost:
        raise Unusable("--listen goes with FILE alone")
    token = scale_in_token(os.environ)
    scale_in = _scale_in(fleet, os.environ, _log)
    log_to_stderr(JsonLines())

    def work() -> int:
        try:
            event_loop.run(_until_told(Receiver(options.listen, token, scale_in)))
        except OSError as error:
            return _told(options, str(error), FAILED)
        return DONE

    return work


async def _until_told(receiver: Any) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    for ended in await first(receiver.run(), told.wait()):
        ended.result()


def _scale_in(fleet: Fleet, environ: Mapping[str, str], say: Say) -> Callable[[Any], Any]:
    """Does one order. Raises `Unusable` when it never could."""
    from photo_fleet.group.openstack.cloud import Cloud, account_of
    from photo_fleet.group.openstack.registry import Registry
    from photo_fleet.group.openstack.scale_in import ScaleIn
    from photo_fleet.group.openstack.stack import StackGroup

    if fleet.group.cloud not in ("openstack", "none"):
        raise Unusable(f"the spec's group.cloud is {fleet.group.cloud!a}: this is for OpenStack's")
    address = DatabaseAddress(None, environ)
    group = StackGroup(Cloud(account_of(environ)), fleet.name)
    return lambda order: ScaleIn(fleet, group, Registry(address), say).run(order)


def _log(line: str) -> None:
    import logging

    logging.getLogger(__name__).info(line)


def _told(options: argparse.Namespace, why: str, code: int) -> int:
    # What is not usable quotes no answer, and its example of an address is to be read.
    told = why if code == UNUSABLE else shown(why)
    if options.json:
        print(json.dumps({"error": told, "unfinished": code == UNFINISHED}))
    print(f"photo-fleet group scale-in: {told}", file=sys.stderr)
    return code


def _of_its_end(receipt: Any) -> str:
    if receipt is None or receipt.finished is None:
        return "it told nothing of its end"
    return f"it finished {receipt.finished} requests, and {receipt.cut or 0} were cut"
