"""A database on which the service cannot work is refused at start, with what to do."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.own_stage import _with_path, empty_database, execute
from tests.service import cli, eventually, serving

UNFIT = {
    "LATIN1": "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    "SQL_ASCII": "ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'",
    "locale": "ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'",
    "PostgreSQL 14": "ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'",
}
IN_TURKISH = """
CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT pg_catalog.lower(replace($1, 'I', 'ı')) $$;
"""
"""What the server's own does in a Turkish locale, which machines hardly have."""

TOO_OLD = """
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql STABLE
AS $$ SELECT CASE $1 WHEN 'server_version_num' THEN '140022'
      ELSE pg_catalog.current_setting($1) END $$;
"""
"""What a server says that no supported Debian has."""

SAYING = {"locale": IN_TURKISH, "PostgreSQL 14": TOO_OLD}


@pytest.fixture(params=UNFIT)
def unfit(
    request: pytest.FixtureRequest, stack: dict[str, Any], environ: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    name = f"unfit_{secrets.token_hex(8)}"
    made = f"CREATE DATABASE {name} OWNER photo_api TEMPLATE template0 {UNFIT[request.param]}"
    asyncio.run(execute(stack["superuser_url"], made))
    if saying := SAYING.get(request.param):
        asyncio.run(execute(_with_path(stack["superuser_url"], name), saying))
        path = f"ALTER DATABASE {name} SET search_path = public, pg_catalog"
        asyncio.run(execute(stack["superuser_url"], path))
    yield (
        request.param,
        environ | {"PHOTO_API_DATABASE_URL": _with_path(stack["database_url"], name)},
    )
    asyncio.run(execute(stack["superuser_url"], f"DROP DATABASE {name} WITH (FORCE)"))


def test_one_that_cannot_hold_what_the_service_writes_is_refused(
    unfit: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    word, settings = unfit
    remedy = "15 or newer" if word == "PostgreSQL 14" else "ENCODING 'UTF8'"
    refused = cli(settings, "migrate")
    assert refused.returncode == 1
    for text in (word, remedy, "PHOTO_API_DATABASE_URL"):
        assert text in refused.stderr, refused.stderr
    with serving(settings, tmp_path / "log", "--migrate") as service:

        def is_refused() -> bool:
            with suppress(httpx.TransportError):
                answer = httpx.get(f"{service.url}/health")
                error = answer.json()["checks"]["database"].get("error") or ""
                return answer.status_code == 503 and word in error
            return False

        eventually(is_refused, 30)
        eventually(lambda: remedy in service.log)


@pytest.mark.parametrize(
    ("cause", "code", "remedy"),
    [
        (None, "ReadOnly", "default_transaction_read_only"),
        ("53100", "DiskFull", "make it larger"),
    ],
)
def test_one_that_takes_no_writes_is_refused_with_what_to_do(
    stack: dict[str, Any], environ: dict[str, str], cause: str | None, code: str, remedy: str
) -> None:
    with empty_database(stack, environ) as settings:
        url = settings["PHOTO_API_DATABASE_URL"]
        name = urlsplit(url).path.lstrip("/")
        if cause is None:
            statement = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
            asyncio.run(execute(stack["superuser_url"], statement))
        else:  # as the server says it when its disk is full
            asyncio.run(execute(_with_path(stack["superuser_url"], name), _refusing(cause)))
        refused = cli(settings, "migrate")
        assert refused.returncode == 1
        assert code in refused.stderr
        assert remedy in refused.stderr


def _refusing(code: str) -> str:
    return f"""
    CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '{code}'; END $$;
    CREATE EVENT TRIGGER full_disk ON ddl_command_start EXECUTE FUNCTION refuse();
    """
