"""The lives of boots, put together from the registry's rows, events and receipts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from photo_api.contract import LOST_AFTER
from photo_fleet.doctor.looks.registry import Boot, Event, Receipt, RegistryLook

UNTOLD = ("lost", "gone")
"""Ends without a drain: declared lost, or another boot has its place and nobody has declared it."""
CLEAN = ("drained", "broken_off", "stopped")

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Life:
    """One boot. Times are epoch seconds of the database's clock, None where nobody knows; `ready`
    is the first time. `ended` and `ending` are None and "" while it lives; `ending` is that of its
    receipt, `stopped` without one, or one of `UNTOLD`, whose `ended` is its last sign of life.
    `place` is where it serves: one boot at a time can."""

    boot_id: str
    instance: str
    place: Place
    version: str
    started: float | None
    ready: float | None
    ended: float | None
    ending: str
    cause: str

    @property
    def lived(self) -> float | None:
        """Seconds from its start to its end; None while it lives."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started


def lives(registry: RegistryLook) -> tuple[Life, ...]:
    """Of all boots that live, or began or ended in the window, in the order of their starts."""
    receipts = {receipt.boot_id: receipt for receipt in registry.receipts}
    ready, latest = _first(registry.events, "ready"), _latest(registry.instances)
    rows = {boot.boot_id for boot in registry.instances}
    found = [
        _life(boot, receipts.get(boot.boot_id), ready.get(boot.boot_id), registry.now, latest)
        for boot in registry.instances
    ]
    newest: dict[str, Event] = {}
    for event in registry.events:
        newest.setdefault(event.boot_id, event)
    found += [
        _without_row(one, newest[one.boot_id], ready.get(one.boot_id), receipts.get(one.boot_id))
        for one in registry.events
        if one.event == "started" and one.boot_id not in rows
    ]
    return tuple(sorted(found, key=lambda life: life.started or 0.0))


def _life(
    boot: Boot,
    receipt: Receipt | None,
    ready: float | None,
    now: float,
    latest: Mapping[Place, Boot],
) -> Life:
    ended, ending = _end(boot, receipt, now, latest)
    return Life(
        boot.boot_id,
        boot.instance,
        place_of(boot),
        boot.version,
        boot.started_at,
        ready,
        ended,
        ending,
        boot.cause if receipt is None else receipt.cause,
    )


def _without_row(started: Event, last: Event, ready: float | None, receipt: Receipt | None) -> Life:
    """Somebody has deleted the row of this boot; what happened to it, the `last` too, is there."""
    return Life(
        started.boot_id,
        started.instance,
        (started.instance, 0),
        receipt.version if receipt else "",
        started.at,
        ready,
        last.at,
        receipt.ending if receipt else "stopped" if last.event == "stopped" else "gone",
        receipt.cause if receipt else last.cause,
    )


def _end(
    boot: Boot, receipt: Receipt | None, now: float, latest: Mapping[Place, Boot]
) -> tuple[float | None, str]:
    if boot.state == "lost":
        return boot.heartbeat_at, "lost"
    if boot.state == "stopped":
        return boot.changed_at, receipt.ending if receipt else "stopped"
    if _is_gone(boot, latest[place_of(boot)], now):
        return boot.heartbeat_at, "gone"
    return None, ""


def _is_gone(boot: Boot, latest: Boot, now: float) -> bool:
    """Whether another has taken its place. Nobody can listen at a port that is taken; of those that
    only do jobs, several may be on one machine."""
    if boot.boot_id == latest.boot_id:
        return False
    taken = boot.workers > 0 and latest.started_at > boot.heartbeat_at
    return taken or now - boot.heartbeat_at > LOST_AFTER


def place_of(boot: Boot) -> Place:
    """The instance and its port; 0 of one that only does jobs."""
    return boot.instance, boot.port if boot.workers else 0


def _first(events: Iterable[Event], name: str) -> dict[str, float]:
    """When each boot had its first event of this name; `events` are the newest first."""
    return {event.boot_id: event.at for event in events if event.event == name}


def _latest(boots: Iterable[Boot]) -> dict[Place, Boot]:
    """The last boot at each place."""
    return {place_of(boot): boot for boot in sorted(boots, key=lambda one: one.started_at)}
