"""Reading that must not take long, by the database's own clock."""

from typing import Any

import asyncpg


async def fetch_within(db: Any, seconds: float, query: str, *args: object) -> list[Any]:
    """Rows of a statement that writes nothing. Raises `QueryCanceledError` when they take longer;
    a round trip before and one behind it are what that costs."""
    async with db.acquire() as connection:
        await connection.execute(
            f"BEGIN READ ONLY; SET LOCAL statement_timeout = {round(seconds * 1000)}"
        )
        try:
            rows: list[Any] = await connection.fetch(query, *args)
        except asyncpg.QueryCanceledError:
            await connection.execute("ROLLBACK")
            raise
        # Any other error leaves the transaction open, and the pool closes the connection.
        await connection.execute("COMMIT")
        return rows
