"""A traffic as a file: one number a line, the requests of a step. `-` stands for a step of which
nobody knows; a line that begins with `#` is none, nor are empty lines at the end."""

import re

from photo_base.given_file import read_given
from photo_fleet.replay.traffic import MOST_STEPS, BadTraffic, Traffic

MIB = 1024 * 1024
MOST_BYTES = 16 * MIB
LARGEST = 1e12
"""Requests in a step."""
NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?([eE]\+?[0-9]{1,3})?", re.ASCII)
UNKNOWN = "-"
LONGEST_SHOWN = 40
WHAT = "write the requests of that step, 0 or more, or - where nobody knows"


def read_file(path: str, every: float) -> Traffic:
    """Raises `BadTraffic` for what is none, and OSError."""
    body = read_given(path, MOST_BYTES)
    if len(body) > MOST_BYTES:
        raise BadTraffic(f"it has more than {MOST_BYTES // MIB} MiB: give it in larger steps")
    return parse(body.decode("utf-8-sig", errors="replace"), every)


def parse(text: str, every: float) -> Traffic:
    """The same of its text. Lines may end with CR LF. Raises `BadTraffic`."""
    rates: list[float | None] = []
    if not text.strip():
        return Traffic(rates, every)
    for number, line in enumerate(text.rstrip().split("\n"), start=1):
        told = line.strip(" \t\r")
        if told.startswith("#"):
            continue
        rates.append(None if told == UNKNOWN else _requests(told, number) / every)
        if len(rates) > MOST_STEPS:
            raise BadTraffic(f"it has more than {MOST_STEPS} steps: give it in larger ones")
    return Traffic(tuple(rates), every)


def _requests(told: str, number: int) -> float:
    if not told:
        raise BadTraffic(f"line {number} is empty: {WHAT}")
    if not NUMBER.fullmatch(told):
        shown = told if len(told) <= LONGEST_SHOWN else f"{told[:LONGEST_SHOWN]}…"
        heading = "; a heading has to begin with #" if number == 1 else ""
        raise BadTraffic(f"line {number}: {shown!a} is no number: {WHAT}{heading}")
    if (requests := float(told)) > LARGEST:
        raise BadTraffic(f"line {number}: nothing gets more than {LARGEST:g} requests: {WHAT}")
    return requests
