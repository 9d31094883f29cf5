"""`photo-api users`: accounts, as an operator looks after them. No mail is sent: what somebody has
to be given is a link."""

import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC
from typing import Any

from pydantic import TypeAdapter, ValidationError

from photo_api.accounts import admin_queries, closing, links, queries
from photo_api.accounts.arguments import OF_THE_SETTING
from photo_api.accounts.links import Link
from photo_api.accounts.models import Email, Username
from photo_api.db.pool import Database, open_database
from photo_api.settings.loading import Settings
from photo_base.command_line import COULD_NOT, DONE, FAILED

HOUR = 3600


async def list_users(
    settings: Settings, *, search: str | None, after: int, limit: int, as_json: bool
) -> int:
    """Print them, and behind which id more are."""
    async with _database(settings) as db:
        rows = await admin_queries.users(db, search, after, limit + 1)
    shown = [dict(row) for row in rows[:limit]]
    following = shown[-1]["id"] if len(rows) > limit else None
    if as_json:
        print(json.dumps({"users": shown, "next": following}, default=str))
        return DONE
    print("\n".join(map(_line, shown)) or "no such accounts")
    if following is not None:
        print(f"there are more: --after {following}")
    return DONE


async def create(
    settings: Settings, *, email: str, username: str, quota: int | None, hours: float, as_json: bool
) -> int:
    """Open an account that no password opens before its owner has set one."""
    try:
        email, username = _valid(Email, "e-mail", email), _valid(Username, "user name", username)
    except ValueError as error:
        return _refused(str(error), as_json, COULD_NOT)
    link = Link.to(links.RESET_PAGE)
    async with _database(settings) as db, db.transaction() as connection:
        user = await queries.insert_user(connection, email, username, "")
        if user is None:
            return _refused(f"There is an account with the e-mail {email} already", as_json)
        if quota is not None:
            await admin_queries.set_quota(connection, user["id"], _quota(quota))
        until = await links.allow_reset(connection, user["id"], link.token_hash, hours * HOUR)
    who = f"account {user['id']} is open; its owner sets the password by"
    return _hand_over(settings, link, until, who, as_json, id=user["id"], email=email)


async def reset_password(settings: Settings, *, email: str, hours: float, as_json: bool) -> int:
    """A link by which the account's owner sets a password. The password there is goes on working
    until then."""
    link = Link.to(links.RESET_PAGE)
    async with _database(settings) as db:
        user = await _find(db, email)
        if user is None:
            return _unknown(email, as_json)
        until = await links.allow_reset(db, user["id"], link.token_hash, hours * HOUR)
    told = f"the owner of {user['email']} sets a new password by"
    return _hand_over(settings, link, until, told, as_json, id=user["id"], email=user["email"])


async def invite(settings: Settings, *, email: str | None, hours: float, as_json: bool) -> int:
    """A link by which an account may be opened, of this e-mail or of any."""
    if settings.auth.registration == "closed":
        return _refused("Nobody may open an account: PHOTO_API_REGISTRATION is closed", as_json)
    try:
        email = None if email is None else _valid(Email, "e-mail", email)
    except ValueError as error:
        return _refused(str(error), as_json, COULD_NOT)
    link = Link.to(links.INVITATION_PAGE)
    async with _database(settings) as db:
        until = await links.invite(db, email, link.token_hash, hours * HOUR)
    told = f"{email or 'somebody'} opens an account by"
    return _hand_over(settings, link, until, told, as_json, email=email)


async def enable(settings: Settings, *, email: str, as_json: bool) -> int:
    """Let the account's owner log in again."""
    return await _set_active(settings, email, as_json, active=True)


async def disable(settings: Settings, *, email: str, as_json: bool) -> int:
    """Let nobody in."""
    return await _set_active(settings, email, as_json, active=False)


async def _set_active(settings: Settings, email: str, as_json: bool, *, active: bool) -> int:
    async with _database(settings) as db:
        user = await _find(db, email)
        if user is None or not await queries.set_active(db, user["email"], active):
            return _unknown(email, as_json)
    done = "enabled" if active else "disabled"
    told = f"{done} {user['email']}; workers notice within 5 seconds"
    return _tell(told, as_json, id=user["id"], email=user["email"], is_active=active)


async def quota(settings: Settings, *, email: str, size: int | None, as_json: bool) -> int:
    """Show what an account holds and may hold, or set the latter."""
    async with _database(settings) as db:
        user = await _find(db, email)
        if user is None:
            return _unknown(email, as_json)
        if size is not None:
            await admin_queries.set_quota(db, user["id"], _quota(size))
        rows = await admin_queries.users(db, None, user["id"] - 1, 1)
    shown = {name: rows[0][name] for name in ("id", "email", "used_bytes", "quota_bytes")}
    return _tell(f"{shown['email']}: {_held(shown)}", as_json, **shown)


async def delete(settings: Settings, *, email: str, yes: bool, as_json: bool) -> int:
    """Close an account, which job workers then delete."""
    async with _database(settings) as db:
        user = await _find(db, email)
        if user is None:
            return _unknown(email, as_json)
        if not yes:
            told = f"{user['email']} and all photos of account {user['id']} would be deleted"
            return _refused(f"{told}, for good; say --yes", as_json)
        await closing.close(db, user["id"], None)
    told = f"closed {user['email']}; a job deletes what account {user['id']} has"
    return _tell(told, as_json, id=user["id"], email=user["email"])


ACTIONS: Mapping[str, Callable[..., Coroutine[Any, Any, int]]] = {
    "list": list_users,
    "create": create,
    "enable": enable,
    "disable": disable,
    "quota": quota,
    "reset_password": reset_password,
    "invite": invite,
    "delete": delete,
}


def _database(settings: Settings) -> Any:
    return open_database(settings.database, "photo-api users", 1)


async def _find(db: Database, email: str) -> Any | None:
    return await queries.user_by_email(db, email.strip())


def _valid(kind: Any, what: str, given: str) -> str:
    """As a registration would take it. Raises `ValueError`, which says why it would not."""
    try:
        text: str = TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        raise ValueError(f"This is no {what}: {error.errors()[0]['msg']}") from None
    return text


def _unknown(email: str, as_json: bool) -> int:
    return _refused(f"There is no account with the e-mail {email}", as_json)


def _refused(told: str, as_json: bool, code: int = FAILED) -> int:
    if as_json:
        print(json.dumps({"refused": told}))
    print(told, file=sys.stderr)
    return code


def _quota(size: int) -> int | None:
    return None if size == OF_THE_SETTING else size


def _held(user: Mapping[str, Any]) -> str:
    most = {None: "what everyone may hold", 0: "no bound"}.get(quota := user["quota_bytes"], quota)
    return f"{user['used_bytes']} bytes of {most}"


def _line(user: Mapping[str, Any]) -> str:
    state = "is being deleted" if user["closed"] else "active" if user["is_active"] else "disabled"
    who = f"{user['id']} {user['email']} ({user['username']})"
    return f"{who} {state}, {_held(user)}, since {user['created_at'].astimezone(UTC):%F}"


def _hand_over(
    settings: Settings, link: Link, until: Any, told: str, as_json: bool, **fields: Any
) -> int:
    address = link.under(settings.http.public_url)
    text = f"{told}\n{address}\nuntil {until.astimezone(UTC):%F %T} UTC, once"
    return _tell(text, as_json, **fields, link=address, expires_at=until)


def _tell(told: str, as_json: bool, **fields: Any) -> int:
    print(json.dumps(fields, default=str) if as_json else told)
    return DONE
