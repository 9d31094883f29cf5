"""The gallery: a page at `/`, what it loads, and the addresses that it gives its views."""

from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.responses import Response

from photo_api.accounts.links import INVITATION_PAGE, RESET_PAGE
from photo_api.errors import not_found
from photo_api.gallery.built_files import PAGE, BuiltFile, read_built
from photo_api.gallery.policy import page_headers
from photo_api.state import AppState

VIEWS = (
    *("/", "/albums", "/albums/{id}", "/favourites", "/archive", "/trash", "/search", "/account"),
    *(RESET_PAGE, INVITATION_PAGE),
)
"""Addresses of the page's own views, which all get the page."""


def install_gallery(app: FastAPI) -> None:
    """Serve what has been built. Without a build the addresses are as unknown as any."""
    built = read_built()
    if f"/{PAGE}" not in built:
        return

    async def page(request: Request) -> Response:
        return _answer(request, built[f"/{PAGE}"], _policy(request.state.app))

    async def file(request: Request) -> Response:
        found = built.get(request.url.path)
        if found is None:
            raise not_found("File")
        return _answer(request, found, {"X-Content-Type-Options": "nosniff"})

    for path in VIEWS:
        app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)
    for path in ("/assets/{name}", *(path for path in built if path.count("/") == 1)):
        app.add_api_route(path, file, methods=["GET", "HEAD"], include_in_schema=False)


def _policy(state: AppState) -> dict[str, str]:
    upload = state.uploads.upload("", content_type="", size=1, sha256=None, expires_in=60)
    store = urlsplit(upload.url)
    images = state.owners.origins() | state.visitors.origins()
    return page_headers(images, {f"{store.scheme}://{store.netloc}"})


def _answer(request: Request, file: BuiltFile, headers: dict[str, str]) -> Response:
    body, coding = file.best(request.headers.get("accept-encoding", ""))
    headers |= {
        "Cache-Control": file.cache_control,
        "ETag": file.etag if coding is None else f'{file.etag[:-1]}-{coding}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if coding is not None:
        headers["Content-Encoding"] = coding
    return Response(body, headers=headers, media_type=file.media_type)
