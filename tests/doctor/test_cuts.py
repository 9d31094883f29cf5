"""Cut requests: the numbers of the spec, of nginx's files, of units and of instances, as rules."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from photo_api.settings.loading import load as load_settings
from photo_fleet.doctor.cuts import RULES
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks.nginx import NginxLook, look_at
from photo_fleet.doctor.looks.registry import Boot, Event, FollowingBalancer, Receipt, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.looks.unit_files import Root
from photo_fleet.doctor.looks.units import NAMES, UnitsLook
from photo_fleet.doctor.looks.units import look_at as unit_of
from photo_fleet.doctor.seen import Seen
from photo_fleet.render.environment import files as environment_files
from photo_fleet.render.nginx import files as nginx_files
from photo_fleet.render.nginx import no_members
from photo_fleet.render.places import Places
from photo_fleet.render.systemd import balancer_files, instance_files
from photo_fleet.rules.checks import check
from photo_fleet.rules.server import METRICS_ACCESS
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import settings as variables
from tests.photo_fleet.nginx_stage import short_folder
from tests.photo_fleet.test_checks import ENVIRON

NOW = 1_800_000_000.0
DAY = 86_400.0
OLD, NEW = (1, 22, 1), (1, 30, 0)


def boot(number: int, **other: Any) -> Boot:
    known = {
        "boot_id": f"boot-{number}",
        "instance": f"10.0.0.{number}",
        "node": f"vm-{number}",
        "region": None,
        "version": "1",
        "address": f"10.0.0.{number}",
        "port": 8000,
        "workers": 1,
        "state": "ready",
        "cause": "",
        "started_at": NOW - DAY,
        "changed_at": NOW - DAY,
        "heartbeat_at": NOW,
    }
    return Boot(**(known | other))


def config(fleet: Fleet, **other: Any) -> dict[str, Any]:
    """What an instance of this spec says that it has, as the environment file tells it."""
    told = variables(fleet)
    return {
        "lame_duck": float(told["PHOTO_API_LAME_DUCK"]),
        "drain_wait": float(told["PHOTO_API_DRAIN_WAIT"]),
        "log_flush": float(told["PHOTO_API_LOG_FLUSH"]),
        "grace": float(told["PHOTO_API_GRACE"]),
        "keep_alive": int(told["PHOTO_API_KEEP_ALIVE"]),
        "pool": fleet.service.pool,
        "workers": fleet.service.workers,
        "port": fleet.service.port,
        "metrics_access": told.get(METRICS_ACCESS, "network"),
        **other,
    }


def ended(number: int, **other: Any) -> Receipt:
    """A drain as it should be."""
    known: dict[str, Any] = {
        "boot_id": f"gone-{number}",
        "instance": f"10.0.1.{number}",
        "version": "1",
        "written_at": NOW - 60,
        "ending": "drained",
        "cause": "SIGTERM",
        "was_ready": True,
        "asked_at": NOW - 65,
        "ended_at": NOW - 60,
        "requests_accepted": 100,
        "requests_finished": 100,
        "requests_cut": 0,
        "untold": 0,
        "balancers": 2,
        "acknowledged": 2,
        "lame_duck_end": "removed",
        "lame_duck_s": 2.0,
        "in_flight_s": 0.2,
        "flush_s": 0.4,
        "log_lines_lost": 0,
    }
    return Receipt(**(known | other))


@dataclass
class Host:
    """A host of a fleet: its files, which a test may change before they are looked at."""

    fleet: Fleet
    folder: Path
    version: tuple[int, ...] | None = OLD
    servers: list[Server] = field(default_factory=list)
    receipts: tuple[Receipt, ...] = ()
    registry: dict[str, Any] = field(default_factory=dict)

    @property
    def nginx(self) -> Path:
        return self.folder / "nginx" / "nginx.conf"

    @property
    def unit(self) -> Path:
        return self.folder / "etc/systemd/system/photo-api.service"

    def edit(self, file: Path, old: str, new: str) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def drop_in(self, lines: str, unit: str = "photo-api") -> None:
        folder = self.folder / f"etc/systemd/system/{unit}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").write_text(f"[Service]\n{lines}\n")

    def seen(self) -> Seen:
        balancers = (FollowingBalancer("b", "nginx-1", NOW - 1),)
        known = {"instances": tuple(one.boot for one in self.servers), "balancers": balancers}
        looks: dict[type, Any] = {
            RegistryLook: RegistryLook(
                NOW, 3600, receipts=self.receipts, **(known | self.registry)
            ),
            ServersLook: ServersLook(tuple(self.servers)),
        }
        if self.nginx.exists():
            looks[NginxLook] = replace(look_at(self.nginx), version=self.version)
        root = Root(self.folder)
        units = {name: unit for name in NAMES if (unit := unit_of(root, name))}
        looks[UnitsLook] = UnitsLook(units)
        return Seen(self.fleet, NOW, looks)

    def said(self) -> tuple[list[Finding], list[Unknown]]:
        return judge(self.seen(), RULES)

    def found(self) -> list[Finding]:
        """Findings; every question must have its answer."""
        findings, unknown = self.said()
        assert not unknown
        return findings

    def only(self, code: str) -> Finding:
        (found,) = [one for one in self.found() if one.code == code]
        assert found.command
        assert found.fix
        return found


@contextmanager
def host(fleet: Fleet | None = None) -> Iterator[Host]:
    """With all that is rendered for a spec, and two instances that do as they are told."""
    fleet = fleet or Fleet()
    with short_folder() as folder:
        places = Places(prefix=str(folder / "nginx"), run=str(folder / "run"))
        rendered = {f"nginx/{name}": text for name, text in nginx_files(fleet, places).items()}
        rendered |= {"run/members.conf": no_members(fleet)}
        if fleet.balancer.kind != "nginx":
            rendered = {}
        installed = instance_files(fleet) | balancer_files(fleet)
        rendered |= {f"etc/systemd/system/{name}": text for name, text in installed.items()}
        for name, text in environment_files(fleet).items():
            rendered[f"etc/photo-api/{name}"] = text
        for name, text in rendered.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        servers = [Server(boot(number), config=config(fleet)) for number in (1, 2)]
        yield Host(fleet, folder, servers=servers)


SOUND: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "reload": {"balancer.membership": "reload"},
    "least connections": {"balancer.algorithm": "least-connections", "balancer.ipv6": False},
    "tls and store": {
        "balancer.tls.certificate": "/etc/ssl/a.pem",
        "balancer.tls.key": "/etc/ssl/a.key",
        "balancer.store": "http://10.0.0.5:8333",
    },
    "health only": {
        "drain.removal": "health-only",
        "drain.lame_duck": 105.0,
        "drain.grace": 144.0,
        "drain.kill_delay": 144.0,
    },
    "cloud": {"balancer.kind": "cloud"},
    "one": {"group.min": 1, "group.max": 1, "group.desired": 1},
    "fractions": {
        "drain.lame_duck": 10.12345,
        "drain.in_flight_wait": 30.00051,
        "service.longest_request": 30.0005,
        "balancer.read_timeout": 30.0005,
        "drain.grace": 61.98765,
    },
    "streaming": {"balancer.buffer_uploads": False},
    "many workers": {"service.workers": 4, "database.max_connections": 1000},
    "upload limit": {"balancer.upload_limit": 200 * 1024**2},
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_rendered_of_a_sound_spec_is_fine(name: str) -> None:
    fleet = changed(Fleet(), SOUND[name])
    assert not [one for one in check(fleet) if one.level == "error"]
    with host(fleet) as sound:
        sound.receipts = tuple(ended(number) for number in range(3))
        assert sound.found() == []
        sound.version = NEW
        assert sound.found() == []
        sound.receipts = ()
        assert sound.found() == []


SECONDS = st.floats(0.1, 500, allow_nan=False)


@settings(deadline=None, max_examples=15, phases=(Phase.generate,))
@given(
    st.fixed_dictionaries(
        {
            "service.longest_request": SECONDS,
            "service.keep_alive": st.integers(1, 3600).map(float),
            "balancer.keep_alive": st.integers(1, 3600).map(float),
            "balancer.client_keep_alive": st.integers(1, 3600).map(float),
            "balancer.connect_timeout": SECONDS,
            "balancer.send_timeout": SECONDS,
            "balancer.read_timeout": SECONDS,
            "balancer.upload_limit": st.integers(1, 5 * 1024**3),
            "drain.lame_duck": SECONDS,
            "drain.in_flight_wait": SECONDS,
            "drain.log_flush": SECONDS,
            "drain.grace": st.floats(1, 3600),
            "balancer.membership": st.sampled_from(["lua", "reload"]),
            "balancer.buffer_uploads": st.booleans(),
        }
    )
)
def test_of_whatever_spec_the_rendered_files_are_what_it_says(changes: dict[str, Any]) -> None:
    """What contradicts then is the spec alone."""
    with host(changed(Fleet(), changes)) as rendered:
        found = rendered.found()
        assert [one.evidence for one in found if one.code.startswith("reality")] == []
        codes = {one.code for one in found}
        # Of a spec that contradicts itself a unit may kill, and nginx may have no time to try.
        sound = not {one.code for one in check(rendered.fleet)}
        assert codes <= (set() if sound else {"spec-contradicts", "unit-kills", "proxy-retries"})


def test_a_spec_that_contradicts_is_told_as_check_tells_it() -> None:
    with host(changed(Fleet(), {"balancer.keep_alive": 75.0, "balancer.read_timeout": 20.0})) as it:
        found = it.only("spec-contradicts")
        assert "service.keep_alive 75s ≤ balancer.keep_alive 75s" in found.evidence
        assert "set service.keep_alive to 90s" in found.fix
        assert len(it.found()) == 1, "its warnings are check's"


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


UNITS: Mapping[str, tuple[str, str, str, str]] = {
    "shorter than a drain": ("photo-api", "TimeoutStopSec=20", "error", "= 54s, and its grace"),
    "shorter than the grace": ("photo-api", "TimeoutStopSec=55s", "warning", "its grace is 60s"),
    "systemd's default": ("photo-api", "TimeoutSec=10", "error", "TimeoutStopSec 10s"),
    "a longer drain": (
        "photo-api",
        "EnvironmentFile=\nEnvironment=PHOTO_API_LAME_DUCK=40",
        "error",
        "lame_duck 40s",
    ),
    "to each process": ("photo-api", "KillMode=control-group", "warning", "decoders"),
    "to nobody": ("photo-api", "KillMode=none", "error", "nothing tells it to stop"),
    "to the first only": ("photo-api", "KillMode=process", "warning", "left running"),
    "at once": ("photo-api", "KillSignal=SIGKILL", "error", "begin a drain"),
    "by number": ("photo-api", "KillSignal=3", "error", "KillSignal=SIGQUIT"),
    "never": ("photo-api", "SendSIGKILL=no", "warning", "holds up its next start"),
    "with its decoder": ("photo-api", "OOMPolicy=stop", "warning", "takes the instance with it"),
    "with all it has": ("photo-api", "OOMPolicy=kill", "error", "OOMPolicy=kill"),
    "by a command": (
        "photo-api",
        "ExecStop=/bin/kill -9 $MAINPID",
        "error",
        "ExecStop=/bin/kill -9 $MAINPID (",
    ),
    "by a watchdog": ("photo-api", "WatchdogSec=30", "error", "does not feed a watchdog"),
    "nginx at once": ("photo-fleet-nginx", "KillSignal=SIGTERM", "error", "SIGQUIT alone"),
    "nginx too early": ("photo-fleet-nginx", "TimeoutStopSec=5", "error", "is killed with"),
    "nginx by a command": (
        "photo-fleet-nginx",
        "ExecStop=/usr/sbin/nginx -s stop",
        "error",
        "closes all connections",
    ),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_that_kills_is_told_with_its_file(name: str) -> None:
    which, lines, level, evidence = UNITS[name]
    with host() as it:
        it.drop_in(lines, which)
        found = it.only("unit-kills")
        assert (found.level, found.command) == (level, f"systemctl cat {which}.service")
        assert evidence in found.evidence
        if "Environment" not in lines:
            assert f"/etc/systemd/system/{which}.service.d/override.conf:2" in found.evidence
            assert len(it.found()) == 1


def test_a_host_of_one_kind_leaves_the_other_s_unit_open() -> None:
    with host() as it:
        (it.folder / "etc/systemd/system/photo-fleet-nginx.service").unlink()
        _, (unknown,) = it.said()
        assert unknown.reason == "photo-fleet-nginx.service is not on this host"
        it.unit.unlink()
        it.unit.symlink_to("/dev/null")
        assert it.said()[0] == [], "a masked unit ends nothing"


PROXY: Mapping[str, tuple[str, str, str, str, str]] = {
    "HTTP/1.0": (
        "proxy_http_version 1.1;",
        "",
        "proxy-without-keep-alive",
        "no proxy_http_version: HTTP/1.0",
        "warning",
    ),
    "HTTP/1.0 that somebody wanted": (
        "proxy_http_version 1.1;",
        "proxy_http_version 1.0;",
        "proxy-without-keep-alive",
        "proxy_http_version 1.0 (",
        "warning",
    ),
    "close by default": (
        'proxy_set_header Connection "";',
        "",
        "proxy-without-keep-alive",
        "Connection: close by default",
        "warning",
    ),
    "close, since other headers hide it": (
        "location /api/ {",
        "location /api/ { proxy_set_header Host $host;",
        "proxy-without-keep-alive",
        "Connection: close by default",
        "warning",
    ),
    "no keepalive": (
        "keepalive 64;",
        "",
        "proxy-without-keep-alive",
        "upstream photo_members has no keepalive",
        "warning",
    ),
    "one request each": (
        "keepalive_requests 10000;\n        keepalive_timeout 60s;",
        "keepalive_requests 1;",
        "proxy-without-keep-alive",
        "keepalive_requests 1 (",
        "warning",
    ),
    "repeats writes": (
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream error timeout non_idempotent;",
        "proxy-retries",
        "is done twice",
        "error",
    ),
    "repeats nothing": (
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream off;",
        "proxy-retries",
        "ends with 502",
        "error",
    ),
    "tries once": (
        "proxy_next_upstream_tries 2;",
        "proxy_next_upstream_tries 1;",
        "proxy-retries",
        "no other instance is tried",
        "error",
    ),
    "tries all": (
        "proxy_next_upstream_tries 2;\n        proxy_next_upstream_timeout 30s;",
        "",
        "proxy-retries",
        "bounds repetitions",
        "warning",
    ),
    "has no time to try": (
        "proxy_next_upstream_timeout 30s;",
        "proxy_next_upstream_timeout 2s;",
        "proxy-retries",
        "no time left for another",
        "warning",
    ),
}


@pytest.mark.parametrize("name", PROXY)
def test_what_nginx_does_with_connections_is_told(name: str) -> None:
    old, new, code, evidence, level = PROXY[name]
    with host() as it:
        it.edit(it.nginx, old, new)
        found = it.only(code)
        assert evidence in found.evidence
        assert found.level == level
        assert f"{it.nginx}:" in found.evidence
        assert {one.code for one in it.found()} == {code}


def test_an_nginx_that_keeps_connections_by_itself_needs_no_word() -> None:
    with host() as it:
        for line in ("proxy_http_version 1.1;", 'proxy_set_header Connection "";', "keepalive 64;"):
            it.edit(it.nginx, line, "")
        it.version = NEW
        assert it.found() == []
        it.version = None
        findings, (unknown,) = it.said()
        assert (findings, unknown.code) == ([], "proxy-without-keep-alive")
        it.edit(it.nginx, "server 0.0.0.1;", "server 0.0.0.1; keepalive 0;")
        assert "has no keepalive" in it.said()[0][0].evidence


BY_HAND = """
events {}
http {
    upstream api { server 10.0.0.1:8000; server 10.0.0.2:8000 max_fails=3; KEEP }
    server {
        listen 80;
        client_max_body_size 60m;
        location / { root /srv/www; }
        location /other { proxy_pass http://10.0.0.9:9000; }
        location /api { proxy_pass http://api; proxy_read_timeout 30; proxy_send_timeout 30s;
            proxy_connect_timeout 3s; proxy_next_upstream_tries 2; HOW }
    }
}
"""


def test_a_configuration_of_an_operator_s_own_hand_is_judged_by_what_it_does() -> None:
    good = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    with host() as it:
        it.nginx.write_text(BY_HAND.replace("KEEP", "keepalive 8;").replace("HOW", good))
        assert it.found() == []
        it.nginx.write_text(BY_HAND.replace("KEEP", "").replace("HOW", ""))
        findings = it.found()
        assert {one.code for one in findings} == {"proxy-without-keep-alive"}
        assert len(findings) == 3
        assert all(f"{it.nginx}:10" in one.evidence for one in findings)
        it.nginx.write_text("events {}")
        _, unknown = it.said()
        assert "passes nothing on to instances" in unknown[0].reason


Changes = Mapping[str, Any]
DRAINS: Mapping[str, tuple[Changes, str, str, str]] = {
    "cut": ({"requests_cut": 2}, "drain-cut", "error", "cut 2 requests: 10.0.1.7 2 of 100"),
    "killed": ({"ending": "killed"}, "drain-killed", "error", "killed at the limit"),
    "broken off": ({"ending": "broken_off"}, "drain-killed", "error", "a second signal"),
    "failed": ({"ending": "failed"}, "drain-killed", "error", "a process failed"),
    "long": (
        {"asked_at": NOW - 118, "in_flight_s": 54.0},
        "drain-long",
        "warning",
        "10.0.1.7 58.0 s, in flight 54.0 s",
    ),
    "lines lost": ({"log_lines_lost": 12}, "flush-short", "warning", "lost 12 log lines"),
    "slow flush": ({"flush_s": 4.8}, "flush-short", "warning", "10.0.1.7 4.8 s"),
    "one deaf balancer": (
        {"acknowledged": 1, "lame_duck_end": "elapsed", "lame_duck_s": 15.0},
        "never-deregistered",
        "warning",
        "1 of 4 drains ended without the word of every live balancer: 10.0.1.7 1 of 2 let go",
    ),
    "somebody else": (
        {"lame_duck_end": "elapsed", "lame_duck_s": 15.0, "asked_at": NOW - 80},
        "never-deregistered",
        "warning",
        "new connections came to the end of the lame duck",
    ),
}


@pytest.mark.parametrize("name", DRAINS)
def test_receipts_tell_of_drains_that_went_wrong(name: str) -> None:
    changes, code, level, evidence = DRAINS[name]
    with host() as it:
        it.receipts = (ended(7, **changes), *(ended(number) for number in (1, 2, 3)))
        (found,) = it.found()
        assert (found.code, found.level, found.subjects) == (code, level, ("10.0.1.7",))
        assert evidence in found.evidence


def test_a_lost_instance_was_killed_when_it_was_draining() -> None:
    nothing = dict.fromkeys(("asked_at", "ended_at", "requests_cut", "balancers", "acknowledged"))
    lost = ended(7, ending="lost", cause="silent", lame_duck_end=None, lame_duck_s=None, **nothing)
    with host() as it:
        it.receipts = (lost,)
        assert it.found() == [], "that is another section's"
        it.registry["events"] = (Event(NOW - 100, "gone-7", "10.0.1.7", "draining", ""),)
        assert "never heard of again" in it.only("drain-killed").evidence


def test_a_drain_that_does_not_end_is_told() -> None:
    with host() as it:
        it.servers[1] = Server(boot(2, state="draining", changed_at=NOW - 30), config={})
        assert it.found() == []
        it.servers[1] = Server(boot(2, state="draining", changed_at=NOW - 300), config={})
        assert "drain for up to 300 s" in it.only("drain-long").evidence


def test_somebody_has_to_follow_the_registry() -> None:
    with host() as it:
        it.registry["balancers"] = (FollowingBalancer("b", "nginx-1", NOW - 500),)
        found = it.only("never-deregistered")
        assert (found.level, "nginx-1 for 500 s" in found.evidence) == ("error", True)
        it.registry["balancers"] = ()
        assert "none was ever seen" in it.only("never-deregistered").evidence
        it.fleet = changed(it.fleet, {"balancer.kind": "cloud"})
        codes = {one.code for one in it.said()[0]}
        assert "never-deregistered" not in codes, "a cloud's balancer acknowledges nothing"


def test_what_was_left_out_is_not_fine() -> None:
    with host() as it:
        it.receipts = (ended(7, requests_cut=2),)
        it.registry["left_out"] = frozenset({"receipts"})
        findings, unknown = it.said()
        assert [one.code for one in findings] == ["drain-cut"]
        assert len(unknown) == 5
