"""Rules of restart loops on what was seen: on faults, and on fleets that are as they should be."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest

from photo_base.clock import Offset
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks.database import DatabaseLook
from photo_fleet.doctor.looks.database import Server as Database
from photo_fleet.doctor.looks.edge_health import EdgeHealthLook
from photo_fleet.doctor.looks.host import HostLook, Kill, Memory, State
from photo_fleet.doctor.looks.registry import Boot, Event, Receipt, RegistryLook, Starts
from photo_fleet.doctor.looks.servers import Asked, Server, ServersLook
from photo_fleet.doctor.restarts import RULES
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.spec.fleet import Database as DatabaseSpec
from photo_fleet.spec.fleet import Fleet, Group

NOW = 100_000.0
MINUTE = 60.0
SPEC = Fleet(group=Group(min=2, max=4, desired=3))
HEALTHY: dict[str, object] = {"ok": True, "latency_ms": 0.5, "age_ms": 100}
numbers = count(1)


def boot(
    instance: str = "10.0.0.1",
    began: float = 60 * MINUTE,
    ended: float | None = None,
    state: str = "",
    **more: object,
) -> Boot:
    """One that began so many seconds ago, and ended or was last heard of so many ago."""
    state = state or ("ready" if ended is None else "stopped")
    last = NOW - (ended or 2.0)
    fields = {
        "boot_id": f"boot-{next(numbers)}",
        "instance": instance,
        "node": f"node-{instance}",
        "region": None,
        "version": "0.1.0",
        "address": instance,
        "port": 8000,
        "workers": 1,
        "state": state,
        "cause": "SIGTERM" if ended else "",
        "started_at": NOW - began,
        "changed_at": last,
        "heartbeat_at": last,
    }
    return Boot(**fields | more)  # type: ignore[arg-type]


def registry(*boots: Boot, events: Sequence[Event] = (), **more: object) -> RegistryLook:
    """With the starts and the receipts of these, ready after 3 s."""
    began = [
        Event(boot.started_at + after, boot.boot_id, boot.instance, name, "")
        for boot in boots
        for after, name in ((0, "started"), (3, "ready"))
        if boot.state != "starting" or name == "started"
    ]
    receipts = tuple(
        Receipt(boot.boot_id, boot.instance, boot.version, boot.changed_at, "drained", boot.cause)
        for boot in boots
        if boot.state == "stopped"
    )
    newest_first = sorted([*began, *events], key=lambda event: -event.at)
    look = RegistryLook(NOW, 60 * MINUTE, boots, tuple(newest_first), receipts)
    return replace(look, **more)  # type: ignore[arg-type]


def server(one: Boot, **more: object) -> Server:
    """One that is well."""
    asked = Asked("/health", 200, "healthy", (0.002,) * 5, patience=5.0, reached=True)
    told = {
        "health": asked,
        "live": replace(asked, path="/health/live"),
        "clock": Offset(0.01, 0.002),
        "checks": {"database": HEALTHY},
        "config": {"workers": 1, "pool": 10},
    }
    return Server(one, **told | more)  # type: ignore[arg-type]


DATABASE = Database("16.4", False, Offset(0.0, 0.001), 200, 3, in_use=40)


def see(look: RegistryLook, *others: object, spec: Fleet = SPEC) -> Seen:
    """The database and all of the registry's instances are well unless `others` say otherwise."""
    servers = ServersLook(tuple(server(one) for one in look.alive if one.workers))
    looks = [DatabaseLook(DATABASE), look, servers, *others]
    return Seen(spec, NOW, {type(one): one for one in looks})


def judged(seen: Seen) -> tuple[dict[str, Finding], set[str]]:
    findings, unknown = judge(seen, RULES)
    return {one.code: one for one in findings}, {one.code for one in unknown}


THREE = tuple(boot(f"10.0.0.{n}", 5 * 3600) for n in (1, 2, 3))


def former(number: int, ended: float, version: str = "0.0.9") -> Boot:
    """One that a deploy has replaced."""
    return boot(f"10.0.1.{number}", 9 * 3600, ended, version=version)


SOUND = {
    "that runs": registry(*THREE),
    "that has just begun": registry(*(boot(f"10.0.0.{n}", 20) for n in (1, 2, 3))),
    "of one instance": registry(THREE[0]),
    "that begins": registry(*THREE, boot("10.0.0.4", 20, state="starting")),
    "in the middle of a deploy": registry(
        *(boot(f"10.0.0.{n}", 60 * n) for n in (1, 2)), boot("10.0.1.3", 7e4, version="0.0.9"),
        former(1, 90), former(2, 30),
    ),
    "whose deploy was taken back": registry(
        *THREE, *(boot(f"10.0.2.{n}", 20 * MINUTE, 15 * MINUTE, version="0.2.0") for n in (1, 2, 3))
    ),
    "that was deployed twice in a few minutes": registry(
        *(boot(f"10.0.0.{n}", 60 * n) for n in (1, 2, 3)),
        *(boot(f"10.0.2.{n}", 10 * MINUTE, 2 * MINUTE) for n in range(3)),
        *(boot(f"10.0.3.{n}", 18 * MINUTE, 9 * MINUTE) for n in range(3)),
    ),
    "that grew and shrank": registry(
        *THREE, *(boot(f"10.0.3.{n}", 40 * MINUTE, 20 * MINUTE) for n in (1, 2, 3, 4))
    ),
    "of which one was restarted by hand, twice": registry(
        *THREE[1:],
        boot("10.0.0.1", 30 * MINUTE, 20 * MINUTE), boot("10.0.0.1", 19 * MINUTE, 10 * MINUTE),
        boot("10.0.0.1", 9 * MINUTE),
    ),
    "deployed in place three times": registry(
        *(boot("10.0.0.1", 40 * MINUTE - 600 * n, 35 * MINUTE - 600 * n, version=f"0.{n}.0")
          for n in (1, 2, 3)),
        boot("10.0.0.1", 4 * MINUTE, version="0.4.0"),
    ),
    "one of which drains": registry(*THREE, boot("10.0.0.4", 3600, state="draining")),
    "with job workers on one machine": registry(
        *THREE, *(boot("10.0.9.9", 3000 - n, workers=0, port=0) for n in range(4))
    ),
    "whose database was away for a moment": registry(
        *THREE,
        events=[
            Event(NOW - at, one.boot_id, one.instance, name, "database: no answer within 1.5 s")
            for one in THREE for at, name in ((600, "check_fails"), (590, "check_passes"))
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fleet", SOUND)
def test_a_sound_fleet(fleet: str) -> None:
    assert judged(see(SOUND[fleet])) == ({}, set())


def test_a_sound_fleet_with_other_looks() -> None:
    close = [server(one, clock=Offset(0.4, 0.05)) for one in THREE]
    host = HostLook("nginx-1", (), {"photo-api.service": Memory(300, 1000, 0)}, {})
    pooled = replace(SPEC, database=DatabaseSpec(pooler="transaction"), group=Group(max=500))
    look = registry(*THREE)
    assert judged(see(look, ServersLook(tuple(close)), host, spec=pooled)) == ({}, set())


def test_one_instance_is_killed_again_and_again() -> None:
    deaths = [boot(began=900 - 200 * n, ended=790 - 200 * n, state="ready") for n in range(3)]
    days = tuple(Starts("10.0.0.1", day, 1) for day in range(1, 4))
    look = registry(*THREE[1:], *deaths, boot(began=200), starts=days)
    found, unknown = judged(see(look))
    assert set(found) == {"restart-loop", "instances-lost"}
    assert not unknown
    assert "10.0.0.1 was started 4 times in 1 h, 0.5 times a day before" in (
        found["restart-loop"].evidence
    )


def test_one_instance_is_stopped_again_and_again() -> None:
    stops = [boot(began=900 - 200 * n, ended=790 - 200 * n) for n in range(3)]
    found, _ = judged(see(registry(*THREE[1:], *stops, boot(began=200))))
    assert list(found) == ["restart-loop"]
    assert "3× drained by SIGTERM" in found["restart-loop"].evidence


def test_each_new_machine_is_ended_soon_after_its_start() -> None:
    short = [boot(f"10.1.0.{n}", 3000 - 60 * n, 2900 - 60 * n) for n in range(12)]
    found, _ = judged(see(registry(*THREE, *short)))
    assert list(found) == ["restart-loop"]
    assert "12 instances of 0.1.0 ended within 10 min of their start in 1 h, and 3 live" in (
        found["restart-loop"].evidence
    )


def test_one_whose_port_is_another_each_time() -> None:
    dead = [
        boot(began=900 - 200 * n, ended=790 - 200 * n, state="lost", port=9 + n) for n in (0, 1)
    ]
    found, _ = judged(see(registry(*THREE[1:], *dead, boot(began=200, port=20))))
    assert "10.0.0.1 was started 3 times" in found["restart-loop"].evidence


def test_new_machines_that_die() -> None:
    dead = [boot(f"10.1.0.{n}", 3000 - 60 * n, 2900 - 60 * n, state="lost") for n in range(3)]
    found, _ = judged(see(registry(*THREE, *dead)))
    assert set(found) == {"restart-loop", "instances-lost"}


def test_boots_whose_rows_somebody_has_deleted() -> None:
    stops = [boot(began=900 - 200 * n, ended=790 - 200 * n) for n in range(4)]
    look = registry(*THREE[1:], *stops, boot(began=60))
    rows = tuple(one for one in look.instances if one not in stops)
    found, _ = judged(see(replace(look, instances=rows)))
    assert "4× drained by SIGTERM" in found["restart-loop"].evidence


def test_a_unit_that_never_reaches_the_registry() -> None:
    host = HostLook(
        "vm-7", (), {}, {"photo-api.service": State("activating", "auto-restart", "exit-code", 9)}
    )
    found, _ = judged(see(registry(*THREE), host))
    assert list(found) == ["restart-loop"]
    assert "started again 9 times: exit-code" in found["restart-loop"].evidence


def test_the_only_instance_is_gone() -> None:
    found, unknown = judged(see(registry(boot(began=3000, ended=500, state="lost"))))
    assert found["instances-lost"].level == "error"
    assert "database-down" in unknown


def test_one_that_stood_still_and_one_that_nobody_can_declare_lost() -> None:
    back = [Event(NOW - 60, THREE[0].boot_id, "10.0.0.1", "recovered", "")]
    silent = boot("10.0.0.9", 3000, ended=200, state="ready")
    look = registry(*THREE, silent, events=back)
    dead = replace(server(silent), health=None, live=None, checks={}, problem="no answer")
    servers = ServersLook((*(server(one) for one in THREE), dead))
    findings, unknown = judge(see(look, servers), RULES)
    told = [one.evidence for one in findings if one.code == "instances-lost"]
    assert any("10.0.0.1 stood still or was cut off" in text for text in told)
    assert any("10.0.0.9 200 s ago; 3 live" in text for text in told)
    assert {one.code for one in unknown} >= {"database-down", "clock-offset"}


def test_a_boot_that_waits_for_ever() -> None:
    look = registry(*THREE, boot("10.0.0.4", 400, state="starting"))
    found, _ = judged(see(look))
    assert found["boot-slow"].level == "error"
    assert "10.0.0.4 and is not ready yet 400 s after its start" in found["boot-slow"].evidence


def test_one_is_ready_by_its_row_when_so_much_happened_that_the_event_is_not_read() -> None:
    one, other = boot("10.0.0.1", 40 * MINUTE), boot("10.0.0.2", 40 * MINUTE)
    again = Event(NOW - MINUTE, other.boot_id, other.instance, "ready", "")
    cut = registry(one, other, events=(again,))
    cut = replace(cut, events=cut.events[:1], left_out=frozenset({"events"}))
    found, unknown = judged(see(cut))
    assert "boot-slow" not in found
    assert "boot-slow" in unknown


def died(one: Boot, ago: float, cause: str) -> Event:
    return Event(NOW - ago, one.boot_id, one.instance, "worker_died", cause)


def test_processes_that_die_by_themselves() -> None:
    look = registry(*THREE, events=[died(THREE[0], n, "jobs exited with 1") for n in (9, 8, 7)])
    found, unknown = judged(see(look))
    assert found["worker-deaths"].level == "error"
    assert not unknown
    assert found["worker-deaths"].subjects == ("10.0.0.1",)


def test_the_kernel_ends_processes_for_memory() -> None:
    look = registry(*THREE, events=[died(THREE[0], 100, "web-1 killed by SIGKILL")])
    node, group = THREE[0].node, "/system.slice/photo-api.service"
    kill = Kill(NOW - 99, 42, "photo-api", group, 400 << 20)
    assert "out-of-memory" in judged(see(look))[1]
    assert "out-of-memory" in judged(see(look, HostLook("elsewhere", ())))[1]
    assert "out-of-memory" in judged(see(look, HostLook(node, None)))[1]
    found, unknown = judged(see(look, HostLook(node, (kill,))))
    assert "with 400 MiB in /system.slice/photo-api.service" in found["out-of-memory"].evidence
    assert not unknown
    other = HostLook(node, (Kill(NOW - 2000, 7, "firefox", "/user.slice"),))
    assert "out-of-memory" not in judged(see(look, other))[0]

    full = {"photo-api.service": Memory(950 << 20, 1000 << 20, 0)}
    found, _ = judged(see(registry(*THREE), HostLook(node, (), full)))
    assert found["out-of-memory"].level == "warning"
    ended = {"photo-api.service": Memory(100 << 20, 1000 << 20, 2)}
    found, _ = judged(see(registry(*THREE), HostLook(node, None, ended)))
    assert "has ended 2 processes of photo-api.service" in found["out-of-memory"].evidence


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_connections": 60}, "max_connections 60 − 10 for others"),
        ({"role_limit": 50}, "CONNECTION LIMIT 50 of the role"),
        ({"reserved": 160}, "max_connections 200 − 160 for others"),
    ],
)
def test_the_grown_fleet_does_not_fit(change: dict[str, int], told: str) -> None:
    smaller = replace(DATABASE, **change)  # type: ignore[arg-type]
    found, _ = judged(see(registry(*THREE), DatabaseLook(smaller)))
    assert told in found["connections-exceed"].evidence


def test_larger_instances_than_in_the_spec_do_not_fit() -> None:
    config = {"workers": 4, "pool": 10}
    large = [server(THREE[0], config=config), *(server(one) for one in THREE[1:])]
    found, _ = judged(see(registry(*THREE), ServersLook(tuple(large))))
    assert "(4 workers × pool 10 + 7) = 235 connections (/health/detailed of 10.0.0.1)" in (
        found["connections-exceed"].evidence
    )


def failing(one: Boot, error: str) -> Server:
    return server(one, checks={"database": {"ok": False, "latency_ms": 0, "error": error}})


@pytest.mark.parametrize(
    ("error", "code", "mended"),
    [
        ("no answer within 1.5 s", "database-down", "load and at the network"),
        ("ConnectionRefusedError", "database-down", "start the database"),
        ("InvalidPasswordError", "database-down", "give instances the password"),
        ("not looked at any more", "database-down", "restart that instance"),
        ("schema incomplete, run photo-api migrate: 0027_more", "schema-behind", "migrate"),
    ],
)
def test_an_instance_has_no_database(error: str, code: str, mended: str) -> None:
    ill = ServersLook((failing(THREE[0], error), *(server(one) for one in THREE[1:])))
    found, unknown = judged(see(registry(*THREE), ill))
    assert (list(found), unknown) == ([code], set())
    assert f"10.0.0.1{'' if code == 'database-down' else ' ()'}: {error}" in found[code].evidence
    assert mended in found[code].fix


def test_one_that_has_just_begun_may_be_migrating() -> None:
    young = boot("10.0.0.4", 20, state="starting")
    error = "schema incomplete, run photo-api migrate: 0027_more"
    known = {"workers": 1, "pool": 10, "schema": ["0026_some", "0027_more"]}
    lacks = replace(failing(young, error), config=known)
    servers = ServersLook((*(server(one) for one in THREE), lacks))
    noted = DatabaseLook(replace(DATABASE, migrations=("0026_some",)))
    assert judged(see(registry(*THREE, young), servers, noted)) == ({}, set())


def test_a_migration_that_was_lost_is_missed_before_the_next_start() -> None:
    config = {"workers": 1, "pool": 10, "schema": ["0026_some", "0027_more"]}
    servers = ServersLook(tuple(server(one, config=config) for one in THREE))
    noted = DatabaseLook(replace(DATABASE, migrations=("0026_some", "0028_newer")))
    found, _ = judged(see(registry(*THREE), servers, noted))
    assert "10.0.0.1 knows 0027_more, which the database has not noted" in (
        found["schema-behind"].evidence
    )


def test_without_the_registry_it_is_nginx_that_leads_to_instances() -> None:
    gone = Unseen("the registry: no answer in time", "psql")
    edge = EdgeHealthLook("http://127.0.0.1/health", 3, {"10.0.0.1": "no answer within 1.5 s"})
    looks = dict.fromkeys((DatabaseLook, RegistryLook, ServersLook), gone)
    found, unknown = judged(Seen(SPEC, NOW, {**looks, EdgeHealthLook: edge}))
    assert list(found) == ["database-down"]
    assert "1 of the 3 that answered http://127.0.0.1/health" in found["database-down"].evidence
    assert {rule.code for rule in RULES} - unknown == set()
    well = replace(edge, errors={})
    assert judged(Seen(SPEC, NOW, {**looks, EdgeHealthLook: well}))[0] == {}


def test_the_database_turns_everybody_away() -> None:
    look = DatabaseLook(None, "the database system is starting up", refused=True)
    found, unknown = judged(Seen(SPEC, NOW, {DatabaseLook: look}))
    assert list(found) == ["database-down"]
    assert "restart-loop" in unknown


@pytest.mark.parametrize(
    ("database", "clocks", "told"),
    [
        (0, (0, 0, 60), ["clock of 10.0.0.3 is 60.0 s (± 0.003) ahead of that of the database"]),
        (0, (0, -7, 60), ["the clock of 10.0.0.3, 10.0.0.2 is 60.0 s (± 0.003) ahead of that"]),
        (-30, (0, 0, 0), ["database's machine is 30.0 s (± 0.001) behind that of this machine"]),
        (30, (30, 30, 30), ["the clock of this machine is 30.0 s (± 0.001) behind that of the"]),
        (30, (30, 30, 90), ["the clock of this machine is 30.0", "the clock of 10.0.0.3 is 60.0"]),
        (-30, (0, 0, 90), ["the database's machine is 30.0", "the clock of 10.0.0.3 is 120.0"]),
    ],
)  # fmt: skip
def test_clocks_that_are_off(database: float, clocks: Sequence[float], told: list[str]) -> None:
    servers = [
        server(one, clock=Offset(ahead, 0.002)) for one, ahead in zip(THREE, clocks, strict=True)
    ]
    look = DatabaseLook(replace(DATABASE, clock=Offset(database, 0.001)))
    findings, unknown = judge(see(registry(*THREE), look, ServersLook(tuple(servers))), RULES)
    assert not unknown
    assert len(findings) == len(told)
    assert all(any(text in one.evidence for one in findings) for text in told)


def test_a_clock_that_answers_slowly_is_not_known() -> None:
    slow = [server(THREE[0], clock=Offset(3.0, 6.0)), *(server(one) for one in THREE[1:])]
    assert judged(see(registry(*THREE), ServersLook(tuple(slow)))) == ({}, {"clock-offset"})


def test_boots_that_are_ended_while_the_database_fails_them() -> None:
    ended = [boot(f"10.0.4.{n}", 3000, 400) for n in (1, 2)]
    events = [
        Event(NOW - at, one.boot_id, one.instance, name, cause)
        for one in ended
        for at, name, cause in (
            (520, "check_fails", "database: no answer within 1.5 s"),
            (430, "draining", "SIGTERM"),
        )
    ]
    found, _ = judged(see(registry(*THREE, *ended, events=events)))
    assert list(found) == ["replaced-by-database"]
    assert "10.0.4.2 90 s after, 10.0.4.1 90 s after the first failure" in (
        found["replaced-by-database"].evidence
    )
