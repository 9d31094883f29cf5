"""`photo-api embedded`: the database and the store for a program that wants to use them.

One line of JSON with addresses and process ids says that both are up. Everything ends with the
program that started it, however that one ends.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from photo_base.command_line import Parser, text, whole_number
from photo_base.processes import CannotStart
from photo_base.tasks import cancel, first
from photo_local.stack import NAMES, EmbeddedStack, StoreOptions

PARENT_POLL = 0.25
PORT = whole_number(1, 65535)
TEST_OPTIONS = {"shared_preload_libraries": "pg_stat_statements"}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command's arguments and run it; the exit code: 0 ended as asked, 1 failed."""
    return asyncio.run(run_embedded(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="photo-api embedded", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument(
        "--store", choices=tuple(NAMES), default="s3", help="its kind (%(default)s)"
    )
    parser.add_argument(
        "--token-life", type=whole_number(1, 86_400), default=3600, help="of Keystone's, in seconds"
    )
    parser.add_argument("--s3-port", type=PORT, help="port of the store (any free one)")
    parser.add_argument("--database-port", type=PORT, help="TCP port besides the Unix socket")
    parser.add_argument(
        "--max-connections", type=whole_number(10, 10_000), help="that the database takes (100)"
    )
    parser.add_argument(
        "--postgres", type=Path, help="folder of another PostgreSQL's programs, 15 or newer"
    )
    parser.add_argument("--test", action="store_true", help="faster, not safe against power loss")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed too")
    parser.add_argument(
        "--cors-origin",
        type=text,
        action="append",
        default=[],
        help="origin that may upload; repeatable",
    )
    return parser


async def run_embedded(args: argparse.Namespace) -> int:
    """Run both until a signal, the parent's death, the end of stdin or their own failure."""
    options = TEST_OPTIONS if args.test else {}
    if args.max_connections:
        options = {**options, "max_connections": str(args.max_connections)}
    stack = EmbeddedStack(
        args.data,
        store=StoreOptions(args.store, args.s3_port, args.cors_origin, args.token_life),
        database_port=args.database_port,
        durable=not args.test,
        database_options=options,
        postgres=args.postgres,
    )
    try:
        return await until_asked(_announce_and_run(stack), "photo-api embedded", args.with_parent)
    finally:
        await stack.stop()


async def until_asked(work: Coroutine[Any, Any, str], program: str, with_stdin: bool) -> int:
    """Do it until somebody asks to end (`asked_to_end`); 1 when it ended before or failed, which
    is told."""
    working = asyncio.ensure_future(work)
    try:
        await first(working, asked_to_end(with_stdin))
        if not working.done():
            return 0
        print(f"{program}: {working.result()}", file=sys.stderr)
    except CannotStart as error:
        print(f"{program}: {error}", file=sys.stderr)
    finally:
        await cancel(working)
    return 1


async def _announce_and_run(stack: EmbeddedStack) -> str:
    """Why the stack gave up; runs until then."""
    addresses = await stack.start()
    print(json.dumps(asdict(addresses)), flush=True)
    return await stack.failed


async def asked_to_end(with_stdin: bool) -> None:
    """Until a signal, the parent's death, or the end of stdin if that counts."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    parent = os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    if with_stdin:
        threading.Thread(target=_await_end_of_input, args=(loop, asked), daemon=True).start()
    # Asked again and again instead of PR_SET_PDEATHSIG, which comes also when only the thread of
    # the parent ends that started this.
    while os.getppid() == parent and not asked.is_set():
        try:
            await asyncio.wait_for(asked.wait(), PARENT_POLL)
        except TimeoutError:
            continue


def _await_end_of_input(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    """A thread of its own, because the event loop cannot watch a file or /dev/null."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):  # the loop may have been closed by another reason to end
        loop.call_soon_threadsafe(asked.set)


if __name__ == "__main__":
    sys.exit(main())
