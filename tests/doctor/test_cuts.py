"""Cut requests by numbers: those of nginx's files, of units and of instances together."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from photo_api.settings.loading import load as load_settings
from photo_fleet.doctor.cuts import RULES
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.servers import Server
from photo_fleet.doctor.looks.units import UnitsLook
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from tests.doctor.cut_stage import NOW, Host, boot, config, host
from tests.photo_fleet.test_checks import ENVIRON

Fault = Callable[[Host], None]


def nginx(old: str, new: str) -> Fault:
    return lambda it: it.edit(it.nginx, old, new)


def unit(lines: str, name: str = "photo-api") -> Fault:
    return lambda it: it.drop_in(lines, name)


def server(**numbers: Any) -> Fault:
    """The second instance has these."""

    def differ(it: Host) -> None:
        it.servers[1] = replace(it.servers[1], config=config(it.fleet, **numbers))

    return differ


NUMBERS: Mapping[str, tuple[Fault, str, str, str]] = {
    "nginx keeps connections for longer": (
        nginx("keepalive_timeout 60s;", "keepalive_timeout 90s;"),
        "keep-alive: service.keep_alive 75s ≤ balancer.keep_alive 90s",
        "keepalive_timeout 90s (",
        "nginx-keep-alive",
    ),
    "nginx waits for longer": (
        nginx("proxy_read_timeout 30s;", "proxy_read_timeout 2m;"),
        "read-timeout: balancer.read_timeout 120s > drain.in_flight_wait 30s",
        "proxy_read_timeout 2m (",
        "nginx-read-timeout",
    ),
    "nginx waits as long as it usually does": (
        nginx("proxy_send_timeout 30s;", ""),
        "read-timeout: balancer.send_timeout 60s > drain.in_flight_wait 30s",
        "proxy_send_timeout, which nothing sets for",
        "nginx-send-timeout",
    ),
    "one location waits for longer": (
        nginx("location /api/ {", "location /api/ { proxy_read_timeout 5m;"),
        "read-timeout: balancer.read_timeout 300s > drain.in_flight_wait 30s",
        "proxy_read_timeout 5m (",
        "nginx-read-timeout",
    ),
    "nginx waits for less": (
        nginx("proxy_read_timeout 30s;", "proxy_read_timeout 5s;"),
        "longest-request: balancer.read_timeout 5s < service.longest_request 30s",
        "proxy_read_timeout 5s (",
        "nginx-read-timeout",
    ),
    "nginx connects for longer": (
        nginx("proxy_connect_timeout 3s;", "proxy_connect_timeout 40s;"),
        "connect-timeout: balancer.connect_timeout 40s ≥ balancer.send_timeout 30s",
        "proxy_connect_timeout 40s (",
        "nginx-connect-timeout",
    ),
    "nginx takes smaller photos": (
        nginx("client_max_body_size 62914560;", "client_max_body_size 10m;"),
        "upload-limit: balancer.upload_limit 10 MiB",
        "client_max_body_size 10m (",
        "nginx-upload-limit",
    ),
    "nginx streams uploads": (
        nginx("proxy_request_buffering on;", "proxy_request_buffering off;"),
        "upload-buffering: balancer.buffer_uploads is false",
        "proxy_request_buffering off (",
        "nginx-buffer-uploads",
    ),
    "an instance closes connections earlier": (
        server(keep_alive=5),
        "keep-alive: service.keep_alive 5s ≤ balancer.keep_alive 60s",
        "keep_alive 5 of /health/detailed at 10.0.0.2",
        "server-keep-alive",
    ),
    "an instance leaves too early": (
        server(lame_duck=0),
        "lame-duck: balancers that are told act within 3s, but drain.lame_duck is 0s",
        "lame_duck 0 of /health/detailed at 10.0.0.2",
        "server-lame-duck",
    ),
    "an instance has too little grace": (
        server(grace=40, drain_wait=25),
        "stop-budget: drain.lame_duck 15s + service.longest_request 30s",
        "grace 40 of /health/detailed at 10.0.0.2",
        "server-grace",
    ),
    "a drop-in shortens the wait": (
        unit("EnvironmentFile=\nEnvironment=PHOTO_API_DRAIN_WAIT=5"),
        "read-timeout: service.longest_request 30s, balancer.read_timeout 30s,"
        " balancer.send_timeout 30s > drain.in_flight_wait 5s",
        "PHOTO_API_DRAIN_WAIT 5 in /etc/systemd/system/photo-api.service.d/override.conf:3",
        "unit-in-flight-wait",
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_inequalities_hold_with_what_is_in_force(name: str) -> None:
    fault, numbers, place, difference = NUMBERS[name]
    with host() as it:
        fault(it)
        findings = it.found()
        contradictions = [one for one in findings if one.code == "reality-contradicts"]
        assert any(numbers in one.evidence and place in one.evidence for one in contradictions)
        differences = [one for one in findings if one.code == "reality-differs"]
        assert any(one.evidence.startswith(f"{difference}: ") for one in differences)
        for one in findings:
            assert one.command, one
            assert one.fix, one
            about = ("10.0.0.2",) if difference.startswith("server") else ()
            assert one.subjects == about, one
        others = {"reality-contradicts", "reality-differs", "proxy-retries"}
        assert {one.code for one in findings} <= others


def test_where_an_instance_listens_matters_to_a_cloud_s_balancer_alone() -> None:
    for kind in ("nginx", "cloud"):
        with host(changed(Fleet(), {"balancer.kind": kind})) as it:
            server(port=8001)(it)
            told = [one.evidence.partition(":")[0] for one in it.found()]
            assert told == (["server-port"] if kind == "cloud" else [])


def test_numbers_that_differ_in_both_meet() -> None:
    """Neither alone contradicts the spec."""
    with host() as it:
        nginx("keepalive_timeout 60s;", "keepalive_timeout 74s;")(it)
        assert {one.code for one in it.found()} == {"reality-differs"}
        server(keep_alive=65)(it)
        found = it.only("reality-contradicts")
        assert "service.keep_alive 65s ≤ balancer.keep_alive 74s" in found.evidence
        assert found.subjects == ("10.0.0.2",)


def test_what_a_unit_does_not_tell_is_the_service_s_default() -> None:
    """Which is the spec's: nothing else is known of it here."""
    default = load_settings(ENVIRON)
    life, fleet = default.lifecycle, Fleet()
    assert (life.lame_duck, life.drain_wait, life.log_flush, life.grace) == (
        fleet.drain.lame_duck,
        fleet.drain.in_flight_wait,
        fleet.drain.log_flush,
        fleet.drain.grace,
    )
    assert default.http.keep_alive == fleet.service.keep_alive
    assert default.database.pool_size == fleet.service.pool
    with host(changed(Fleet(), {"service.keep_alive": 90.0, "balancer.keep_alive": 80.0})) as it:
        assert it.found() == []
        it.drop_in("EnvironmentFile=")
        (contradiction, difference) = it.found()
        assert "PHOTO_API_KEEP_ALIVE, which nothing sets for" in contradiction.evidence
        assert difference.evidence.startswith("unit-keep-alive: ")
        it.drop_in("EnvironmentFile=\nEnvironmentFile=/etc/photo-api/other.env")
        findings, unknown = it.said()
        assert findings == []
        assert "/etc/photo-api/other.env" in unknown[0].reason


def test_a_deploy_brings_other_numbers_and_that_takes_a_while() -> None:
    faults = {"reality-contradicts", "reality-differs"}
    with host() as it:
        server(keep_alive=5)(it)
        it.servers[0] = replace(it.servers[0], boot=boot(1, started_at=NOW - 100))
        assert {one.code for one in it.found()} == faults, "nobody goes"
        gone = boot(3, state="stopped", changed_at=NOW - 60)
        it.registry["instances"] = (*(one.boot for one in it.servers), gone)
        assert it.found() == [], "the older one is about to leave"
        it.servers[0] = replace(it.servers[0], boot=boot(1, started_at=NOW - 7200))
        assert {one.code for one in it.found()} == faults, "nobody comes any more"
        it.servers[1] = replace(it.servers[1], boot=boot(2, state="draining", changed_at=NOW))
        assert it.found() == []


def test_what_nobody_tells_is_unknown() -> None:
    with host() as it:
        it.servers[1] = Server(boot(2))
        findings, unknown = it.said()
        assert findings == []
        assert [one.code for one in unknown] == ["reality-contradicts", "reality-differs"]
        assert unknown[0].reason == "10.0.0.2 told no configuration"
        shutil.rmtree(it.folder / "nginx")
        shutil.rmtree(it.folder / "etc")
        findings, unknown = it.said()
        assert findings == []
        codes = {one.code for one in unknown}
        assert codes >= {"proxy-retries", "proxy-without-keep-alive", "unit-kills"}


def test_addresses_in_variables_leave_the_numbers_open() -> None:
    with host() as it:
        it.nginx.write_text("http { server { location / { proxy_pass http://$backend; } } }")
        findings, unknown = it.said()
        assert findings == []
        assert {one.code for one in unknown} == {
            *("reality-contradicts", "reality-differs"),
            *("proxy-without-keep-alive", "proxy-retries"),
        }


@pytest.mark.parametrize("told", ["inf", "9" * 500, "1e999", "nan"])
def test_numbers_that_the_service_refuses_are_no_numbers(told: str) -> None:
    with host() as it:
        it.drop_in(
            f"EnvironmentFile=\nEnvironment=PHOTO_API_GRACE={told} PHOTO_API_DATABASE_POOL={told}\n"
            f"ExecStart=\nExecStart=photo-api serve --workers {'9' * 500}"
        )
        assert "itself failed" not in str(it.said())
        it.edit(it.nginx, "proxy_read_timeout 30s;", f"proxy_read_timeout {'9' * 5000}y;")
        assert "itself failed" not in str(it.said())


def test_what_was_written_and_not_read_is_told() -> None:
    with host() as it:
        seen = it.seen()
        look = replace(seen.need(NginxLook), changed_at=NOW, read_at=NOW - 600)
        findings, _ = judge(Seen(it.fleet, NOW, {NginxLook: look}), RULES)
        (found,) = findings
        assert found.code == "reality-differs"
        assert "were written 600 s after" in found.evidence
        fresh = replace(look, read_at=NOW - 1)
        assert judge(Seen(it.fleet, NOW, {NginxLook: fresh}), RULES)[0] == []
        loaded = {
            name: replace(one, outdated=True) for name, one in seen.need(UnitsLook).units.items()
        }
        findings, _ = judge(Seen(it.fleet, NOW, {UnitsLook: UnitsLook(loaded)}), RULES)
        assert len(findings) == 3
        assert "photo-api.service have changed since systemd read them" in findings[0].evidence


def test_a_reload_must_leave_time() -> None:
    with host() as it:
        nginx("worker_shutdown_timeout 30s;", "worker_shutdown_timeout 5s;")(it)
        assert "worker_shutdown_timeout 5s (" in it.only("reality-contradicts").evidence
