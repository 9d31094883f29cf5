"""SQL of a balancer: what it reads of the registry, and what it writes there of itself.

Its role may do nothing else; `role_statements` creates it.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Any

from photo_api.contract import LOST_AFTER
from photo_fleet.balancer.membership import ALIVE, Member, Registered

LONGEST_INSTANCE = 128
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:-]")
"""What nginx takes in no instance's name: one odd name must not have it refuse the whole set."""

ROLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")

READ = ("instances", "instance_events")
WRITTEN = ("balancers", "balancer_removals")


async def instances(db: Any, known: Collection[str]) -> list[Any]:
    """The rows of every boot that may run, and of those of `known` that do no more, with the
    reason; `registered` reads one."""
    rows: list[Any] = await db.fetch(
        "SELECT boot_id::text AS boot_id, instance, address, port, state, cause,"
        " extract(epoch FROM started_at)::float8 AS started_at"
        " FROM instances WHERE state = ANY($1) OR boot_id = ANY($2::text[]::uuid[])",
        list(ALIVE), list(known),
    )  # fmt: skip
    return rows


def registered(row: Any) -> Registered | None:
    """One row of `instances`. None when it tells no IP address and port: names are not resolved
    here, and nothing else may get into nginx's members."""
    try:
        host = ipaddress.ip_address(row["address"])
    except ValueError:
        return None
    port = row["port"]
    if not 0 < port < 65_536 or "%" in str(host):
        return None
    address = f"{host}:{port}" if host.version == 4 else f"[{host}]:{port}"
    instance = NOT_IN_NAMES.sub("-", row["instance"])[:LONGEST_INSTANCE] or "-"
    member = Member(row["boot_id"], address, instance)
    return Registered(member, row["state"], row["started_at"], row["cause"])


async def beat(db: Any, balancer_id: str, name: str) -> bool:
    """Be seen; False when a balancer of another name is alive under this id."""
    return await db.fetchval(
        "INSERT INTO balancers (id, name) VALUES ($1::uuid, $2)"
        " ON CONFLICT (id) DO UPDATE SET seen_at = now(), name = $2"
        " WHERE balancers.name = $2 OR balancers.seen_at < now() - make_interval(secs => $3)"
        " RETURNING true",
        balancer_id, name, LOST_AFTER,
    ) is not None  # fmt: skip


async def acknowledge(db: Any, balancer_id: str, boots: Collection[str]) -> None:
    """Say that nothing is sent to these any more."""
    await db.execute(
        "INSERT INTO balancer_removals (balancer_id, boot_id)"
        " SELECT $1::uuid, unnest($2::text[]::uuid[]) ON CONFLICT DO NOTHING",
        balancer_id, list(boots),
    )  # fmt: skip


async def prune(db: Any, balancer_id: str) -> None:
    """Removals of those that drain no more, and balancers that nobody has seen for a day."""
    await db.execute(
        "DELETE FROM balancer_removals AS removal WHERE balancer_id = $1::uuid AND NOT EXISTS"
        " (SELECT FROM instances WHERE instances.boot_id = removal.boot_id AND state = ANY($2))",
        balancer_id, list(ALIVE),
    )  # fmt: skip
    await db.execute("DELETE FROM balancers WHERE seen_at < now() - interval '1 day'")


async def leave(db: Any, balancer_id: str) -> None:
    """This balancer ends: nobody waits for it, and its acknowledgements go with it."""
    await db.execute("DELETE FROM balancers WHERE id = $1::uuid", balancer_id)


def role_statements(name: str) -> str:
    """The SQL that creates this role, or mends one that exists. It has no password yet. Raises
    ValueError for a name that would need more than quotes."""
    if not ROLE_NAME.fullmatch(name):
        raise ValueError("a role's name has 1 to 63 letters, digits, _ or -, a letter first")
    role = f'"{name}"'
    return f"""\
-- What `photo-fleet balance` may do: see the registry, and write of itself. Run this by psql as the
-- owner of the tables who may create roles, in the service's database, after `photo-api migrate`.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN
        CREATE ROLE {role} LOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO {role}', current_database());
END
$$;
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT ON {", ".join(READ)} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {", ".join(WRITTEN)} TO {role};
-- Then give it a password, which psql asks for and never shows: \\password {role}
"""
