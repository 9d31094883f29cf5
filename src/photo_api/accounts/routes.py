"""Registration, login, refresh, logout."""

import logging
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from photo_api.accounts import links, queries
from photo_api.accounts.models import Login, Me, RefreshToken, Registration, Tokens, User
from photo_api.accounts.proof import is_proven
from photo_api.accounts.tokens import digest
from photo_api.accounts.whence import Whence
from photo_api.contract import API_PREFIX
from photo_api.errors import ApiError, Code
from photo_api.http.direct_route import DirectRoute
from photo_api.http.json import json_response, no_content
from photo_api.http.openapi import errors
from photo_api.http.security_events import tell
from photo_api.metrics.counts import results
from photo_api.metrics.declared import LOGINS
from photo_api.state import Anyone, AppState, Authenticated
from photo_api.telemetry.events import Event

router = APIRouter(prefix=f"{API_PREFIX}/auth", tags=["accounts"], route_class=DirectRoute)


@router.post(
    "/register", status_code=201, response_model=User, responses=errors(400, 403, 422, 429, 503)
)
async def register(body: Registration, request: Request, state: Anyone) -> Response:
    """Open an account. An e-mail address, compared without case, can have one account. A service
    may take registrations by invitation only, or none: 403."""
    client = request.state.client_group
    try:
        await state.throttle.register(client)
    except ApiError:
        tell(request, Event.REGISTRATION_THROTTLED, "too many registrations of one address")
        raise
    invitation = await _invitation(state, request, body)
    password_hash = await state.passwords.hash(body.password, client)
    if invitation is None:
        return await _open_account(state.db, body, password_hash)
    async with state.db.transaction() as connection:
        if not await links.use_invitation(connection, invitation, body.email):
            raise _not_invited(request)
        return await _open_account(connection, body, password_hash)


async def _open_account(db: Any, body: Registration, password_hash: str) -> Response:
    user = await queries.insert_user(db, body.email, body.username, password_hash)
    if user is None:
        raise ApiError(Code.DUPLICATE_ACCOUNT, "There is an account with this e-mail already")
    return json_response(dict(user), 201)


async def _invitation(state: AppState, request: Request, body: Registration) -> bytes | None:
    """The digest of the invitation that it takes; None where it takes none. Raises `ApiError`
    REGISTRATION_CLOSED, INVALID_LINK."""
    mode = state.settings.auth.registration
    if mode == "open":
        return None
    if mode == "closed" or body.token is None:
        text = (
            "Accounts are opened by invitation only" if mode == "invitation" else "No new accounts"
        )
        raise ApiError(Code.REGISTRATION_CLOSED, text)
    invitation = digest(body.token)
    if not await links.is_invitation(state.db, invitation, body.email):
        raise _not_invited(request)
    return invitation


def _not_invited(request: Request) -> ApiError:
    tell(request, Event.LINK_REFUSED, "an invitation was refused", kind="invitation")
    text = "This invitation has been used, has expired, or is for another e-mail"
    return ApiError(Code.INVALID_LINK, text)


@router.post("/login", response_model=Tokens, responses=errors(401, 403, 422, 429, 503))
async def login(body: Login, request: Request, state: Anyone) -> Response:
    """Exchange e-mail and password for an access token and a refresh token."""
    with results(state.metrics.counts, LOGINS):
        return await _login(body, request, state)


async def _login(body: Login, request: Request, state: AppState) -> Response:
    user = await queries.user_by_email(state.db, body.email)
    user_id: Any = None if user is None else user["id"]
    proven = await is_proven(state, request, body.email, user, body.password)
    if not proven or user is None:
        reason = "unknown_account" if user is None else "wrong_password"
        tell(request, Event.LOGIN_FAILED, "a login failed", user_id=user_id, reason=reason)
        raise _wrong()
    if not user["is_active"]:
        tell(request, Event.LOGIN_FAILED, "a login failed", user_id=user_id, reason="deactivated")
        raise ApiError(Code.INACTIVE_USER, "This account has been deactivated")
    client = request.state.client_group
    known = user["password_hash"]
    renewed = await state.passwords.renewed(known, body.password, client)
    if renewed is not None and await queries.replace_hash(state.db, user_id, known, renewed):
        known = renewed
    refresh_token = state.refresh_tokens.first()
    ttl = state.settings.auth.refresh_ttl
    session = await queries.start_family(
        state.db, user_id, known, digest(refresh_token), ttl, *Whence.of(request)
    )
    if session is None:  # the password was changed meanwhile, which has ended all sessions
        raise _wrong()
    tell(request, Event.LOGIN_SUCCEEDED, "a login", logging.INFO, user_id=user_id)
    return _tokens(state, user_id, session, refresh_token)


def _wrong() -> ApiError:
    return ApiError(Code.INVALID_CREDENTIALS, "E-mail or password is wrong")


@router.post("/refresh", response_model=Tokens, responses=errors(401, 403, 422, 503))
async def refresh(body: RefreshToken, request: Request, state: Anyone) -> Response:
    """Exchange a refresh token for its successor and a new access token.

    Repeating the request gives the same successor until that is used, so a lost answer or a second
    tab does no harm. Afterwards it is 401: for a minute for that caller alone, which may be a slow
    tab; later it ends the whole session, since somebody else may hold the token. A session lasts
    no longer than its time, however often it is refreshed."""
    presented, auth = digest(body.refresh_token), state.settings.auth
    async with state.db.transaction() as connection:
        token = await queries.lock_token(connection, presented, auth.session_ttl)
        successor = None
        if token is not None and not (token["revoked"] or token["expired"]):
            if not token["rotated"]:
                successor = state.refresh_tokens.successor(body.refresh_token)
                await queries.rotate(
                    connection, presented, digest(successor), auth.refresh_ttl, *Whence.of(request)
                )
            elif not token["successor_used"]:
                successor = state.refresh_tokens.recover(
                    body.refresh_token, token["successor_hash"]
                )
            elif token["outdated"]:
                await queries.revoke_family(connection, token["family_id"])
    if token is not None and token["rotated"]:
        _tell_of_reuse(request, token)
    if token is not None and not token["is_active"]:
        _tell_of_refusal(request, token, "deactivated")
        raise ApiError(Code.INACTIVE_USER, "This account has been deactivated")
    if token is None or successor is None:
        _tell_of_refusal(request, token)
        raise ApiError(Code.UNAUTHENTICATED, "The refresh token is not valid; log in again")
    return _tokens(state, token["user_id"], token["family_id"], successor)


@router.post("/logout", status_code=204, responses=errors(401, 422, 503))
async def logout(body: RefreshToken, state: Anyone) -> Response:
    """End the session that this refresh token belongs to."""
    if not await queries.revoke_family_of(state.db, digest(body.refresh_token)):
        raise ApiError(Code.UNAUTHENTICATED, "The refresh token is not valid")
    return no_content()


@router.get("/me", response_model=Me, responses=errors(401, 403, 503))
async def me(caller: Authenticated) -> Response:
    """The caller's own account, and the bytes that their photos take and may take."""
    state = caller.state
    user = await queries.user_by_id(state.db, caller.user_id, state.settings.uploads.quota)
    if user is None:
        raise ApiError(Code.UNAUTHENTICATED, "This account is gone")
    return json_response(dict(user))


def _tell_of_reuse(request: Request, token: Any) -> None:
    """A security event for every token that was exchanged before. Harmless is only a
    repetition within a minute, before the successor is used: a lost answer, or a second tab."""
    if token["revoked"] or token["expired"]:
        reason = "after_the_session"
    elif token["successor_used"]:
        reason = "session_ended" if token["outdated"] else "superseded"
    else:
        reason = "answered_again_late" if token["late"] else "answered_again"
    level = logging.INFO if reason == "answered_again" else logging.WARNING
    text, whose = "a refresh token was used again", token["user_id"]
    tell(request, Event.REFRESH_TOKEN_REUSED, text, level, user_id=whose, reason=reason)


def _tell_of_refusal(request: Request, token: Any, reason: str = "") -> None:
    """Of one that was exchanged before `_tell_of_reuse` has told."""
    if token is not None and token["rotated"]:
        return
    if token is None:
        tell(request, Event.REFRESH_REFUSED, "a refresh token was refused", reason="unknown")
        return
    reason = reason or ("revoked" if token["revoked"] else "expired")
    level = logging.INFO if reason == "expired" else logging.WARNING
    text, whose = "a refresh token was refused", token["user_id"]
    tell(request, Event.REFRESH_REFUSED, text, level, user_id=whose, reason=reason)


def _tokens(state: AppState, user_id: int, session: UUID, refresh_token: str) -> Response:
    return json_response(
        {
            "access_token": state.access_tokens.issue(user_id, session),
            "token_type": "bearer",
            "expires_in": state.access_tokens.ttl,
            "refresh_token": refresh_token,
        }
    )
