"""What is searched for, as the database compares it: a text in the form of its `search_form`, the
patterns it must match, and the grams by which the index finds all that match. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

SINGLE = (
    r"\u1100-\u11ff\u2600-\u27bf\u2e80-\u2fff\u3041-\u318e\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001f000-\U0003ffff"
)
"""What is written without spaces, and emoji: each character and each pair is a gram."""

WORD = (
    r"0-9a-z\u00aa\u00b5\u00ba\u00c0-\u10ff\u1200-\u1fff\u2c00-\u2dff\ua4d0-\ua95f\ua980-\uabff"
    r"\ufb00-\ufdff\ufe70-\ufefc\U00010000-\U0001efff"
)
"""Of what words are made: each three characters are a gram, or all where there are fewer."""

RUN = re.compile(f"([{SINGLE}]+)|([{WORD}]+)")
LONG = 3
MOST_TERMS = 10

CASED = (range(0xC0, 0x250), range(0x370, 0x530), range(0x531, 0x557), range(0x1E00, 0x2000))
"""Blocks whose letters are compared without regard to case, beside those of ASCII."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Each of `likes` (patterns of LIKE) and of `words` (regular expressions) has to match, and
    what they match has all `grams`."""

    likes: tuple[str, ...]
    words: tuple[str, ...]
    grams: tuple[str, ...]


def search_form(text: str) -> str:
    """As the database's function of this name."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(map(_fold, plain))


def _fold(character: str) -> str:
    if character.isascii() or any(ord(character) in block for block in CASED):
        folded = "i" if character == "İ" else character.casefold()
        return folded if len(folded) == 1 or folded == "ss" else character
    return character


def terms_of(text: str) -> Terms | None:
    """Terms are what stands between spaces, and all have to be there. None for a text in which
    there is nothing to be searched for.

    A term is looked for anywhere, within words too. One of words of one or two letters alone (`k3`)
    has to stand by itself: no index has a part that short.
    """
    likes: list[str] = []
    words: list[str] = []
    grams: dict[str, None] = {}
    for term in search_form(text).split()[:MOST_TERMS]:
        runs = list(RUN.finditer(term))
        if not runs:
            continue
        found = [gram for run in runs for gram in _grams(run, within=term)]
        if found:
            likes.append(f"%{_anywhere(term)}%")
        else:
            found = [run[0] for run in runs]
            words.append(f"(^|[^{WORD}]){_escaped(term)}($|[^{WORD}])")
        grams |= dict.fromkeys(found)
    return Terms(tuple(likes), tuple(words), tuple(grams)) if grams else None


def _grams(run: re.Match[str], within: str) -> list[str]:
    """Those that any text has that has the term: a short word at its end may go on there."""
    text = run[0]
    if run[1] is not None:
        return ["".join(pair) for pair in pairwise(text)] or [text]
    if len(text) >= LONG:
        return [text[place : place + LONG] for place in range(len(text) - LONG + 1)]
    return [text] if run.start() > 0 and run.end() < len(within) else []


def _anywhere(term: str) -> str:
    """For LIKE."""
    return re.sub(r"([%_\\])", r"\\\1", term)


def _escaped(term: str) -> str:
    """For a regular expression of PostgreSQL's."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", term)
