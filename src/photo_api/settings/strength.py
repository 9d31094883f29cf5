"""Whether a secret can have come from a generator of random ones."""

import math
import string
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

BITS = 128
MAKE = "make one with `openssl rand -hex 32`"
PUBLISHED = ("change", "secret", "example", "password", "insecure", "test", "development", "qwerty")
ALPHABETS = (string.digits, string.hexdigits, string.ascii_letters + string.digits)
LOOKED_AT = 64
"""Characters: a random text repeats some pairs when it is much longer."""


def weakness(secret: str) -> str | None:
    """What is wrong with it, without any of it; None when it may be random and long enough."""
    if any(word in secret.lower() for word in PUBLISHED):
        return "holds a word that secrets in documents have"
    if _bits(secret) < BITS:
        return f"has fewer than {BITS} bits"
    pairs = list(pairwise(secret[:LOOKED_AT]))
    steps = Counter(ord(second) - ord(first) for first, second in pairs)
    if len(set(secret)) < 10 or steps.most_common(1)[0][1] > len(pairs) / 3:
        return "is not random"
    if len(set(pairs)) < len(pairs) * 2 / 3:
        return "repeats itself"
    return None


def _bits(secret: str) -> float:
    """At most, by its length and the smallest alphabet that has all of its characters."""
    for alphabet in ALPHABETS:
        if set(secret) <= set(alphabet):
            return len(secret) * math.log2(len(set(alphabet.lower())))
    return len(secret) * math.log2(64)


def shared(secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of names that have the same secret."""
    first: dict[str, str] = {}
    return [
        (first[secret], name)
        for name, secret in secrets.items()
        if secret and first.setdefault(secret, name) != name
    ]
