"""Connections to the database of the settings, and what of a session may be relied on."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from photo_api.settings.dependencies import DatabaseSettings
from photo_base.postgres import SERVER_SETTINGS, connect_to_primary

STATEMENTS_KEPT = 100
LONGEST_IDLE_TRANSACTION = "60s"
ONE_PLAN = "force_generic_plan"
"""For every user, whatever they have: a plan that the statement's first users get by their numbers
may walk past everybody's photos, or sort all of an album, for the next. It is also made once."""


async def connect(
    settings: DatabaseSettings, name: str, *, timeout: float, session: bool = False
) -> asyncpg.Connection:
    """A connection that shows as `name` in pg_stat_activity, made within `timeout` seconds.
    `session` asks for one whose session lasts, past any transaction pooler. Raises one of
    `FAILURES`."""
    url = settings.session_url if session else settings.url
    return await connect_to_primary(
        url, session_options(settings, name, session=session), timeout=timeout
    )


def session_options(
    settings: DatabaseSettings, name: str, *, session: bool = False
) -> dict[str, Any]:
    """Options of the driver. Behind a transaction pooler nothing may be prepared, and only those
    parameters are sent that PgBouncer knows: it refuses a connection for any other."""
    pooled = settings.pooler == "transaction" and not session
    parameters = {"application_name": name, "timezone": "UTC"}
    if not pooled:
        parameters |= SERVER_SETTINGS
        parameters["plan_cache_mode"] = ONE_PLAN
        parameters["idle_in_transaction_session_timeout"] = LONGEST_IDLE_TRANSACTION
    return {
        "target_session_attrs": "any",  # whatever the address says: a standby is of use
        "statement_cache_size": 0 if pooled else STATEMENTS_KEPT,
        "server_settings": parameters,
    }


def moved(before: DatabaseSettings, after: DatabaseSettings) -> bool:
    """Whether anything but a password differs, so that connections from before lead elsewhere or
    belong to somebody else."""
    urls = zip((before.url, before.session_url), (after.url, after.session_url), strict=True)
    return any(_without_password(old) != _without_password(new) for old, new in urls)


def _without_password(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    query = [pair for pair in parse_qsl(parts.query) if pair[0] != "password"]
    return login.partition(":")[0], at, hosts, parts.path, urlencode(query)
