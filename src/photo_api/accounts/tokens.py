"""Access tokens (JWT, HS256) and the derivation of refresh tokens."""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

ISSUER = "photo-api"
AUDIENCE = "photo-api"
ALGORITHM = "HS256"
CLOCK_SKEW = 240
"""Seconds that the clocks of two instances may differ, each being 2 minutes off: a token lasts its
whole `ttl` on all of them, and on some that much longer."""


class InvalidToken(Exception):
    """Not a token of ours, or no longer valid."""


class AccessTokens:
    """Issues with the first key, verifies with any: keys rotate by adding one, then moving it to
    the front, then dropping the old one."""

    def __init__(self, keys: Mapping[str, str], ttl: int) -> None:
        self._keys = {kid: OctKey.import_key(secret) for kid, secret in keys.items()}
        self._signing = next(iter(keys))
        self.ttl = ttl

    def issue(self, user_id: int) -> str:
        """A token for `ttl` seconds."""
        now = int(time.time())
        claims = {
            "sub": str(user_id),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self.ttl,
            "jti": secrets.token_hex(8),
        }
        header = {"alg": ALGORITHM, "kid": self._signing}
        return jwt.encode(header, claims, self._keys[self._signing], algorithms=[ALGORITHM])

    def verify(self, token: str) -> tuple[int, float]:
        """(user id, Unix time until which it is good here). `iat` is not looked at and the expiry
        not before `CLOCK_SKEW` later. Raises `InvalidToken`."""
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            claims = decoded.claims
            user_id, good_until = int(claims["sub"]), float(claims["exp"]) + CLOCK_SKEW
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise InvalidToken from error
        ours = claims.get("iss") == ISSUER and claims.get("aud") == AUDIENCE
        if not ours or good_until <= time.time():
            raise InvalidToken
        return user_id, good_until

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
