"""What people do with an account of their own: its password, its sessions, its end."""

import logging
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from photo_api.accounts import closing, links, queries, session_queries
from photo_api.accounts.models import Ended, Farewell, PasswordChange, PasswordReset, Session
from photo_api.accounts.proof import is_proven
from photo_api.accounts.tokens import InvalidToken, digest
from photo_api.contract import API_PREFIX
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.direct_route import DirectRoute
from photo_api.http.json import json_response, no_content
from photo_api.http.openapi import errors
from photo_api.http.security_events import tell
from photo_api.state import Anyone, Authenticated, Caller
from photo_api.telemetry.events import Event

router = APIRouter(prefix=f"{API_PREFIX}/auth", tags=["accounts"], route_class=DirectRoute)

SessionId = Annotated[UUID, Path(examples=["8f6bd5f0-4b8f-4b0e-9b0f-6a1d2c3e4f50"])]


@router.post("/password", status_code=204, responses=errors(400, 401, 403, 422, 429, 503))
async def change_password(
    body: PasswordChange, request: Request, caller: Authenticated
) -> Response:
    """Change the password. All other sessions of the account end, and links that would set it."""
    state, user = caller.state, await _proven(caller, request, body.current_password)
    kept, client = _session(request, caller), request.state.client_group
    known, password_hash = (
        user["password_hash"],
        await state.passwords.hash(body.new_password, client),
    )
    async with state.db.transaction() as connection:
        # First, in the order of `links.use_reset`.
        await links.forget_resets(connection, caller.user_id)
        if not await queries.replace_hash(connection, caller.user_id, known, password_hash):
            raise await _overtaken(caller)
        # A statement after it, which sees the sessions that the password before has let in.
        ended = await session_queries.end_sessions(connection, caller.user_id, kept)
    _tell_of_change(request, caller.user_id, "changed", ended)
    return no_content()


@router.post("/reset-password", status_code=204, responses=errors(400, 403, 422, 503))
async def reset_password(body: PasswordReset, request: Request, state: Anyone) -> Response:
    """Set a password by the link of an operator, which works once. All sessions of the account
    end."""
    token_hash = digest(body.token)
    user = await links.reset_of(state.db, token_hash)
    if user is None:
        raise _refused_link(request)
    if not user["is_active"]:
        raise ApiError(Code.INACTIVE_USER, "This account has been deactivated")
    client = request.state.client_group
    password_hash = await state.passwords.hash(body.new_password, client)
    async with state.db.transaction() as connection:
        if not await links.use_reset(connection, token_hash, password_hash):
            raise _refused_link(request)
        ended = await session_queries.end_sessions(connection, user["id"], None)
    _tell_of_change(request, user["id"], "reset", ended)
    return no_content()


@router.get("/sessions", response_model=list[Session], responses=errors(401, 403, 503))
async def list_sessions(request: Request, caller: Authenticated) -> Response:
    """The caller's sessions, the newest first, 100 at most."""
    current, longest = _session(request, caller), caller.state.settings.auth.session_ttl
    rows = await session_queries.sessions(caller.state.db, caller.user_id, longest)
    return json_response([dict(row) | {"current": row["id"] == str(current)} for row in rows])


@router.delete("/sessions", response_model=Ended, responses=errors(401, 403, 503))
async def end_other_sessions(request: Request, caller: Authenticated) -> Response:
    """End all sessions but the one that asks; their access tokens are refused after 5 s."""
    kept = _session(request, caller)
    count = await session_queries.end_sessions(caller.state.db, caller.user_id, kept)
    _tell_of_end(request, caller.user_id, count)
    return json_response({"count": count})


@router.delete("/sessions/{session_id}", status_code=204, responses=errors(401, 403, 404, 503))
async def end_session(session_id: SessionId, request: Request, caller: Authenticated) -> Response:
    """End one of the caller's sessions; 204 also for one that has ended."""
    if not await session_queries.end_session(caller.state.db, caller.user_id, session_id):
        raise not_found("Session")
    _tell_of_end(request, caller.user_id, 1)
    return no_content()


@router.delete(
    "/me",
    status_code=202,
    response_class=Response,
    responses=errors(400, 401, 403, 422, 429, 503),
)
async def close_account(body: Farewell, request: Request, caller: Authenticated) -> Response:
    """Delete the account. It is closed at once: no login, session or share link works any more, and
    its e-mail is free for another account. All photos and albums are deleted after it, and the
    photos' files with the next sweep. Nothing brings them back."""
    user = await _proven(caller, request, body.password)
    if not await closing.close(caller.state.db, caller.user_id, user["password_hash"]):
        raise await _overtaken(caller)
    tell(request, Event.ACCOUNT_CLOSED, "an account is closed", logging.INFO, user_id=user["id"])
    return Response(status_code=202)


async def _proven(caller: Caller, request: Request, password: str) -> Any:
    """The caller's row, whose password this is. Raises `ApiError` WRONG_PASSWORD, UNAUTHENTICATED,
    TOO_MANY_REQUESTS, OVERLOADED."""
    user = await queries.credentials(caller.state.db, caller.user_id)
    if user is None:
        raise _gone()
    if not await is_proven(caller.state, request, user["email"], user, password):
        text = "a password was wrong that an account's owner was asked for"
        tell(request, Event.PASSWORD_REFUSED, text, user_id=caller.user_id)
        raise _wrong_password()
    return user


def _session(request: Request, caller: Caller) -> UUID | None:
    """The one that the request's token belongs to; None for a token of the release before."""
    _, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        return caller.state.access_tokens.verify(token.strip()).session
    except InvalidToken:  # it has just expired
        raise ApiError(Code.UNAUTHENTICATED, "The token is not valid (any more)") from None


async def _overtaken(caller: Caller) -> ApiError:
    """Why a password that was right a moment ago is so no more."""
    closed = await queries.credentials(caller.state.db, caller.user_id) is None
    return _gone() if closed else _wrong_password()


def _gone() -> ApiError:
    return ApiError(Code.UNAUTHENTICATED, "This account is gone")


def _wrong_password() -> ApiError:
    return ApiError(Code.WRONG_PASSWORD, "The password is wrong, or was changed just now")


def _refused_link(request: Request) -> ApiError:
    tell(request, Event.LINK_REFUSED, "a link to set a password was refused", kind="reset")
    return ApiError(Code.INVALID_LINK, "This link has been used or has expired; ask for another")


def _tell_of_change(request: Request, user_id: int, reason: str, ended: int) -> None:
    text, more = "a password was changed", {"reason": reason, "sessions": ended}
    tell(request, Event.PASSWORD_CHANGED, text, logging.INFO, user_id=user_id, **more)


def _tell_of_end(request: Request, user_id: int, count: int) -> None:
    text = "sessions were ended by their owner"
    tell(request, Event.SESSIONS_ENDED, text, logging.INFO, user_id=user_id, sessions=count)
