"""CORS, with the contract's error body also for what is refused."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from photo_api.errors import ApiError, Code
from photo_api.http.errors import error_response


class CrossOrigin(CORSMiddleware):
    """Starlette's, whose refusal of a preflight is plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        return answer if answer.status_code == 200 else _Refusal(answer)


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
