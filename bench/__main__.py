"""`python -m bench`: ratios to the limit, measured side by side in one run."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import uvloop

from bench.compare import progress
from bench.context import Bench, Effort, Ground, open_bench, open_ground
from bench.counting import counting_row, scrape_row, untraced_row
from bench.footprint import drain_rows, memory_rows, start_rows, upload_memory_rows
from bench.job_queue import job_row
from bench.load import LoadFailed
from bench.reads import COLD, HOT
from bench.renditions import rendition_rows
from bench.report import Row, as_json, as_table
from bench.rows import (
    confirm_row,
    login_row,
    presign_row,
    read_row,
    upload_row,
    whole_album_row,
)
from bench.sinks import dead_sinks_row, loki_row, traces_row
from bench.world import MANY, Sizes

THOROUGH = Effort(rounds=5, seconds=1.5, starts=7, batch=16)
QUICK = Effort(rounds=3, seconds=0.5, starts=5, batch=6)

Measure = Callable[[Bench, Effort], Awaitable[list[Row]]]

UPLOADS = {
    f"upload-{megabytes}mb-{at_once}": (megabytes, at_once)
    for megabytes in (3, 50)
    for at_once in (1, 4, 16)
}

ON_BOTH_SIDES: dict[str, Measure] = {
    **{name: partial(read_row, name=name) for name in (*HOT, *COLD)},
    "album-whole": whole_album_row,
    "presign": presign_row,
    "confirm": confirm_row,
    "login-beside": login_row,
    **{
        name: partial(upload_row, name=name, megabytes=of[0], at_once=of[1])
        for name, of in UPLOADS.items()
    },
    "jobs": job_row,
    "memory-uploads": upload_memory_rows,
    "counting": counting_row,
    "scrape": scrape_row,
    "sinks-dead": dead_sinks_row,
    "sinks-loki": loki_row,
    "traces-off": untraced_row,
    "traces": traces_row,
    "memory": memory_rows,
}
# What needs neither a filled database nor a server that runs.
ALONE: dict[str, Callable[[Ground, Effort], Awaitable[list[Row]]]] = {
    "start": start_rows,
    "drain": drain_rows,
    "renditions": rendition_rows,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 0 however slow anything was, 1 if a row failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    effort = QUICK if options.quick else THOROUGH
    sizes = Sizes(many=options.photos, of_other=options.photos)
    if options.rounds:
        effort = Effort(options.rounds, effort.seconds, effort.starts, effort.batch)
    names = [name for name in (*ALONE, *ON_BOTH_SIDES) if name.startswith(tuple(options.only))]
    if not names:
        parser.error(f"no row is named {' or '.join(options.only)}")
    # Below /var/tmp: a /tmp in memory would make the database durable at no cost.
    with (
        tempfile.TemporaryDirectory(prefix="photo-api-bench-", dir="/var/tmp") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        rows, failed = runner.run(_measure(Path(folder), names, effort, sizes, options.base))
    print(as_json(rows) if options.json else as_table(rows))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        metavar="ROW",
        help=f"rows whose names begin so, of {', '.join((*ALONE, *ON_BOTH_SIDES))}",
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


async def _measure(
    folder: Path, names: list[str], effort: Effort, sizes: Sizes, base: str | None
) -> tuple[list[Row], int]:
    """The rows, and how many names have none because what they need was refused."""
    rows: list[Row] = []
    failed = 0
    async with open_ground(folder) as ground:
        for name in filter(ALONE.__contains__, names):
            rows += await ALONE[name](ground, effort)
        both = [name for name in names if name in ON_BOTH_SIDES]
        if both:
            async with open_bench(ground, sizes, base) as bench:
                for name in both:
                    try:
                        rows += await ON_BOTH_SIDES[name](bench, effort)
                    except LoadFailed as error:
                        failed += 1
                        progress(f"{name} fails: {error}")
    progress("done")
    return rows, failed


if __name__ == "__main__":
    sys.exit(main())
