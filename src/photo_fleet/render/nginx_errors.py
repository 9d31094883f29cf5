"""nginx's own errors, in the shape that the service's errors have."""

import json
from dataclasses import dataclass

from photo_fleet.render.nginx_origins import readable_headers
from photo_fleet.render.nginx_text import INTERNAL, Lines, block
from photo_fleet.spec.fleet import Balancer, Fleet

FOLDER = "/.error"

OF_A_PART_OF_A_HEAD = (400, 408, 414, 431)
"""Statuses that nginx answers also when it has not read who asks."""


@dataclass(frozen=True, slots=True)
class EdgeError:
    """The answer to the client; `instead_of` are codes of nginx that no client should see."""

    status: int
    code: str
    detail: str
    retry_after: int | None = None
    instead_of: tuple[int, ...] = ()


def edge_errors(balancer: Balancer) -> list[EdgeError]:
    """Every error that nginx answers itself."""
    limit = f"{balancer.upload_limit} bytes for a photo, 256 KiB for anything else"
    uncertain = "what it was to change may have been changed: look, or repeat it with the same key"
    return [
        EdgeError(400, "bad_request", "This is not a valid HTTP request", None, (495, 496, 497)),
        EdgeError(404, "not_found", "Not found"),
        EdgeError(405, "method_not_allowed", "This method is not allowed here"),
        EdgeError(408, "request_timeout", "The request did not come in time"),
        EdgeError(413, "too_large", f"A request may have at most {limit}"),
        EdgeError(414, "bad_request", "The address is too long"),
        EdgeError(429, "too_many_requests", "Too many requests from this address", 1),
        EdgeError(431, "headers_too_large", "The headers are too large", None, (494,)),
        EdgeError(500, "internal_error", "Something went wrong on our side", None),
        EdgeError(502, "bad_gateway", f"No instance answered, and {uncertain}"),
        EdgeError(503, "overloaded", "No instance is available right now; try again", 2),
        EdgeError(504, "gateway_timeout", f"The answer took too long, and {uncertain}"),
    ]


def edge_error(balancer: Balancer, status: int) -> EdgeError:
    """The one with this status, for whatever else answers before an instance does."""
    return next(error for error in edge_errors(balancer) if error.status == status)


def error_pages(balancer: Balancer) -> Lines:
    """Which location answers which error. `=` leaves the status to the location."""
    lines = []
    for error in edge_errors(balancer):
        codes = " ".join(str(status) for status in (error.status, *error.instead_of))
        lines.append(f"error_page {codes} = {FOLDER}/{error.status};")
    return lines


IN_WORDS = (429, 502, 503, 504)
"""Statuses that a person may see in place of a page, which say that it is worth another try."""

TRY_AGAIN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width='
    'device-width"><title>Photos</title><p>This cannot be shown right now. Try again in a moment.'
    '</p><p lang="ko">지금은 보여 드릴 수 없습니다. 잠시 후 다시 시도하세요.</p></html>'
)


def page_error_pages(balancer: Balancer) -> Lines:
    """The same at addresses for people. Of two lines for a status the first holds."""
    pages = []
    for error in edge_errors(balancer):
        if error.status in IN_WORDS:
            codes = " ".join(str(status) for status in (error.status, *error.instead_of))
            pages.append(f"error_page {codes} = {FOLDER}/page/{error.status};")
    return [*pages, *error_pages(balancer)]


def page_error_locations(fleet: Fleet, headers: Lines) -> Lines:
    lines: Lines = []
    for error in edge_errors(fleet.balancer):
        if error.status not in IN_WORDS:
            continue
        retry = error.retry_after is not None
        later = [*headers, f"add_header Retry-After {error.retry_after} always;"] if retry else []
        body = [*INTERNAL, "default_type text/html;", "charset utf-8;", *later]
        if error.status == 502:
            body.append(f"if ($no_member) {{ rewrite ^ {FOLDER}/page/503 last; }}")
        body.append(f"return {error.status} '{TRY_AGAIN}';")
        lines += block(f"location = {FOLDER}/page/{error.status}", body)
    return lines


def error_locations(fleet: Fleet, headers: Lines) -> Lines:
    """Addresses and not names, because a request without a valid address must find them too.
    `headers` are those of every answer: a location with a header of its own inherits none."""
    lines: Lines = []
    for error in edge_errors(fleet.balancer):
        body = _answer(error, _own_headers(fleet, error, headers))
        lines += block(f"location = {FOLDER}/{error.status}", body)
    return lines


def _own_headers(fleet: Fleet, error: EdgeError, headers: Lines) -> Lines:
    """None where what the server says of every answer is enough."""
    is_read = error.status not in OF_A_PART_OF_A_HEAD
    origin = readable_headers(fleet, origin_is_read=is_read)
    retry = error.retry_after is not None
    later = [f"add_header Retry-After {error.retry_after} always;"] if retry else []
    return [*headers, *origin, *later] if retry or (origin and not is_read) else []


def refusal(error: EdgeError) -> str:
    """The directive that answers with this error."""
    return f"return {error.status} '{refusal_body(error, request_id='$request_id_or_own')}';"


def refusal_body(error: EdgeError, **more: str) -> str:
    """As JSON. `request_id` is for what has one."""
    return json.dumps({"detail": error.detail, "code": error.code, **more})


def _answer(error: EdgeError, headers: Lines) -> Lines:
    lines = [*INTERNAL, "default_type application/json;", *headers]
    if error.status == 502:
        # Nobody was there to ask, which a client may take for certain.
        lines.append(f"if ($no_member) {{ rewrite ^ {FOLDER}/503 last; }}")
    return [*lines, refusal(error)]
