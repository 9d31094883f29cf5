"""Random secrets are never refused, what people think up is, and none opens two doors."""

import base64
import secrets
import string
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.settings.strength import MAKE, guessable, shared, weakness
from photo_local.secrets import load_or_create

THOUGHT_UP = [
    "photo-api-secret-key-2024-production-1",
    "photo-api-secret-key-2024-do-not-share",
    "photo-api-jwt-signing-key-production-2024",
    "PhotoApiSigningKey2024ForProductionUse",
    "my-very-long-key-for-the-photo-service-of-our-company",
    "my_super_secret_jwt_key_that_nobody_knows",
    "correct-horse-battery-staple-correct-horse",
    "correcthorsebatterystaplecorrecthorse",
    "ThisIsASecretKeyThatNobodyWillEverGuess2024!",
    "Ph0t0-4p1-S3cr3t-K3y-2024-Pr0duct10n",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "QwErTyUiOpAsDfGhJkLzXcVbNm0987654321",
    "asdfasdfasdfasdfasdfasdfasdfasdf",
    "password1password2password3password4",
    "lighthouse-penguin-umbrella-chemistry-42",
    "mitochondria.is.the.powerhouse.of.the.cell",
    "theQuickBrownFoxJumpsOverTheLazyDog",
    "to-be-or-not-to-be-that-is-the-question",
    "deadbeefcafebabedeadbeefcafebabe",
    "0123456789abcdeffedcba98765432100123456789abcdef",
    "00112233445566778899aabbccddeeff",
    "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d",
    "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
    "aaaaaaaabbbbbbbbccccccccdddddddd",
    "jwt-key-jwt-key-jwt-key-jwt-key-jwt-key",
    "seoul-han-river-bridge-nolbu-2024-key",
    "minsu-and-jiyoung-2019-jeju-wedding-photos",
    "change-me-change-me-change-me-change-me-",
    "development-only-development-only-1234",
    "TopSecretTopSecretTopSecretTopSecret1!",
    "Sommer2024!Sommer2024!Sommer2024!Winter",
    "3141592653589793238462643383279502884197",
    "insert-your-32-character-secret-key-here",
    "your-256-bit-secret-your-256-bit-secret",
    "AllYourBaseAreBelongToUs-AllYourBaseAreBelongToUs",
    "hunter2hunter2hunter2hunter2hunter2",
    "abcdefghijklmnopqrstuvwxyz012345",
]


@given(st.integers(0), st.sampled_from([16, 20, 32, 64, 128]))
def test_what_generators_make_is_strong(seed: int, size: int) -> None:
    """`openssl rand -hex`, `-base64`, `token_urlsafe`, `pwgen -s`, base32, what has signs."""
    dice = Random(seed)
    made = dice.randbytes(size)
    letters, digits, signs = string.ascii_letters, string.digits, string.punctuation
    for text in (
        made.hex(),
        made.hex().upper(),
        base64.b64encode(made).decode(),
        base64.urlsafe_b64encode(made).decode().rstrip("="),
        base64.b32encode(made).decode().rstrip("="),
        "".join(dice.choices(letters + digits, k=2 * size)),
        "".join(dice.choices(letters + digits + signs, k=2 * size)),
    ):
        assert weakness(text) is None, text


def test_what_the_docs_and_the_embedded_parts_make_is_strong(tmp_path: Path) -> None:
    assert "openssl rand -hex 32" in MAKE
    made = [secrets.token_hex(32) for _ in range(500)]
    assert not [text for text in made if weakness(text)]
    embedded = asdict(load_or_create(tmp_path / "secrets.json"))
    assert {len(text) for text in embedded.values()} == {64}
    assert shared(embedded | dict(zip(made[:50], made, strict=False))) == []


@pytest.mark.parametrize(
    "secret",
    [
        "", "a" * 64, "0123456789abcdef" * 4, "fedcba9876543210" * 4, "7c1f9a02e4b8d365" * 2,
        "31415926535897932384626433832795", "abc123" * 8, "9f3c1d5e7a8b4260", *THOUGHT_UP,
    ],
)  # fmt: skip
def test_what_people_think_up_is_weak(secret: str) -> None:
    assert weakness(secret) is not None


@given(st.text(max_size=200))
def test_any_text_has_an_answer_that_does_not_quote_it(text: str) -> None:
    reason = weakness(text)
    assert reason is None or len(text) < 8 or text not in reason


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        *((text, True) for text in ("postgres", "minioadmin", "Secret1", "photo-api", "changeme")),
        *((text, False) for text in ("", "x7Kp2mQz", "dcmUxvdb", "correct horse battery")),
    ],
)
def test_what_others_made_is_weak_when_somebody_would_find_it_from_outside(
    secret: str, found: bool
) -> None:
    assert bool(guessable(secret)) == found


ONE, OTHER = "9f3c1d5e7a8b4260c1d2e3f4a5b69788", "7d4e0b93a1f65c28e9307b6df184c25a"


@pytest.mark.parametrize(
    "again",
    [ONE, ONE.upper(), ONE + "2", "ops-" + ONE, ONE[:16] + OTHER, f"{ONE[:16]}-{ONE[16:]}"],
)
def test_a_secret_is_found_again_whatever_is_put_around_it(again: str) -> None:
    assert shared({"one": ONE, "other": OTHER[::-1], "again": again}) == [("one", "again")]


def test_short_and_absent_ones_are_compared_as_a_whole() -> None:
    assert shared({"a": "hunter2", "b": "Hunter2", "c": "hunter", "d": "", "e": ""}) == [("a", "b")]
