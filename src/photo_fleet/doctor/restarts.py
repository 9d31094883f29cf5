"""Restart loops: what ends instances, or lets them seem to be ill."""

from collections.abc import Iterable, Iterator

from photo_api.contract import HEALTH_PATH, PROBE_TIMEOUT
from photo_base.clock import Offset
from photo_fleet.doctor import database_rules, deaths, memory_rules
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.database import TOLD
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed

LARGE = 0.5
"""Share of a patience from which a usual answer is one pause away from being too late."""
SKEWED, HARMFUL = 5.0, 120.0
"""Seconds between two clocks. No synchronised clock is off by the one; and an access token is taken
for 240 seconds beyond its end, a signed URL from 300 before its begin, by clocks of which one may
be late and the other early."""


def health_slow(seen: Seen) -> Iterator[Finding]:
    """The path that balancers ask answers well within their patience, and so does the database
    within that of an instance."""
    look, limit = seen.need(ServersLook), seen.spec.health_check.timeout
    late = [(one, told) for one in look.servers if (told := _lateness(one, limit))]
    if late:
        worst, (seconds, how) = max(late, key=lambda one: one[1][0])
        yield Finding(
            "error" if seconds >= limit else "warning",
            "health-slow",
            f"{worst.boot.instance}: {how}; health_check.timeout is {limit:g} s ({len(late)} of"
            f" {len(look.servers)} instances, asked from here)",
            f"time {worst.boot.asked(seen.spec.health_check.path)}",
            "see what holds its event loop or its processors (cpu_percent in the registry, log);"
            " more instances, or a health_check.timeout beyond what it needs",
            tuple(server.boot.instance for server, _ in late),
        )
    yield from _database_slow(look)
    look.all_told()


def _lateness(server: Server, limit: float) -> tuple[float, str] | None:
    """Seconds that an answer usually takes, at least, and how that was seen; None when that is
    little."""
    asked = server.health
    if asked is None:
        return None
    usual = asked.usual or 0.0
    if asked.late > len(asked.latencies):
        return max(
            asked.patience, usual
        ), f"{asked.path} gave no answer within {asked.patience:g} s"
    if usual < LARGE * limit:
        return None
    return usual, f"{asked.path} took {usual:.2f} s, the middle of {len(asked.latencies)} answers"


def _database_slow(look: ServersLook) -> Iterator[Finding]:
    """Each of a few looks in a row took long and came to something: one alone may have met a busy
    moment, and a database that is away is told of elsewhere."""
    slow = [
        server
        for server in look.answering
        if len(server.database_s) > 1 and min(server.database_s) >= LARGE * PROBE_TIMEOUT
        if server.checks.get("database", {}).get("ok") is True
    ]
    if slow:
        worst = max(slow, key=lambda server: min(server.database_s))
        yield Finding(
            "warning",
            "health-slow",
            f"{worst.boot.instance}: its looks at the database take {min(worst.database_s):.2f} s;"
            f" after {PROBE_TIMEOUT:g} s it is not ready any more ({len(slow)} of"
            f" {len(look.servers)} instances, checks.database.latency_ms of /health)",
            worst.boot.asked(HEALTH_PATH),
            "look at the database's load and at the network to it; docs/operations.md#capacity",
            tuple(server.boot.instance for server in slow),
        )


def clock_offset(seen: Seen) -> Iterator[Finding]:
    """All clocks show the database's time, by which the registry goes."""
    database = database_rules.database_of(seen)
    ours = Offset(0.0, 0.0).against(database.clock)
    look = seen.look(ServersLook) or ServersLook()
    offsets = [
        (server.boot.instance, server.clock.against(database.clock))
        for server in look.servers
        if server.clock is not None
    ]
    off = [(name, one) for name, one in offsets if one.least > SKEWED]
    alike = [(name, one) for name, one in off if abs(one.seconds - ours.seconds) <= SKEWED]
    if ours.least > SKEWED and 2 * len(alike) > len(offsets):
        yield _off("the database's machine", database.clock, "this machine and most instances")
        off = [one for one in off if one not in alike]
    elif ours.least > SKEWED:
        yield _off("this machine", ours, "the database")
    if off:
        off.sort(key=lambda one: -one[1].least)
        names = [name for name, _ in off]
        yield _off(listed(names), off[0][1], "the database", names)
    seen.need(ServersLook).all_told()
    blurred = [name for name, one in offsets if one.uncertainty > SKEWED]
    if blurred:
        raise Unseen(f"{listed(blurred)} answered too slowly to tell its time", TOLD)


def _off(who: str, offset: Offset, other: str, names: Iterable[str] = ()) -> Finding:
    way = "ahead of" if offset.seconds > 0 else "behind"
    return Finding(
        "error" if offset.least >= HARMFUL else "warning",
        "clock-offset",
        f"the clock of {who} is {abs(offset.seconds):.1f} s (± {offset.uncertainty:.3f}) {way}"
        f" that of {other} (`timestamp` of /health, now() of the database)",
        "timedatectl (on it)",
        "have it synchronised there: systemctl enable --now systemd-timesyncd (or chrony)",
        tuple(names),
    )


RULES: tuple[Rule, ...] = (
    Rule("database-down", database_rules.database_down),
    Rule("schema-behind", database_rules.schema_behind),
    Rule("connections-used-up", database_rules.connections_used_up),
    Rule("connections-exceed", database_rules.connections_exceed),
    Rule("health-slow", health_slow),
    Rule("replaced-by-database", deaths.replaced_by_database),
    Rule("boot-slow", deaths.boot_slow),
    Rule("restart-loop", deaths.restart_loop),
    Rule("worker-deaths", deaths.worker_deaths),
    Rule("out-of-memory", memory_rules.out_of_memory),
    Rule("instances-lost", deaths.instances_lost),
    Rule("clock-offset", clock_offset),
)
"""Causes before what they lead to: findings of one level are told in this order."""
