"""The units of this host, as their files and drop-ins make them, and as systemd has them loaded."""

import asyncio
import math
import re
import shlex
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from photo_base.log_lines import one_line
from photo_fleet.doctor.looks.program import said
from photo_fleet.doctor.looks.unit_files import Assignment, Root, seconds
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen

INSTANCE, NGINX, BALANCE = (
    "photo-api.service",
    "photo-fleet-nginx.service",
    "photo-fleet-balance.service",
)
NAMES = (INSTANCE, NGINX, BALANCE)

USUAL_STOP = 90.0
DEFAULTS = {"KillMode": "control-group", "KillSignal": "SIGTERM", "SendSIGKILL": "yes"}
"""Of systemd."""

ASKED = ("LoadState", "NeedDaemonReload", "TimeoutStopUSec", *DEFAULTS)

TOLD = ("LAME_DUCK", "DRAIN_WAIT", "LOG_FLUSH", "GRACE", "KEEP_ALIVE", "DATABASE_POOL")
VARIABLES = frozenset(f"PHOTO_API_{name}" for name in TOLD)
"""All of an environment that is looked at: secrets may stand beside them."""

KILL_MODES = ("control-group", "mixed", "process", "none")


@dataclass(frozen=True, slots=True)
class Value:
    """What holds, and where it was read."""

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `files` are its file and its drop-ins. `stop` are the seconds that it may take to
    stop, as its files say or, where systemd tells, as systemd has loaded them. `settings` are
    further ones of `[Service]`, `programs` its `Exec…=` lines by key, `environment` those of
    `VARIABLES`. `outdated`: files have changed since systemd read them. `unread` are environment
    files that nobody here may read."""

    name: str
    files: tuple[str, ...]
    stop: float
    stop_place: str
    settings: Mapping[str, Value]
    programs: Mapping[str, tuple[Value, ...]]
    environment: Mapping[str, Value]
    masked: bool = False
    outdated: bool = False
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitsLook:
    """Those of `NAMES` that are installed here, by name, and why others could not be read."""

    units: Mapping[str, Unit]
    unread: Mapping[str, Unseen] = field(default_factory=dict)

    def unit(self, name: str) -> Unit | None:
        """None when it is not installed here. Raises `Unseen` when it could not be read."""
        self.all_read(name)
        return self.units.get(name)

    def all_read(self, *names: str) -> None:
        """Raises `Unseen` when one of these could not be read: for a rule to end with."""
        for name in names:
            if name in self.unread:
                raise self.unread[name]


async def take(reach: Reach, seen: Seen) -> UnitsLook:
    """Raises `Unseen` without a root, and as `installed`."""
    if reach.units is None:
        raise Unseen("nobody has told where units are", "photo-fleet doctor, on the host of a unit")
    look = await asyncio.to_thread(installed, Root(reach.units))
    if reach.units != Path("/"):
        return look
    loaded_ones = {name: await _as_loaded(unit) for name, unit in look.units.items()}
    return replace(look, units=loaded_ones)


def installed(root: Root) -> UnitsLook:
    """As their files make them. What is wrong with the files of one leaves the others as they are.
    Raises `Unseen` where there is none, or none that can be read."""
    found, unread = {}, {}
    for name in NAMES:
        try:
            if unit := look_at(root, name):
                found[name] = unit
        except OSError as error:
            reason = f"{name}: {one_line(error.filename or name)}: {error.strerror}"
            unread[name] = Unseen(reason, f"sudo systemctl cat {name}")
    if not found:
        nothing = f"none of {', '.join(NAMES)} is installed here"
        raise next(iter(unread.values()), Unseen(nothing, f"systemctl cat {INSTANCE}"))
    return UnitsLook(found, unread)


def look_at(root: Root, name: str) -> Unit | None:
    """The unit as its files make it; None without any. Raises `OSError`."""
    file = root.unit(name)
    if file is None:
        return None
    if root.is_masked(file):
        return Unit(name, (file,), USUAL_STOP, file, {}, {}, {}, masked=True)
    files = (file, *root.drop_ins(name))
    lines = [one for one in root.assignments(files) if one.section == "Service"]
    stop, place = _stop(lines, root)
    environment, unread = _environment(lines, root)
    return Unit(
        name,
        files,
        stop,
        place,
        _settings(lines),
        _programs(lines),
        environment,
        unread=tuple(unread),
    )


def _stop(lines: Iterable[Assignment], root: Root) -> tuple[float, str]:
    """Of the service, else of the manager, else systemd's own; 0 means for ever. The manager's
    files are read only where they count."""
    found = _times(lines, "TimeoutStopSec", "TimeoutSec")
    if not found:
        manager = (one for one in root.manager() if one.section == "Manager")
        found = _times(manager, "DefaultTimeoutStopSec")
    stop, place = found[-1] if found else (USUAL_STOP, "systemd's default")
    return stop or math.inf, place


def _times(lines: Iterable[Assignment], *keys: str) -> list[tuple[float, str]]:
    told = ((seconds(one.value), one.place) for one in lines if one.key in keys)
    return [(value, place) for value, place in told if value is not None]


def _settings(lines: Iterable[Assignment]) -> dict[str, Value]:
    found = {name: Value(text, "systemd's default") for name, text in DEFAULTS.items()}
    for one in lines:
        is_ignored = one.key == "KillMode" and one.value not in (*KILL_MODES, "")
        if is_ignored or one.key.startswith(("Exec", "Environment")):
            continue
        if one.value:
            found[one.key] = Value(_plain(one.key, one.value), one.place)
        elif one.key in found:
            found[one.key] = Value(DEFAULTS.get(one.key, ""), one.place)
    return found


def _plain(key: str, text: str) -> str:
    """Signals by their whole name."""
    if key != "KillSignal":
        return text
    with suppress(ValueError):
        return signal.Signals(int(text)).name
    return text if text.startswith("SIG") else f"SIG{text}"


def _programs(lines: Iterable[Assignment]) -> dict[str, tuple[Value, ...]]:
    found: dict[str, tuple[Value, ...]] = {}
    for one in lines:
        if one.key.startswith("Exec"):
            told = Value(one.value, one.place)
            found[one.key] = (*found.get(one.key, ()), told) if one.value else ()
    return found


def _environment(lines: Iterable[Assignment], root: Root) -> tuple[dict[str, Value], list[str]]:
    """What files say wins over what the unit says, wherever it stands."""
    own: dict[str, Value] = {}
    files: list[str] = []
    for one in lines:
        if one.key == "Environment":
            own = own | _variables(_words(one.value), one.place) if one.value else {}
        elif one.key == "EnvironmentFile":
            files = [*files, one.value] if one.value else []
    unread = []
    for file in files:
        name = file.removeprefix("-")
        if not _PLAIN.fullmatch(name):  # a pattern, a specifier: only systemd knows which files
            unread.append(one_line(name))
            continue
        try:
            for number, line in enumerate(root.text(name).splitlines(), 1):
                own |= _variables(_words(line, file=True), f"{name}:{number}")
        except FileNotFoundError:
            if name == file:
                unread.append(name)
        except OSError:
            unread.append(name)
    return own, unread


def _words(line: str, *, file: bool = False) -> list[str]:
    """The assignments on a line; of a file it holds one at most."""
    if file:
        name, equals, value = line.strip().partition("=")
        return [f"{name.strip()}={value.strip().strip(_QUOTES)}"] if equals else []
    with suppress(ValueError):
        return shlex.split(line)
    return []


_PLAIN = re.compile(r"/[^*?\[%\x00]*")
_QUOTES = "\"'"


def _variables(words: Iterable[str], place: str) -> dict[str, Value]:
    pairs = (word.partition("=") for word in words)
    return {name: Value(value, place) for name, _, value in pairs if name in VARIABLES}


async def _as_loaded(unit: Unit) -> Unit:
    """With what systemd has loaded, where systemd runs and tells: its word wins, for files may have
    changed since."""
    told = await said("systemctl", "show", "-p", ",".join(ASKED), "--", unit.name)
    return loaded(unit, dict(_pairs(told.decode(errors="replace"))))


def _pairs(told: str) -> Iterable[tuple[str, str]]:
    for line in told.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name, value


def loaded(unit: Unit, told: Mapping[str, str]) -> Unit:
    """The unit with what `systemctl show` told of it."""
    if told.get("LoadState") != "loaded":
        return unit
    place = f"systemctl show {unit.name}"
    stop = seconds(told.get("TimeoutStopUSec", ""))
    changed = {
        name: Value(_plain(name, told[name]), place)
        for name in DEFAULTS
        if name in told and _plain(name, told[name]) != unit.settings[name].text
    }
    unit = replace(unit, settings={**unit.settings, **changed})
    if stop is not None and abs(stop - unit.stop) > 1e-3:
        unit = replace(unit, stop=stop, stop_place=place)
    return replace(unit, outdated=told.get("NeedDaemonReload") == "yes")
