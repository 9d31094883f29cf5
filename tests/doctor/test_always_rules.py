"""What the rules of `always` say of what was seen: where they begin, and what is fine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.dashboard.readings import Answer, Series
from photo_fleet.dashboard.window import Window
from photo_fleet.doctor.always import RULES
from photo_fleet.doctor.catalogue import ALWAYS
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks.exposition import parse
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.nginx_syntax import Directive
from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec.fleet import Balancer, Fleet, Group, Objectives

NOW = 1_800_000_000.0
DAY = 86400.0
WELL = {"ok": True, "latency_ms": 1, "age_ms": 100}
CLOUDFLARE = (
    *("173.245.48.0/20", "103.21.244.0/22", "141.101.64.0/18", "108.162.192.0/18"),
    *("190.93.240.0/20", "162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13"),
    *("2400:cb00::/32", "2a06:98c0::/29", "2c0f:f248::/32"),
)
"""Of https://www.cloudflare.com/ips, the large ones."""

NUMBERS = {
    "photo_api_fleet_counted_timestamp_seconds": NOW - 30,
    "photo_api_fleet_orphan_objects": 90_000.0,
    "photo_api_fleet_orphan_bytes": 9e10,
    "photo_api_fleet_oldest_orphan_seconds": 900.0,
    "photo_api_fleet_kept_orphan_objects": 0.0,
    "photo_api_fleet_photos_without_thumbnail": 0.0,
    'photo_api_fleet_jobs{kind="display",state="queued"}': 40_000.0,
    'photo_api_fleet_jobs{kind="renditions",state="leased"}': 3.0,
    'photo_api_fleet_jobs{kind="renditions",state="dead"}': 0.0,
    'photo_api_fleet_oldest_job_seconds{kind="renditions"}': 119.0,
    'photo_api_fleet_oldest_job_seconds{kind="display"}': 3000.0,
    'photo_api_log_lines_lost_total{process="web",way="sink"}': 0.0,
}
"""Of a fleet that is busy: an account with 30,000 photos was deleted, an album was shared."""

CONFIG: Mapping[str, Any] = {
    "secrets": {"weak": {}, "same": []},
    "keys": [
        {"use": "jwt", "id": "2026-11", "signs": True, "age_s": 399 * DAY},
        {"use": "jwt", "id": "2019", "signs": False, "age_s": 3000 * DAY},
        {"use": "secret", "id": "2027-01-01", "signs": True, "age_s": -DAY},
    ],
    "trusted_proxies": ["10.0.0.0/8", "100.64.0.0/10", "fc00::/7", "2001:db8::1/128"],
}


def boot(name: str = "10.0.0.1", **more: Any) -> Boot:
    told: dict[str, Any] = {
        **{"boot_id": name, "instance": name, "node": name, "region": None, "version": "1.0.0"},
        **{"address": name, "port": 8000, "workers": 2, "state": "ready", "cause": ""},
        **{"started_at": NOW - 7200, "changed_at": NOW - 7100, "heartbeat_at": NOW - 1},
    }
    return Boot(**told | more)


def server(
    name: str = "10.0.0.1", config: Any = CONFIG, numbers: Mapping[str, float] = NUMBERS
) -> Server:
    """That tells these numbers besides `NUMBERS`."""
    text = "".join(f"{metric} {value}\n" for metric, value in (NUMBERS | dict(numbers)).items())
    checks = {"database": WELL, "storage": WELL}
    return Server(boot(name), checks=checks, config=config, metrics=parse(text))


def seen(
    *servers: Server, spec: Fleet | None = None, boots: tuple[Boot, ...] = (), **looks: Any
) -> Seen:
    found = servers or (server(),)
    registry = RegistryLook(NOW, 3600, boots or tuple(one.boot for one in found))
    told: dict[type[Any], Any] = {RegistryLook: registry, ServersLook: ServersLook(found)}
    told[NginxLook] = NginxLook("nginx.conf", (), NOW)
    return Seen(spec or Fleet(), NOW, {**told, **{type(look): look for look in looks.values()}})


ELSEWHERE = ("bucket-cors", "bucket-public", "certificate-due")
ALONE = [rule for rule in RULES if rule.code not in ELSEWHERE]


def said(code: str, what: Seen) -> tuple[list[Finding], list[Unknown]]:
    return judge(what, [rule for rule in ALONE if rule.code == code])


def changed(**config: Any) -> Server:
    return server(config={**CONFIG, **config})


@pytest.mark.parametrize(
    "what",
    [
        seen(),
        seen(server(), server("10.0.0.2")),
        seen(spec=Fleet(group=Group(1, 1, 1))),
        seen(changed(trusted_proxies=list(CLOUDFLARE))),
        # One that has just begun, which nobody has counted for yet.
        seen(replace(server(), boot=boot(changed_at=NOW - 20))),
        # One drains, and another one boots and tells nothing yet.
        seen(
            server(),
            replace(server("10.0.0.2"), boot=boot("10.0.0.2", state="draining", version="0.9")),
            Server(boot("10.0.0.3", state="starting")),
        ),
    ],
)
def test_sound_fleets(what: Seen) -> None:
    assert judge(what, ALONE) == ([], [])


@pytest.mark.parametrize(
    ("networks", "wide"),
    [
        (["52.0.0.0/8"], True),
        (["3.0.0.0/9"], True),
        ([f"{first}.0.0.0/10" for first in (13, 18)], True),
        (["3.0.0.0/10"], False),
        (["0.0.0.0/0"], True),
        (["::/0"], True),
        (["2600::/16"], True),
        (["2001:db8::/32", "2a00::/24"], False),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], False),
        (["what is that?"], False),
    ],
)
def test_how_many_strangers_may_be_believed(networks: list[str], wide: bool) -> None:
    findings, unknown = said("proxies-open", seen(changed(trusted_proxies=networks)))
    assert (bool(findings), unknown) == (wide, [])


@pytest.mark.parametrize(("network", "wide"), [("0.0.0.0/0", True), ("10.0.0.0/8", False)])
def test_whom_nginx_believes_instances_believe(network: str, wide: bool) -> None:
    hop = Directive("set_real_ip_from", (network,), "nginx.conf", 7)
    tree = (Directive("http", (), "nginx.conf", 1, (hop,)),)
    findings, unknown = said("proxies-open", seen(nginx=NginxLook("nginx.conf", tree, NOW)))
    assert (bool(findings), unknown) == (wide, [])


@pytest.mark.parametrize(("network", "wide"), [("0.0.0.0/0", True), ("10.0.0.0/8", False)])
def test_whom_the_spec_believes_the_next_render_does(network: str, wide: bool) -> None:
    for balancer in (Balancer(networks=(network,)), Balancer(trusted_hops=(network,))):
        findings, _ = said("proxies-open", seen(spec=Fleet(balancer=balancer)))
        assert bool(findings) == wide
        assert all("of the spec" in one.evidence for one in findings)


@pytest.mark.parametrize(("kind", "level"), [("nginx", "error"), ("cloud", "warning")])
def test_behind_a_cloud_s_balancer_addresses_may_be_those_of_clients(kind: Any, level: str) -> None:
    spec = Fleet(balancer=Balancer(kind=kind))
    [found], _ = said("proxies-unset", seen(changed(trusted_proxies=[]), spec=spec))
    assert found.level == level


API = 'http_requests_total{method="GET",handler="/api/photos",status="200"}'
HEALTH = 'http_requests_total{method="GET",handler="/health",status="200"}'
FORWARDS = "photo_api_unbelieved_forwards_total"


@pytest.mark.parametrize(
    ("numbers", "kind", "level"),
    [
        ({API: 40.0, FORWARDS: 39.0}, "nginx", "error"),
        ({API: 40.0, FORWARDS: 39.0}, "cloud", "error"),
        ({API: 40.0, HEALTH: 900.0, FORWARDS: 3.0}, "nginx", None),  # somebody tries
        ({API: 5.0, FORWARDS: 5.0}, "nginx", None),
    ],
)
def test_a_balancer_that_is_not_among_the_networks(
    numbers: dict[str, float], kind: Any, level: str | None
) -> None:
    spec = Fleet(balancer=Balancer(kind=kind))
    findings, unknown = said("proxies-unset", seen(server(numbers=numbers), spec=spec))
    assert ([found.level for found in findings], unknown) == ([level] if level else [], [])
    if level:
        assert "39 of 40 at 10.0.0.1" in findings[0].evidence


def test_a_cloud_s_balancer_of_connections_names_nobody() -> None:
    """And leaves addresses as they are."""
    passing = server(config={**CONFIG, "trusted_proxies": []}, numbers={API: 40.0})
    spec = Fleet(balancer=Balancer(kind="cloud"))
    assert said("proxies-unset", seen(passing, spec=spec)) == ([], [])


def test_what_one_instance_does_not_tell_is_open_and_what_others_tell_is_said() -> None:
    weak = {"weak": {"PHOTO_API_OPS_TOKEN": "has fewer than 128 bits"}, "same": [["A", "B"]]}
    silent = replace(server("10.0.0.9", config=None), problem="no answer in time")
    what = seen(
        changed(secrets=weak), replace(changed(secrets=weak), boot=boot("10.0.0.2")), silent
    )
    [found], [unknown] = said("secret-default", what)
    assert found.subjects == ("10.0.0.1", "10.0.0.2")
    assert unknown.reason == "10.0.0.9 told no configuration: no answer in time"
    assert [one.evidence[:18] for one in said("secret-equal", what)[0]] == ["A and B are the sa"]
    older = {name: value for name, value in CONFIG.items() if name == "jwt_key_ids"}
    for code in ("secret-default", "proxies-unset", "key-old"):
        findings, unknown_to_old = said(code, seen(server(config=older)))
        assert (findings, len(unknown_to_old)) == ([], 1)


@pytest.mark.parametrize(
    ("age", "code"), [(401 * DAY, "key-old"), (None, "key-undated"), (-9 * DAY, "key-undated")]
)
def test_keys_that_sign(age: float | None, code: str) -> None:
    keys = [{"use": "jwt", "id": "k", "signs": True, "age_s": age}]
    what = seen(changed(keys=keys), changed(keys=keys))
    findings, unknown = judge(what, ALONE)
    assert ([one.code for one in findings], unknown) == ([code], [])
    nobody = Fleet(objectives=Objectives(oldest_key=0))
    assert judge(seen(changed(keys=keys), spec=nobody), ALONE) == ([], [])


@pytest.mark.parametrize(
    ("numbers", "code", "words"),
    [
        ({"photo_api_fleet_oldest_orphan_seconds": 3700.0}, "orphans-grow", "does not keep up"),
        ({"photo_api_fleet_kept_orphan_objects": 4.0}, "orphans-grow", "4 of them were there"),
        ({'photo_api_fleet_jobs{kind="display",state="dead"}': 2.0}, "jobs-dead", "2 display"),
        (
            {'photo_api_fleet_oldest_job_seconds{kind="renditions"}': 121.0},
            "queue-old",
            "more than 120 s (photo_api_fleet_oldest_job_seconds); 0 wait, 3 are at work",
        ),
        (
            {'photo_api_fleet_oldest_job_seconds{kind="display"}': 4000.0},
            "queue-old",
            "40000 wait, 0 are at work",
        ),
        ({"photo_api_fleet_photos_without_thumbnail": 3.0}, "renditions-missing", "3 photos"),
        (
            {"photo_api_fleet_counted_timestamp_seconds": NOW - 301},
            "maintenance-stopped",
            "were counted 5 min ago",
        ),
    ],
)
def test_work_that_is_left_lying(numbers: dict[str, float], code: str, words: str) -> None:
    findings, _ = judge(seen(server(numbers=numbers), server("10.0.0.2", numbers=numbers)), ALONE)
    assert [one.code for one in findings] == [code]
    assert words in findings[0].evidence


def asked(number: int = 1, numbers: Mapping[str, float] = NUMBERS, **jobs: Any) -> Server:
    """With what it asks of the queue itself."""
    one = server(f"10.0.0.{number}", numbers=numbers)
    return replace(one, checks={**one.checks, "jobs": {**WELL, **jobs}})


@pytest.mark.parametrize(
    ("oldest", "numbers", "words"),
    [
        (86_400.0, {}, ["the oldest job of all has been waiting for 24 h"]),
        (3599.0, {}, []),
        # The same job, counted by its kind some seconds earlier.
        (
            4010.0,
            {'photo_api_fleet_oldest_job_seconds{kind="display"}': 4000.0},
            ["oldest display"],
        ),
        (
            9000.0,
            {'photo_api_fleet_oldest_job_seconds{kind="display"}': 4000.0},
            ["oldest display", "the oldest job of all has been waiting for 2 h"],
        ),
        # What nobody understands.
        (float("inf"), {}, []),
        ("a day", {}, []),
        (10**400, {}, []),
    ],
)
def test_jobs_that_the_fleet_s_numbers_do_not_have(
    oldest: Any, numbers: dict[str, float], words: list[str]
) -> None:
    """Of a kind that no instance knows."""
    what = seen(server(numbers=numbers), asked(2, numbers, oldest=oldest, queued=5, leased=0))
    findings, unknown = said("queue-old", what)
    assert (len(findings), unknown) == (len(words), [])
    assert all(word in one.evidence for word, one in zip(words, findings, strict=True))


def test_a_queue_that_nobody_counts_any_more() -> None:
    """Since all job workers stand still: what is known is said, and the rest is open."""
    old = {"photo_api_fleet_counted_timestamp_seconds": NOW - 7200}
    findings, [unknown] = said("queue-old", seen(asked(1, old, oldest=7000.0, queued=5)))
    assert "for 117 min (checks.jobs of /health/detailed at 10.0.0.1)" in findings[0].evidence
    assert "numbers are 2 h old" in unknown.reason
    findings, [unknown] = said("queue-old", seen(asked(1, old, oldest=600.0)))
    assert findings == []


def without(name: str) -> Server:
    kept = "".join(f"{metric} {value}\n" for metric, value in NUMBERS.items() if metric != name)
    return replace(server(), metrics=parse(kept))


def test_what_was_never_counted() -> None:
    """Since there is no job worker; or nobody who could know."""
    never = without("photo_api_fleet_counted_timestamp_seconds")
    [found], _ = said("maintenance-stopped", seen(never))
    assert "have not been counted for 118 min" in found.evidence
    cut_off = replace(never, checks={"database": {**WELL, "ok": False}})
    findings, [open_question] = said("maintenance-stopped", seen(cut_off))
    assert (findings, open_question.code) == ([], "maintenance-stopped")
    findings, [_] = said("maintenance-stopped", seen(replace(never, metrics=None)))
    assert findings == []


@pytest.mark.parametrize(
    ("code", "metric"),
    [
        ("orphans-grow", "photo_api_fleet_oldest_orphan_seconds"),
        ("renditions-missing", "photo_api_fleet_photos_without_thumbnail"),
    ],
)
def test_a_number_that_a_release_does_not_tell_is_unknown(code: str, metric: str) -> None:
    findings, [unknown] = said(code, seen(without(metric)))
    assert (findings, unknown.reason) == ([], f"/metrics: no instance tells {metric}")


@pytest.mark.parametrize(
    ("failing", "breaker", "level"),
    [(2, False, "error"), (1, False, "warning"), (1, True, "error")],
)
def test_a_store_that_some_do_not_reach(failing: int, breaker: bool, level: str) -> None:
    away: dict[str, dict[str, Any]] = {
        "database": WELL,
        "storage": {"ok": False, "error": "StoreRefused: 403"},
    }
    opened = {'photo_api_breaker_open{breaker="store"}': float(breaker)}
    ill = [replace(server(f"10.0.0.{n}", numbers=opened), checks=away) for n in range(failing)]
    [found], unknown = said("store-down", seen(*ill, *[server("10.0.1.1")] * (2 - failing)))
    assert (found.level, unknown) == (level, [])
    assert f"{failing} of 2 ready instances" in found.evidence
    assert "StoreRefused: 403" in found.evidence
    findings, [unknown_one] = said("store-down", seen(replace(server(), checks={})))
    assert (findings, unknown_one.code) == ([], "store-down")


@pytest.mark.parametrize("away", [0, 1, 2])
def test_a_cdn_that_the_fleet_has_left(away: int) -> None:
    cdn = {"provider": "nginx", "address": "https://cdn.example.org", "fallback": "stream"}
    told = {**CONFIG, "cdn": cdn}
    fleet = [
        server(f"10.0.0.{n}", told, {"photo_api_cdn_fallback": float(n < away)}) for n in range(2)
    ]
    without, silent = server("10.0.1.1", {**CONFIG, "cdn": None}), server("10.0.1.2", told)
    findings, unknown = said("cdn-failed", seen(*fleet, without))
    assert (len(findings), unknown) == (min(away, 1), [])
    for found in findings:
        assert found.level == "warning"
        assert f"{away} of 2 ready instances with a CDN deliver without it" in found.evidence
        assert "https://cdn.example.org" in found.evidence
    assert said("cdn-failed", seen(without)) == ([], [])
    for ill in (silent, replace(silent, metrics=None), replace(silent, config=None)):
        _, [open_question] = said("cdn-failed", seen(*fleet, ill))
        assert "10.0.1.2 told no" in open_question.reason, "which is unknown, and not fine"


LOST = {'photo_api_log_lines_lost_total{process="web",way="sink"}': 12.0}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (((NOW - 3600, 12.0), (NOW, 12.0)), False),
        (((NOW - 3600, 2.0), (NOW, 12.0)), True),
        (((NOW - 3600, 90.0), (NOW - 60, 0.0), (NOW, 0.0)), False),
        (((NOW - 3600, 90.0), (NOW - 60, 12.0), (NOW, 12.0)), True),  # since it began anew
        (((NOW - 600, 12.0), (NOW, 12.0)), True),  # of an instance that began meanwhile
        ((), True),
    ],
)
def test_lines_lost_before_the_time_that_is_looked_at(values: Any, found: bool) -> None:
    ours, theirs = ({"job": job, "instance": "10.0.0.1:8000"} for job in ("ours", "theirs"))
    series = [Series({**theirs, "way": "sink"}, ((NOW - 600, 1.0), (NOW, 99.0)))]
    series += [Series({**ours, "way": "sink"}, values)] if values else []
    info = [Series({**ours, "boot_id": "10.0.0.1"}, ()), Series({**theirs, "boot_id": "x"}, ())]
    told = {"log_lines_lost": Answer(tuple(series)), "info": Answer(tuple(info))}
    look = PrometheusLook("http://p", Window(NOW - 3600, NOW), told)
    findings, unknown = said("log-lines-lost", seen(server(numbers=LOST), look=look))
    assert (bool(findings), unknown) == (found, [])


def releases(*ready: tuple[str, float, str]) -> Seen:
    boots = tuple(
        boot(f"10.0.0.{number}", version=version, changed_at=NOW - since, state=state)
        for number, (version, since, state) in enumerate(ready)
    )
    return seen(boots=boots, spec=Fleet(group=replace(Group(), min=2, max=4, warm_up=60)))


@pytest.mark.parametrize(
    ("ready", "found"),
    [
        ([("1", 90_000, "ready"), ("1", 80_000, "ready")], False),
        # 4 × (60 + 90) + 600 s.
        ([("1", 90_000, "ready"), ("2", 1199, "ready"), ("2", 10, "ready")], False),
        ([("1", 90_000, "ready"), ("2", 1201, "ready"), ("2", 10, "ready")], True),
        ([("1", 30, "ready"), ("2", 90_000, "ready")], False),  # a roll-back that begins
        ([("1", 90_000, "draining"), ("2", 5000, "ready")], False),
        ([("1", 90_000, "lost"), ("2", 5000, "ready")], False),
    ],
)
def test_a_deploy_that_goes_on_and_one_that_never_ended(
    ready: list[tuple[str, float, str]], found: bool
) -> None:
    findings, unknown = said("versions-mixed", releases(*ready))
    assert (bool(findings), unknown) == (found, [])
    if found:
        assert "1 of 1, 2 of 2 ready, for 20 min" in findings[0].evidence
        assert findings[0].subjects == ("10.0.0.0",)


def test_without_any_instance_nothing_is_fine() -> None:
    nobody = Seen(Fleet(), NOW, {RegistryLook: RegistryLook(NOW, 60), ServersLook: ServersLook()})
    findings, unknown = judge(nobody, ALONE)
    assert findings == []
    assert {one.code for one in unknown} == {rule.code for rule in ALONE} - {"versions-mixed"}


def test_each_rule_is_of_a_code() -> None:
    assert {rule.code for rule in RULES} == set(ALWAYS)
