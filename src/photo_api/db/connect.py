"""Single connections to the database for what is no request: probes, registry, LISTEN, locks."""

import asyncpg

from photo_api.settings.dependencies import DatabaseSettings

FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a lost, refused, hung or failing database raises."""


async def connect(
    settings: DatabaseSettings, name: str, *, timeout: float, session: bool = False
) -> asyncpg.Connection:
    """A connection that shows as `name` in pg_stat_activity, made within `timeout` seconds.
    `session` asks for one whose session lasts, past any transaction pooler."""
    pooled = settings.pooler == "transaction" and not session
    return await asyncpg.connect(
        settings.session_url if session else settings.url,
        timeout=timeout,
        statement_cache_size=0 if pooled else 100,
        server_settings={"application_name": name},
    )
