"""That somebody knows an account's password: throttled, and in the same time whatever is wrong."""

from typing import Any

from fastapi import Request

from photo_api.accounts import queries
from photo_api.errors import ApiError, Code
from photo_api.http.security_events import tell
from photo_api.state import AppState
from photo_api.telemetry.events import Event


async def is_proven(
    state: AppState, request: Request, email: str, user: Any | None, password: str
) -> bool:
    """Whether this is the password of `user`, whom the caller names by this e-mail; None is an
    e-mail without an account. Raises `ApiError` TOO_MANY_REQUESTS, OVERLOADED."""
    client = request.state.client_group
    try:
        attempt = await state.throttle.enter(email, client, known=user is not None)
    except ApiError as refusal:
        if refusal.code is Code.TOO_MANY_REQUESTS:
            whose = None if user is None else user["id"]
            tell(request, Event.LOGIN_THROTTLED, "too many failed logins", user_id=whose)
        raise
    failed = False
    known = user["password_hash"] if user is not None else None
    try:
        failed = not await state.passwords.verify(known, password, client)
        if failed:
            costliest = await queries.costliest_bcrypt(state.db)
            await state.passwords.make_up(known, password, client, costliest)
    finally:
        await state.throttle.settle(attempt, failed=failed)
    return not failed
