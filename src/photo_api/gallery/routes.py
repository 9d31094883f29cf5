"""The gallery: a page at `/`, what it loads, and the addresses that it gives its views."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from photo_api.contract import GALLERY_ASSETS, GALLERY_VIEWS, SHARE_PAGES
from photo_api.errors import not_found
from photo_api.gallery.built_files import PAGE, BuiltFile, read_built, share_files
from photo_api.gallery.policy import app_headers, opener_policy
from photo_api.gallery.share_routes import SharePages, is_by_a_client
from photo_api.state import AppState


class PageRoute(Route):
    """An address for people. What else is sent there finds nothing, as if there were no page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, below = super().matches(scope)
        if match is not Match.FULL or is_by_a_client(scope):
            return Match.NONE, {}
        return match, {**below, "route": self}  # for the log and metrics


def install_gallery(
    app: FastAPI, built: Mapping[str, BuiltFile] | None = None
) -> SharePages | None:
    """Serve what has been built. Where nothing was, the addresses are as unknown as any."""
    built = read_built() if built is None else built
    if PAGE not in built:
        return None

    async def page(request: Request) -> Response:
        return _answer(request, built[PAGE], _headers(request))

    async def file(request: Request) -> Response:
        found = built.get(request.url.path)
        if found is None:
            raise not_found("File")
        return _answer(request, found, {"X-Content-Type-Options": "nosniff"})

    shared = SharePages(*share_files(built))
    places: dict[str, Callable[..., Any]] = {
        **dict.fromkeys(GALLERY_VIEWS, page),
        f"{GALLERY_ASSETS}{{name}}": file,
        **{path: file for path in built if path.count("/") == 1},
        f"{SHARE_PAGES}{{token}}": shared.album,
        f"{SHARE_PAGES}{{token}}/photos/{{photo_id}}": shared.photo,
    }
    for path, endpoint in places.items():
        app.router.routes.append(PageRoute(path, endpoint, methods=["GET"]))
    return shared


def _headers(request: Request) -> dict[str, str]:
    state: AppState = request.state.app
    upload = state.uploads.upload("", content_type="", size=1, sha256=None, expires_in=60)
    store = urlsplit(upload.url)
    images = state.owners.origins() | state.visitors.origins()
    return app_headers(images, {f"{store.scheme}://{store.netloc}"}) | opener_policy(
        request.scope, state.settings.http.public_url
    )


def _answer(request: Request, file: BuiltFile, headers: dict[str, str]) -> Response:
    body, coding = file.best(request.headers.get("accept-encoding", ""))
    headers |= {
        "Cache-Control": file.cache_control,
        "ETag": file.etag if coding is None else f'{file.etag[:-1]}-{coding}"',
        "Vary": "Accept-Encoding",
    }
    known = request.headers.get("if-none-match", "").split(",")
    if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known):
        return Response(status_code=304, headers=headers)
    if coding is not None:
        headers["Content-Encoding"] = coding
    return Response(body, headers=headers, media_type=file.media_type)
