"""JSON answers as bytes made once: no model is built or validated on the way out."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response


def encode(content: object) -> bytes:
    """JSON with datetimes as RFC 3339 in UTC with `Z`."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)


def json_response(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An application/json answer."""
    return Response(encode(content), status, headers, media_type="application/json")


def no_content() -> Response:
    """204."""
    return Response(status_code=204)
