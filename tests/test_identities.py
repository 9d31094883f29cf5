"""How e-mails are compared, and which names are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.accounts.identities import fold, is_name, is_visible


@given(st.text(max_size=50))
def test_folding_once_is_folding_often(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(text.upper()) == fold(text.lower()) or fold(text.upper()) == fold(
        text.upper().lower()
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [("Mina@Example.org", "mina@example.ORG"), ("straße@x.de", "STRASSE@x.de"),
     ("ΟΔΟΣ@x.gr", "οδος@x.gr"),
     ("ｍｉｎａ@example.org", "mina@example.org"), ("ﬁona@x.org", "fiona@x.org")],
)  # fmt: skip
def test_spellings_of_one_address(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_what_looks_alike_to_postgresql_alone_is_not_one() -> None:
    assert fold("İmina@example.org") != fold("imina@example.org")


@pytest.mark.parametrize(
    "text",
    [
        "a\u200bb@x.org",
        "\u202egro.x@anim",
        "a\u2066b",
        "\u200e",
        "\u3164\u3164\u3164",
        "ad\u034fmin",
        "a\tb",
        "a\x00b",
        "\ue000abc",
        "a\u2028b",
    ],
)
def test_what_cannot_be_seen_is_refused(text: str) -> None:
    assert not is_visible(text)
    assert not is_name(text)


@pytest.mark.parametrize(
    "name", ["mina", "미나", "J. O'Neill-Smith", "👩‍👩‍👧", "می‌خواهم", "Zoë", "山田 太郎"]
)
def test_names_of_people_are_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "   ", "\u200b\u200b\u200b", "\u200d\u200d\u200d", "\u200dmina", "mina\u200c"]
)
def test_nothing_to_see_is_no_name(name: str) -> None:
    assert not is_name(name)
