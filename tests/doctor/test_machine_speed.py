"""Machines that take longer than others for the same, on looks that are made up."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from photo_fleet.dashboard.readings import Series
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looks.access_log import AccessLogLook, Request
from photo_fleet.doctor.looks.exposition import parse
from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.machines import uneven
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec.fleet import Fleet
from tests.doctor.test_traffic_rules import NOW, POINTS, STEP, boot, scraped, seen, steadily, target

SIZE = {"processors": 2, "memory_bytes": 4_000_000_000}
Waits = Callable[[random.Random, float], float]
"""Seconds that a read takes which begins so long before now."""


def found(told: Seen) -> list[Finding]:
    """Of what a registry and Prometheus tell."""
    registry, look = told.need(RegistryLook), told.need(PrometheusLook)
    servers = ServersLook(tuple(Server(one, config=SIZE) for one in registry.alive))
    looks: dict[type[Any], Any] = {RegistryLook: registry, PrometheusLook: look}
    return list(uneven(Seen(told.spec, NOW, {**looks, ServersLook: servers})))


def read(boots: Sequence[Boot], waits: Sequence[Waits], seconds: float = 60) -> list[Finding]:
    """Ten reads a second, one after the other by each instance, by nginx's log."""
    chance = random.Random(1)
    requests = []
    for place in range(int(seconds * 10)):
        ago, number = seconds - place / 10, place % len(boots)
        took = waits[number](chance, ago)
        name = boots[number].boot_id
        requests.append(
            Request(NOW - ago, "c", "GET", 200, took, name, "", boots[number].instance, 1, took)
        )
    registry = RegistryLook(NOW, 3600, tuple(boots))
    servers = ServersLook(tuple(Server(one, config=SIZE) for one in boots))
    log = AccessLogLook("access.log", NOW - 3600, tuple(requests))
    looks: dict[type[Any], Any] = {RegistryLook: registry, ServersLook: servers, AccessLogLook: log}
    return list(uneven(Seen(Fleet(), NOW, looks)))


def usual(chance: random.Random, ago: float) -> float:
    """Some reads of ten seconds among them."""
    return 10.0 if chance.random() < 0.02 else chance.uniform(0.003, 0.02)


def halted(chance: random.Random, ago: float) -> float:
    """Four fifths of the time it stands still."""
    return usual(chance, ago) + max(0.0, chance.uniform(-0.05, 0.2))


def test_one_whose_answers_are_waited_for() -> None:
    boots = [boot(1), boot(2), boot(3)]
    [slow] = read(boots, [usual, halted, usual])
    assert slow.subjects == ("10.0.1.2",)
    assert "ms until the answer to a read, median (access.log): 10.0.1.2" in slow.evidence
    assert read(boots, [usual, usual, usual]) == []
    assert read(boots, [halted, halted, halted]) == [], "so it is at all machines"
    assert len(read(boots[:2], [halted, usual])) == 1


def test_a_hiccup_is_no_other_machine() -> None:
    def for_a_moment(chance: random.Random, ago: float) -> float:
        return (halted if ago < 14 else usual)(chance, ago)

    boots = [boot(1), boot(2), boot(3)]
    assert read(boots, [usual, for_a_moment, usual]) == []
    assert read(boots, [usual, halted, usual], seconds=20) == [], "and neither are a few reads"


def test_one_that_came_when_all_were_slow() -> None:
    def by_now(chance: random.Random, ago: float) -> float:
        return (halted if ago < 100 else usual)(chance, ago)

    boots = [boot(1), boot(2), boot(3, since=90)]
    assert read(boots, [by_now, by_now, by_now], seconds=400) == []


def spent(milliseconds: dict[int, Sequence[float | None]]) -> list[Series]:
    return [
        Series(
            target(number),
            tuple(
                (NOW - STEP * (POINTS - 1 - place), value / 1000)
                for place, value in enumerate(values)
                if value is not None
            ),
        )
        for number, values in milliseconds.items()
    ]


def test_processor_time_is_compared_within_the_same_time() -> None:
    """The last one came when there was much to do; before that the others spent most of their time
    on nothing. Since their starts they need three times as much for a request."""
    boots = [boot(1), boot(2), boot(3, since=11 * STEP)]
    quiet, busy = 30, 11
    requests = steadily(35, quiet)
    requests += [requests[-1] + 3000 * (place + 1) for place in range(busy)]
    late = [None] * quiet + [3000.0 * place for place in range(busy)]
    used = [900.0 * place for place in range(quiet)]
    used += [used[-1] + 5 * 3000 * (place + 1) for place in range(busy)]
    own = [None] * quiet + [1500 + 5 * 3000.0 * place for place in range(busy)]
    sums = scraped({1: requests, 2: requests, 3: late})
    even = {**sums, "processor": spent({1: used, 2: used, 3: own})}
    assert found(seen(boots, even)) == []
    slow = [None if value is None else 2.5 * value for value in own]
    odd = {**sums, "processor": spent({1: used, 2: used, 3: slow})}
    [told] = found(seen(boots, odd))
    assert "ms of processor time a request (Prometheus): 10.0.1.3 12.5; usual 5" in told.evidence


def test_what_a_start_takes_is_no_request() -> None:
    """One that has just come, without a Prometheus."""
    registry = RegistryLook(NOW, 3600, (boot(1), boot(2), boot(3, since=100)))
    numbers = {"b1": (100_000, 200), "b2": (100_000, 210), "b3": (1500, 9)}

    def look(factor: float = 1.0) -> list[Finding]:
        servers = tuple(
            Server(
                one,
                config=SIZE,
                metrics=parse(
                    f'http_requests_total{{handler="/api/albums"}} {factor * requests}\n'
                    f'photo_api_cpu_seconds_total{{process="web"}} {factor * seconds}\n'
                ),
            )
            for one in registry.alive
            for requests, seconds in [numbers[one.boot_id]]
        )
        looks: dict[type[Any], Any] = {RegistryLook: registry, ServersLook: ServersLook(servers)}
        return list(uneven(Seen(Fleet(), NOW, looks)))

    assert look() == []
    [told] = look(factor=2)
    assert "ms of processor time a request (/metrics): 10.0.1.3 6; usual 2.1" in told.evidence
