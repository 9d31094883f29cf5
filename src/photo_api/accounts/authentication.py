"""From an Authorization header to an active user, at the cost of a dictionary look-up for 5 s."""

import time
from collections import OrderedDict

from photo_api.accounts import queries
from photo_api.accounts.tokens import AccessTokens, InvalidToken
from photo_api.db.pool import Database
from photo_api.errors import ApiError, Code
from photo_api.http.fields import in_range

CACHED_TOKENS = 20_000


class Authenticator:
    """Verifies tokens and that their users are active. A verdict is kept per worker for at most
    `trust` seconds, so that is how long a deactivated user may go on."""

    def __init__(self, tokens: AccessTokens, db: Database, trust: float) -> None:
        self._tokens = tokens
        self._db = db
        self._trust = trust
        self._cache: OrderedDict[str, tuple[int, float, float]] = OrderedDict()

    async def user_id(self, authorization: str | None) -> int:
        """The caller. Raises `ApiError` UNAUTHENTICATED or INACTIVE_USER."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(Code.UNAUTHENTICATED, "Send a token: Authorization: Bearer <token>")
        cached = self._cache.get(token)
        if cached is not None and time.monotonic() < cached[1] and time.time() < cached[2]:
            return cached[0]
        return await self._verify(token)

    async def _verify(self, token: str) -> int:
        try:
            user_id, expires = self._tokens.verify(token.strip())
        except InvalidToken:
            user_id, expires = 0, 0.0
        user = await queries.user_by_id(self._db, user_id) if in_range(user_id) else None
        if user is None:
            raise ApiError(Code.UNAUTHENTICATED, "The token is not valid (any more); log in again")
        if not user["is_active"]:
            raise ApiError(Code.INACTIVE_USER, "This account has been deactivated")
        self._cache[token] = (user_id, time.monotonic() + self._trust, expires)
        self._cache.move_to_end(token)
        if len(self._cache) > CACHED_TOKENS:
            self._cache.popitem(last=False)
        return user_id
