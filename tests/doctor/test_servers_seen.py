"""What the doctor sees of the database, the registry and the instances: of real ones."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from photo_base.clock import offset
from photo_fleet.doctor.looks import database, registry, servers
from photo_fleet.doctor.looks.database import DatabaseLook
from photo_fleet.doctor.looks.exposition import parse
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.spec.fleet import Fleet
from tests.doctor.seeing import boot_of, reach_of, seen_through, server_of
from tests.own_stage import empty_database, own_database
from tests.photo_fleet.balancers import role_url
from tests.service import Service

NOTHING = Seen(Fleet(), 0, {})


async def test_an_instance_is_seen_whole(service: Service) -> None:
    seen = await seen_through(reach_of(service.environ))

    told = seen.need(DatabaseLook).server
    assert told is not None
    assert not told.recovering
    assert told.clock.least == 0
    assert 0 < told.in_use < told.usable == told.max_connections - told.reserved
    assert told.connections["photo-fleet doctor"] >= 1

    boot, found = boot_of(seen, service), seen.need(RegistryLook)
    assert boot.node
    assert boot.workers == 1
    assert any(e.boot_id == boot.boot_id and e.event == "started" for e in found.events)
    assert sum(one.count for one in found.starts if one.instance == boot.instance) >= 1
    assert not found.left_out

    server = server_of(seen, service)
    assert server.problem == ""
    assert server.health is not None
    assert server.live is not None
    assert (server.health.status, server.health.word) == (200, "healthy")
    assert len(server.health.latencies) == servers.HEALTH_TIMES
    assert server.clock is not None
    assert server.clock.least == 0
    assert server.checks["database"]["ok"] is True
    assert server.config is not None
    assert server.config["workers"] == 1
    assert server.statistics is not None
    assert server.metrics is not None
    assert server.metrics.value("photo_api_worker_deaths_total", process="web") == 0
    assert server.metrics.samples("photo_api_info")[0][0]["boot_id"] == boot.boot_id


async def test_without_the_token_its_configuration_is_not_known(service: Service) -> None:
    server = server_of(await seen_through(reach_of(service.environ, ops_token="")), service)
    assert (server.config, server.statistics) == (None, None)
    assert server.checks["database"]["ok"] is True


async def test_one_that_hangs_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MOST_PATIENCE", 0.5)
    web = service.children("photo_api.web_worker")
    for process in web:
        process.suspend()
    try:
        seen = await seen_through(reach_of(service.environ))
    finally:
        for process in web:
            process.resume()
    server = server_of(seen, service)
    assert server.problem.startswith("no answer within")
    assert not server.answers
    assert server.live is not None
    assert server.live.reached


async def test_whom_the_registry_names_and_another_answers(service: Service) -> None:
    reach = reach_of(service.environ)
    seen = await seen_through(reach)
    boot = boot_of(seen, service)
    fields = {name: getattr(boot, name) for name in Boot.__dataclass_fields__}

    async def problem(**other: Any) -> str:
        found = RegistryLook(0, 60, (Boot(**fields | other),))
        look = await servers.take(reach, Seen(reach.spec, 0, {RegistryLook: found}))
        return look.servers[0].problem

    assert await problem(instance="10.9.9.9") == f"{boot.instance} answers at {boot.place}"
    assert "for its own machine" in await problem(node="another-machine")
    assert "is no IP address" in await problem(address="db.example.org")
    assert await problem(port=1) == "connection refused"


async def test_what_cannot_be_read_is_unseen_and_tells_no_secret(service: Service) -> None:
    with pytest.raises(Unseen, match="nobody has told"):
        await registry.take(reach_of(service.environ, database=None), NOTHING)
    with pytest.raises(Unseen, match="nothing looked for RegistryLook"):
        await servers.take(reach_of(service.environ), NOTHING)
    wrong = "postgresql://nobody:a-secret@127.0.0.1:1/none"
    with pytest.raises(Unseen) as unseen:
        await registry.take(reach_of(service.environ, database=lambda: wrong), NOTHING)
    assert "a-secret" not in str(unseen.value)
    look = await database.take(reach_of(service.environ, database=lambda: wrong), NOTHING)
    assert look.refused
    assert look.server is None


def test_the_registry_s_role_suffices(stack: dict[str, Any], environ: dict[str, str]) -> None:
    with own_database(stack, environ) as settings:
        owner = settings["PHOTO_API_DATABASE_URL"]
        url = role_url(owner, stack["superuser_url"], f"doctor_{uuid4().hex}")
        reach = reach_of(settings, database=lambda: url)
        assert asyncio.run(database.take(reach, NOTHING)).server is not None
        assert asyncio.run(registry.take(reach, NOTHING)).instances == ()
    with (
        empty_database(stack, environ) as settings,
        pytest.raises(Unseen, match="nobody has migrated"),
    ):
        asyncio.run(registry.take(reach_of(settings), NOTHING))


def test_an_offset_is_as_sure_as_its_round_trip() -> None:
    found = offset(told=105.0, asked=100.0, heard=102.0)
    assert (found.seconds, found.uncertainty, found.least) == (4.0, 1.0, 3.0)
    other = offset(told=97.0, asked=100.0, heard=102.0)
    assert found.against(other).least == 6.0
    assert offset(told=101.5, asked=100.0, heard=102.0).least == 0


def test_what_is_no_sample_is_passed_over() -> None:
    metrics = parse(
        '# HELP a b\na{x="1",y="q\\"\\n\\\\,}"} 2\na{x="2"} 3 1700000000\na NaN\nb +Inf\nc 4\n'
        'broken{x=1} 2\n{} 1\nd{x="\x1b[2J"} 1\ne one\n'
    )
    assert metrics.samples("a")[0] == ({"x": "1", "y": 'q"\\n\\,}'}, 2.0)
    assert metrics.value("a") == 5.0
    assert metrics.value("a", x="2") == 3.0
    assert metrics.value("a", x="3") is metrics.value("b") is metrics.value("e") is None
    assert metrics.value("c") == 4.0
    assert metrics.samples("broken") == ()
    assert "\x1b" not in metrics.samples("d")[0][0]["x"]
