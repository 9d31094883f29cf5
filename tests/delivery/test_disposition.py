"""A file's name is the uploader's choice; the header it ends up in is ours."""

from unicodedata import normalize
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.delivery.disposition import inline_disposition, safe_filename


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
