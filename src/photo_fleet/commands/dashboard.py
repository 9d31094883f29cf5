"""`photo-fleet dashboard`: the dashboards as one page with their data, or as Grafana's JSON."""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from photo_base.command_line import progress, text
from photo_base.whole_file import replace, unwritable
from photo_fleet.commands.spec_file import add_spec_file, spec_of
from photo_fleet.commands.values import address, duration
from photo_fleet.dashboard.boards import BOARDS, EVENTS, boards
from photo_fleet.dashboard.html_page import Shown, page, verdict
from photo_fleet.dashboard.panel import Board
from photo_fleet.dashboard.prometheus import Prometheus, everything, shown_address
from photo_fleet.dashboard.window import Window

WHOLE, LACKS, COULD_NOT = 0, 1, 2

USUAL = "http://127.0.0.1:9090"
PAGE, FOLDER = Path("dashboard.html"), Path("grafana")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_spec_file(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--html", action="store_true", help="write one page with the data that Prometheus has"
    )
    which.add_argument(
        "--json", action="store_true", help="write the dashboards for Grafana, without data"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help=f"the page ({PAGE}), or Grafana's folder ({FOLDER})",
    )
    parser.add_argument(
        "--prometheus", type=address, default=USUAL, metavar="URL", help="(%(default)s)"
    )
    parser.add_argument(
        "--since", type=duration, default=6 * 3600.0, metavar="TIME", help="until now (6h)"
    )
    parser.add_argument(
        "--job", type=text, metavar="NAME", help="only what Prometheus scrapes as this job (all)"
    )


def run(options: argparse.Namespace) -> int:
    """0 written with all data, 1 written but some could not be read, or nothing is known of any
    instance, 2 nothing could be read, or not written."""
    name, fleet = spec_of(options.file)
    shown = boards(fleet.objectives)
    try:
        if options.json:
            return _grafana(options.out or FOLDER, "" if shown == BOARDS else name)
        return _html(options, shown)
    except OSError as error:
        print(f"photo-fleet dashboard: {error.filename}: {error.strerror}", file=sys.stderr)
        return COULD_NOT


def _grafana(folder: Path, other: str) -> int:
    """`other`: the name of a spec whose objectives are not those of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        name = f"{board.uid}.json"
        made = files("photo_fleet.dashboard") / "grafana" / name
        replace(folder / name, made.read_text(encoding="utf-8"))
    print(f"{len(BOARDS)} dashboards for Grafana in {folder}")
    if other:
        print(f"note: their objectives are those of the built-in defaults, not of {other}")
    return WHOLE


def _html(options: argparse.Namespace, told_of: Sequence[Board]) -> int:
    """The page is written whatever could be read, and says what could not."""
    now, out = time.time(), options.out or PAGE
    if reason := unwritable(out):  # rather now than when all is read
        print(f"photo-fleet dashboard: cannot write {out}: {reason}", file=sys.stderr)
        return COULD_NOT
    job = ".+" if options.job is None else re.escape(options.job)
    server, wanted = Prometheus(options.prometheus), everything(told_of, EVENTS)
    window, answers = asyncio.run(
        server.read(Window(now - options.since, now, job=job), wanted, _progress())
    )
    zone = datetime.now(UTC).astimezone().tzinfo or UTC
    shown = Shown(told_of, EVENTS, answers, window, shown_address(options.prometheus), zone)
    replace(out, page(shown))
    lacks = [answer for answer in answers.values() if not answer.whole]
    reasons = dict.fromkeys(answer.problem or answer.warning for answer in lacks)
    for reason in list(reasons)[:3]:
        print(f"photo-fleet dashboard: {shown.source}: {reason}", file=sys.stderr)
    print(
        f"{out}: {verdict(shown)[1]}"
        + (f"; {len(lacks)} of {len(answers)} queries lack" if lacks else "")
    )
    if not any(answer.series for answer in answers.values()):
        return COULD_NOT if lacks else LACKS
    return LACKS if lacks else WHOLE


def _progress() -> Callable[[str], None]:
    def say(done: str) -> None:
        progress(f"Prometheus: {done}")

    return say
