"""The closed set of errors that a client can see.

Every refusal raised anywhere in the serving plane is an `ApiError` with one of these codes;
`http.errors` is the only place that turns one into an answer.
"""

from enum import Enum
from http import HTTPStatus


class Code(Enum):
    """An error's stable name (sent as `code`) and the HTTP status it travels with."""

    BAD_REQUEST = ("bad_request", HTTPStatus.BAD_REQUEST)
    DUPLICATE_ACCOUNT = ("duplicate_account", HTTPStatus.BAD_REQUEST)
    WRONG_PASSWORD = ("wrong_password", HTTPStatus.BAD_REQUEST)
    INVALID_LINK = ("invalid_link", HTTPStatus.BAD_REQUEST)
    UNSUPPORTED_TYPE = ("unsupported_type", HTTPStatus.BAD_REQUEST)
    NOT_AN_IMAGE = ("not_an_image", HTTPStatus.BAD_REQUEST)
    INVALID_COVER = ("invalid_cover", HTTPStatus.BAD_REQUEST)
    UNAUTHENTICATED = ("unauthenticated", HTTPStatus.UNAUTHORIZED)
    INVALID_CREDENTIALS = ("invalid_credentials", HTTPStatus.UNAUTHORIZED)
    INACTIVE_USER = ("inactive_user", HTTPStatus.FORBIDDEN)
    REGISTRATION_CLOSED = ("registration_closed", HTTPStatus.FORBIDDEN)
    NOT_FOUND = ("not_found", HTTPStatus.NOT_FOUND)
    METHOD_NOT_ALLOWED = ("method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED)
    REQUEST_TIMEOUT = ("request_timeout", HTTPStatus.REQUEST_TIMEOUT)
    NOT_UPLOADED = ("not_uploaded", HTTPStatus.CONFLICT)
    UPLOAD_MISMATCH = ("upload_mismatch", HTTPStatus.CONFLICT)
    UPLOAD_EXPIRED = ("upload_expired", HTTPStatus.CONFLICT)
    UPLOAD_CONFIRMED = ("upload_confirmed", HTTPStatus.CONFLICT)
    TOO_MANY_LINKS = ("too_many_links", HTTPStatus.CONFLICT)
    REQUEST_IN_PROGRESS = ("request_in_progress", HTTPStatus.CONFLICT)
    SHARE_EXPIRED = ("share_expired", HTTPStatus.GONE)
    TOO_LARGE = ("too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    QUOTA_EXCEEDED = ("quota_exceeded", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    RANGE_NOT_SATISFIABLE = ("range_not_satisfiable", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    VALIDATION = ("validation_error", HTTPStatus.UNPROCESSABLE_ENTITY)
    HEADERS_TOO_LARGE = ("headers_too_large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    FILTER_TOO_BROAD = ("filter_too_broad", HTTPStatus.UNPROCESSABLE_ENTITY)
    IDEMPOTENCY_KEY_REUSED = ("idempotency_key_reused", HTTPStatus.UNPROCESSABLE_ENTITY)
    TOO_MANY_REQUESTS = ("too_many_requests", HTTPStatus.TOO_MANY_REQUESTS)
    TOO_MANY_UPLOADS = ("too_many_uploads", HTTPStatus.TOO_MANY_REQUESTS)
    INTERNAL = ("internal_error", HTTPStatus.INTERNAL_SERVER_ERROR)
    OVERLOADED = ("overloaded", HTTPStatus.SERVICE_UNAVAILABLE)
    DATABASE_UNAVAILABLE = ("database_unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
    DATABASE_READ_ONLY = ("database_read_only", HTTPStatus.SERVICE_UNAVAILABLE)
    STORAGE_UNAVAILABLE = ("storage_unavailable", HTTPStatus.SERVICE_UNAVAILABLE)

    def __init__(self, wire: str, status: HTTPStatus) -> None:
        self.wire = wire
        self.status = status


class ApiError(Exception):
    """A refusal for the client: what was wrong and what to do, never anything of the inside.

    `retry_after`, in whole seconds, and `content_range` are sent as headers of these names.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        retry_after: int | None = None,
        content_range: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.content_range = content_range


def not_found(what: str) -> ApiError:
    """The 404 for a missing object and for one of another user, which must look the same."""
    return ApiError(Code.NOT_FOUND, f"{what} not found")
