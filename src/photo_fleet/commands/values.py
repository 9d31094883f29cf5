"""Types of arguments that several commands take."""

import argparse
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import httpx

from photo_base.command_line import decimal, text
from photo_base.environment import url
from photo_fleet.spec.kinds import Duration

SHORTEST, LONGEST = 60.0, 90 * 86400.0
DEAREST = 1e9

PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})")


def address(value: str) -> str:
    """A type for argparse: where a Prometheus or an edge answers, by http or https; a user and
    password before its name are sent, and shown to nobody."""
    try:
        parts = urlsplit(text(value))
        url(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
        httpx.URL(value).host  # noqa: B018  (not every name can be asked for)
    except (ValueError, httpx.InvalidURL):
        reason = "as http://127.0.0.1:9090, with a path where it has one"
        raise argparse.ArgumentTypeError(reason) from None
    return value


def listening_place(value: str) -> tuple[str, int]:
    """A type for argparse: `host:port`, an IPv6 address in brackets."""
    place = PLACE.fullmatch(text(value))
    if place and 0 < int(place[3]) < 65_536:
        return place[1] or place[2], int(place[3])
    raise argparse.ArgumentTypeError(f"{value!r} is no host:port such as 10.0.0.5:9099")


def span(shortest: float, longest: float) -> Callable[[str], float]:
    """A type for argparse: seconds of `200ms`, `90m`, `6h` or `30d`, within these bounds."""
    kind = Duration(shortest, longest)

    def parse(value: str) -> float:
        days = re.fullmatch(r"([0-9]{1,2})d", text(value))
        try:
            seconds = int(days[1]) * 86400.0 if days else kind.read(value)
            kind.check(seconds)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{value[:40]!a} {error}") from None
        return seconds

    return parse


def duration(value: str) -> float:
    """A type for argparse: a time to look back, from a minute to 90 days."""
    return span(SHORTEST, LONGEST)(value)


def add_price(parser: argparse._ActionsContainer) -> None:
    """The arguments --price and --currency."""
    parser.add_argument("--price", type=decimal(0, DEAREST), metavar="N", help="of an hour of it")
    parser.add_argument(
        "--currency", type=partial(text, most=16), default="", metavar="NAME", help="of the price"
    )
