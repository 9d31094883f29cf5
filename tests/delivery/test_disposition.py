"""A file's name is the uploader's choice; the header it ends up in is ours."""

from unicodedata import normalize
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from photo_api.delivery.disposition import (
    inline_disposition,
    quoted_disposition,
    quoted_filename,
    safe_filename,
)
from photo_api.visible_text import line


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("cat.jpg", 'inline; filename="cat.jpg"'),
        ("my cat.jpg", 'inline; filename="my cat.jpg"'),
        (
            "독도.jpg",
            "inline; filename=\"__.jpg\"; filename*=UTF-8''%EB%8F%85%EB%8F%84.jpg",
        ),
        (
            normalize("NFD", "독도.jpg"),
            "inline; filename=\"__.jpg\"; filename*=UTF-8''%EB%8F%85%EB%8F%84.jpg",
        ),
        ('a"b.jpg', "inline; filename=\"a_b.jpg\"; filename*=UTF-8''a%22b.jpg"),
        ("100%.jpg", "inline; filename=\"100_.jpg\"; filename*=UTF-8''100%25.jpg"),
        ("../../etc/passwd", 'inline; filename="passwd"'),
        ("C:\\photos\\cat.jpg", 'inline; filename="cat.jpg"'),
        ("a\r\nSet-Cookie: x=y", 'inline; filename="a Set-Cookie: x=y"'),
        ("\u202egpj.exe", 'inline; filename="gpj.exe"'),
        ("a\u200b\u2066b\u200f\ufeff.jpg", 'inline; filename="ab.jpg"'),
        ("", 'inline; filename="photo"'),
        ("..", 'inline; filename="photo"'),
        ("folder/", 'inline; filename="photo"'),
        ("bad\ud800.jpg", 'inline; filename="bad?.jpg"'),
    ],
)
def test_header(filename: str, header: str) -> None:
    assert inline_disposition(filename) == header


@given(st.text())
def test_any_name_makes_a_safe_header_that_gives_it_back(filename: str) -> None:
    header = inline_disposition(filename)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    name = safe_filename(filename)
    assert len(name) <= 255
    assert not {"/", "\\"} & set(name)
    _, _, exact = header.partition("; filename*=UTF-8''")
    assert unquote(exact) == name if exact else header == f'inline; filename="{name}"'


@given(st.text() | st.text("aZ0_.~- /\\%\"'\n\x7f", max_size=300))
@example("a" * 255)
@example("a" * 256)
@example("IMG_1234.jpg\n")
@example("IMG_1234.jpg.")
def test_a_name_takes_no_shortcut_to_another_url(filename: str) -> None:
    assert quoted_filename(filename) == quote(safe_filename(filename), safe="")
    assert quoted_disposition(filename) == quote(inline_disposition(filename), safe="")
    assert line(safe_filename(filename), marks=False) == safe_filename(filename)
