"""The closed list of names that lines in the log go by, for alerts and searches."""

from enum import StrEnum

from photo_base.log_lines import NO_EVENT


class Event(StrEnum):
    """The `event` of a line. docs/operations.md tells what each means and carries."""

    MESSAGE = NO_EVENT
    REQUEST = "request"
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    LOGIN_THROTTLED = "login_throttled"
    REGISTRATION_THROTTLED = "registration_throttled"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105
    REFRESH_REFUSED = "refresh_refused"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SESSIONS_ENDED = "sessions_ended"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_DELETED = "account_deleted"
    LINK_REFUSED = "link_refused"
    SHARE_REFUSED = "share_refused"
    CONFIGURATION_REFUSED = "configuration_refused"
    SECRETS_CHANGED = "secrets_changed"
    INSTANCE_ENDED = "instance_ended"
    CDN_FAILED = "cdn_failed"
    CDN_BACK = "cdn_back"
