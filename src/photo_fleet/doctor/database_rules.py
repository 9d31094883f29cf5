"""Whether instances reach their database, and fit into it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from photo_api.contract import HEALTH_PATH
from photo_base.capacity import DEPLOYED, ROUND, beside_workers
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looks.database import TOLD, DatabaseLook, Server
from photo_fleet.doctor.looks.edge_health import EdgeHealthLook
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import Server as Instance
from photo_fleet.doctor.looks.servers import ServersLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed
from photo_fleet.spec.fleet import Fleet

FEW = 5
"""Connections left with which neither a new instance nor a migration begins."""
SCHEMA = "schema incomplete"
NOT_YET = "not looked at yet"
MIGRATE = "photo-api migrate, with the settings of an instance of the newest release"
MOST_MIGRATIONS = 10_000
WHO = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT application_name, usename, count(*) FROM'
    ' pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20"'
)
LIMIT = 'psql "$PHOTO_FLEET_DATABASE_URL" -c "SHOW max_connections"'


def database_of(seen: Seen) -> Server:
    """What the database told. Raises `Unseen`."""
    look = seen.need(DatabaseLook)
    if look.server is None:
        raise Unseen(f"the database: {look.problem}", TOLD)
    return look.server


@dataclass(frozen=True, slots=True)
class _Size:
    """Of one instance: what its connections are counted from, and where that was read."""

    workers: int
    pool: int
    jobs: int
    source: str

    @property
    def connections(self) -> int:
        return self.workers * self.pool + beside_workers(self.jobs)


def connections_exceed(seen: Seen) -> Iterator[Finding]:
    """The grown fleet fits into what the database really takes. Behind a transaction pooler its
    limits count, which nobody here knows."""
    spec = seen.spec
    if spec.database.pooler == "transaction":
        return
    database, size = database_of(seen), _largest(seen)
    most, job_workers = spec.group.max + DEPLOYED, _job_workers(seen)
    needed = most * size.connections + job_workers * beside_workers(spec.service.job_concurrency)
    room = _room(database, spec)
    if needed <= room:
        return
    beside = beside_workers(size.jobs)
    jobs = f" + {job_workers} job workers" if job_workers else ""
    yield Finding(
        "error",
        "connections-exceed",
        f"(group.max {spec.group.max} + {DEPLOYED} in a deploy) × ({size.workers} workers × pool"
        f" {size.pool} + {beside}){jobs} = {needed} connections ({size.source}); the database has"
        f" room for {room}: {_limits(database, spec)}",
        LIMIT,
        _fitting(room, most, beside, size, needed + database.max_connections - room),
    )


def _largest(seen: Seen) -> _Size:
    """Of the instance with the most, or of those to come, as the spec says."""
    spec = seen.spec.service
    look = seen.look(ServersLook) or ServersLook()
    told = [_told(server, spec.job_concurrency) for server in look.answering]
    planned = _Size(spec.workers, spec.pool, spec.job_concurrency, "the spec")
    sizes = [planned, *(size for size in told if size is not None)]
    return max(sizes, key=lambda size: size.connections)


def _told(server: Instance, jobs: int) -> _Size | None:
    config = server.config or {}
    workers, pool = config.get("workers"), config.get("pool")
    if not isinstance(workers, int) or not isinstance(pool, int):
        return None
    idle = server.metrics is not None and not any(
        labels.get("process") == "jobs"
        for labels, _ in server.metrics.samples("photo_api_resident_memory_bytes")
    )
    source = f"/health/detailed of {server.boot.instance}"
    return _Size(workers, pool, 0 if idle else jobs, source)


def _job_workers(seen: Seen) -> int:
    """Instances that only do jobs."""
    registry = seen.look(RegistryLook)
    return sum(not boot.workers for boot in registry.alive) if registry else 0


def _room(database: Server, spec: Fleet) -> int:
    """Connections for instances: without those that the spec or the server keeps for others."""
    kept = max(database.reserved, spec.database.reserved)
    limits = (database.database_limit, database.role_limit)
    return min([database.max_connections - kept, *(one for one in limits if one is not None)])


def _limits(database: Server, spec: Fleet) -> str:
    kept = max(database.reserved, spec.database.reserved)
    parts = [f"max_connections {database.max_connections} − {kept} for others"]
    if database.database_limit is not None:
        parts.append(f"CONNECTION LIMIT {database.database_limit} of the database")
    if database.role_limit is not None:
        parts.append(f"CONNECTION LIMIT {database.role_limit} of the role")
    return ", ".join(parts) + " (read from it)"


def _fitting(room: int, most: int, beside: int, size: _Size, limit: int) -> str:
    pool = (room // most - beside) // size.workers if size.workers else 0
    ways = [f"max_connections = {ceil(limit / ROUND) * ROUND}, or a transaction pooler"]
    if pool >= 1:
        ways.insert(0, f"service.pool = {pool} (PHOTO_API_DATABASE_POOL)")
    return ", or ".join(ways)


def connections_used_up(seen: Seen) -> Iterator[Finding]:
    """Some connections are left."""
    look = seen.need(DatabaseLook)
    fix = "end what holds them without need, or raise max_connections; docs/operations.md#capacity"
    if look.full:
        told = f"the database let us in no more: {look.problem}"
        yield Finding("error", "connections-used-up", told, WHO, fix)
        return
    if seen.spec.database.pooler == "transaction":
        return  # it holds what it may
    database = database_of(seen)
    left = database.usable - database.in_use
    if left >= FEW:
        return
    most = Counter(dict(database.connections)).most_common(3)
    largest = ", ".join(f"{program or 'no name'} {number}" for program, number in most)
    yield Finding(
        "error",
        "connections-used-up",
        f"{database.in_use} of {database.usable} connections are in use, {max(0, left)} are left"
        f" (pg_stat_activity); most have {largest}",
        WHO,
        fix,
    )


def schema_behind(seen: Seen) -> Iterator[Finding]:
    """Every instance finds all migrations of its release; one that has just begun may be making
    them."""
    database = seen.look(DatabaseLook)
    if database and database.server and not database.server.migrated:
        told = "the database has no table `instances`: nobody has migrated it, or it is another"
        command = 'psql "$PHOTO_FLEET_DATABASE_URL" -c "\\dt"'
        yield Finding("error", "schema-behind", told, command, MIGRATE)
    registry, look = seen.need(RegistryLook), seen.need(ServersLook)
    settled = [
        server
        for server in look.answering
        if registry.now - server.boot.started_at >= seen.spec.group.warm_up
    ]
    noted = database.server.migrations if database and database.server else None
    unread: Unseen | None = None
    unnoted: list[Finding] = []
    try:
        unnoted += _unnoted(noted, settled) if noted is not None else ()
    except Unseen as unseen:
        unread = unseen
    yield from unnoted
    behind = [(server, error) for server in settled if (error := _error(server)).startswith(SCHEMA)]
    if behind and not unnoted:
        server, error = behind[0]
        yield Finding(
            "error",
            "schema-behind",
            f"{server.boot.instance} ({server.version}): {error}"
            f" ({len(behind)} of {len(look.servers)} instances, read from /health)",
            server.boot.asked(HEALTH_PATH),
            MIGRATE,
            tuple(server.boot.instance for server, _ in behind),
        )
    look.all_told()
    if unread is not None:
        raise unread


def _unnoted(noted: Sequence[str], servers: Sequence[Instance]) -> Iterator[Finding]:
    """An instance that runs looks for them at its start alone: a backup that was restored, or a
    failover, may have taken some away since."""
    known = frozenset(noted)
    lacking = [
        (server.boot.instance, missing)
        for server in servers
        if (missing := [name for name in _known(server) if name not in known])
    ]
    if lacking:
        instance, missing = lacking[0]
        yield Finding(
            "error",
            "schema-behind",
            f"{instance} knows {listed(missing)}, which the database has not noted"
            f" (schema_migrations; {len(lacking)} of {len(servers)} instances): none becomes"
            " ready after its next start",
            'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT name FROM schema_migrations ORDER BY 1"',
            MIGRATE,
            tuple(dict.fromkeys(name for name, _ in lacking)),
        )


def _known(server: Instance) -> list[str]:
    names = (server.config or {}).get("schema")
    return [str(name) for name in names[:MOST_MIGRATIONS]] if isinstance(names, list) else []


def database_down(seen: Seen) -> Iterator[Finding]:
    """Instances reach their database. Where nobody tells which instances there are, as in an outage
    of the registry itself, those tell that nginx has."""
    found = list(_turned_away(seen)) or list(_seen_at_the_edge(seen))
    yield from found
    look = seen.need(ServersLook)
    cut_off = [(server, error) for server in look.answering if (error := _reason(server))]
    if cut_off:
        server, error = cut_off[0]
        yield Finding(
            "error",
            "database-down",
            f"{server.boot.instance}: {error} ({len(cut_off)} of {len(look.servers)} instances,"
            " read from /health/detailed)",
            server.boot.asked(HEALTH_PATH),
            _mended(error),
            tuple(server.boot.instance for server, _ in cut_off),
        )
    look.all_told()


def _turned_away(seen: Seen) -> Iterator[Finding]:
    look = seen.look(DatabaseLook)
    if look and look.refused:
        told = f"the database's address takes no connection: {look.problem}"
        yield Finding("error", "database-down", told, TOLD, _mended(look.problem))


def _seen_at_the_edge(seen: Seen) -> Iterator[Finding]:
    look = seen.look(EdgeHealthLook) or EdgeHealthLook("")
    for instance, error in list(look.errors.items())[:1]:
        yield Finding(
            "error",
            "database-down",
            f"{instance}: {error} ({len(look.errors)} of the {look.answers} that answered"
            f" {look.url})",
            f"curl -sS {look.url}",
            _mended(error),
            tuple(look.errors),
        )


def _reason(server: Instance) -> str:
    """Why the instance has no database, "" when it has, or has not looked yet, or lacks only
    migrations."""
    error = _error(server)
    return "" if error.startswith((SCHEMA, NOT_YET)) else error


def _error(server: Instance) -> str:
    check = server.checks.get("database", {"ok": True})
    return "" if check.get("ok") else str(check.get("error", "it is not well"))[:300]


def _mended(error: str) -> str:
    if error.startswith("no answer"):
        return "look at the database's load and at the network to it; docs/operations.md#capacity"
    if "Password" in error or "Authorization" in error:
        return "give instances the password that the database has (their DATABASE_URL)"
    if error.startswith("not looked at"):
        return "restart that instance: its supervisor hangs"
    return "start the database, or name the one that runs in the instances' DATABASE_URL"
