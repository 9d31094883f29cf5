"""Which errors are bugs of ours, and so worth a traceback."""

import asyncpg

from photo_api.db.pool import DatabaseUnavailable
from photo_api.storage.base import StoreUnavailable
from photo_base.postgres import FAILURES

OUTAGES = (*FAILURES, DatabaseUnavailable, StoreUnavailable)
"""What a correct program raises when a dependency fails."""

WRONG_STATEMENTS = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    ValueError,  # the driver's own refusal of an argument
)


def bug(error: BaseException) -> BaseException | None:
    """The error, for a log line's `exc_info`, unless it is an outage, which its type explains. A
    database that refuses a statement for what it says is none."""
    outage = isinstance(error, OUTAGES) and not isinstance(error, WRONG_STATEMENTS)
    return None if outage else error
