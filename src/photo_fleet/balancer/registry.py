"""SQL of a balancer: what it reads of the registry, and what it writes there of itself.

Its role may do nothing else; `role_statements` creates it.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from photo_api.contract import ALIVE, LOST_AFTER
from photo_fleet.balancer.membership import Member, Registered

LONGEST_INSTANCE = 128
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:-]")
"""What nginx takes in no instance's name: one odd name must not have it refuse the whole set."""

ROLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")

READ = ("instances", "instance_events", "instance_receipts", "schema_migrations")
"""The last is the doctor's: which migrations there are."""
WRITTEN = ("balancers", "balancer_removals")

MINE = "mine AS (SELECT id FROM balancers WHERE id = $1::uuid AND session = $2::uuid"


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity under which a balancer writes: its `id` outlives it, `session` is that of this
    start, `name` is for people."""

    id: str
    session: str
    name: str


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


async def beat(db: Any, me: Identity) -> bool:
    """Be seen; False when this session does not hold its id (any more)."""
    return await db.fetchval(
        "UPDATE balancers SET seen_at = now(), name = $3"
        " WHERE id = $1::uuid AND session = $2::uuid RETURNING true",
        me.id, me.session, me.name,
    ) is not None  # fmt: skip


async def enlist(db: Any, me: Identity, ended: str | None) -> bool:
    """Hold the id from now on, without what others have acknowledged under it; False when another
    session lives under it. `ended` is a session that is known to have ended. Without one a row is
    free when nobody has been seen under it for `LOST_AFTER`, also one without a session: the
    release before writes none."""
    async with db.transaction():
        held = await db.fetchval(
            "INSERT INTO balancers (id, session, name) VALUES ($1::uuid, $2::uuid, $3)"
            " ON CONFLICT (id) DO UPDATE SET seen_at = now(), session = $2::uuid, name = $3"
            " WHERE balancers.session IN ($2::uuid, $4::uuid)"
            " OR balancers.seen_at < now() - make_interval(secs => $5)"
            " RETURNING true",
            me.id, me.session, me.name, ended, LOST_AFTER,
        )  # fmt: skip
        if held:
            # A statement of its own: it sees what was acknowledged until the row was locked.
            await db.execute("DELETE FROM balancer_removals WHERE balancer_id = $1::uuid", me.id)
    return held is not None


async def acknowledge(db: Any, me: Identity, boots: Collection[str]) -> bool:
    """Say that nothing is sent to these any more; False, and nothing is said, when this session
    does not hold its id. The row is locked, so that nobody takes the id over meanwhile."""
    held: bool = await db.fetchval(
        f"WITH {MINE} FOR SHARE), said AS ("
        "  INSERT INTO balancer_removals (balancer_id, boot_id)"
        "  SELECT id, unnest($3::text[]::uuid[]) FROM mine ON CONFLICT DO NOTHING)"
        " SELECT EXISTS (SELECT FROM mine)",
        me.id, me.session, list(boots),
    )  # fmt: skip
    return held


async def prune(db: Any, me: Identity) -> None:
    """Removals of those that drain no more, and balancers that nobody has seen for a day."""
    await db.execute(
        f"WITH {MINE}) DELETE FROM balancer_removals AS removal USING mine"
        " WHERE balancer_id = mine.id AND NOT EXISTS"
        " (SELECT FROM instances WHERE instances.boot_id = removal.boot_id AND state = ANY($3))",
        me.id, me.session, list(ALIVE),
    )  # fmt: skip
    await db.execute("DELETE FROM balancers WHERE seen_at < now() - interval '1 day'")


async def leave(db: Any, me: Identity) -> None:
    """This balancer ends: nobody waits for it, and its acknowledgements go with it."""
    await db.execute(
        "DELETE FROM balancers WHERE id = $1::uuid AND session = $2::uuid", me.id, me.session
    )


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
