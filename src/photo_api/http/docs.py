"""The interactive documentation, with its scripts from a package instead of a CDN."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from photo_api.contract import API_PREFIX
from photo_api.http.head import with_own_ids
from photo_api.http.json import JsonResponse, encode, json_response
from photo_api.http.openapi import error_schemas

ASSETS = "/docs-assets"
OPENAPI = "/openapi.json"
# Redoc would fetch a logo from its makers.
ONLY_OURS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:"
}


class _Assets(StaticFiles):
    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """What the routes of `app` take and answer; the same in every process."""
    with catch_warnings():
        filterwarnings("ignore", message="Duplicate Operation ID")
        found = app.openapi()
    found["paths"] = with_own_ids(found["paths"])
    found["components"]["schemas"].update(error_schemas())
    return found


def install_docs(app: FastAPI) -> None:
    """Serve /docs and /redoc, which must work where the internet cannot be reached, and say at /api
    what this is and where they are."""
    # Located, not imported: the package's code is of no use here.
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("fastapi-offline is not installed; install the requirements anew")
    folder = Path(spec.origin).parent / "static"
    app.mount(ASSETS, _Assets(directory=folder), name="docs-assets")
    title = f"{app.title}: documentation"

    @cache
    def document() -> bytes:
        """Made once: what anybody may ask for must not take the time of others."""
        return encode(openapi_document(app))

    async def openapi(_: Request) -> Response:
        return JsonResponse(document(), 200, None)

    async def docs(_: Request) -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=OPENAPI,
            title=title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
        )
        page.headers.update(ONLY_OURS)
        return page

    async def redoc(_: Request) -> HTMLResponse:
        page = get_redoc_html(
            openapi_url=OPENAPI,
            title=title,
            redoc_js_url=f"{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{ASSETS}/favicon.png",
            with_google_fonts=False,
        )
        page.headers.update(ONLY_OURS)
        return page

    async def about(request: Request) -> Response:
        settings = request.state.app.settings
        what = {"name": app.title, "version": app.version, "docs": "/docs"}
        run = {
            "registration": settings.auth.registration,
            "trash_days": settings.uploads.trash_days,
        }
        return json_response(what | run)

    pages = {API_PREFIX: about, OPENAPI: openapi, "/docs": docs, "/redoc": redoc}
    for path, page in pages.items():
        app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)
