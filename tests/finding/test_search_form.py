"""Texts in the form in which they are compared, and their grams: here and in the database alike."""

import asyncio
import random
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from photo_api.photos.search import search_form, terms_of
from tests.own_stage import ask, execute
from tests.service import migrate_once


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """A database whose locale knows no letters but those of ASCII."""
    url = urlsplit(environ["PHOTO_API_DATABASE_URL"])
    settings = environ | {"PHOTO_API_DATABASE_URL": str(urlunsplit(url._replace(path="/plain_c")))}
    create = (
        "CREATE DATABASE plain_c OWNER photo_api TEMPLATE template0 ENCODING 'UTF8'"
        " LOCALE_PROVIDER libc LOCALE 'C'"
    )
    asyncio.run(execute(stack["superuser_url"], create))
    migrate_once(settings)
    yield settings
    asyncio.run(execute(stack["superuser_url"], "DROP DATABASE plain_c WITH (FORCE)"))


def test_the_form_is_the_same_here_and_in_the_database(settings: dict[str, str]) -> None:
    """Of every character that both know, by itself and behind others."""
    known = [
        character
        for character in map(
            chr, [*range(1, 0x3300), *range(0xA640, 0xAC00), *range(0xF900, 0x10450)]
        )
        if unicodedata.category(character) not in ("Cn", "Cs", "Co")
    ]
    texts = [f"a{character}B" for character in known]
    rows = ask(settings, "SELECT search_form(t) AS form FROM unnest($1::text[]) t", texts)
    wrong = {
        text: row["form"]
        for text, row in zip(texts, rows, strict=True)
        if row["form"] != search_form(text)
    }
    assert wrong == {}
    for one, other in (
        ("ÄÖÜ STRASSE", "äöü straße"),
        ("ПРИВЕТ ΟΔΟΣ", "привет οδος"),
        (unicodedata.normalize("NFD", "서울"), "서울"),
        ("ＩＭＧ＿２０２４", "img_2024"),
        ("İstanbul", "istanbul"),
    ):
        assert search_form(one) == search_form(other)


LETTERS = [
    "서",
    "울",
    "서울",
    "東京",
    "a",
    "b",
    "img",
    "2024",
    "É",
    "ß",
    "🏔",
    "_",
    "-",
    ".",
    "%",
    "\\",
    " ",
    "К",
]


def test_the_index_finds_whatever_matches(settings: dict[str, str]) -> None:
    """A part of a text, wherever it is cut out, has no grams that the text has not; and the text
    matches the part's patterns, unless they ask for whole words."""
    chance = random.Random(44)
    pairs = []
    for _ in range(3000):
        text = "".join(chance.choices(LETTERS, k=chance.randint(1, 12)))
        start = chance.randrange(len(text))
        terms = terms_of(text[start : start + chance.randint(1, 8)])
        if terms is not None and not terms.words:
            pairs.append((text, terms))
    assert len(pairs) > 1000
    missing = ask(
        settings,
        "SELECT text, grams FROM unnest($1::text[], $2::text[], $3::text[])"
        " AS one (text, grams, likes) WHERE NOT search_keys(7, search_form(text)) @> ARRAY("
        "   SELECT search_key(7, gram) FROM unnest(string_to_array(grams, E'\\x01')) gram)"
        " OR NOT search_form(text) LIKE ALL (string_to_array(likes, E'\\x01'))",
        [text for text, _ in pairs],
        ["\x01".join(terms.grams) for _, terms in pairs],
        ["\x01".join(terms.likes) for _, terms in pairs],
    )
    assert missing == []


def test_short_words_are_whole_ones(settings: dict[str, str]) -> None:
    def matches(q: str, text: str) -> bool:
        terms = terms_of(q)
        assert terms is not None
        query = (
            "SELECT search_keys(1, f) @> ARRAY(SELECT search_key(1, g) FROM unnest($2::text[]) g)"
            " AS keyed, f ~ ALL ($3::text[]) AND f LIKE ALL ($4::text[]) AS same"
            " FROM search_form($1) f"
        )
        row = ask(settings, query, text, terms.grams, terms.words, terms.likes)[0]
        assert row["keyed"] or not row["same"], "the index finds whatever matches"
        return bool(row["same"])

    assert matches("k3", "a K3.jpg")
    assert matches("k3", "서울k3")
    assert not matches("k3", "k35")
    assert not matches("k3", "ak3")
    assert matches("a-b", "x a-b.jpg")
    assert not matches("a-b", "xa-b")
    assert matches("a-b-", "xa-b-c"), "what is between signs is whole"
    assert matches("x[1]", "x[1] .jpg")
    assert not matches("x.1", "x[1]")
    assert not matches("서_울", "서x울")
    assert terms_of(" _ -- % ") is None
