"""JSON answers as bytes made once: no model is built or validated on the way out."""

from collections.abc import Iterable, Mapping

import orjson
from starlette.responses import Response

JSON_TYPE = (b"content-type", b"application/json")

UNLESS_SAID = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer that does not say otherwise: nobody keeps it, nobody guesses its type, and no
page that it leads to learns its address, in which a link's key stands."""


class MadeResponse(Response):
    """An answer whose headers are there, the length of its body among them: Starlette's own way
    through a mapping takes as long as encoding a small body."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = headers


class JsonResponse(MadeResponse):
    """An application/json answer."""

    media_type = "application/json"

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str] | None) -> None:
        super().__init__(status, [(b"content-length", b"%d" % len(body)), JSON_TYPE], body)
        if headers:
            self.raw_headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ]


def encode(content: object) -> bytes:
    """JSON with datetimes as RFC 3339 in UTC with `Z`."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)


def encode_within(room: int, entries: Iterable[object], at_least: int = 1) -> list[orjson.Fragment]:
    """The first of these, encoded, as many as fit into `room` bytes, but `at_least` so many."""
    page: list[orjson.Fragment] = []
    for entry in entries:
        encoded = encode(entry)
        room -= len(encoded)
        if room < 0 and len(page) >= at_least:
            break
        page.append(orjson.Fragment(encoded))
    return page


def json_response(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An application/json answer."""
    return JsonResponse(encode(content), status, headers)


def no_content() -> Response:
    """204."""
    return Response(status_code=204)
