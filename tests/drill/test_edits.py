"""What was acknowledged last of an album is there, or something of which nobody knows."""

import math
from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.drill.evidence.edits import edits_lost
from photo_fleet.drill.evidence.tables import Tables
from photo_fleet.drill.ledger import Change, Creation, Edit
from photo_fleet.drill.records import Request
from tests.drill.handmade import Requests

ALBUM = 5
MADE = Creation("a5", "c", "album", "a5", ALBUM)
make = Requests().make
AGAIN = make(1, repeats="lost")
TWICE = replace(make(1), tries=2)


def edit(
    what: Change, began: float, *photos: int, text: str = "", unknown: bool = False, **more: Any
) -> Edit:
    """Answered after half a second, unless that is unknown."""
    told: dict[str, Any] = {"ended": began + 0.5, "request": "r", **more}
    plain = Edit("c", ALBUM, what, began, text, photos)
    return plain if unknown else replace(plain, **told)


def named(text: str, began: float, **more: Any) -> Edit:
    return edit("name", began, text=text, **more)


def lost(
    *edits: Edit,
    name: str = "a5",
    photos: list[int] | None = None,
    requests: tuple[Request, ...] = (AGAIN, TWICE),
    ready: range = range(10),
) -> list[str]:
    tables = Tables(
        photos=tuple({"id": number, "status": "ready"} for number in ready),
        albums=({"id": ALBUM, "name": name},),
        members=() if photos is None else ({"album_id": ALBUM, "photos": photos},),
    )
    return list(edits_lost(edits, (MADE,), requests, tables))


NAMES = (named("one", 1), named("two", 2))
CONCURRENT = (named("one", 1, ended=3.0), named("two", 2))


@pytest.mark.parametrize(
    ("edits", "name"),
    [
        ((), "a5"),
        (NAMES, "two"),
        (CONCURRENT, "one"),
        (CONCURRENT, "two"),
        ((named("one", 1, unknown=True),), "a5"),
        ((named("one", 1, unknown=True),), "one"),
        # What was never answered, or was sent twice, may be carried out at any later time.
        ((named("one", 1, unknown=True), named("two", 9)), "one"),
        ((named("one", 1, request=AGAIN.id), named("two", 9)), "one"),
        ((named("one", 1, request=TWICE.id), named("two", 9)), "one"),
    ],
)
def test_a_name_is_the_one_acknowledged_last_or_one_of_which_nobody_knows(
    edits: tuple[Edit, ...], name: str
) -> None:
    assert lost(*edits, name=name) == []


@pytest.mark.parametrize(
    ("edits", "name"),
    [
        ((), "else"),
        (NAMES, "a5"),
        (NAMES, "one"),
        (CONCURRENT, "a5"),
        ((named("one", 1, unknown=True),), "else"),
        ((named("one", 1), named("two", 9, unknown=True)), "a5"),
        ((named("one", 1, request=AGAIN.id), named("two", 9)), "a5"),
    ],
)
def test_a_name_that_was_replaced_or_never_given_is_a_loss(
    edits: tuple[Edit, ...], name: str
) -> None:
    (told,) = lost(*edits, name=name)
    assert f"is named {name}" in told


ADDED, REMOVED = edit("add", 1, 3), edit("remove", 2, 3)


@pytest.mark.parametrize(
    ("edits", "photos"),
    [
        ((ADDED,), [3]),
        ((ADDED, REMOVED), None),
        ((ADDED, REMOVED, edit("add", 3, 3)), [3]),
        ((edit("add", 1, 3, ended=4.0), REMOVED), None),
        ((edit("add", 1, 3, ended=4.0), REMOVED), [3]),
        ((edit("add", 1, 3, unknown=True),), None),
        ((edit("add", 1, 3, unknown=True), REMOVED), [3]),
        ((ADDED, edit("remove", 2, 3, unknown=True)), None),
        ((ADDED, edit("remove", 2, 3, request=TWICE.id), edit("add", 9, 3)), None),
        # A photo that is gone has left the album.
        ((edit("add", 1, 30),), None),
    ],
)
def test_photos_are_where_they_were_last_put(
    edits: tuple[Edit, ...], photos: list[int] | None
) -> None:
    assert lost(*edits, photos=photos) == []


@pytest.mark.parametrize(
    ("edits", "photos", "words"),
    [
        ((ADDED,), None, "photo 3 was added last, and is not in it"),
        ((ADDED, REMOVED), [3], "photo 3 was removed last, and is in it"),
        ((ADDED, REMOVED, edit("add", 3, 3)), None, "was added last"),
        ((edit("add", 1, 3, request=AGAIN.id),), None, "was added last"),
    ],
)
def test_photos_that_are_elsewhere_are_a_loss(
    edits: tuple[Edit, ...], photos: list[int] | None, words: str
) -> None:
    (told,) = lost(*edits, photos=photos)
    assert words in told


ONE, TWO = edit("add", 1, 1), edit("add", 2, 2)


@pytest.mark.parametrize(
    ("edits", "photos"),
    [
        ((ONE, TWO), [1, 2]),
        ((edit("add", 1, 2, 1),), [2, 1]),
        # A photo that is taken out and put in again stands at the end.
        ((edit("add", 1, 1, 2), edit("remove", 2, 1), edit("add", 3, 1)), [2, 1]),
        # One that is in the album already stays in place.
        ((ONE, TWO, edit("add", 3, 1)), [1, 2]),
        # What overlapped may have come first, and so may what is not known.
        ((edit("add", 1, 1, ended=4.0), TWO), [2, 1]),
        ((ONE, edit("add", 2, 2, unknown=True)), [2, 1]),
        ((ONE, edit("remove", 3, 1, unknown=True), TWO, edit("add", 4, 1)), [2, 1]),
        ((ONE, edit("remove", 3, 1, request=TWICE.id), TWO, edit("add", 4, 1)), [1, 2]),
    ],
)
def test_photos_stand_in_the_order_in_which_they_came(
    edits: tuple[Edit, ...], photos: list[int]
) -> None:
    assert lost(*edits, photos=photos) == []


@pytest.mark.parametrize(
    ("edits", "photos"),
    [
        ((ONE, TWO), [2, 1]),
        ((edit("add", 1, 2, 1),), [1, 2]),
        ((edit("add", 1, 1, 2), edit("remove", 2, 1), edit("add", 3, 1)), [1, 2]),
        ((ONE, TWO, edit("add", 3, 1)), [2, 1]),
        # Sent twice and never taken out: in place since its answer at the latest.
        ((edit("add", 1, 1, request=AGAIN.id), TWO), [2, 1]),
    ],
)
def test_photos_in_disorder_are_a_loss(edits: tuple[Edit, ...], photos: list[int]) -> None:
    (told,) = lost(*edits, photos=photos)
    assert "is behind it" in told


def test_an_edit_is_open_until_it_is_acknowledged() -> None:
    assert edit("add", 1, unknown=True).ended == math.inf
