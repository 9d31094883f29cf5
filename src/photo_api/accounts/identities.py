"""How e-mails are compared, and what a name may not hold. Pure."""

import unicodedata

from photo_api.visible_text import BLANK, HIDDEN, is_seen, without_seen

INVISIBLE = ("Cc", "Cf", "Cn", "Co", "Zl", "Zp")


def fold(email: str) -> str:
    """What two spellings of one address have in common: whatever the case or the width of letters.
    Made here and nowhere else; uniqueness, look-up and throttle compare it."""
    return nfkc(nfkc(email).casefold())


def nearness(one: str, other: str) -> int:
    """Of two spellings of one address: 2 for the very same, 1 when only the case differs."""
    return (one == other) + (one.casefold() == other.casefold())


def nfkc(text: str) -> str:
    """The one form of letters that differ in width or in how they are composed."""
    return unicodedata.normalize("NFKC", text)


def is_visible(text: str) -> bool:
    """Whether nothing in it is hidden: no control or format characters, which let two names look
    alike or run backwards."""
    return HIDDEN.search(text) is None and not any(
        letter in BLANK or unicodedata.category(letter) in INVISIBLE for letter in text
    )


def is_name(text: str) -> bool:
    """The same, but for joiners and variants where they are seen; and something that can be."""
    return any(map(is_seen, text)) and is_visible(without_seen(text))
