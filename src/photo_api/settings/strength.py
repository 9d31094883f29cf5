"""Whether a secret can have come from a generator of random ones.

Its shortest description is looked for, in a code with short forms for what people think up: words,
letters that follow each other as in words, keys in a row, progressions, and what has been there.
Random texts have no short description: of all there are, hardly one in 2^k is described in k bits
less than it has, whatever the code (Kraft's inequality). So those that a generator makes pass.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from itertools import combinations, pairwise

BITS = 128
MAKE = "make one with `openssl rand -hex 32`"
ALPHABETS = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.digits + string.ascii_lowercase + "-_",
    string.digits + string.ascii_letters + "-_",
)
PRINTABLE = 95
LOOKED_AT = 64
"""Characters: enough to tell, and few enough that it takes milliseconds."""

RANDOM_SHARE = 0.9
"""Of its bits, the shortest description of a random text has more: of 2,000 each, no less than 1.02
in hexadecimal, 0.98 in base64, 0.96 in base32 of 160 bits. One bit less is half as likely."""

GUESSED = 44
"""Bits. Eight random letters and digits have 48; `minioadmin`, which is published, 43."""

LITERAL, PATTERN = 0.2, 5.0
"""Bits that say: a character follows as it is, or something of one of four kinds."""
LENGTH = math.log2(LOOKED_AT)
SAME_CASE, OTHER_CASE = 0.2, 3.0
GOES_ON, ENDS = 0.3, 2.5
SIGNS = ("-", "_", ".", " ")
YEAR = re.compile("(19|20)[0-9]{2}")
LEET = str.maketrans("013457@$!", "oieastasi")
KEYS = (
    "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm",
    "azertyuiop", "qsdfghjklm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "!@#$%^&*()_+",
    "3141592653589793238462643383279502884197169399375105820974944592",
    "2718281828459045235360287471352662497757247093699959574966967627",
)  # fmt: skip
PERIODS = 8
ALIKE = 16
"""Characters in a row that two random secrets never share."""


def weakness(secret: str) -> str | None:
    """What is wrong with it, without any of it; None when it may be random and long enough."""
    bits = _bits(secret)
    if bits < BITS:
        return f"has fewer than {BITS} bits"
    beginning, bits_of_one = secret[:LOOKED_AT], bits / len(secret)
    if _shortest(beginning, bits_of_one) < RANDOM_SHARE * bits_of_one * len(beginning):
        return "is not random: words, keys in a row or repetitions make up too much of it"
    return None


def guessable(secret: str) -> str | None:
    """The same of one that another system has made or taken, which may be shorter: what is wrong
    with it when somebody who tries from outside would find it."""
    beginning = secret[:LOOKED_AT]
    if beginning and _shortest(beginning, _bits(secret) / len(secret)) < GUESSED:
        return "can be guessed: it is short, or a word or two"
    return None


def _bits(secret: str) -> float:
    """At most, by its length and the smallest alphabet that has all of its characters."""
    fitting = [len(alphabet) for alphabet in ALPHABETS if set(secret) <= set(alphabet)]
    return len(secret) * math.log2(fitting[0] if fitting else PRINTABLE)


def _shortest(text: str, bits_of_one: float) -> float:
    """Bits of the shortest description; `bits_of_one` are those of a character as it is."""
    shortest = [0.0] + [math.inf] * len(text)
    for start in range(len(text)):
        bits = shortest[start]
        shortest[start + 1] = min(shortest[start + 1], bits + LITERAL + bits_of_one)
        for end, more in _patterns(text, start):
            shortest[end] = min(shortest[end], bits + PATTERN + more)
    return shortest[-1]


def _patterns(text: str, start: int) -> Iterator[tuple[int, float]]:
    """(end, bits) of whatever begins at `start` and has a short form."""
    yield from _words(text, start)
    yield from _letters(text, start)
    yield from _keys(text, start)
    yield from _progressions(text, start)
    yield from _copies(text, start)


def _words(text: str, start: int) -> Iterator[tuple[int, float]]:
    for end in range(start + 3, min(len(text), start + 16) + 1):
        part = text[start:end]
        if (word := part.lower().translate(LEET)) in _known():
            written = sum(one != two for one, two in zip(part, word, strict=True))
            yield from _ending(text, end, math.log2(len(_known())) + 2 * written)
    if YEAR.match(text, start):
        yield from _ending(text, start + 4, math.log2(len(_known())))


@cache
def _known() -> frozenset[str]:
    """Words of services and configurations, the most frequent English ones, and those that lists of
    leaked passwords begin with."""
    return frozenset(files(__package__).joinpath("words.txt").read_text().split())


def _letters(text: str, start: int) -> Iterator[tuple[int, float]]:
    bits = math.log2(52)
    for end in range(start + 1, len(text)):
        before, letter = text[end - 1], text[end]
        if not (before + letter).isascii() or not (before + letter).isalpha():
            return
        bits += SAME_CASE if before.islower() == letter.islower() else OTHER_CASE
        bits += _follows()[before.lower() + letter.lower()] + GOES_ON
        yield from _ending(text, end + 1, bits + ENDS)


def _ending(text: str, end: int, bits: float) -> Iterator[tuple[int, float]]:
    """Here, or with the sign that parts it from the next one."""
    yield end, bits + 1
    if text[end : end + 1] in SIGNS:
        yield end + 1, bits + 1 + math.log2(len(SIGNS))


@cache
def _follows() -> Mapping[str, float]:
    """Bits of a letter after another one, as often as it follows in words."""
    pairs = Counter(pair for word in sorted(_known()) for pair in pairwise(word))
    before = Counter(first for first, _ in pairs.elements())
    letters = string.ascii_lowercase
    return {
        first + second: -math.log2((pairs[first, second] + 1) / (before[first] + 26))
        for first in letters
        for second in letters
    }


def _keys(text: str, start: int) -> Iterator[tuple[int, float]]:
    lower = text.lower()
    for row in KEYS:
        for keys in (row + row, (row + row)[::-1]):
            at, end = keys.find(lower[start]), start + 1
            while at >= 0 and end < len(text) and keys[at + end - start :][:1] == lower[end]:
                end += 1
                yield end, LENGTH + math.log2(2 * sum(map(len, KEYS))) + OTHER_CASE


def _progressions(text: str, start: int) -> Iterator[tuple[int, float]]:
    """What goes on in the steps of the last few characters: aaaa, abcd, 1a2b3c4d, abcabc."""
    for period in range(1, min(PERIODS, start - 1) + 1):
        for end in range(start, len(text)):
            step, before = (ord(text[at]) - ord(text[at - 1]) for at in (end, end - period))
            if step != before:
                break
            yield end + 1, LENGTH + math.log2(PERIODS)


def _copies(text: str, start: int) -> Iterator[tuple[int, float]]:
    lower = text.lower()
    for origin in range(start):
        for end in range(start, len(text)):
            if lower[end] != lower[origin + end - start]:
                break
            yield end + 1, LENGTH + math.log2(LOOKED_AT)


def shared(secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of names whose secrets are the same but for case, punctuation, or what stands before
    or after."""
    plain = {name: _plain(secret) for name, secret in secrets.items() if _plain(secret)}
    return [(one, two) for one, two in combinations(plain, 2) if _alike(plain[one], plain[two])]


def _plain(secret: str) -> str:
    return "".join(filter(str.isalnum, secret.casefold()))


def _alike(one: str, two: str) -> bool:
    longest = SequenceMatcher(None, one, two, autojunk=False).find_longest_match()
    return one == two or longest.size >= ALIKE
