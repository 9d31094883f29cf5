"""The balancer's database role sees the registry and nothing of anybody's photos."""

import asyncio
import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.own_stage import own_database
from tests.photo_fleet.balancers import role_url

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
OWN = {"SELECT", "INSERT", "UPDATE", "DELETE"}
EXPECTED = {
    "instances": {"SELECT"},
    "instance_events": {"SELECT"},
    "instance_receipts": {"SELECT"},
    "schema_migrations": {"SELECT"},
    "balancers": OWN,
    "balancer_removals": OWN,
}


def printed(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "photo_fleet.cli", "role", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return ran.stdout


def test_the_role_has_exactly_the_rights_that_it_needs(
    stack: dict[str, Any], environ: dict[str, str]
) -> None:
    with own_database(stack, environ) as settings:
        name = f"balance_{uuid4().hex}"
        owner = settings["PHOTO_API_DATABASE_URL"]
        role_url(owner, stack["superuser_url"], name)
        again = role_url(owner, stack["superuser_url"], name)
        asyncio.run(_check_rights(again, name))


async def _check_rights(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        tables = [row["tablename"] for row in await connection.fetch(TABLES)]
        assert {"users", "photos", "jobs", *EXPECTED} <= set(tables)
        for table in tables:
            query = "SELECT array(SELECT r FROM unnest($1::text[]) r"
            query += " WHERE has_table_privilege($2, r))"
            assert set(await connection.fetchval(query, RIGHTS, table)) == EXPECTED.get(
                table, set()
            ), table
        for table in ("users", "photos"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE instances SET state = 'lost'")
        query = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = $1"
        assert await connection.fetchval(query, name) is False
    finally:
        await connection.close()


def test_the_printed_sql_is_what_is_run_here() -> None:
    told = json.loads(printed("--name", "some-role", "--json"))
    assert told["role"] == "some-role"
    assert told["sql"] == printed("--name", "some-role")
    assert 'CREATE ROLE "some-role" LOGIN' in told["sql"]
    assert "photo_fleet_balance" in printed()


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a$$b", "a%s", "1a", "a" * 64])
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        printed("--name", name)
    assert refused.value.returncode == 2
    assert "1 to 63 letters" in refused.value.stderr
