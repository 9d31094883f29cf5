"""The pages of share links, and errors in the words of such a page."""

import re
from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photo_api.contract import GALLERY_VIEWS, SHARE_PAGES
from photo_api.errors import ApiError, Code, not_found
from photo_api.gallery import share_page
from photo_api.gallery.policy import opener_policy, share_headers
from photo_api.gallery.share_page import Frame, language_of
from photo_api.http.fields import MAX_ID
from photo_api.http.json import encode
from photo_api.shares.visits import open_album, open_photo, unknown_link
from photo_api.state import AppState

PHOTOS_AT_ONCE = 120
"""Tiles of a page: what comes behind them is a link away."""

KEPT = "private, no-cache"
"""A browser that goes back may show what it has; else it asks again."""

LONGEST_CURSOR = 100


class SharePages:
    """Made by the service, for people without an account, who may have no scripts either. `style`
    and `script` are addresses of built files."""

    def __init__(self, style: str, script: str) -> None:
        self._style, self._script = style, script

    async def album(self, request: Request) -> Response:
        """Some photos of the album. Opening it counts as a view; to leaf through it, and to come
        back from a photo (`seen`), is the same visit."""
        state, token = _asked(request)
        cursor = request.query_params.get("cursor", "")[:LONGEST_CURSOR]
        counts = not cursor and "seen" not in request.query_params
        try:
            page = await open_album(
                request, state, token, size=PHOTOS_AT_ONCE, cursor=cursor or None, counts=counts
            )
        except ApiError as error:
            if error.code is not Code.BAD_REQUEST:
                raise
            # The album has another order since: from its beginning, then.
            return RedirectResponse(f"{SHARE_PAGES}{token}?seen=1", 303)
        photos = orjson.loads(encode(page.photos))
        place = share_page.Place(token, cursor)
        return self._answer(
            request,
            share_page.album_page(self._frame(request), place, page.album, photos, page.next),
        )

    async def photo(self, request: Request) -> Response:
        """One photo, between those beside it. `page` is the cursor of the page that led here."""
        state, token = _asked(request)
        given = request.path_params["photo_id"]
        if not (given.isascii() and given.isdigit() and len(given) < 17 and int(given) <= MAX_ID):
            raise not_found("Photo")
        shown = await open_photo(request, state, token, int(given))
        place = share_page.Place(token, request.query_params.get("page", "")[:LONGEST_CURSOR])
        frame = self._frame(request)
        if shown is None:
            return self._answer(request, share_page.gone_page(frame, place), 404)
        return self._answer(request, share_page.photo_page(frame, place, shown))

    def problem(self, accepted_language: str, status: int) -> bytes:
        """What somebody reads in place of a page that is not there (404, 410), or not now."""
        frame = Frame(language_of(accepted_language), "", self._style, self._script)
        return share_page.problem_page(frame, PROBLEMS.get(status, "busy")).encode()

    def _frame(self, request: Request) -> Frame:
        state: AppState = request.state.app
        language = language_of(request.headers.get("accept-language", ""))
        return Frame(language, state.settings.http.public_url, self._style, self._script)

    def _answer(self, request: Request, page: str, status: int = 200) -> Response:
        state: AppState = request.state.app
        headers = share_headers(state.visitors.origins())
        headers |= opener_policy(request.scope, state.settings.http.public_url)
        kept = {"Cache-Control": KEPT, "Vary": "Accept-Language"}
        return HTMLResponse(page, status, headers=headers | kept)


PROBLEMS = {404: "not_found", 410: "share_expired"}
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")


def _asked(request: Request) -> tuple[AppState, str]:
    token = request.path_params["token"]
    if not TOKEN.fullmatch(token):
        raise unknown_link(request)
    return request.state.app, token


def is_by_a_client(scope: Scope) -> bool:
    """Whether a client of the API asks, whose requests come here behind a proxy that strips `/api`:
    nobody's browser sends a token when it opens a page."""
    return any(name == b"authorization" for name, _ in scope.get("headers", ()))


class ProblemPages:
    """Errors at addresses for people are pages, with the status and the headers that they had as
    JSON. At the gallery's own only those are, which say that nothing can be shown now: what is
    unknown there is asked by programs."""

    def __init__(self, app: ASGIApp, page_of: Callable[[str, int], bytes]) -> None:
        self.app = app
        self._page_of = page_of
        self._views = frozenset(GALLERY_VIEWS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        shared = path.startswith(SHARE_PAGES)
        if not (shared or path in self._views) or is_by_a_client(scope):
            await self.app(scope, receive, send)
            return
        told = False

        async def send_page(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                status = message["status"]
                wrong = status >= 500 or status == 429 or (shared and status >= 400)
                told = wrong and not _is_page(message)
                if told:
                    await self._tell(scope, message, send)
                    return
            if not told:
                await send(message)

        await self.app(scope, receive, send_page)

    async def _tell(self, scope: Scope, start: Message, send: Send) -> None:
        given: dict[bytes, bytes] = dict(scope["headers"])
        accepted = given.get(b"accept-language", b"").decode("latin-1")
        body = self._page_of(accepted, start["status"])
        headers = [
            *(one for one in start["headers"] if one[0].lower() not in OF_THE_BODY),
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"vary", b"Accept-Language"),
            *(
                (name.lower().encode(), text.encode())
                for name, text in (share_headers(set()) | opener_policy(scope, "")).items()
            ),
        ]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _is_page(start: Message) -> bool:
    """Whether it is in words for people already."""
    headers: dict[bytes, bytes] = dict(start["headers"])
    return headers.get(b"content-type", b"").startswith(b"text/html")


OF_THE_BODY = (b"content-type", b"content-length")
