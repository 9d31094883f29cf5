"""Fleets of which nothing is wrong: their specs differ, and so does what is going on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, Policy
from tests.doctor.faults.cuts import uploading
from tests.doctor.ground import Ground

READ = "/api/photos/"
State = Callable[[Ground], AbstractContextManager[object]]


@dataclass(frozen=True)
class Sound:
    """A fleet of this spec, while `state` lasts. `options` are those of `photo-fleet up`."""

    name: str
    fleet: Fleet
    state: State
    options: tuple[str, ...] = ()


def of(size: int, **changes: Any) -> Fleet:
    """So many instances that stay as many, with these changes of the defaults, `__` for the dot.
    They are of one machine with little memory: a pool of 4."""
    sizes = {"group.min": min(size, 2), "group.max": max(size, 4), "group.desired": size}
    local = {"group.local.cores_per_instance": 2.0, "service.pool": 4, "metrics.interval": 3.0}
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    made = changed(Fleet("sound"), {**sizes, **local, **dotted})
    grows = Policy("cpu", 45, 900, +1, 300)
    shrinks = Policy("cpu", 0.1, 600, -1, 300)
    if "group__policies" in changes:
        return made
    return replace(made, group=replace(made.group, policies=(grows, shrinks)))


def idle(_: Ground) -> AbstractContextManager[object]:
    return nullcontext()


@contextmanager
def read(ground: Ground) -> Iterator[None]:
    """People have read for a while, and go on."""
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            ground.bodies(READ, 1.0, clients=3)

    reading = threading.Thread(target=go_on, daemon=True)
    reading.start()
    time.sleep(8)
    try:
        yield
    finally:
        stop.set()
        reading.join(20)


@contextmanager
def read_before(ground: Ground) -> Iterator[None]:
    """People have read, and all of them have gone."""
    ground.bodies(READ, 4.0)
    time.sleep(7)
    yield


@contextmanager
def uploaded(ground: Ground) -> Iterator[None]:
    """Somebody uploads photos, and looks at them."""
    with ground.up.new_user() as user:
        album = user.album()["id"]
        for _ in range(6):
            user.rendered(int(user.upload(album_id=album)["id"]))
        user.upload(album_id=album)  # and that of one is still to come
        yield


@contextmanager
def deploying(ground: Ground) -> Iterator[None]:
    """A deploy is under way."""
    with beside(lambda: ground.order(do="deploy")):
        time.sleep(3)
        yield


@contextmanager
def deployed(ground: Ground) -> Iterator[None]:
    """A deploy is just over."""
    ground.order(do="deploy")
    ground.whole()
    yield


@contextmanager
def draining(ground: Ground) -> Iterator[None]:
    """An instance drains: somebody's upload holds it up."""
    one = ground.serving()[0]
    held = uploading(f"{one['name']}:{one['port']}", 25)
    with held, beside(lambda: ground.order(do="drain", name=one["name"])):
        time.sleep(3)
        yield


@contextmanager
def drained(ground: Ground) -> Iterator[None]:
    """An instance has been replaced, while people read."""
    with read(ground):
        ground.order(do="drain", name=ground.serving()[0]["name"])
        yield


@contextmanager
def grown(ground: Ground) -> Iterator[None]:
    """The group has just grown by one, while people read."""
    with read(ground):
        ground.order(do="scale", size=len(ground.serving()) + 1)
        yield


@contextmanager
def growing(ground: Ground) -> Iterator[None]:
    """A new instance is about to start."""
    with beside(lambda: ground.order(do="scale", size=len(ground.serving()) + 1)):
        time.sleep(1)
        yield


@contextmanager
def shrunk(ground: Ground) -> Iterator[None]:
    """The group has become smaller by one."""
    ground.order(do="scale", size=len(ground.serving()) - 1)
    yield


@contextmanager
def reloaded(ground: Ground) -> Iterator[None]:
    """nginx has read its files anew."""
    ground.bodies(READ, 3.0)
    ground.reload()
    yield


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[None]:
    """It is done meanwhile, and over at the end."""

    def run() -> None:
        with suppress(Exception):
            act()

    acting = threading.Thread(target=run, daemon=True)
    acting.start()
    try:
        yield
    finally:
        acting.join(120)


GATEWAY = "http://10.0.0.9:9091"
SHORT = {
    "drain__lame_duck": 3.5,
    "drain__in_flight_wait": 12.0,
    "drain__log_flush": 2.0,
    "balancer__read_timeout": 10.0,
    "balancer__send_timeout": 10.0,
    "service__longest_request": 10.0,
}
BY_HEALTH = {
    "drain__removal": "health-only",
    "drain__lame_duck": 105.0,
    "drain__grace": 150.0,
    "drain__kill_delay": 150.0,
}
QUEUE = (Policy("in_flight", 20, 60, +1, 120), Policy("in_flight", 1, 600, -1, 300))
AGE = (*QUEUE, Policy("queue_age", 120, 60, +1, 300))

LEAST = {"balancer__algorithm": "least-connections"}
ALONE = {"group__min": 1, "group__max": 1}
LARGE = {"service__pool": 20, "database__max_connections": 400}
OTHER = {"balancer__client_keep_alive": 30, "service__job_concurrency": 2}

_SOUND = (
    Sound("three instances, idle", of(3), idle),
    Sound("three instances, read", of(3), read),
    Sound("four instances, read before", of(4), read_before),
    Sound("two instances, uploads", of(2), uploaded),
    Sound("min = max = 1, idle", of(1, **ALONE), idle),
    Sound("min = max = 1, read", of(1, **ALONE), read),
    Sound("min = max = 1, deployed", of(1, **ALONE), deployed),
    Sound("least connections, read", of(3, **LEAST), read),
    Sound("least connections, grown", of(2, **LEAST), grown),
    Sound("two workers each, read", of(2, service__workers=2), read),
    Sound("two workers each, deploying", of(2, service__workers=2), deploying),
    Sound("three instances, deploying", of(3), deploying),
    Sound("two instances, deployed", of(2), deployed),
    Sound("three instances, one draining", of(3), draining),
    Sound("two instances, one draining", of(2), draining),
    Sound("three instances, one drained", of(3), drained),
    Sound("two instances, growing", of(2), growing),
    Sound("four instances, shrunk", of(4), shrunk),
    Sound("pushed metrics, idle", of(2, metrics__pushgateway=GATEWAY), idle),
    Sound("pushed metrics, read", of(3, metrics__pushgateway=GATEWAY), read),
    Sound("pushed metrics, one drained", of(2, metrics__pushgateway=GATEWAY), drained),
    Sound("short drains, one drained", of(3, **SHORT), drained),
    Sound("long grace, one draining", of(2, drain__lame_duck=30.0, drain__grace=89.0), draining),
    Sound("health only, idle", of(2, **BY_HEALTH), idle),
    Sound("idle for 15 and 20 s, read", of(3, balancer__keep_alive=15), read),
    Sound("idle for minutes, reloaded", of(2, service__keep_alive=600), reloaded),
    Sound("probes of 12 s, read before", of(2, health_check__interval=12.0), read_before),
    Sound("policies on requests in flight, read", of(2, group__policies=QUEUE), read),
    Sound("policies on the queue, uploads", of(2, group__policies=AGE), uploaded),
    Sound("ten times as fast, deployed", of(3), deployed, ("--time-scale", "10")),
    Sound("a large pool and 400 connections, idle", of(2, **LARGE), idle),
    Sound("other limits, read", of(3, **OTHER), read),
    Sound("three instances, reloaded", of(3), reloaded),
    Sound("four instances, one draining", of(4), draining),
)


def _varied(number: int, sound: Sound) -> Sound:
    """No two specs are the same: numbers that contradict nothing."""
    fleet = sound.fleet
    changes = {
        "name": f"sound-{number}",
        "group.warm_up": 60.0 + number,
        "database.reserved": 10 + number % 5,
        "balancer.connect_timeout": 2.0 + number % 3,
        "objectives.least_missed": 5 + number,
    }
    return replace(sound, fleet=changed(fleet, changes))


SOUND = tuple(_varied(number, sound) for number, sound in enumerate(_SOUND))
