"""Which characters people may show each other: none that hide, and none that turn their
surroundings round; composed (NFC), since macOS sends Hangul in parts that fall apart elsewhere.
Pure.

What hides is Unicode's Default_Ignorable_Code_Point, controls and what annotates; what turns round
is Unicode's Bidi_Control. Some of them do something to be seen between certain neighbours: joiners
in scripts that join (RFC 5892, appendix A, and wider) and in emoji, variation selectors behind what
has variants.
"""

import re
import unicodedata
from itertools import groupby

from pydantic_core import PydanticCustomError

_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_EMOJI = (
    "\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MONGOLIAN = "\u1820-\u18aa"
# Arabic and its kin, India's, Myanmar's, Cambodia's, Mongolia's, Indonesia's scripts, and Adlam.
_JOINING = (
    "\u0620-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\u1800-\u180a\u1810-\u1cff"
    "\ua800-\uabff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
_VIRAMA = (
    "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u1039\u103a\u17d2"
    "\u1b44\u1baa\u1bab\ua806\ua8c4\ua953\ua9c0\uaaf6\uabed"
)

HIDDEN = re.compile(f"[{_HIDDEN}]")
_SEEN = (
    f"(?<=[{_VIRAMA}])[\u200c\u200d]"
    f"|(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])"
    f"|(?:(?<=[{_EMOJI}])|(?<=[{_EMOJI}]\ufe0f))\u200d(?=[{_EMOJI}])"
    f"|(?<=[{_EMOJI}])[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    f"|(?<=[{_HAN}])[\ufe00-\ufe02\U000e0100-\U000e01ef]"
    "|(?<=[\u1000-\u109f\ua840-\ua87f\uaa60-\uaa7f])\ufe00"
    f"|(?<=[{_MONGOLIAN}])(?:[\u180b-\u180d\u180f]|\u180e(?=[{_MONGOLIAN}]))"
    # The flags of England and others: a black flag, letters of tags, the last tag.
    "|(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
)
"""Hidden characters where they do something to be seen."""

PIECE = 500
"""Characters for which quadratic time is little."""

BLANK = "\u2800\ufffc\U0001d159"
"""Symbols for which nothing is drawn, though Unicode does not ignore them: Braille without dots,
the place of an object, a note without a head."""
_MARKS = "\u061c\u200e\u200f"
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
_ODD_BREAKS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_PARTS = re.compile(f"({_SEEN})|([\t\n\r])|([{_MARKS}])|[{_HIDDEN}]")
"""What is hidden, and why it may stay. One expression, for it takes a start 3 ms."""


def line(text: str, *, marks: bool = True) -> str:
    """One line without what hides, a space in place of breaks. `marks` lets direction marks be
    where something runs right to left: they order its punctuation and turn nothing round."""
    return _clean(_BREAKS.sub(" ", text), marks)


def name(text: str) -> str:
    """`line` with something to see in it. Raises `PydanticCustomError`."""
    shown = line(text)
    if not any(map(is_seen, shown)):
        raise PydanticCustomError("invisible", "must hold something that can be seen")
    return shown


def composed(text: str) -> str:
    """The text in NFC."""
    return unicodedata.normalize("NFC", text if len(text) <= PIECE else _in_order(text))


def _in_order(text: str) -> str:
    """The text in NFD. The library itself takes quadratic time for marks that are out of order, of
    which somebody may send ten thousand for one letter."""
    pieces = (text[at : at + PIECE] for at in range(0, len(text), PIECE))
    apart = "".join(unicodedata.normalize("NFD", piece) for piece in pieces)
    runs = groupby(apart, key=lambda character: unicodedata.combining(character) > 0)
    return "".join(
        "".join(sorted(run, key=unicodedata.combining) if are_marks else run)
        for are_marks, run in runs
    )


def is_seen(character: str) -> bool:
    """A letter, a digit, punctuation or a symbol; marks need one to stand on."""
    return character not in BLANK and unicodedata.category(character)[0] in "LNPS"


def paragraphs(text: str) -> str:
    """The same for text of several lines, which stay."""
    return _clean(_ODD_BREAKS.sub("\n", text), True)


def _clean(text: str, marks: bool) -> str:
    kept = r"\1\2\3" if marks and _RIGHT_TO_LEFT.search(text) else r"\1\2"
    return composed(_PARTS.sub(kept, text))


def without_seen(text: str) -> str:
    """The text without hidden characters that do something to be seen."""
    return _PARTS.sub(lambda found: "" if found[1] else found[0], text)
