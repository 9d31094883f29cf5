"""Why requests are cut, as far as the numbers tell: those of the spec, and those in force."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, product

from photo_fleet.doctor import drains, proxy_retries, unit_kills
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.in_force import (
    RENDER,
    Told,
    Variant,
    differences,
    expected,
    of_nginx,
    of_servers,
    of_units,
)
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.looks.units import UnitsLook
from photo_fleet.doctor.proxying import seconds
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed
from photo_fleet.render.nginx_text import time
from photo_fleet.rules.checks import check
from photo_fleet.rules.findings import Finding as Contradiction
from photo_fleet.rules.server import is_the_same
from photo_fleet.spec.changes import changed, told

CHECK = "photo-fleet check"
TOKEN = "PHOTO_API_OPS_TOKEN_FILE=… photo-fleet doctor"  # noqa: S105  (a command)

MOST_COMBINATIONS = 60
STEP_OF_DEPLOY = 300.0
"""Seconds in which a deploy replaces one instance, or has stopped."""
STALE = 2.0
"""Seconds: the kernel tells to the second when the machine was started."""

CUTTING = frozenset(
    {"lame-duck", "stop-budget", "kill-delay", "read-timeout", "longest-request", "keep-alive"}
    | {"connect-timeout", "upload-buffering", "upload-limit"}
)
"""Codes of the rules that are about requests; the others' numbers are judged in other sections."""

_KEY = re.compile(r"\b[a-z_]+\.[a-z_]+\b")


ON_ONE_MACHINE = ("127.0.0.0/8",)
"""Networks of the balancers of a local fleet, where a gateway on loopback is the same for all."""


def spec_contradicts(seen: Seen) -> Iterator[Finding]:
    """As `photo-fleet check` says it."""
    for found in check(seen.spec):
        if found.code == "push-address" and seen.spec.balancer.networks == ON_ONE_MACHINE:
            continue
        if found.level == "error":
            evidence = f"{found.code}: {found.numbers}, so that {found.consequence}"
            yield Finding("error", "spec-contradicts", evidence, CHECK, found.remedy)


def reality_contradicts(seen: Seen) -> Iterator[Finding]:
    """The same inequalities with the numbers that are in force, wherever they were read."""
    spec = seen.spec
    known, lacking = _in_force(seen)
    before = {(found.code, found.numbers) for found in check(spec)}
    of_spec = {code for code, _ in before}
    found: dict[tuple[str, str], tuple[Contradiction, Variant]] = {}
    for variant in known:
        for one in check(changed(spec, {number.key: number.value for number in variant})):
            key = (one.code, one.numbers)
            if one.code in CUTTING and key not in before:
                _, others = found.setdefault(key, (one, ()))
                found[key] = (one, tuple(dict.fromkeys((*others, *variant))))
    for one, variant in found.values():
        yield _contradiction(one, variant, one.code in of_spec)
    yield from _short_reload(seen)
    _open(lacking)


def _in_force(seen: Seen) -> tuple[list[Variant], list[Unseen]]:
    """Each set of numbers that may meet, and what could not be looked at."""
    lacking: list[Unseen] = []
    instances: list[Variant] = []
    ways: list[Variant] = []
    try:
        servers, quiet = _settled(seen)
        instances += of_servers(seen.spec, ServersLook(servers))
        lacking += quiet
    except Unseen as unseen:
        lacking.append(unseen)
    try:
        instances.append(of_units(seen.spec, seen.need(UnitsLook)))
    except Unseen as unseen:
        lacking.append(unseen)
    if seen.spec.balancer.kind == "nginx":
        try:
            ways += of_nginx(seen.spec, seen.need(NginxLook))
        except Unseen as unseen:
            lacking.append(unseen)
    meet = product(dict.fromkeys(instances or [()]), dict.fromkeys(ways or [()]))
    return [(*one, *other) for one, other in islice(meet, MOST_COMBINATIONS)], lacking


def _settled(seen: Seen) -> tuple[tuple[Server, ...], list[Unseen]]:
    """The instances that are to stay and tell their configuration, and what the others keep to
    themselves. While a deploy brings the spec's numbers, nobody counts who is older than all that
    have them."""
    look = seen.need(ServersLook)
    servers = [one for one in look.servers if one.boot.state != "draining"]
    told = [one for one in servers if one.config is not None]
    silent = sorted(one.boot.instance for one in servers if one.config is None)
    lacking = [Unseen(f"{listed(silent)} told no configuration", TOKEN)] if silent else []
    if look.left_out:
        lacking.append(Unseen(f"{look.left_out} more instances were not asked", TOKEN))
    new = [one.boot.started_at for one in told if not differences(seen.spec, one)]
    if new and _is_deploying(seen.need(RegistryLook), max(new)):
        told = [one for one in told if one.boot.started_at >= min(new)]
    return tuple(told), lacking


def _is_deploying(registry: RegistryLook, latest: float) -> bool:
    """Whether instances come, the last at `latest`, and go."""
    since = registry.now - STEP_OF_DEPLOY
    going = [one for one in registry.instances if one.state != "ready" and one.changed_at > since]
    return latest > since and bool(going)


def _open(lacking: list[Unseen]) -> None:
    if lacking:
        reasons = "; ".join(dict.fromkeys(str(unseen) for unseen in lacking))
        raise Unseen(reasons, lacking[0].command)


def _contradiction(found: Contradiction, variant: Variant, is_spec_s: bool) -> Finding:
    """`is_spec_s`: the spec's own numbers contradict each other in the same way."""
    keys = set(_KEY.findall(found.numbers))
    read = [one for one in variant if one.key in keys] or list(variant)
    places = "; ".join(dict.fromkeys(one.place for one in read))
    remedies = ", or ".join(dict.fromkeys(one.remedy for one in read))
    return Finding(
        found.level,
        "reality-contradicts",
        f"{found.code}: {found.numbers}, so that {found.consequence} (in force: {places})",
        read[0].command,
        found.remedy if is_spec_s else remedies,
        tuple(sorted({name for one in read for name in one.subjects})),
    )


def _short_reload(seen: Seen) -> Iterator[Finding]:
    """A reload leaves requests the time that they may take."""
    if seen.spec.balancer.kind != "nginx":
        return
    look, longest = seen.look(NginxLook), seen.spec.service.longest_request
    for one in look.tree if look else ():  # without it the other numbers are unknown too
        limit = seconds(one.first) if one.name == "worker_shutdown_timeout" else None
        if limit and limit < longest and not is_the_same(limit, longest):
            yield Finding(
                "error",
                "reality-contradicts",
                f"worker_shutdown_timeout {one.first} ({one.place}) < service.longest_request"
                f" {longest:g}s, so that each reload of nginx cuts what takes longer",
                f"grep -n {one.name} {one.file}",
                f"{one.name} {time(longest)}; at {one.place}, as {RENDER}",
            )


def reality_differs(seen: Seen) -> Iterator[Finding]:
    """What is in force and is not the spec's, whether or not it contradicts anything."""
    lacking: list[Unseen] = []
    for where in (_at_servers, _at_nginx, _at_units):
        try:
            yield from where(seen)
        except Unseen as unseen:
            lacking.append(unseen)
    _open(lacking)


def _at_servers(seen: Seen) -> Iterator[Finding]:
    servers, lacking = _settled(seen)
    alike: dict[Contradiction, list[Server]] = {}
    for server in servers:
        for one in differences(seen.spec, server):
            alike.setdefault(replace(one, ways=()), []).append(server)
    for one, which in alike.items():
        yield Finding(
            one.level,
            "reality-differs",
            f"{one.code}: {one.numbers} (/health/detailed)",
            f"photo-fleet check --probe http://{which[0].boot.place}",
            one.remedy,
            tuple(sorted({server.boot.instance for server in which})),
        )
    _open(lacking)


def _at_nginx(seen: Seen) -> Iterator[Finding]:
    if seen.spec.balancer.kind != "nginx":
        return
    look = seen.need(NginxLook)
    if look.read_at is not None and look.changed_at > look.read_at + STALE:
        late = look.changed_at - look.read_at
        yield Finding(
            "warning",
            "reality-differs",
            f"nginx-reload: files of {look.file} were written {late:.0f} s after the running nginx"
            " had read them",
            "ps -C nginx -o lstart,args",
            f"sudo nginx -t -c {look.file} && sudo systemctl reload photo-fleet-nginx",
        )
    variants = of_nginx(seen.spec, look)
    yield from _differences(seen, "nginx", (one for variant in variants for one in variant))


def _at_units(seen: Seen) -> Iterator[Finding]:
    look = seen.need(UnitsLook)
    for unit in look.units.values():
        if unit.outdated:
            yield Finding(
                "warning",
                "reality-differs",
                f"unit-reload: files of {unit.name} have changed since systemd read them",
                f"systemctl show -p NeedDaemonReload {unit.name}",
                "sudo systemctl daemon-reload, then restart what it is about",
            )
    yield from _differences(seen, "unit", of_units(seen.spec, look))
    for unit in look.units.values():
        if unit.unread:
            files = ", ".join(unit.unread)
            raise Unseen(f"{files} of {unit.name} cannot be read", f"sudo ls -l {files}")
    look.all_read(*look.unread)


def _differences(seen: Seen, where: str, numbers: Iterable[Told]) -> Iterator[Finding]:
    for one in dict.fromkeys(numbers):
        name = one.key.rpartition(".")[2].replace("_", "-")
        wanted = told(seen.spec, {one.key: expected(seen.spec, one.key)})
        yield Finding(
            "warning",
            "reality-differs",
            f"{where}-{name}: {one.place}; the spec sets {wanted}",
            one.command,
            one.remedy,
        )


RULES = (
    Rule("spec-contradicts", spec_contradicts),
    Rule("reality-contradicts", reality_contradicts),
    Rule("reality-differs", reality_differs),
    *unit_kills.RULES,
    *proxy_retries.RULES,
    *drains.RULES,
)
