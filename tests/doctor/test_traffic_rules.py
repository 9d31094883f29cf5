"""Rules of traffic on looks that are made up: what is rare, or takes hours."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.dashboard.readings import Answer, Series
from photo_fleet.dashboard.window import Window
from photo_fleet.doctor.distribution import distributions
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looks.access_log import AccessLogLook, Request
from photo_fleet.doctor.looks.prometheus import AT_END, OVER, PrometheusLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.machines import uneven as machines_uneven
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.traffic import _tied_clients, pinned, single, uneven
from photo_fleet.doctor.watched import ghosts, unscraped
from photo_fleet.spec.fleet import Balancer, Fleet, Group, Metrics

NOW = 1_790_000_000.0
STEP = 15
POINTS = 41
CLOUD = Fleet(balancer=Balancer(kind="cloud"))


def boot(number: int, state: str = "ready", since: float = 3500, **more: Any) -> Boot:
    """Boot b1 of 10.0.1.1:8000 for 1, and so on."""
    about: dict[str, Any] = {
        "boot_id": f"b{number}",
        "instance": f"10.0.1.{number}",
        "node": f"vm-{number}",
        "region": None,
        "version": "0.1.0",
        "address": f"10.0.1.{number}",
        "port": 8000,
        "workers": 1,
        "state": state,
        "cause": "",
        "started_at": NOW - since - 5,
        "changed_at": NOW - since,
        "heartbeat_at": NOW - 1,
    }
    return Boot(**about | more)


def target(number: int, job: str = "photo-api", **labels: str) -> dict[str, str]:
    return {"job": job, "instance": f"10.0.1.{number}:8000", **labels}


def over(values: Sequence[float | None]) -> tuple[tuple[float, float], ...]:
    """The last of these is now."""
    times = [NOW - STEP * (len(values) - 1 - place) for place in range(len(values))]
    return tuple((at, value) for at, value in zip(times, values, strict=True) if value is not None)


def seen(
    boots: Sequence[Boot],
    series: Mapping[str, Sequence[Series]] | None = None,
    fleet: Fleet = CLOUD,
) -> Seen:
    """A registry, and a Prometheus that has these series, if any."""
    looks: dict[type[Any], Any] = {RegistryLook: RegistryLook(NOW, 3600, tuple(boots))}
    if series is not None:
        empty = dict.fromkeys((*AT_END, *OVER), Answer())
        answers = {name: Answer(tuple(found)) for name, found in series.items()}
        window = Window(NOW - 3600, NOW, float(STEP))
        looks[PrometheusLook] = PrometheusLook("http://p:9090", window, empty | answers)
    return Seen(fleet, NOW, looks)


def scraped(
    totals: Mapping[int, Sequence[float | None]], pushed: Mapping[int, float] | None = None
) -> dict[str, list[Series]]:
    """Sums of requests by instance; None is a look at which it was not there."""
    return {
        "info": [Series(target(n, boot_id=f"b{n}"), ((NOW, 1.0),)) for n in totals],
        "heard": [Series(target(n, boot_id=f"b{n}"), ((NOW, NOW - 1),)) for n in totals],
        "requests": [Series(target(n), over(values)) for n, values in totals.items()],
        "ready": [
            Series(target(n), over([None if v is None else 1.0 for v in values]))
            for n, values in totals.items()
        ],
        "pushed": [Series(target(n), ((NOW, NOW - age),)) for n, age in (pushed or {}).items()],
    }


def steadily(each: float, points: int = POINTS) -> list[float]:
    return [each * place for place in range(points)]


def found(rule: Any, told: Seen) -> list[Finding]:
    return list(rule(told))


def test_one_that_came_late_has_less_and_is_well() -> None:
    late = [None] * 30 + steadily(20, 11)
    told = seen(
        [boot(1), boot(2), boot(3, since=11 * STEP)],
        scraped({1: steadily(20), 2: steadily(20), 3: late}),
    )
    assert found(uneven, told) == found(pinned, told) == []


def test_a_balancer_has_time_to_let_one_in() -> None:
    waiting = [None] * 30 + [0.0] * 10 + [20.0]
    boots = [boot(1), boot(2), boot(3, since=11 * STEP)]
    told = seen(boots, scraped({1: steadily(20), 2: steadily(20), 3: waiting}))
    assert found(uneven, told) == found(pinned, told) == []


def test_sums_that_begin_anew_are_no_negative_requests() -> None:
    anew = steadily(20, 21) + steadily(20, 20)
    told = seen([boot(1), boot(2)], scraped({1: steadily(20), 2: anew}))
    [one] = distributions(told)
    assert min(share.ratio for share in one.spread.shares) > 0.95
    assert found(uneven, told) == []


def test_what_is_pushed_no_more_stands_still() -> None:
    still = scraped({1: steadily(20), 2: steadily(20), 3: [900.0] * POINTS}, {3: 400})
    told = seen([boot(1), boot(2), boot(3)], still)
    assert found(uneven, told) == []
    assert "pushed 6 min ago" not in str(found(ghosts, told)), "it lives"


def test_the_young_have_less_behind_a_balancer_of_connections() -> None:
    sums = {1: steadily(30), 2: steadily(28), 3: steadily(3)}
    young = boot(3, since=1800)
    told = seen([boot(1), boot(2), young], scraped(sums))
    assert found(uneven, told) == []
    [pins] = found(pinned, told)
    assert pins.subjects == ("10.0.1.3",)
    old = replace(young, changed_at=NOW - 9000)
    told = seen([boot(1), boot(2), old], scraped(sums))
    assert found(pinned, told) == []
    [off] = found(uneven, told)
    assert "10.0.1.3 120 (0.15 times an equal share, 813)" in off.evidence
    nginx = seen([boot(1), boot(2), young], scraped(sums), Fleet())
    assert (found(pinned, nginx), len(found(uneven, nginx))) == ([], 1)


def test_clients_that_all_meet_one_instance_are_not_tied() -> None:
    """The others answer nobody: that is another fault. And two clients are too few."""

    def log(places: Sequence[int]) -> Seen:
        requests = [
            Request(NOW - 9, f"client-{client}", "GET", 200, 0.1, f"b{n}", "u", "i", 1, 0.1)
            for client, n in enumerate(places)
            for _ in range(30)
        ]
        looks: dict[type[Any], Any] = {
            RegistryLook: RegistryLook(NOW, 3600, (boot(1), boot(2))),
            AccessLogLook: AccessLogLook("access.log", NOW - 3600, tuple(requests)),
        }
        return Seen(Fleet(), NOW, looks)

    assert len(list(_tied_clients(log([1, 2, 1, 2])))) == 1
    assert list(_tied_clients(log([1, 1, 1, 1]))) == []
    assert list(_tied_clients(log([1, 2]))) == []


def test_without_prometheus_a_cloud_s_traffic_is_unknown() -> None:
    told = seen([boot(1), boot(2)])
    for rule in (uneven, pinned, unscraped, ghosts):
        with pytest.raises(Unseen, match="nothing looked for PrometheusLook"):
            found(rule, told)


def test_an_answer_that_is_not_whole_is_unknown() -> None:
    told = seen([boot(1), boot(2)], {})
    look = told.need(PrometheusLook)
    half = replace(look, answers={**look.answers, "heard": Answer(warning="a store is away")})
    with pytest.raises(Unseen, match="a store is away"):
        found(
            unscraped,
            Seen(CLOUD, NOW, {RegistryLook: told.need(RegistryLook), PrometheusLook: half}),
        )


def test_a_target_without_an_instance() -> None:
    series = {
        "info": [Series(target(1, boot_id="b1"), ((NOW, 1.0),))],
        "down": [Series(target(n), ((NOW, 0.0),)) for n in (2, 3, 4)],
    }
    boots = [boot(1), boot(2, "lost", 200), boot(3, "starting")]
    [ghost] = found(ghosts, seen(boots, series))
    assert ghost.subjects == ("10.0.1.4:8000",)
    others = [*series["info"], Series(target(9, boot_id="of-staging"), ((NOW, 1.0),))]
    shared = seen(boots, {**series, "info": others})
    assert found(ghosts, shared) == [], "the job has instances of another fleet as well"


def test_only_jobs_are_done_there_so_nobody_sends_to_it() -> None:
    worker = boot(3, workers=0, port=0)
    told = seen([boot(1), boot(2), worker], scraped({1: steadily(20), 2: steadily(20)}))
    for rule in (uneven, pinned, unscraped, ghosts):
        assert found(rule, told) == []


def test_all_are_unseen() -> None:
    [none] = found(unscraped, seen([boot(1), boot(2)], {}))
    assert found(unscraped, seen([boot(1, since=20)], {})) == [], "a scrape comes yet"
    assert "of 2 ready instances (registry) Prometheus at http://p:9090 sees none of them" in (
        none.evidence
    )


def test_one_that_has_no_target_any_more_is_seen_no_more() -> None:
    """Prometheus shows what it was told last for five minutes; and for no moment what it could not
    scrape just now."""
    boots = [boot(1), boot(2), boot(3)]
    last = {1: NOW - 12, 2: NOW - 100, 3: NOW - 120}
    shown = {
        "info": [Series(target(n, boot_id=f"b{n}"), ((NOW, 1.0),)) for n in (2,)],
        "heard": [Series(target(n, boot_id=f"b{n}"), ((NOW, at),)) for n, at in last.items()],
        "up": [Series(target(n), ((NOW, float(n == 2)),)) for n in last],
    }
    nginx = Fleet(metrics=Metrics(interval=STEP))
    [told] = found(unscraped, seen(boots, shown, nginx))
    assert told.subjects == ("10.0.1.2", "10.0.1.3")
    assert "ready for 58 min: told last 100 s ago, no target of this address" in told.evidence
    assert "told last 2 min ago, its scrapes fail" in told.evidence
    assert found(unscraped, seen(boots, shown, Fleet(metrics=Metrics(interval=60)))) == []


def test_a_group_that_nobody_renews() -> None:
    """Of an instance that the registry does not have; its fleet's last one ended a moment ago."""
    boots = [boot(1), boot(2, "lost", 200)]

    def groups(ages: Mapping[int, float]) -> Seen:
        pushed = [Series(target(n), ((NOW, NOW - age),)) for n, age in ages.items()]
        return seen(boots, {"pushed": pushed})

    [ghost] = found(ghosts, groups({1: 5, 2: 90, 9: 90}))
    assert ghost.subjects == ("10.0.1.9:8000",)
    assert "last pushed 90 s ago" in ghost.evidence
    assert found(ghosts, groups({1: 5, 9: 40})) == [], "another push may come"
    assert found(ghosts, groups({1: 5, 8: 5, 9: 90})) == [], "another fleet pushes there, too"
    assert len(found(ghosts, groups({1: 5, 8: 5, 9: 400}))) == 1


def test_a_deploy_may_change_the_workers() -> None:
    boots = [boot(1), boot(2), boot(3, workers=2, version="0.2.0")]
    looks: dict[type[Any], Any] = {RegistryLook: RegistryLook(NOW, 3600, tuple(boots))}
    config = {"processors": 2, "memory_bytes": 4_000_000_000}
    servers = ServersLook(tuple(Server(one, config=config) for one in boots))
    assert found(machines_uneven, Seen(CLOUD, NOW, looks | {ServersLook: servers})) == []
    with pytest.raises(Unseen, match=r"10.0.1.1, 10.0.1.2 told no processors and memory"):
        found(machines_uneven, Seen(CLOUD, NOW, looks | {ServersLook: ServersLook()}))


def test_a_machine_of_another_size() -> None:
    sizes = {1: 8_330_000_000, 2: 8_310_000_000, 3: 4_100_000_000}
    servers = tuple(
        Server(boot(number), config={"processors": 2, "memory_bytes": size})
        for number, size in sizes.items()
    )
    registry = RegistryLook(NOW, 3600, tuple(boot(number) for number in sizes))
    told = Seen(CLOUD, NOW, {RegistryLook: registry, ServersLook: ServersLook(servers)})
    [odd] = found(machines_uneven, told)
    assert odd.subjects == ("10.0.1.3",)
    assert "bytes of memory (/health/detailed): 10.0.1.3 4.1e+09" in odd.evidence


@pytest.mark.parametrize(
    ("boots", "group", "level"),
    [
        ([boot(1)], Group(), "error"),
        ([boot(1), boot(2, "lost")], Group(min=1), "warning"),
        ([boot(1), boot(2)], Group(), None),
        ([boot(1)], Group(min=1, max=1, desired=1), None),
        ([boot(1), boot(2, "starting", 5)], Group(), None),
        ([boot(1, since=20)], Group(), None),
        ([], Group(), None),
    ],
)
def test_when_one_alone_is_a_finding(boots: list[Boot], group: Group, level: str | None) -> None:
    told = seen(boots, fleet=Fleet(group=group))
    assert [one.level for one in found(single, told)] == ([level] if level else [])
