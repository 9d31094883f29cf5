"""What operators do by `photo-api users` (tests/contract), without its process."""

from typing import Any

from photo_api.accounts.links import INVITATION_PAGE, RESET_PAGE, Link
from tests.chromium import loop_of_ones_own
from tests.own_stage import ask
from tests.service import Service, User


def let_have(service: Service, user: User, quota: int) -> None:
    _ask(service, "UPDATE users SET quota_bytes = $2 WHERE id = $1", user.account["id"], quota)


def invitation(service: Service) -> str:
    """The path of a link by which anybody opens an account."""
    link = Link.to(INVITATION_PAGE)
    query = """INSERT INTO account_links (token_hash, kind, expires_at)
        VALUES ($1, 'invitation', now() + interval '1 hour')"""
    _ask(service, query, link.token_hash)
    return link.under("")


def reset(service: Service, email: str) -> str:
    """The path of a link by which the owner of this account sets a password."""
    link = Link.to(RESET_PAGE)
    query = """INSERT INTO account_links (token_hash, kind, user_id, expires_at)
        SELECT $1, 'reset', id, now() + interval '1 hour' FROM users WHERE email = $2"""
    _ask(service, query, link.token_hash, email)
    return link.under("")


def _ask(service: Service, query: str, *args: object) -> list[Any]:
    with loop_of_ones_own():
        return ask(service.environ, query, *args)
