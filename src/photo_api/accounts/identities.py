"""How e-mails are compared, and what a name may not hold. Pure."""

import unicodedata

INVISIBLE = ("Cc", "Cf", "Cn", "Co", "Zl", "Zp")
BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters and marks that nothing is drawn for."""

JOINERS = "\u200c\u200d"
"""Within words of some scripts and within emoji."""


def fold(email: str) -> str:
    """What two spellings of one address have in common: whatever the case or the width of letters.
    Made here and nowhere else; uniqueness, look-up and throttle compare it."""
    return _nfkc(_nfkc(email).casefold())


def nearness(one: str, other: str) -> int:
    """Of two spellings of one address: 2 for the very same, 1 when only the case differs."""
    return (one == other) + (one.casefold() == other.casefold())


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def is_visible(text: str) -> bool:
    """Whether nothing in it is hidden: no control or format characters, which let two names look
    alike or run backwards."""
    return not any(letter in BLANK or unicodedata.category(letter) in INVISIBLE for letter in text)


def is_name(text: str) -> bool:
    """The same, with joiners between what can be seen, and something that can."""
    rest = "".join(letter for letter in text if letter not in JOINERS)
    return bool(rest.strip()) and is_visible(rest) and text.strip(JOINERS) == text
