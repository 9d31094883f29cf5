"""What contradicts is found, with its numbers, and every remedy mends."""

import re
from collections.abc import Mapping
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_api.contract import LARGEST_UPLOAD
from photo_api.db.capacity import advice
from photo_api.settings.loading import load as load_settings
from photo_api.settings.loading import variables
from photo_base.environment import SettingsError
from photo_fleet.rules.checks import check
from photo_fleet.rules.findings import Finding
from photo_fleet.rules.sizing import connections_of
from photo_fleet.spec.changes import changed, is_possible
from photo_fleet.spec.fleet import Fleet, Policy, Service
from photo_fleet.spec.loading import load
from photo_fleet.spec.settings import settings as instance_settings

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
GUIDE, MENDED = EXAMPLES / "guide.toml", EXAMPLES / "guide-mended.toml"

ENVIRON = {
    "PHOTO_API_MODE": "development",
    "PHOTO_API_DATABASE_URL": "postgresql://localhost/photos",
    "PHOTO_API_S3_ENDPOINT": "http://localhost:8333",
    "PHOTO_API_JWT_KEYS": "k1:" + "0123456789abcdef" * 2,
    "PHOTO_API_SECRET_KEYS": "s1:" + "0123456789abcdef" * 2,
}

OUT, IN = Policy("cpu", 70, 300, 1, 300), Policy("cpu", 30, 600, -1, 300)


def codes(fleet: Fleet) -> list[str]:
    return [finding.code for finding in check(fleet)]


def errors(fleet: Fleet) -> set[str]:
    return {finding.code for finding in check(fleet) if finding.level == "error"}


def only(fleet: Fleet, code: str) -> Finding:
    (found,) = [finding for finding in check(fleet) if finding.code == code]
    return found


def spec(changes: Mapping[str, Any]) -> Fleet:
    return changed(Fleet(), changes)


HEALTH_ONLY = {
    "drain.removal": "health-only",
    "drain.lame_duck": 105.0,
    "drain.grace": 144.0,
    "drain.kill_delay": 144.0,
}

AKAMAI = {"cdn.provider": "akamai", "cdn.url": "https://cdn.example.org"}
BY_NGINX = {"cdn.provider": "nginx", "cdn.url": "https://photos.example.org/cdn", "edge.on": True}
EDGE = BY_NGINX | {"balancer.store": "http://10.0.0.5:8333"}

BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("lame-duck", "error", HEALTH_ONLY | {"drain.lame_duck": 104.0}),
    ("lame-duck", "error", {"drain.removal": "health-only"}),
    ("lame-duck", "error", {"drain.removal": "health-only", "health_check.interval": 600.0}),
    ("lame-duck", "error", {"drain.lame_duck": 2.0}),
    ("lame-duck", "error", {"drain.lame_duck": 9.0, "balancer.kind": "cloud"}),
    ("stop-budget", "error", {"drain.grace": 53.0}),
    ("stop-budget", "error", {"drain.log_flush": 11.5}),
    ("stop-budget", "error", {"service.longest_request": 36.5}),
    ("kill-delay", "error", {"drain.kill_delay": 59.0}),
    ("read-timeout", "error", {"balancer.read_timeout": 31.0}),
    ("read-timeout", "error", {"balancer.send_timeout": 31.0}),
    ("read-timeout", "error", {"service.longest_request": 31.0}),
    ("read-timeout", "error", {"drain.in_flight_wait": 0.0}),
    ("longest-request", "error", {"balancer.read_timeout": 20.0}),
    ("replace-on", "error", {"group.replace_on": "/health"}),
    ("replace-on", "error", {"group.replace_on": "/"}),
    ("health-path", "error", HEALTH_ONLY | {"health_check.path": "/health/live"}),
    ("health-path", "warning", {"health_check.path": "/health/live"}),
    ("health-path", "warning", {"health_check.path": "/health/detailed"}),
    ("health-path", "error", {"health_check.path": "/healthz"}),
    ("health-overlap", "error", {"health_check.interval": 5.0}),
    ("health-overlap", "error", {"health_check.interval": 0.1}),
    ("health-overlap", "error", HEALTH_ONLY | {"health_check.timeout": 30.0}),
    ("health-interval", "warning", {"health_check.interval": 10.0}),
    ("health-timeout", "warning", {"health_check.timeout": 5.5}),
    ("health-haste", "warning", {"health_check.timeout": 1.5}),
    ("keep-alive", "error", {"balancer.keep_alive": 75.0}),
    ("keep-alive", "error", {"balancer.keep_alive": 3600.0}),
    ("keep-alive", "error", {"service.keep_alive": 5.0}),
    ("connect-timeout", "warning", {"balancer.connect_timeout": 30.0}),
    (
        "connect-timeout",
        "warning",
        {"balancer.connect_timeout": 25.0, "balancer.send_timeout": 2.0},
    ),
    ("membership-reload", "warning", {"balancer.membership": "reload"}),
    ("upload-buffering", "warning", {"balancer.buffer_uploads": False}),
    ("upload-limit", "warning", {"balancer.upload_limit": 50 * 1024 * 1024}),
    ("tls-pair", "error", {"balancer.tls.certificate": "/etc/ssl/photos.pem"}),
    ("tls-pair", "error", {"balancer.tls.key": "/etc/ssl/photos.key"}),
    ("group-bounds", "error", {"group.desired": 1}),
    ("group-bounds", "error", {"group.desired": 11}),
    ("group-bounds", "error", {"group.min": 11}),
    ("connections", "error", {"database.max_connections": 196}),
    ("connections", "error", {"database.max_connections": 20}),
    ("connections", "error", {"service.workers": 4}),
    ("connections", "error", {"database.reserved": 200}),
    ("flapping", "error", {"group.policies": (OUT, Policy("cpu", 47, 600, -1, 300))}),
    ("flapping", "error", {"group.policies": (OUT, IN, Policy("cpu", 35, 600, -3, 300))}),
    ("flapping", "error", {"group.policies": (Policy("cpu", 70, 300, 4, 300), IN)}),
    (
        "flapping",
        "error",
        {"group.policies": (Policy("queue_age", 60, 9, 1, 99), Policy("queue_age", 60, 9, -1, 9))},
    ),
    ("n-plus-one", "warning", {"group.policies": (Policy("cpu", 51, 300, 1, 300), IN)}),
    ("n-plus-one", "warning", {"group.min": 1}),
    ("n-plus-one", "warning", {"group.max": 3}),
    (
        "metrics-discovery",
        "error",
        {"metrics.discovery": "http://10.0.0.5:9099", "balancer.kind": "cloud"},
    ),
    (
        "metrics-discovery",
        "warning",
        {"metrics.discovery": "http://10.0.0.5:9099", "metrics.pushgateway": "http://10.0.0.9:1"},
    ),
    (
        "metrics-discovery",
        "warning",
        {"metrics.cloud": "ec2", "metrics.cloud_region": "ap-northeast-2"},
    ),
    ("metrics-discovery", "error", {"metrics.cloud": "openstack", "balancer.kind": "cloud"}),
    ("metrics-path", "warning", {"metrics.path": "/api/metrics"}),
    ("metrics-interval", "warning", {"group.policies": (OUT, Policy("in_flight", 2, 44, -1, 300))}),
    ("metrics-gaps", "warning", {"metrics.interval": 150.5}),
    ("push-address", "error", {"metrics.pushgateway": "http://127.0.0.1:9091"}),
    ("push-address", "error", {"metrics.pushgateway": "http://[::1]:9091"}),
    ("logs-address", "warning", {"logs.loki": "http://localhost:3100"}),
    ("logs-file", "error", {"logs.file": "/srv/photo-api.log"}),
    ("logs-file", "error", {"logs.file": "/var/log/photo-api"}),
    ("logs-file", "error", {"logs.file": "/var/log/photo-api/.."}),
    ("logs-file", "error", {"logs.file": "/var/log/photo-api/a/b.log"}),
    ("plain-secret", "warning", {"logs.loki": "http://10.0.0.7:3100", "logs.loki_auth": True}),
    ("plain-secret", "warning", {"logs.otlp": "http://a:4318/b", "logs.otlp_auth": True}),
    ("unused", "warning", {"logs.loki_auth": True, "logs.otlp": "http://10.0.0.7:4318"}),
    ("unused", "warning", {"logs.otlp_auth": True, "logs.loki_tenant": "photos"}),
    ("unused", "warning", {"logs.ca": "/etc/a.pem", "logs.loki": "http://10.0.0.7:3100"}),
    ("unused", "warning", {"metrics.pushgateway_auth": "basic"}),
    (
        "swift-passed-through",
        "error",
        {"store.kind": "swift", "balancer.store": "http://10.0.0.5:8333"},
    ),
    ("swift-credentials", "error", {"store.kind": "swift", "service.store_credentials": "role"}),
    (
        "swift-containers",
        "error",
        {"store.kind": "swift", "store.swift.container": "photos-staging"},
    ),
    ("edge-balancer", "error", EDGE | {"balancer.kind": "cloud"}),
    ("edge-store", "error", BY_NGINX),
    ("edge-store", "error", BY_NGINX | {"store.kind": "swift"}),
    ("edge-address", "error", EDGE | {"cdn.url": "https://cdn.example.org"}),
    ("edge-address", "error", EDGE | {"cdn.url": "https://cdn.example.org/cdn/photos"}),
    ("edge-unused", "warning", {"edge.on": True, "balancer.store": "http://10.0.0.5:8333"}),
    ("edge-unused", "warning", EDGE | AKAMAI),
    ("edge-absent", "warning", EDGE | {"edge.on": False}),
    ("edge-disk", "error", EDGE | {"edge.disk": 11 * 2**30 - 1}),
    ("edge-slice", "warning", EDGE | {"edge.slice": 2**24, "edge.size": 2**30 - 1}),
    ("edge-reload", "warning", EDGE | {"balancer.membership": "reload"}),
    ("store-unused", "warning", {"store.swift.account": "https://swift.example.org/v1/AUTH_1"}),
    ("store-unused", "warning", {"store.kind": "swift", "service.store": "http://10.0.0.5:8333"}),
    (
        "unused",
        "warning",
        {"metrics.pushgateway_ca": "/etc/a.pem", "metrics.pushgateway": "http://10.0.0.9:9091"},
    ),
    (
        "plain-secret",
        "warning",
        {"metrics.pushgateway": "http://10.0.0.9:9091", "metrics.pushgateway_auth": "bearer"},
    ),
    ("plain-secret", "warning", {"tracing.otlp": "http://a:4318", "tracing.otlp_auth": True}),
    ("unused", "warning", {"tracing.otlp_auth": True, "tracing.sampled": 1.0}),
    ("log-flush", "warning", {"tracing.otlp": "http://a:4318", "drain.log_flush": 0.5}),
    ("log-flush", "warning", {"logs.nhn": True, "drain.log_flush": 0.5}),
    ("log-flush", "warning", {"logs.file": "/var/log/photo-api/a.log", "drain.log_flush": 0.0}),
    ("cooldown", "warning", {"group.policies": (Policy("cpu", 50, 300, 1, 59), IN)}),
    ("cdn-address", "error", {"cdn.provider": "nhn"}),
    ("cdn-address", "error", {"cdn.url": "https://cdn.example.org"}),
    ("cdn-tls", "warning", AKAMAI | {"cdn.url": "http://cdn.example.org"}),
    (
        "cdn-tls",
        "error",
        AKAMAI | {"cdn.url": "http://cdn.example.org", "service.public_url": "https://a.example"},
    ),
    ("cdn-itself", "error", AKAMAI | {"service.public_url": "https://cdn.example.org"}),
    ("cdn-digest", "error", AKAMAI | {"cdn.provider": "nhn", "cdn.digest": "sha1"}),
]


@pytest.mark.parametrize(("code", "level", "changes"), BROKEN)
def test_a_contradiction_is_found_and_each_remedy_mends_it(
    code: str, level: str, changes: dict[str, Any]
) -> None:
    fleet = spec(changes)
    finding = only(fleet, code)
    assert finding.level == level
    assert finding.changes, finding
    for way in finding.ways:
        assert code not in codes(changed(fleet, way)), way
        assert is_possible(fleet, way), way
        if "and then mend" not in finding.remedy:
            assert errors(changed(fleet, way)) <= errors(fleet), way


@pytest.mark.parametrize(("code", "level", "changes"), BROKEN)
def test_a_finding_shows_its_numbers(code: str, level: str, changes: dict[str, Any]) -> None:
    finding = only(spec(changes), code)
    assert re.search(r'\d|"|given', finding.numbers), finding
    assert finding.remedy.startswith("set ")
    assert len(finding.consequence) > 15
    assert "  " not in f"{finding.numbers}{finding.consequence}{finding.remedy}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        HEALTH_ONLY,
        {"drain.lame_duck": 3.0},
        {"drain.lame_duck": 10.0, "balancer.kind": "cloud"},
        {"drain.grace": 54.0, "drain.kill_delay": 54.0},
        {"health_check.interval": 10.5, "health_check.timeout": 5.0},
        {"health_check.timeout": 2.0},
        {"health_check.path": "/api/health/ready"},
        {"group.replace_on": "/api/health/live"},
        {"balancer.keep_alive": 74.0},
        {"balancer.connect_timeout": 29.0},
        {"balancer.kind": "cloud", "balancer.membership": "reload"},
        {"balancer.tls.certificate": "/a", "balancer.tls.key": "/b"},
        EDGE,
        EDGE | {"edge.disk": 11 * 2**30},
        EDGE | {"edge.slice": 2**24, "edge.size": 2**30},
        BY_NGINX | {"service.store": "https://s3.example.org"},
        {"edge.disk": 1, "balancer.membership": "lua"},
        BY_NGINX
        | {"store.kind": "swift", "store.swift.account": "https://swift.example.org/v1/AUTH_1"},
        {"group.min": 3, "group.max": 3},
        {"database.max_connections": 197},
        {"database.max_connections": 20, "database.pooler": "transaction"},
        {"group.policies": (OUT, Policy("cpu", 46, 600, -1, 300))},
        {"group.policies": (OUT, Policy("in_flight", 90, 600, -1, 300))},
        {"group.policies": (OUT, Policy("in_flight", 90, 45, -1, 300))},
        {"metrics.interval": 150.0},
        {"metrics.pushgateway": "http://10.0.0.9:9091"},
        {
            "metrics.pushgateway": "https://10.0.0.9:9091",
            "metrics.pushgateway_auth": "basic",
            "metrics.pushgateway_ca": "/etc/ssl/a.pem",
        },
        {"logs.file": "/var/log/photo-api/a.log", "drain.log_flush": 1.0},
        {"drain.log_flush": 0.0},
        {"logs.otlp": "http://127.0.0.1:4318", "logs.otlp_auth": True},
        {
            "logs.loki": "https://10.0.0.7:3100",
            "logs.loki_auth": True,
            "logs.loki_tenant": "photos",
            "logs.ca": "/etc/ssl/a.pem",
        },
        {"tracing.otlp": "https://a:4318", "tracing.sampled": 1.0, "logs.ca": "/etc/ssl/a.pem"},
    ],
)
def test_what_just_holds_is_not_found(changes: dict[str, Any]) -> None:
    assert set(codes(spec(changes))) <= {"n-plus-one"}


@pytest.mark.parametrize(
    "changes",
    [
        {"group.policies": (Policy("cpu", 50, 300, 1, 300), IN)},
        {"group.min": 4, "group.desired": 4},
        {"group.policies": (Policy("in_flight", 90, 300, 1, 300),)},
        {"group.policies": ()},
    ],
)
def test_a_group_that_bears_the_loss_of_one_is_not_warned_of(changes: dict[str, Any]) -> None:
    assert codes(spec(changes)) == []


def test_flapping_is_looked_for_at_every_size_of_the_group() -> None:
    """Removing three of four leaves a load four times as high; of ten, hardly more."""
    policies = (Policy("cpu", 90, 300, 1, 300), Policy("cpu", 30, 600, -3, 300))
    fleet = spec({"group.policies": policies, "group.min": 1})
    assert "30 × 4 / 1 = 120 ≥ 90" in only(fleet, "flapping").numbers
    assert "flapping" not in codes(changed(fleet, {"group.min": 8, "group.desired": 8}))


@pytest.mark.parametrize("metric", ["cpu", "queue_age"])
def test_a_group_of_one_size_does_not_flap(metric: Any) -> None:
    policies = (Policy(metric, 60, 9, 1, 99), Policy(metric, 60, 9, -1, 9))
    fleet = spec({"group.policies": policies, "group.min": 3, "group.desired": 3})
    assert "flapping" in codes(fleet)
    assert "flapping" not in codes(changed(fleet, {"group.max": 3}))


def test_the_guide_loses_requests_for_four_reasons() -> None:
    found = [(finding.level, finding.code) for finding in check(load(GUIDE))]
    assert found == [
        ("error", "lame-duck"),
        ("error", "stop-budget"),
        ("error", "read-timeout"),
        ("error", "replace-on"),
        ("warning", "n-plus-one"),
    ]


def test_the_guides_findings_show_the_arithmetic() -> None:
    found = {finding.code: finding for finding in check(load(GUIDE))}
    duck = found["lame-duck"]
    assert "3 × health_check.interval 30s + health_check.timeout 5s = 95s" in duck.numbers
    assert "up to 95 s of traffic reaches an instance" in duck.consequence
    assert "stops after 60 s" in duck.consequence
    assert "drain.lame_duck to 105s, drain.grace to 144s" in duck.remedy
    assert 'drain.removal to "deregister-first" and drain.lame_duck to 10s' in duck.remedy
    assert "= 69s > drain.grace 60s" in found["stop-budget"].numbers
    assert "cut after 30 s" in found["read-timeout"].consequence
    assert "all 3 instances at once" in found["replace-on"].consequence
    assert "70 % × group.min 2 = 140 %" in found["n-plus-one"].numbers


def test_the_mended_guide_passes_with_one_warning() -> None:
    assert [(finding.level, finding.code) for finding in check(load(MENDED))] == [
        ("warning", "n-plus-one")
    ]


def test_the_mended_guide_differs_in_six_lines() -> None:
    def bare(path: Path) -> list[str]:
        return [line.partition("  #")[0].rstrip() for line in path.read_text().splitlines()]

    difference = ndiff(bare(GUIDE), bare(MENDED))
    assert sorted(line for line in difference if line[0] in "+-") == sorted(
        [
            '- longest_request = "60s"',
            '+ longest_request = "25s"',
            '- send_timeout = "60s"',
            '+ send_timeout = "25s"',
            '- read_timeout = "60s"',
            '+ read_timeout = "25s"',
            '- removal = "health-only"',
            '+ removal = "deregister-first"',
            '- lame_duck = "0s"',
            '+ lame_duck = "10s"',
            '- replace_on = "/health"',
            '+ replace_on = "/health/live"',
        ]
    )


def test_none_of_the_mended_lines_can_be_left_out() -> None:
    guide, mended = load(GUIDE), load(MENDED)
    lines: list[dict[str, Any]] = [
        {
            "service.longest_request": mended.service.longest_request,
            "balancer.read_timeout": mended.balancer.read_timeout,
            "balancer.send_timeout": mended.balancer.send_timeout,
        },
        {"drain.removal": mended.drain.removal},
        {"drain.lame_duck": mended.drain.lame_duck},
        {"group.replace_on": mended.group.replace_on},
    ]
    single = [{key: line[key]} for line in lines for key in line]
    everything = {key: line[key] for line in lines for key in line}
    assert changed(guide, everything) == mended
    for left_out in single:
        kept = {key: value for key, value in everything.items() if key not in left_out}
        assert errors(changed(guide, kept)), left_out


def test_the_default_has_no_errors() -> None:
    assert codes(Fleet()) == ["n-plus-one"]


def test_errors_come_before_warnings() -> None:
    levels = [finding.level for finding in check(spec({"group.desired": 99, "group.min": 1}))]
    assert levels == sorted(levels)


def test_the_stop_budget_is_the_services_own() -> None:
    """The service refuses to start exactly where the check finds an error."""
    load_settings(ENVIRON | {"PHOTO_API_GRACE": "54"})
    assert "stop-budget" not in codes(spec({"drain.grace": 54.0}))
    with pytest.raises(SettingsError):
        load_settings(ENVIRON | {"PHOTO_API_GRACE": "53.9"})
    assert "stop-budget" in codes(spec({"drain.grace": 53.9}))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("pool", [5, 10])
@pytest.mark.parametrize("jobs", [1, 4])
def test_connections_are_counted_as_the_service_counts_them(
    workers: int, pool: int, jobs: int
) -> None:
    service = Service(workers=workers, pool=pool, job_concurrency=jobs)
    sizes = {"PHOTO_API_DATABASE_POOL": str(pool), "PHOTO_API_MAX_INSTANCES": "1"}
    server = load_settings(ENVIRON | sizes).database
    needed = 2 * connections_of(service)
    assert advice(server, workers, jobs, limit=needed, reserved=0) is None
    assert advice(server, workers, jobs, limit=needed - 1, reserved=0) is not None


def test_defaults_are_those_of_the_service() -> None:
    defaults = {variable.name: variable.default for _, variable in variables()}
    fleet = Fleet()
    assert {
        "LAME_DUCK": f"{fleet.drain.lame_duck:g}",
        "DRAIN_WAIT": f"{fleet.drain.in_flight_wait:g}",
        "LOG_FLUSH": f"{fleet.drain.log_flush:g}",
        "GRACE": f"{fleet.drain.grace:g}",
        "KEEP_ALIVE": f"{fleet.service.keep_alive:g}",
        "DATABASE_POOL": str(fleet.service.pool),
        "JOB_CONCURRENCY": str(fleet.service.job_concurrency),
        "MAX_INSTANCES": str(fleet.group.max),
        "S3_BUCKET": fleet.balancer.bucket,
        "S3_REGION": fleet.service.store_region,
        "STORE": fleet.store.kind,
        "SWIFT_CONTAINER": fleet.store.swift.container,
        "SWIFT_STAGING_CONTAINER": fleet.store.swift.staging_container,
        "SWIFT_DIGEST": fleet.store.swift.digest,
        "SWIFT_USER_DOMAIN_ID": fleet.store.swift.domain,
        "UPLOAD_MAX_SIZE": str(LARGEST_UPLOAD),
        "UPLOAD_MEMORY": str(fleet.service.upload_memory),
    }.items() <= defaults.items()


def test_the_memory_of_uploads_is_told_where_it_is_another_than_without_a_word() -> None:
    """The release before does not know the setting."""
    name, more = "PHOTO_API_UPLOAD_MEMORY", 256 * 1024**2
    assert name not in instance_settings(Fleet())
    assert instance_settings(Fleet(service=Service(upload_memory=more)))[name] == str(more)


SECONDS = st.sampled_from([0.5, 1.0, 3.0, 5.0, 10.0, 29.5, 30.0, 60.0, 105.0, 300.0])
COUNTS = st.integers(1, 12)
POLICIES = st.builds(
    Policy,
    st.sampled_from(["cpu", "in_flight"]),
    st.sampled_from([5.0, 30.0, 46.0, 50.0, 70.0, 100.0]),
    SECONDS,
    st.sampled_from([-3, -1, 1, 2]),
    SECONDS,
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "service.longest_request": SECONDS,
        "service.keep_alive": st.sampled_from([1.0, 5.0, 60.0, 3600.0]),
        "service.pool": COUNTS,
        "service.workers": COUNTS,
        "health_check.path": st.sampled_from(["/health", "/health/live", "/x"]),
        "health_check.interval": SECONDS,
        "health_check.timeout": SECONDS,
        "health_check.unhealthy": COUNTS,
        "balancer.kind": st.sampled_from(["nginx", "cloud"]),
        "balancer.keep_alive": st.sampled_from([1.0, 5.0, 60.0, 3600.0]),
        "balancer.read_timeout": SECONDS,
        "balancer.send_timeout": SECONDS,
        "drain.removal": st.sampled_from(["deregister-first", "health-only"]),
        "drain.lame_duck": SECONDS,
        "drain.in_flight_wait": SECONDS,
        "drain.grace": SECONDS,
        "drain.kill_delay": SECONDS,
        "group.min": COUNTS,
        "group.max": COUNTS,
        "group.desired": COUNTS,
        "group.replace_on": st.sampled_from(["/health", "/health/live"]),
        "group.policies": st.lists(POLICIES, max_size=3).map(tuple),
        "database.max_connections": st.integers(1, 300),
    },
)


@settings(deadline=None, max_examples=60)
@given(SPECS)
def test_remedy_after_remedy_mends_any_spec(changes: dict[str, Any]) -> None:
    """Each is possible and removes its finding; in the end no error is left."""
    fleet = spec(changes)
    for _ in range(40):
        errors_now = [finding for finding in check(fleet) if finding.level == "error"]
        if not errors_now:
            return
        for finding in errors_now:
            assert finding.ways, finding
            assert is_possible(fleet, finding.changes)
        fleet = changed(fleet, errors_now[0].changes)
        assert errors_now[0].code not in codes(fleet)
    pytest.fail(f"still wrong: {check(fleet)}")
