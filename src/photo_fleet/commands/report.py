"""`photo-fleet report`: what a day, a week or a month was like, a line for each item of the
operator's check list."""

import argparse
import asyncio
import dataclasses
import os
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from photo_base.command_line import COULD_NOT, DONE, FAILED, decimal, progress, text
from photo_base.log_lines import printable
from photo_base.processes import CannotStart
from photo_base.whole_file import replace, unwritable
from photo_fleet.balancer.database_address import Unusable
from photo_fleet.commands.sources import add_sources, commands_here, reached
from photo_fleet.commands.spec_file import add_spec_file
from photo_fleet.commands.values import DEAREST, add_price
from photo_fleet.local_fleet.control import NoFleet
from photo_fleet.report.conclusion import conclusion, headline
from photo_fleet.report.history import Wanted
from photo_fleet.report.html_page import page
from photo_fleet.report.json_body import dumps
from photo_fleet.report.line import PERIODS, Report
from photo_fleet.report.making import report_of
from photo_fleet.report.markdown import markdown
from photo_fleet.report.reading import read_history
from photo_fleet.report.times import ending

MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("period", choices=PERIODS, help="how long it looks back: 24 h, 7 d or 30 d")
    add_spec_file(parser)
    parser.add_argument(
        "--at",
        type=_end,
        metavar="TIME",
        help="where the period ends: an ISO time (in this machine's zone where it names none), a"
        " date for the end of that day, or `yesterday` (now)",
    )
    form = parser.add_mutually_exclusive_group()
    for name, what in (
        ("markdown", "Markdown, which is usual"),
        ("html", "one page with its pictures"),
        ("json", "JSON"),
    ):
        form.add_argument(
            f"--{name}", dest="form", action="store_const", const=name, help=f"write {what}"
        )
    parser.set_defaults(form="markdown")
    parser.add_argument("--out", type=Path, metavar="PATH", help="a file for it (standard output)")
    parser.add_argument("--strict", action="store_true", help="what is unknown counts as failed")
    add_sources(parser)
    parser.add_argument(
        "--job",
        type=text,
        metavar="NAME",
        help="only what Prometheus scrapes as this job (those of the registry's instances)",
    )
    _add_costs(parser)


def _add_costs(parser: argparse.ArgumentParser) -> None:
    costs = parser.add_argument_group("of a month: what an instance has, and what it costs")
    costs.add_argument("--cores", type=decimal(0.1, 1024), metavar="N", help="of its machine")
    costs.add_argument("--memory", type=decimal(1, 2**24), metavar="MIB", help="of its machine")
    add_price(costs)
    costs.add_argument(
        "--budget", type=decimal(0, DEAREST), metavar="N", help="what the month may cost at most"
    )


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 all pass, or some are unknown; 1 a line fails, or with `--strict` is
    unknown; 2 not written, nothing to read from, or wrong usage. Raises SpecError."""
    if options.out is not None and (reason := unwritable(options.out)):
        return _unusable(f"cannot write {options.out}: {reason}")
    try:
        report = asyncio.run(_read(options, os.environ))
    except (NoFleet, CannotStart, Unusable) as error:
        return _unusable(str(error))
    told = _told(report, options.form, _zone(options.at))
    if options.out is None:
        print(told, end="")
    else:
        try:
            replace(options.out, told)
        except OSError as error:
            return _unusable(f"cannot write {options.out}: {error.strerror}")
        print(f"{printable(str(options.out))}: {headline(report)}")
    ill = ("fail", "unknown") if options.strict else ("fail",)
    return FAILED if conclusion(report) in ill else DONE


def _unusable(why: str) -> int:
    print(f"photo-fleet report: {printable(why)}", file=sys.stderr)
    return COULD_NOT


async def _read(options: argparse.Namespace, environ: Mapping[str, str]) -> Report:
    """Raises `SpecError`, `NoFleet`, `CannotStart`, `Unusable`."""
    wanted = await _wanted(options, environ)
    if not wanted.prometheus and wanted.database is None:
        raise Unusable(
            "nothing to read from: name --prometheus, --database-url, or --data of a fleet here"
        )
    history = await read_history(wanted, lambda done: progress(f"Prometheus: {done}"))
    report = report_of(history, time.time())
    if commands := commands_here(options, wanted.prometheus):
        lines = (
            dataclasses.replace(
                one, command=commands.command(one.command), todo=commands.prose(one.todo)
            )
            for one in report.lines
        )
        return dataclasses.replace(report, lines=tuple(lines))
    return report


async def _wanted(options: argparse.Namespace, environ: Mapping[str, str]) -> Wanted:
    reach = await reached(options, environ)
    return Wanted(
        period=options.period,
        spec=reach.spec,
        end=time.time() if options.at is None else options.at.timestamp(),
        prometheus=reach.prometheus,
        job=options.job and re.escape(options.job),
        database=reach.database,
        cores=options.cores,
        memory=options.memory and options.memory * MIB,
        price=options.price,
        currency=options.currency,
        budget=options.budget,
    )


def _zone(at: datetime | None) -> tzinfo:
    """That of the end, or this machine's."""
    return (at or datetime.now(UTC).astimezone()).tzinfo or UTC


def _told(report: Report, form: str, zone: tzinfo) -> str:
    if form == "json":
        return dumps(report)
    return page(report, zone) if form == "html" else markdown(report, zone)


def _end(value: str) -> datetime:
    try:
        return ending(text(value), time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value[:40]!a} {error}") from None
