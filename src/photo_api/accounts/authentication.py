"""From an Authorization header to an active user with a living session, at the cost of a digest and
a dictionary look-up for 5 s."""

import hashlib
import time
from collections import OrderedDict

from photo_api.accounts import queries
from photo_api.accounts.tokens import AccessTokens, InvalidToken
from photo_api.db.pool import Database
from photo_api.errors import ApiError, Code
from photo_api.http.fields import in_range
from photo_api.metrics.counts import Counts, results
from photo_api.metrics.declared import TOKEN_CHECKS

CACHED_TOKENS = 20_000
"""At about 200 bytes each, however long the header is."""


class Authenticator:
    """Verifies tokens, that their users are active, and that their sessions have not ended. A
    verdict is kept per worker for at most `trust` seconds from the question on; for so long a
    deactivated or logged-out user may go on."""

    def __init__(self, tokens: AccessTokens, db: Database, trust: float, counts: Counts) -> None:
        self._counts = counts
        self._tokens = tokens
        self._db = db
        self._trust = trust
        self._cache: OrderedDict[bytes, tuple[int, float, float]] = OrderedDict()

    async def user_id(self, authorization: str | None) -> int:
        """The caller. Raises `ApiError` UNAUTHENTICATED or INACTIVE_USER."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            self._counts.add(TOKEN_CHECKS, "missing")
            raise ApiError(Code.UNAUTHENTICATED, "Send a token: Authorization: Bearer <token>")
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        cached = self._cache.get(key)
        if cached is not None and time.monotonic() < cached[1] and time.time() < cached[2]:
            self._counts.add(TOKEN_CHECKS, "cached")
            return cached[0]
        with results(self._counts, TOKEN_CHECKS):
            return await self._verify(key, token)

    async def _verify(self, key: bytes, token: str) -> int:
        user, asked = None, time.monotonic()
        try:
            access = self._tokens.verify(token.strip())
            if in_range(access.user_id):
                user = await queries.session(self._db, access.user_id, access.session)
        except InvalidToken:
            pass
        if user is not None and not user["is_active"]:
            raise ApiError(Code.INACTIVE_USER, "This account has been deactivated")
        if user is None or not user["is_alive"]:
            raise ApiError(Code.UNAUTHENTICATED, "The token is not valid (any more); log in again")
        self._cache[key] = (access.user_id, asked + self._trust, access.good_until)
        self._cache.move_to_end(key)
        if len(self._cache) > CACHED_TOKENS:
            self._cache.popitem(last=False)
        return access.user_id
