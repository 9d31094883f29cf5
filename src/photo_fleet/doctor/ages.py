"""Rules about what was right once: keys, certificates, releases."""

from collections.abc import Iterator

from photo_fleet.doctor.finding import Finding, Level
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.certificates import CertificatesLook, Shown
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.told import as_operator, configurations, instances, names
from photo_fleet.doctor.words import span
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import is_number

DAY = 86400.0
URGENT = 3 * DAY
"""Before the end of a certificate: as the alert has it."""
AHEAD = 2 * DAY
"""By which a key's date may lie ahead: clocks and time zones differ."""
DUE_SHARE = 1 / 3
"""Of a certificate's time: what renews by itself has done so by then."""
PATIENCE = 600.0
"""Seconds that people may take in a deploy, besides what instances need."""

Key = tuple[str, str]
"""What it is for, and its id."""


def key_old(seen: Seen) -> Iterator[Finding]:
    """The one that signs or seals; those that only verify are on their way out."""
    oldest = seen.spec.objectives.oldest_key
    if not oldest:
        return
    for (use, kid), (age, servers) in _signing(seen).items():
        if age is not None and age > oldest * DAY:
            yield Finding(
                "warning",
                "key-old",
                f"the {use} key {kid} that signs is {age / DAY:.0f} days old, more than"
                f" objectives.oldest_key = {oldest} (config.keys of /health/detailed at"
                f" {names(servers)})",
                as_operator(servers[0], ".keys"),
                f"rotate {use}-keys in three steps (docs/operations.md#keys-and-secrets)",
                instances(servers),
            )
    _all_told(seen)


def key_undated(seen: Seen) -> Iterator[Finding]:
    """Its id is the only thing that tells its age; one that lies ahead tells it not."""
    if not seen.spec.objectives.oldest_key:
        return
    for (use, kid), (age, servers) in _signing(seen).items():
        if age is None or age < -AHEAD:
            reason = (
                "has no date in its id" if age is None else "has a date in its id that is ahead"
            )
            yield Finding(
                "warning",
                "key-undated",
                f"the {use} key {kid} that signs {reason} (config.keys of /health/detailed at"
                f" {names(servers)})",
                as_operator(servers[0], ".keys"),
                f"give the next of {use}-keys an id of its date (2026-11:…), in three steps",
                instances(servers),
            )
    _all_told(seen)


def _signing(seen: Seen) -> dict[Key, tuple[float | None, list[Server]]]:
    """The keys that sign or seal, with their ages in seconds, at those that told."""
    found: dict[Key, tuple[float | None, list[Server]]] = {}
    try:
        for server, config in configurations(seen):
            told = config.get("keys")
            for key in told if isinstance(told, list) else []:
                if isinstance(key, dict) and key.get("signs") is True:
                    what = (str(key.get("use")), str(key.get("id")))
                    age = key["age_s"] if is_number(key.get("age_s")) else None
                    found.setdefault(what, (age, []))[1].append(server)
    except Unseen:
        if not found:
            raise
    return found


def _all_told(seen: Seen) -> None:
    """Raises `Unseen` unless every instance told its keys."""
    for server, config in configurations(seen):
        if not isinstance(config.get("keys"), list):
            raise Unseen(
                f"the release of {server.boot.instance} tells no ages of keys",
                as_operator(server, ".jwt_key_ids"),
            )


def certificate_due(seen: Seen) -> Iterator[Finding]:
    """What is shown counts; a newer file that nginx has not read makes it no better."""
    look = seen.need(CertificatesLook)
    distrusted = ""
    for shown in look.shown:
        if found := _wrong(shown, seen.at, seen.spec):
            level, evidence = found
            renewed = look.file_ends is not None and look.file_ends > shown.ends + DAY
            yield Finding(
                level,
                "certificate-due",
                f"{shown.where} shows a certificate for {', '.join(shown.names) or 'no name'},"
                f" which {evidence}",
                f"openssl s_client -connect {shown.place} -servername {shown.name} </dev/null"
                " | openssl x509 -noout -dates -ext subjectAltName",
                f"the file {look.file} has a newer one: sudo systemctl reload photo-fleet-nginx"
                if renewed
                else "renew it, then sudo systemctl reload photo-fleet-nginx",
            )
        elif shown.refused:
            distrusted = f"{shown.where}: whether clients believe it: {shown.refused}"
    unseen = [*(f"{where}: {why}" for where, why in look.unseen.items()), distrusted]
    if reason := next(filter(None, unseen), ""):
        raise Unseen(reason, f"curl -sSvo /dev/null {seen.spec.service.public_url or 'https://…'}")


def _wrong(shown: Shown, at: float, fleet: Fleet) -> tuple[Level, str] | None:
    """Level and what it is; None when nothing is."""
    left, lasts = shown.ends - at, shown.ends - shown.begins
    due = min(fleet.objectives.certificate_left * DAY, lasts * DUE_SHARE)
    if left <= 0:
        return "error", f"ended {span(-left)} ago"
    if shown.begins > at + DAY:
        return "error", f"is valid in {span(shown.begins - at)} only"
    if not shown.fits:
        return "error", f"is not of {shown.name}"
    if left < min(URGENT, due):
        return "error", f"ends in {span(left)}"
    if left < due:
        return "warning", f"ends in {span(left)}, less than {due / DAY:.0f} days"
    return None


def versions_mixed(seen: Seen) -> Iterator[Finding]:
    """Since when two releases have both had an instance that is ready still: at least so long."""
    registry = seen.need(RegistryLook)
    by_release: dict[str, list[Boot]] = {}
    for boot in registry.alive:
        if boot.state == "ready":
            by_release.setdefault(boot.version, []).append(boot)
    if len(by_release) < 2:
        return
    began = sorted(min(boot.changed_at for boot in boots) for boots in by_release.values())
    mixed, longest = registry.now - began[1], _longest_deploy(seen.spec, len(registry.alive))
    if mixed <= longest:
        return
    numbers = ", ".join(f"{len(boots)} of {one}" for one, boots in sorted(by_release.items()))
    fewest = min(by_release.values(), key=len)
    yield Finding(
        "warning",
        "versions-mixed",
        f"the registry has {numbers} ready, for {span(mixed)}; a deploy of this fleet takes"
        f" {span(longest)} at most (instances × (group.warm_up + drain.kill_delay) and"
        f" {span(PATIENCE)})",
        'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT version, instance, changed_at FROM instances'
        " WHERE state = 'ready' ORDER BY version, changed_at\"",
        "finish the deploy, or take it back: replace the instances of the other release",
        tuple(sorted(boot.instance for boot in fewest)),
    )


def _longest_deploy(fleet: Fleet, alive: int) -> float:
    """Seconds for one instance after the other, each to boot and each to drain."""
    each = fleet.group.warm_up + max(fleet.drain.grace, fleet.drain.kill_delay)
    return max(fleet.group.max, alive) * each + PATIENCE


RULES = (
    Rule("key-old", key_old),
    Rule("key-undated", key_undated),
    Rule("certificate-due", certificate_due),
    Rule("versions-mixed", versions_mixed),
)
