"""Whether this host's units let their services end by themselves."""

import math
import re
from collections.abc import Iterator, Mapping

from photo_api.contract import STOP_MARGIN
from photo_fleet.doctor.finding import Finding, Level
from photo_fleet.doctor.in_force import expected, of_units
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.units import INSTANCE, NGINX, Unit, UnitsLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.rules.server import ROUNDING

PARTS = ("drain.lame_duck", "drain.in_flight_wait", "drain.log_flush")
MOST_SHOWN = 200
FALSE = ("no", "false", "off", "0", "n", "f")


def unit_kills(seen: Seen) -> Iterator[Finding]:
    """The instance's unit, and nginx's: a unit that is masked or not here ends nothing."""
    kind = seen.spec.balancer.kind
    look = seen.need(UnitsLook)
    if instance := look.units.get(INSTANCE):
        yield from _of_instance(seen, look, instance)
    if kind == "nginx" and (nginx := look.units.get(NGINX)):
        yield from _of_nginx(seen, nginx)
    wanted = (INSTANCE, *([NGINX] if kind == "nginx" else []))
    look.all_read(*wanted)
    if absent := [name for name in wanted if name not in look.units]:
        reason = f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not on this host"
        raise Unseen(reason, "photo-fleet doctor --only cuts, on the hosts that have it")


def _of_instance(seen: Seen, look: UnitsLook, unit: Unit) -> Iterator[Finding]:
    if unit.masked:
        return
    spec = seen.spec
    told = {one.key: one for one in of_units(spec, look)}
    values = {
        key: told[key].value if key in told else expected(spec, key)
        for key in (*PARTS, "drain.grace")
    }
    needed, grace = sum(values[key] for key in PARTS) + STOP_MARGIN, values["drain.grace"]
    if unit.stop + ROUNDING < max(needed, grace):
        parts = " + ".join(f"{key.rpartition('.')[2]} {values[key]:g}s" for key in PARTS)
        read = "".join(f"; {one.place}" for one in told.values() if one.key in values)
        yield _finding(
            unit,
            "error" if unit.stop + ROUNDING < needed else "warning",
            f"TimeoutStopSec {unit.stop:g}s ({unit.stop_place}): a drain takes up to {parts} +"
            f" {STOP_MARGIN:g}s = {needed:g}s, and its grace is {grace:g}s{read}",
            f"TimeoutStopSec={math.ceil(max(needed, grace))}",
        )
    if unit.settings["KillSignal"].text not in ("SIGTERM", "SIGINT"):
        yield _setting(
            unit, "error", "KillSignal", "only SIGTERM and SIGINT begin a drain", "SIGTERM"
        )
    yield from _kill_mode(
        unit,
        {
            "control-group": "the signal goes to each process, decoders of photos among them",
            "process": "processes that outlive the first one are left running",
        },
    )
    yield from _by_command(unit, r"-(s )?(9|KILL|SIGKILL)\b", "kills it at once")
    policy = unit.settings.get("OOMPolicy")
    if policy is None or policy.text != "continue":
        found = f"OOMPolicy={policy.text} ({policy.place})" if policy else "OOMPolicy is not set"
        yield _finding(
            unit,
            "error" if policy and policy.text == "kill" else "warning",
            f"{found}: a decoder that the kernel ends for its memory takes the instance with it",
            "OOMPolicy=continue",
        )
    watchdog = unit.settings.get("WatchdogSec")
    if watchdog and watchdog.text not in ("", "0", "infinity"):
        consequence = "the service does not feed a watchdog, and is killed for it"
        yield _setting(unit, "error", "WatchdogSec", consequence, "0")


def _of_nginx(seen: Seen, unit: Unit) -> Iterator[Finding]:
    if unit.masked:
        return
    longest = seen.spec.service.longest_request
    if unit.stop + ROUNDING < longest:
        yield _finding(
            unit,
            "error",
            f"TimeoutStopSec {unit.stop:g}s ({unit.stop_place}) < service.longest_request"
            f" {longest:g}s: nginx is killed with the requests that it carries",
            f"TimeoutStopSec={math.ceil(longest)}",
        )
    if not unit.programs.get("ExecStop") and unit.settings["KillSignal"].text != "SIGQUIT":
        consequence = "nginx finishes its requests at SIGQUIT alone"
        yield _setting(unit, "error", "KillSignal", consequence, "SIGQUIT")
    fast = r"-s stop|-(s )?(9|15|2|KILL|TERM|INT|SIGKILL|SIGTERM|SIGINT)\b"
    yield from _by_command(unit, fast, "closes all connections at once")
    yield from _kill_mode(unit, {})


def _by_command(unit: Unit, fast: str, consequence: str) -> Iterator[Finding]:
    for one in unit.programs.get("ExecStop", ()):
        if re.search(fast, one.text):
            evidence = f"ExecStop={one.text[:MOST_SHOWN]} ({one.place}) {consequence}"
            yield _finding(unit, "error", evidence, "ExecStop=")


def _kill_mode(unit: Unit, worse: Mapping[str, str]) -> Iterator[Finding]:
    """`none` kills nobody at all; `worse` are modes that do less than they should."""
    mode = unit.settings["KillMode"].text
    if mode == "none":
        consequence = "nothing tells it to stop, and what runs is cut with the machine"
        yield _setting(unit, "error", "KillMode", consequence, "mixed")
    elif mode in worse:
        yield _setting(unit, "warning", "KillMode", worse[mode], "mixed")
    if unit.settings["SendSIGKILL"].text in FALSE:
        consequence = "what does not end holds up its next start, and is cut with the machine"
        yield _setting(unit, "warning", "SendSIGKILL", consequence, "yes")


def _setting(unit: Unit, level: Level, name: str, consequence: str, better: str) -> Finding:
    found = unit.settings[name]
    evidence = f"{name}={found.text} ({found.place}): {consequence}"
    return _finding(unit, level, evidence, f"{name}={better}")


def _finding(unit: Unit, level: Level, evidence: str, line: str) -> Finding:
    return Finding(
        level,
        "unit-kills",
        f"{unit.name}: {evidence}",
        f"systemctl cat {unit.name}",
        f"{line} in [Service] (systemctl edit {unit.name}), then systemctl daemon-reload",
    )


RULES = (Rule("unit-kills", unit_kills),)
