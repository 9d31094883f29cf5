"""`python -m bench`: ratios to the limit, measured side by side in one run."""

import argparse
import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TypeVar

import uvloop

from bench.catalogue import ALONE, BY_NAME, ON_BOTH_SIDES, ROWS, estimate
from bench.compare import progress
from bench.context import Effort, open_bench, open_ground
from bench.load import LoadFailed
from bench.other import Base
from bench.processes import NotStarted
from bench.reads import OF_LARGE, SIZE_OF_LARGE
from bench.report import Row, as_json, as_table
from bench.world import MANY, Sizes
from photo_base.processes import CannotStart
from photo_fleet.drill.own_folder import own_folder, remove_left

THOROUGH = Effort(rounds=5, seconds=1.5, starts=7, batch=16)
QUICK = Effort(rounds=3, seconds=0.5, starts=5, batch=6)

DISK = Path("/var/tmp")
"""A /tmp in memory would make the database durable at no cost."""
PREFIX = "photo-api-bench-"

LONGEST, SPARE = 10, 120.0
"""Times its estimate, and seconds besides, after which a row counts as hung."""

Subject = TypeVar("Subject")


class Run:
    """Measures rows and keeps what was found: a row that fails costs itself and not the run."""

    def __init__(self, names: Sequence[str], effort: Effort, sizes: Sizes, base: Base | None):
        self.names = names
        self.effort = effort
        self.sizes = sizes
        self.base = base
        self.rows: list[Row] = []
        self.failed: list[str] = []

    async def measure(self, folder: Path) -> None:
        """All of them, with their files in `folder`."""
        both = [name for name in self.names if name in ON_BOTH_SIDES]
        async with open_ground(folder) as ground:
            for name in filter(ALONE.__contains__, self.names):
                await self._one(name, ALONE[name].measure, ground)
            if both:
                async with open_bench(ground, self.sizes, self.base) as bench:
                    for name in both:
                        await self._one(name, ON_BOTH_SIDES[name].measure, bench)

    async def _one(
        self, name: str, measure: Callable[[Subject, Effort], Awaitable[list[Row]]], of: Subject
    ) -> None:
        began = monotonic()
        patience = SPARE + LONGEST * ROWS[name].seconds(self.effort, 3)
        try:
            async with asyncio.timeout(patience):
                self.rows += await measure(of, self.effort)
        except Exception as error:
            self.failed.append(name)
            foreseen = isinstance(error, LoadFailed | NotStarted | CannotStart)
            told = str(error) if foreseen else "".join(traceback.format_exception(error))
            progress(f"{name} fails: {told}")
        else:
            progress(f"{name}: {monotonic() - began:.1f} s")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 0 however slow anything was, 1 if a row failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    effort = QUICK if options.quick else THOROUGH
    if options.rounds:
        effort = Effort(options.rounds, effort.seconds, effort.starts, effort.batch)
    begun = [name for name in ROWS if name.startswith(tuple(options.only))]
    names = [name for name in begun if name not in BY_NAME or name in options.only]
    if not names:
        parser.error(f"no row is named {' or '.join(options.only)}")
    large = SIZE_OF_LARGE if any(name.startswith(OF_LARGE) for name in names) else 0
    sizes = Sizes(many=options.photos, of_other=options.photos, large=large)
    if options.pid and not options.base:
        parser.error("--pid is of the server at --base")
    base = Base(options.base, options.pid or ()) if options.base else None
    for folder in remove_left(DISK, PREFIX):
        progress(f"removed {folder}, of a run that was killed")
    minutes = estimate(names, effort, other=base is not None) / 60
    progress(f"about {minutes:.1f} minutes on an idle machine of two cores: {', '.join(names)}")
    run, began = Run(names, effort, sizes, base), monotonic()
    try:
        with (
            own_folder(DISK, PREFIX) as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(run.measure(folder))
    except (CannotStart, NotStarted) as error:
        parser.exit(1, f"{error}\n")
    finally:
        print(as_json(run.rows) if options.json else as_table(run.rows), flush=True)
        failed = f"; failed: {', '.join(run.failed)}" if run.failed else ""
        progress(f"{(monotonic() - began) / 60:.1f} minutes{failed}")
    return 1 if run.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        metavar="ROW",
        help=f"rows whose names begin so, of {', '.join(ROWS)};"
        f" the whole name for {', '.join(BY_NAME)}",
    )
    parser.add_argument("--rounds", type=_positive, help="rounds of each comparison")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--base",
        metavar="URL",
        help="another server that speaks the contract, http://host:port, for a column of its own;"
        " accounts and photos are put into it",
    )
    parser.add_argument(
        "--pid",
        type=_positive,
        nargs="+",
        help="of its processes, whose CPU is counted with that of all that they have started;"
        " otherwise those that listen at the address of --base, if that is this machine's",
    )
    parser.add_argument(
        "--photos",
        type=_positive,
        default=MANY,
        help="in the long list and the whole album, of each server (default: 10,000)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
