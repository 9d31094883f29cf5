"""CORS, with the contract's error body also for what is refused."""

from collections.abc import Awaitable, Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from photo_api.contract import (
    CROSS_ORIGIN_HEADERS,
    CROSS_ORIGIN_MAX_AGE,
    CROSS_ORIGIN_METHODS,
    CROSS_ORIGIN_READABLE,
)
from photo_api.errors import ApiError, Code
from photo_api.http.answer import Pairs, answer_of
from photo_api.http.errors import error_response
from photo_base.origins import ANY, allows, origins_on_any_port

VARIES = (b"vary", b"Origin")


class CrossOrigin(CORSMiddleware):
    """Starlette's, whose refusal of a preflight is plain text. A request without origin, of which
    there is only one thing to say, is not put through its mappings of headers."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_origin_regex=origins_on_any_port(origins),
            allow_methods=CROSS_ORIGIN_METHODS,
            allow_headers=CROSS_ORIGIN_HEADERS,
            expose_headers=CROSS_ORIGIN_READABLE,
            max_age=CROSS_ORIGIN_MAX_AGE,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        if scope["type"] != "http" or b"origin" in scope["state"]["given"]:
            return super().__call__(scope, receive, send)
        answer_of(scope).varies = True
        return self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        return answer if answer.status_code == 200 else _Refusal(answer)


def varying(headers: Pairs) -> Pairs:
    """These, and that an answer depends on its Origin too."""
    others = [header for header in headers if header[0] != b"vary"]
    varies = [value for name, value in headers if name == b"vary"]
    return [*others, (b"vary", b", ".join([*varies, b"Origin"]))]


class _Refusal(Response):
    """Becomes the error body when it is sent, because only then the request is there."""

    def __init__(self, plain: Response) -> None:
        super().__init__(plain.body, plain.status_code)
        self.plain = plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = ApiError(Code.BAD_REQUEST, bytes(self.plain.body).decode())
        answer = error_response(error, scope["state"]["request_id"])
        for name, value in self.plain.headers.items():
            if not name.startswith("content-"):
                answer.headers[name] = value
        await answer(scope, receive, send)


def headers_for_unread(
    origins: Sequence[str], given: Sequence[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """CORS headers of an answer to what never became a request, of which the headers `given` had
    come. Without an origin among them anybody may read it: it tells nothing of anyone."""
    asking = next((value.decode("latin-1") for name, value in given if name == b"origin"), None)
    if not origins or (asking is not None and not allows(origins, asking)):
        return []
    return [
        (b"access-control-allow-origin", (asking or ANY).encode("latin-1")),
        (b"access-control-expose-headers", ", ".join(CROSS_ORIGIN_READABLE).encode()),
        VARIES,
    ]
