"""Access tokens (JWT, HS256) and the derivation of refresh tokens."""

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

ISSUER = "photo-api"
AUDIENCE = "photo-api"
ALGORITHM = "HS256"
CLOCK_SKEW = 240
"""Seconds that the clocks of two instances may differ, each being 2 minutes off: a token lasts its
whole `ttl` on all of them, and on some that much longer."""


LONGEST_TOKEN = 4096
"""Characters; ours have about 400."""

LONGEST_TTL = 86_400
"""Seconds that any token of ours is valid, as the setting allows."""

USER = re.compile(r"[1-9][0-9]{0,15}")


FORGED = (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What parsing raises of a token that somebody made up."""


class InvalidToken(Exception):
    """Not a token of ours, or no longer valid."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a token says. `good_until` is the Unix time until which it is good here; `session` is
    None in tokens that the release before issued."""

    user_id: int
    good_until: float
    session: UUID | None


class AccessTokens:
    """Issues with the first key, verifies with any: keys rotate by adding one, then moving it to
    the front, then dropping the old one."""

    def __init__(self, keys: Mapping[str, str], ttl: int) -> None:
        self._keys = {kid: OctKey.import_key(secret) for kid, secret in keys.items()}
        self._signing = next(iter(keys))
        self.ttl = ttl

    def issue(self, user_id: int, session: UUID) -> str:
        """A token for `ttl` seconds, unless its session ends before."""
        now = int(time.time())
        claims = {
            "sub": str(user_id),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self.ttl,
            "sid": str(session),
            "jti": secrets.token_hex(8),
        }
        header = {"alg": ALGORITHM, "kid": self._signing}
        return jwt.encode(header, claims, self._keys[self._signing], algorithms=[ALGORITHM])

    def verify(self, token: str) -> Access:
        """What it says. `iat` is not looked at and the expiry not before `CLOCK_SKEW` later. Raises
        `InvalidToken`, for claims of another type or range too: a key that leaks is bad enough
        without tokens that never end."""
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            ours = claims.get("iss") == ISSUER and claims.get("aud") == AUDIENCE
            user, expires, session = claims["sub"], claims["exp"], claims.get("sid")
            # Not isinstance: True is an int too.
            if not ours or type(expires) is not int or USER.fullmatch(user) is None:
                raise InvalidToken
            session = None if session is None else UUID(session)
            found = Access(int(user), expires + CLOCK_SKEW, session)
        except FORGED as error:
            raise InvalidToken from error
        now = time.time()
        if not now < found.good_until <= now + LONGEST_TTL + 2 * CLOCK_SKEW:
            raise InvalidToken
        return found

    def _key(self, token: Any) -> OctKey:
        kid = token.headers().get("kid")
        if not isinstance(kid, str) or kid not in self._keys:
            raise ValueError("unknown kid")
        return self._keys[kid]


class RefreshTokens:
    """A refresh token's successor is derived from it with a key outside the database, so a client
    that lost the answer and asks again gets the very same one, and no second branch begins."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = [hashlib.sha256(b"refresh:" + key.encode()).digest() for key in keys.values()]

    def first(self) -> str:
        """A token that begins a family."""
        return secrets.token_urlsafe(32)

    def successor(self, token: str) -> str:
        """The token that follows this one, by the key that signs now."""
        return self._derive(self._keys[0], token)

    def recover(self, token: str, successor_hash: bytes) -> str | None:
        """The successor that was handed out before, also when keys have been rotated since."""
        for key in self._keys:
            candidate = self._derive(key, token)
            if hmac.compare_digest(digest(candidate), successor_hash):
                return candidate
        return None

    def _derive(self, key: bytes, token: str) -> str:
        mac = hmac.digest(key, token.encode("utf-8", "replace"), "sha256")
        return urlsafe_b64encode(mac).rstrip(b"=").decode()


def digest(token: str) -> bytes:
    """What the database keeps of a token of 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
