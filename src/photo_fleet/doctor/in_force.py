"""The spec's numbers as they are in force: at the instances, in nginx's files, in the units."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from photo_api.contract import API_PREFIX
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.nginx_syntax import Directive
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.looks.units import INSTANCE, VARIABLES, UnitsLook, Value
from photo_fleet.doctor.proxying import Way, seconds, size, to_instances
from photo_fleet.doctor.words import listed
from photo_fleet.render.environment import ENVIRONMENT
from photo_fleet.render.nginx_text import time
from photo_fleet.rules.findings import Finding
from photo_fleet.rules.server import REPORTED, compare, is_the_same
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import is_number


@dataclass(frozen=True, slots=True)
class Knob:
    """A directive of nginx that a number of the spec becomes: the spec's `key`, the directive's
    `name`, what nginx does where nothing sets it, and how such text is read and written."""

    key: str
    name: str
    usual: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _is_on(text: str) -> bool:
    return text != "off"


def _switch(on: bool) -> str:
    return "on" if on else "off"


OF_WAYS = (
    Knob("balancer.connect_timeout", "proxy_connect_timeout", "60s", seconds, time),
    Knob("balancer.send_timeout", "proxy_send_timeout", "60s", seconds, time),
    Knob("balancer.read_timeout", "proxy_read_timeout", "60s", seconds, time),
    Knob("balancer.client_keep_alive", "keepalive_timeout", "75s", seconds, time),
    Knob("balancer.buffer_uploads", "proxy_request_buffering", "on", _is_on, _switch),
)
OF_UPSTREAMS = Knob("balancer.keep_alive", "keepalive_timeout", "60s", seconds, time)
OF_UPLOADS = Knob("balancer.upload_limit", "client_max_body_size", "1m", size, str)

UPLOADS = f"{API_PREFIX}/photos"

PORT = "server-port"
SERVE = "photo-api serve"

RENDER = "photo-fleet render writes it, and reload nginx"

_WORKERS = re.compile(r"(--workers)[= ](\d+)")


@dataclass(frozen=True, slots=True)
class Told:
    """A number that is in force and not the spec's: its `key` there, the `value`, in which words it
    was read and where, what mends it, which command shows it, and whom it is about."""

    key: str
    value: Any
    place: str
    remedy: str
    command: str
    subjects: tuple[str, ...] = ()


Variant = tuple[Told, ...]
"""Numbers that hold together; those that are not here are the spec's."""


def expected(fleet: Fleet, key: str) -> Any:
    """The spec's value of a dotted key."""
    return attrgetter(key)(fleet)


def differences(fleet: Fleet, server: Server) -> list[Finding]:
    """What `photo-fleet check --probe` would say of it. A balancer that follows the registry reads
    there on which port it is."""
    found = compare(fleet, server.config or {})
    return [one for one in found if fleet.balancer.kind == "cloud" or one.code != PORT]


def of_servers(fleet: Fleet, look: ServersLook) -> list[Variant]:
    """Each distinct set among the instances that tell theirs, with the instances that have it."""
    alike: dict[tuple[tuple[str, Any], ...], list[Server]] = {}
    for server in look.servers:
        if server.config is not None:
            alike.setdefault(_numbers(fleet, server.config), []).append(server)
    return [tuple(_of_server(fleet, numbers, which)) for numbers, which in alike.items()]


def _numbers(fleet: Fleet, config: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, config[name])
        for name, (table, key, _) in REPORTED.items()
        if name != "port"
        and is_number(config.get(name))
        and not is_the_same(config[name], expected(fleet, f"{table}.{key}"))
    )


def _of_server(
    fleet: Fleet, numbers: Iterable[tuple[str, Any]], servers: list[Server]
) -> Iterator[Told]:
    names = tuple(sorted({server.boot.instance for server in servers}))
    for name, value in numbers:
        table, key, told_by = REPORTED[name]
        wanted = expected(fleet, f"{table}.{key}")
        place = f"{name} {value:g} of /health/detailed at {listed(names)}"
        remedy = f"start {'it' if len(names) == 1 else 'them'} with {told_by} {wanted:g}"
        command = f"photo-fleet check --probe http://{servers[0].boot.place}"
        yield Told(f"{table}.{key}", value, place, remedy, command, names)


def of_units(fleet: Fleet, look: UnitsLook) -> Variant:
    """What this host's instance is told when it starts next. What nobody tells it has the service's
    default, which is the spec's too; of files that cannot be read nothing is assumed. Raises
    `Unseen` when the unit itself cannot be."""
    unit = look.unit(INSTANCE)
    if unit is None or unit.masked:
        return ()
    told, programs = dict(unit.environment), unit.programs.get("ExecStart", ())
    for program in programs:
        for name, value in _WORKERS.findall(program.text):
            told[name] = Value(value, program.place)
    is_whole = not unit.unread and any(SERVE in program.text for program in programs)
    return tuple(_of_unit(fleet, told, is_whole))


def _of_unit(fleet: Fleet, told: Mapping[str, Value], is_whole: bool) -> Iterator[Told]:
    command = f"systemctl cat {INSTANCE}"
    for table, key, name in REPORTED.values():
        found, wanted = told.get(name), expected(fleet, f"{table}.{key}")
        if found is None:
            usual = expected(Fleet(), f"{table}.{key}")
            if is_whole and name in VARIABLES and not is_the_same(usual, wanted):
                place = f"{name}, which nothing sets for {INSTANCE}, is {usual:g}"
                remedy = f"set {name} to {wanted:g} in {ENVIRONMENT}, and restart"
                yield Told(f"{table}.{key}", usual, place, remedy, command)
            continue
        try:
            value = type(wanted)(float(found.text))
        except (ValueError, OverflowError):
            continue  # the service refuses it, and does not start
        if not is_the_same(value, wanted):
            remedy = f"set {name} to {wanted:g} in {found.place.rpartition(':')[0]}, and restart"
            place = f"{name} {value:g} in {found.place}"
            yield Told(f"{table}.{key}", value, place, remedy, command)


def of_nginx(fleet: Fleet, look: NginxLook) -> list[Variant]:
    """Each distinct set among the ways to instances. Raises `Unseen` without any."""
    found = to_instances(look, fleet)
    shared = tuple(_largest_body(fleet, found))
    variants: dict[tuple[tuple[str, Any], ...], Variant] = {}
    for way in found:
        variant = (*_of_way(fleet, way), *shared)
        variants.setdefault(tuple((one.key, one.value) for one in variant), variant)
    return list(variants.values())


def _of_way(fleet: Fleet, way: Way) -> Iterator[Told]:
    for knob in OF_WAYS:
        yield from _turned(fleet, knob, way.last(knob.name), way.passing)
    if way.upstream and way.kept("keepalive"):
        yield from _turned(fleet, OF_UPSTREAMS, way.kept(OF_UPSTREAMS.name), way.upstream)


def _largest_body(fleet: Fleet, found: list[Way]) -> Iterator[Told]:
    """What the way for uploads takes, or else the one that takes most."""
    uploads = [way for way in found if UPLOADS in way.locations] or found

    def limit(way: Way) -> float:
        one = way.last(OF_UPLOADS.name)
        return size(one.first if one else OF_UPLOADS.usual) or 0.0

    largest = max(uploads, key=limit)
    yield from _turned(fleet, OF_UPLOADS, largest.last(OF_UPLOADS.name), largest.passing)


def _turned(fleet: Fleet, knob: Knob, one: Directive | None, where: Directive) -> Iterator[Told]:
    """When it is not as the spec wants it; `where` it counts, if nothing sets it."""
    value, wanted = knob.read(one.first if one else knob.usual), expected(fleet, knob.key)
    if value is None or value == wanted or is_the_same(value, wanted):
        return
    place = f"{knob.name}, which nothing sets for {where.place}, is {knob.usual}"
    if one:
        place = f"{knob.name} {one.first} ({one.place})"
    found = one or where
    remedy = f"{knob.name} {knob.write(wanted)}; at {found.place}, as {RENDER}"
    yield Told(knob.key, value, place, remedy, f"grep -n {knob.name} {found.file}")
