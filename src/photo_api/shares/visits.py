"""What visitors of a share link see: a page of its album, or one of its photos."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from photo_api.accounts.tokens import digest
from photo_api.albums.orders import ORDERS, Order, in_its_order
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.security_events import tell
from photo_api.metrics.counts import results
from photo_api.metrics.declared import SHARE_VIEWS
from photo_api.shares import queries
from photo_api.shares.audience import is_by_a_person
from photo_api.state import AppState
from photo_api.telemetry.events import Event


@dataclass(frozen=True, slots=True)
class AlbumPage:
    """`photos` as JSON; `next` is the cursor of those behind them."""

    album: Any
    photos: Sequence[orjson.Fragment]
    next: str | None


@dataclass(frozen=True, slots=True)
class SharedPhoto:
    """A photo as the contract's P, and the ids of those beside it in its album's order."""

    photo: dict[str, Any]
    allow_original: bool
    before: int | None
    after: int | None


async def open_album(
    request: Request,
    state: AppState,
    token: str,
    *,
    size: int,
    skip: int = 0,
    cursor: str | None = None,
    counts: bool = True,
) -> AlbumPage:
    """At most `size` photos of the album, and of 4 MB. Where it `counts`, so does the view, unless
    a program looks. Raises `ApiError` for a link that does not work."""
    by_a_person = is_by_a_person(request)
    counts = counts and by_a_person

    async def fetch(order: Order, after: tuple[Any, ...]) -> list[Any]:
        nonlocal counts
        told, counts = counts, False
        return await queries.view(
            state.db, digest(token), order, after, skip, size + 1, counts=told
        )

    with results(state.metrics.counts, SHARE_VIEWS, "person" if by_a_person else "program"):
        rows, order = await in_its_order(fetch, cursor)
        if not rows:
            raise unknown_link(request)
        if rows[0]["expired"]:
            raise expired_link(request)
    shown = [row for row in rows[:size] if row["id"] is not None]
    page = await state.visitors.presenter.page(shown, f"/share/{token}")
    return AlbumPage(rows[0], page.json, order.cursor_behind(page, rows))


async def open_photo(
    request: Request, state: AppState, token: str, photo_id: int
) -> SharedPhoto | None:
    """None where the link shows no such photo. Raises `ApiError` for one that does not work. Counts
    no view."""
    row = await queries.shared_photo(state.db, digest(token), photo_id)
    if row is None:
        raise unknown_link(request)
    if row["expired"]:
        raise expired_link(request)
    if row["id"] is None:
        return None
    beside = row["before"], row["after"]
    if ORDERS[row["sort"]].descending:
        beside = beside[::-1]
    photo = state.visitors.presenter.one(row, f"/share/{token}")
    return SharedPhoto(photo, row["allow_original"], *beside)


def unknown_link(request: Request) -> ApiError:
    """One that was revoked, or that never was."""
    tell(request, Event.SHARE_REFUSED, "a share link was refused", reason="unknown")
    return not_found("Share link")


def expired_link(request: Request) -> ApiError:
    text = "a share link was refused"
    tell(request, Event.SHARE_REFUSED, text, logging.INFO, reason="expired")
    return ApiError(Code.SHARE_EXPIRED, "This link has expired; ask its owner for a new one")
