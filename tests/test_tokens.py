"""Access tokens: ours alone, by any of our keys, and no longer than they last."""

import math
import time
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from photo_api.accounts.tokens import (
    CLOCK_SKEW,
    LONGEST_TOKEN,
    LONGEST_TTL,
    AccessTokens,
    InvalidToken,
)

SESSION = uuid4()
OLD, NEW = "o" * 32, "n" * 32
CLAIMS: dict[str, Any] = {"sub": "7", "iss": "photo-api", "aud": "photo-api"}


def signed(secret: str, kid: str | None, claims: dict[str, Any], alg: str = "HS256") -> str:
    header = {"alg": alg} | ({"kid": kid} if kid else {})
    return jwt.encode(header, claims, OctKey.import_key(secret), algorithms=[alg])


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens({"new": NEW, "old": OLD}, ttl=60)


def test_a_token_names_its_user_and_key(tokens: AccessTokens) -> None:
    token = tokens.issue(7, SESSION)
    access = tokens.verify(token)
    assert (access.user_id, access.session) == (7, SESSION)
    assert 55 < access.good_until - CLOCK_SKEW - time.time() <= 60
    decoded = jwt.decode(token, OctKey.import_key(NEW))
    assert decoded.header["kid"] == "new"
    assert {"sub", "iss", "aud", "iat", "exp"} <= set(decoded.claims)


def test_keys_rotate_in_three_steps() -> None:
    """Add the new key behind the old one, move it to the front, drop the old one."""
    before = AccessTokens({"old": OLD}, 60)
    added = AccessTokens({"old": OLD, "new": NEW}, 60)
    moved = AccessTokens({"new": NEW, "old": OLD}, 60)
    dropped = AccessTokens({"new": NEW}, 60)
    for issuer, verifiers in (
        (before, (before, added)),
        (added, (before, added, moved)),
        (moved, (added, moved, dropped)),
        (dropped, (moved, dropped)),
    ):
        for verifier in verifiers:
            assert verifier.verify(issuer.issue(1, SESSION)).user_id == 1
    with pytest.raises(InvalidToken):
        dropped.verify(before.issue(1, SESSION))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody-else"},
        {"aud": "another-service"},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": None},
        {"sub": "me"},
        {"sub": None},
        {"sub": True},
        {"sub": 7},
        {"sub": "0"},
        {"sub": "-7"},
        {"sub": "7.0"},
        {"sub": " 7"},
        {"sub": "٧"},
        {"sub": "7" * 17},
        {"sub": ["7"]},
        {"exp": math.inf},
        {"exp": math.nan},
        {"exp": True},
        {"exp": 10**400},
        {"exp": time.time() + 60},
        {"exp": int(time.time()) + 10 * LONGEST_TTL},
        {"sid": 7},
        {"sid": "somebody's"},
        {"sid": {}},
        {"padding": "x" * LONGEST_TOKEN},
    ],
)
def test_a_token_with_other_claims_is_none(tokens: AccessTokens, change: dict[str, Any]) -> None:
    claims = CLAIMS | {"exp": int(time.time()) + 60} | change
    claims = {name: value for name, value in claims.items() if value is not None}
    with pytest.raises(InvalidToken):
        tokens.verify(signed(NEW, "new", claims))


def test_a_foreign_signature_is_none(tokens: AccessTokens) -> None:
    claims = CLAIMS | {"exp": int(time.time()) + 60}
    assert tokens.verify(signed(NEW, "new", claims)).user_id == 7
    for token in (
        signed("x" * 32, "new", claims),
        signed(OLD, "new", claims),
        signed(NEW, "unknown", claims),
        signed(NEW, None, claims),
        signed(NEW, "new", claims, "HS512"),
        "eyJhbGciOiJub25lIiwia2lkIjoibmV3In0.eyJzdWIiOiI3In0.",
        "a.b.c",
        "",
    ):
        with pytest.raises(InvalidToken):
            tokens.verify(token)


def test_a_clock_that_is_ahead_elsewhere_does_no_harm(tokens: AccessTokens) -> None:
    ahead = int(time.time()) + 120
    claims = CLAIMS | {"iat": ahead, "exp": ahead + 60}
    assert tokens.verify(signed(NEW, "new", claims)).user_id == 7


def test_a_token_lasts_its_time_whichever_clock_it_meets(tokens: AccessTokens) -> None:
    """Issued by an instance 2 minutes behind, shown at its end to one 2 minutes ahead."""
    just = CLAIMS | {"exp": int(time.time()) - CLOCK_SKEW + 5}
    assert tokens.verify(signed(NEW, "new", just)).user_id == 7
    over = CLAIMS | {"exp": int(time.time()) - CLOCK_SKEW - 1}
    with pytest.raises(InvalidToken):
        tokens.verify(signed(NEW, "new", over))
