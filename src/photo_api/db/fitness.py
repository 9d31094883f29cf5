"""Whether a database can hold what the service writes: said at start with what to do, instead of at
the first name in Hangul."""

from typing import Any

import asyncpg

OLDEST_SERVER = 15
"""The oldest PostgreSQL with which tests run every statement."""

MAKE_ANOTHER = (
    "make one with CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0, restore"
    " into it what there is, and name it in PHOTO_API_DATABASE_URL"
)


class UnfitDatabase(Exception):
    """The service cannot work on this database; the text says why and what to do."""


async def unfitness(connection: Any) -> str | None:
    """What is wrong with the database behind `connection` for good, and what to do about it."""
    # E-mails are one without regard to case, by lower(): in Turkish that of I is not i.
    version, encoding, lower = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int / 10000,"
        " current_setting('server_encoding'), lower('I')"
    )
    if version < OLDEST_SERVER:
        return (
            f"the database's server is PostgreSQL {version}, which is too old: move the database to"
            f" {OLDEST_SERVER} or newer (pg_upgrade, or a dump), and name it in"
            " PHOTO_API_DATABASE_URL"
        )
    if encoding != "UTF8":
        return f"the database is in {encoding}, which does not hold every name: {MAKE_ANOTHER}"
    if lower != "i":
        return f"the database's locale makes {lower!r} of 'I', so e-mails get lost: {MAKE_ANOTHER}"
    return None


def remedy(error: BaseException) -> str | None:
    """What to do about a database that takes no writes; None for other errors."""
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return (
            "the database is read-only: name its primary in PHOTO_API_DATABASE_URL, or where it was"
            " set so, ALTER DATABASE … RESET default_transaction_read_only (or ALTER ROLE …)"
        )
    if isinstance(error, asyncpg.DiskFullError):
        return "the database's disk is full: make it larger, or remove what is not the database's"
    return None
