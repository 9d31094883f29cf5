"""A connection to the primary of one or several servers."""

import asyncio
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from photo_base.postgres import open_connection

FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a lost, refused, hung, failing or read-only database raises."""


async def connect(url: str) -> Any:
    """A connection to the one server of `url` that takes writes. All are asked at once: the first
    in the list may be the one that is silent. Raises one of `FAILURES`."""
    everyone = [asyncio.create_task(_open(one)) for one in _servers(url)]
    asking = set(everyone)
    failure: BaseException | None = None
    chosen: asyncio.Task[Any] | None = None
    try:
        while asking and chosen is None:
            answered, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for task in answered:
                failure = task.exception() or failure
            chosen = next((task for task in answered if task.exception() is None), None)
        if chosen is None:
            raise failure or ConnectionError("no server is named")
        return chosen.result()
    finally:
        for task in everyone:
            if not task.done():
                task.cancel()
            elif task is not chosen and task.exception() is None:
                task.result().terminate()


async def _open(url: str) -> Any:
    options: dict[str, Any] = {
        "target_session_attrs": "primary",
        "statement_cache_size": 0,  # a pooler in front may know nothing of prepared statements
        "server_settings": {"application_name": "photo-fleet balance"},
    }
    return await open_connection(url, **options)


def _servers(url: str) -> list[str]:
    """The address of each single server that `url` names."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=login + at + host)) for host in hosts.split(",")]
