"""What people may show each other: nothing that hides, nothing that turns others round."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.accounts.identities import is_name
from photo_api.visible_text import PIECE, composed, line, paragraphs
from tests.fuzzing import fuzzed

SEEN = [
    "mina", "Zoë", "미나", "山田 太郎", "👩‍👩‍👧", "👍🏽", "❤️", "🏴‍☠️", "👁️‍🗨️", "1️⃣", "🇰🇷",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "می‌خواهم", "ශ්‍රී", "क्‍ष", "র‍্যাব", "അവന്‍", "葛\U000e0100城", "ᠠ᠋", "Screenshot 9.41\u202fPM",
]  # fmt: skip
HIDDEN = [
    "\u200b", "\u200c", "\u200d", "\u200e", "\u202a", "\u202e", "\u2066", "\u2069", "\u2060",
    "\ufeff", "\xad", "\u034f", "\u3164", "\u115f", "\ufe0f", "\ufe00", "\U000e0101", "\U000e0041",
    "\x07", "\x1b", "\x7f", "\x9b", "\ufff9", "\u206a",
]  # fmt: skip


@pytest.mark.parametrize("text", SEEN)
def test_what_does_something_stays(text: str) -> None:
    assert line(text) == paragraphs(text) == text
    assert is_name(text)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_hides_is_left_out_and_no_part_of_a_name(hidden: str) -> None:
    for text in (f"mi{hidden}na", f"{hidden}mina", f"mina{hidden}", f"미{hidden}나"):
        assert line(text) == paragraphs(text) == text.replace(hidden, "")
        assert not is_name(text)


@pytest.mark.parametrize("hidden", [one for one in HIDDEN if one not in "\u200e"])
def test_right_to_left_too(hidden: str) -> None:
    assert line(f"سلام {hidden}دنیا") == "سلام دنیا"


def test_direction_marks_are_for_what_runs_right_to_left() -> None:
    assert line("זה C++\u200f") == "זה C++\u200f"
    assert line("זה C++\u200f", marks=False) == "זה C++"
    assert line("C++\u200f") == "C++"
    assert not is_name("מינה\u200f")


def test_breaks_are_spaces_on_a_line_and_stay_in_paragraphs() -> None:
    assert line("a\r\nb\tc\u2028d") == "a b c d"
    assert paragraphs("a\r\nb\tc\u2028d\x0b") == "a\r\nb\tc\nd\n"


@fuzzed(150)
@given(st.text(st.sampled_from("".join(SEEN + HIDDEN) + "\u200f\n\r0#⃣ "), max_size=12) | st.text())
def test_once_is_often(text: str) -> None:
    for clean in (line, paragraphs):
        assert clean(clean(text)) == clean(text)
    assert not {"\u202e", "\u2066", "\x1b", "\u200b"} & set(paragraphs(text))


@fuzzed(50)
@given(
    st.text(
        st.sampled_from("ae각\u0301\u0316\u0344\u0f73\u0f71\u0958\u1100\u1161\U0001d160"),
        min_size=20,
    )
)
def test_long_texts_are_composed_alike(text: str) -> None:
    long = text * (PIECE // 10)
    assert composed(long) == unicodedata.normalize("NFC", long)


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0f73", "\u0344\u0316"])
def test_marks_out_of_order_take_no_quadratic_time(marks: str) -> None:
    """The library's own sort takes a hundred times as long."""
    text = "a" + marks * (20_000 // len(marks))
    began = time.process_time()
    unicodedata.normalize("NFC", text)
    usual = time.process_time() - began
    composed(text)
    assert time.process_time() - began - usual < usual / 2
