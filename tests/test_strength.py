"""Random secrets are never refused, and what people think up is."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.settings.strength import weakness


def test_what_generators_make_is_strong() -> None:
    made = [secrets.token_hex(count) for count in (16, 32, 128) for _ in range(2000)]
    made += [secrets.token_urlsafe(count) for count in (24, 48) for _ in range(2000)]
    refused = [reason for secret in made if (reason := weakness(secret))]
    # A word of four letters turns up in one of some 100,000 base64 texts.
    assert len(refused) <= 1, refused


@pytest.mark.parametrize(
    "secret",
    [
        "", "a" * 64, "0123456789abcdef" * 4, "fedcba9876543210" * 4,
        "abcdefghijklmnopqrstuvwxyz012345",
        "change-me-please-0123456789abcdef", "correct-horse", "31415926535897932384626433832795",
        "abc123" * 8, "9f3c1d5e7a8b4260",
    ],
)  # fmt: skip
def test_what_people_think_up_is_weak(secret: str) -> None:
    assert weakness(secret) is not None


@given(st.text(max_size=200))
def test_any_text_has_an_answer_that_does_not_quote_it(text: str) -> None:
    reason = weakness(text)
    assert reason is None or len(text) < 8 or text not in reason
