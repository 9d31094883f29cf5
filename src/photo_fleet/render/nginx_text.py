"""How nginx's configuration is written."""

import re
from collections.abc import Iterable
from math import ceil

from photo_fleet.spec.kinds import limit_ms

Lines = list[str]

INTERNAL = ("internal;", "client_max_body_size 0;")
"""How a location begins that only answers. nginx looks at the length of the request's body there,
too, and would answer an error of more bytes by a bare 413."""

_PLAIN = re.compile(r"[\w./:@%+=,*\[\]-]+")


def block(head: str, body: Iterable[str]) -> Lines:
    """`head { … }`, indented."""
    return [f"{head} {{", *(f"    {line}" if line else "" for line in body), "}"]


def plain(text: str, what: str) -> str:
    """A value of the spec as one word of the configuration. Raises ValueError for one that nginx
    would read as more than that."""
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{what} is {text!r}: nginx takes letters, digits and . / : - _ there")
    return text


def time(seconds: float) -> str:
    """A limit: nginx's shortest time is a millisecond."""
    milliseconds = limit_ms(seconds)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def rate(per_second: float) -> str:
    """Whole requests a second, or else a minute, which is all that nginx knows; rather more than
    fewer."""
    if per_second == int(per_second):
        return f"{int(per_second)}r/s"
    return f"{ceil(round(per_second * 60, 6))}r/m"
