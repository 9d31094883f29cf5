"""Lines in the log about requests that concern security."""

import logging
from typing import Any

from starlette.requests import Request

from photo_api.telemetry.events import Event

log = logging.getLogger("photo_api.security")


def tell(
    request: Request, event: Event, message: str, level: int = logging.WARNING, **fields: Any
) -> None:
    """With the request's id and its client's address."""
    state = request.state
    known = {"event": event, "request_id": state.request_id, "client": state.client}
    log.log(level, message, extra={"fields": {**known, **fields}})
