"""Bcrypt hashes, which people bring who come from another service: verified until their owners have
logged in. The library is loaded when there is such a hash."""

import re

SEEN = 72
"""Bytes of a password that bcrypt looks at."""

COSTLIEST = 14
"""The binary logarithm of the rounds; a second or so, and each more doubles it: 31 takes a day."""

HASH = re.compile(rf"\$2[aby]\$(0[4-9]|1[0-{COSTLIEST - 10}])\$[./A-Za-z0-9]{{53}}")
"""`queries.costliest_bcrypt` and its index begin in these words."""


def cost_of(encoded: str | None) -> int | None:
    """How much a verification takes, doubling with each; None for what is no bcrypt hash, or takes
    too much."""
    match = HASH.fullmatch(encoded or "")
    return int(match[1]) if match else None


def is_seen_whole(password: str) -> bool:
    """Whether another password with the same beginning would have another hash."""
    return len(password.encode()) <= SEEN


def is_of(encoded: str, password: str) -> bool:
    """Whether `password` belongs to a hash that has a cost."""
    import bcrypt

    return bool(bcrypt.checkpw(password.encode()[:SEEN], encoded.encode()))


def spend(cost: int) -> None:
    """Take as long as a verification of this cost."""
    import bcrypt

    bcrypt.hashpw(b"nobody", b"$2b$%02d$" % cost + b"." * 22)
