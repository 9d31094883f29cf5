"""`photo-fleet replay`: what scaling policies would have done with a traffic, before one changes
them."""

import argparse
import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap

from photo_base.command_line import COULD_NOT, DONE, decimal, progress, text, whole_number
from photo_base.log_lines import printable
from photo_base.processes import CannotStart
from photo_base.whole_file import replace, unwritable
from photo_fleet.balancer.database_address import Unusable
from photo_fleet.commands.spec_file import BUILT_IN, add_target, spec_of
from photo_fleet.commands.values import add_price, address, duration, span
from photo_fleet.dashboard.prometheus import shown_address
from photo_fleet.dashboard.readings import Unread
from photo_fleet.dashboard.units import told
from photo_fleet.dashboard.window import ALL, Window
from photo_fleet.local_fleet.control import NoFleet
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.reach import reach_of
from photo_fleet.replay.front import front
from photo_fleet.replay.json_body import body
from photo_fleet.replay.making import Replay
from photo_fleet.replay.measured import read_traffic
from photo_fleet.replay.nhn import caveats
from photo_fleet.replay.picture import picture
from photo_fleet.replay.shapes import SHAPES, shape
from photo_fleet.replay.simulation import BOOT, Conditions
from photo_fleet.replay.station import Station, Unreachable
from photo_fleet.replay.steps_file import read_file
from photo_fleet.replay.table import NARROWEST
from photo_fleet.replay.text import text as told_as_text
from photo_fleet.replay.traffic import BadTraffic, Traffic
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import Duration
from photo_fleet.spec.targets import for_target

PEAK = 640.0
"""Requests a second to which a file or a shape is scaled."""
MEASURED = "measured"
WORKERS, OBJECTIVE = 2, 0.2
"""Where there is no spec."""
MONTH = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Source:
    """A traffic as it is there, and where."""

    traffic: Traffic
    name: str
    peak: float | None = PEAK
    """Requests a second to which it is scaled where nobody says otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    _add_sources(parser)
    parser.add_argument(
        "--every", type=span(1, 86_400), default=60.0, metavar="TIME", help="a step (1m)"
    )
    parser.add_argument(
        "--peak",
        type=_peak,
        metavar="N",
        help=f"requests a second in the busiest step, or `{MEASURED}` for those that there were"
        f" ({PEAK:g}; of Prometheus `{MEASURED}`)",
    )
    parser.add_argument("--spec", type=text, metavar="FILE", help="the spec (fleet.toml)")
    add_target(parser)
    model = parser.add_argument_group("what an instance can do")
    model.add_argument(
        "--service-rate",
        type=decimal(0.01, 1e6),
        default=40.0,
        metavar="N",
        help="requests a second that one worker serves (%(default)g)",
    )
    model.add_argument(
        "--workers",
        type=whole_number(1, 64),
        metavar="N",
        help=f"of an instance (the spec's, {WORKERS} without one)",
    )
    model.add_argument(
        "--objective",
        type=span(0.001, 3600),
        metavar="TIME",
        help="in which 95 %% are to be answered (the spec's read_within, 200ms without one)",
    )
    model.add_argument(
        "--boot",
        type=span(0, 86_400),
        default=BOOT,
        metavar="TIME",
        help="from the decision until it serves (2m)",
    )
    add_price(parser)
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="write a picture of what the spec would have done"
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "file", nargs="?", type=text, metavar="FILE", help="one number a line: requests in a step"
    )
    which.add_argument("--shape", choices=SHAPES, help="a traffic that nobody had")
    which.add_argument(
        "--prometheus", type=address, metavar="URL", help="what this one has counted"
    )
    which.add_argument(
        "--data", type=Path, metavar="DIR", help="what that of the fleet in this folder has"
    )
    parser.add_argument("--since", type=duration, metavar="TIME", help="of Prometheus (30d)")
    parser.add_argument("--job", type=text, metavar="NAME", help="of Prometheus (all)")


def run(options: argparse.Namespace) -> int:
    """0 told, 2 no usable traffic, wrong usage, or not written. Raises SpecError."""
    if options.svg is not None and (reason := unwritable(options.svg)):
        return _unusable(f"cannot write {options.svg}: {reason}")
    if unfit := _of_prometheus_alone(options):
        return _unusable(f"{unfit}: only with --prometheus or --data")
    try:
        spec_name, spec, source = asyncio.run(_asked(options))
        spec = for_target(spec, options.target) if options.target else spec
        peak = source.peak if options.peak is None else options.peak
        traffic = source.traffic if peak in (None, MEASURED) else source.traffic.scaled(peak)
        conditions = _conditions(options, spec, is_told=spec_name != BUILT_IN)
        replay = Replay(traffic, conditions, options.price)
    except (Unread, Unreachable, NoFleet, CannotStart, Unusable) as error:
        return _unusable(str(error))
    except BadTraffic as error:
        return _unusable(f"{options.file or options.shape or 'Prometheus'}: {error}")
    except OSError as error:
        return _unusable(f"{error.filename}: {error.strerror}")
    own = replay.spec(spec.group)
    outcomes = [outcome for _, outcome in (own, *replay.rivals())]
    if options.svg is not None:
        try:
            replace(options.svg, picture(own[0]))
        except OSError as error:
            return _unusable(f"cannot write {options.svg}: {error.strerror}")
    left_out = caveats(spec.group, replay.conditions.boot)
    if options.json:
        told = body(replay, spec_name, source.name, outcomes, left_out)
        print(json.dumps(told, ensure_ascii=False))
        return DONE
    width = get_terminal_size().columns
    lines = [line for one in left_out for line in wrap(one, max(width, NARROWEST))]
    print("\n".join([_heading(replay, source.name, spec_name), *lines]) + "\n")
    near = front(spec, traffic.every, lambda other: replay.spec(other.group))
    print(told_as_text(outcomes, near, spec.group, width), end="")
    return DONE


def _of_prometheus_alone(options: argparse.Namespace) -> str:
    """What was given and says nothing of a file or a shape; empty where there is nothing such."""
    if options.prometheus is not None or options.data is not None:
        return ""
    return ", ".join(f"--{one}" for one in ("since", "job") if getattr(options, one) is not None)


def _unusable(why: str) -> int:
    print(f"photo-fleet replay: {printable(why)}", file=sys.stderr)
    return COULD_NOT


async def _asked(options: argparse.Namespace) -> tuple[str, Fleet, Source]:
    """The spec's name, the spec, and the traffic. Raises all that `run` tells of."""
    if options.data is not None:
        reach = await reach_of(Layout(options.data.absolute()))
        if not reach.prometheus:
            raise Unread(f"the fleet in {options.data} has no Prometheus that runs")
        own = reach.spec_name, reach.spec
        name, spec = own if options.spec is None else spec_of(options.spec)
        return name, spec, await _counted(options, reach.prometheus)
    name, spec = spec_of(options.spec)
    if options.prometheus is not None:
        return name, spec, await _counted(options, options.prometheus)
    if options.shape is not None:
        return name, spec, Source(shape(options.shape, options.every), options.shape)
    return name, spec, Source(read_file(options.file, options.every), options.file)


async def _counted(options: argparse.Namespace, url: str) -> Source:
    every, now = int(options.every), time.time()
    if every != options.every:
        raise BadTraffic("its steps are whole seconds: change --every")
    end = float(now // every * every)
    job = ALL if options.job is None else re.escape(options.job)
    window = Window(end - (options.since or MONTH), end, job=job)
    try:
        read = read_traffic(url, window, every, lambda done: progress(f"Prometheus: {done}"))
        traffic = await read
    except Unread as error:
        raise Unread(f"Prometheus: {error}") from None
    return Source(traffic, shown_address(url), None)


def _conditions(options: argparse.Namespace, spec: Fleet, *, is_told: bool) -> Conditions:
    """As the arguments say, or the spec where somebody has told one. Raises `Unreachable`."""
    workers, objective = options.workers, options.objective
    if workers is None:
        workers = spec.service.workers if is_told else WORKERS
    if objective is None:
        within = Duration(0.001, 3600).read(spec.objectives.read_within)
        objective = within if is_told else OBJECTIVE
    station = Station(options.service_rate, workers, objective)
    return Conditions(station, spec.group.min, spec.group.max, options.boot)


def _peak(value: str) -> float | str:
    """A type for argparse."""
    return MEASURED if value == MEASURED else decimal(0.001, 1e6)(value)


def _heading(replay: Replay, source: str, spec_name: str) -> str:
    """What was replayed, and what is assumed."""
    traffic, station = replay.traffic, replay.conditions.station
    return (
        f"{printable(source)}: {len(traffic.rates):,} steps of {told(traffic.every, 's')}, the"
        f" busiest with {told(traffic.peak, 'reqps')}\n"
        f"an instance: {station.workers} workers of {told(station.service_rate, 'reqps')}, ready"
        f" {told(replay.conditions.boot, 's')} after it was asked for; 95 % to be answered within"
        f" {told(station.objective, 's')}\n"
        f"{printable(spec_name)}: {replay.conditions.least} to {replay.conditions.most} instances"
    )
