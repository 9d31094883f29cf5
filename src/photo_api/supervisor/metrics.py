"""The metrics of an instance: what its processes have counted, added up, and what the supervisor
knows itself."""

import asyncio
import platform
import random
import time
from collections.abc import Callable, Sequence

from photo_api.cloud.identity import Identity
from photo_api.health.checks import STALE, Check
from photo_api.metrics import declared
from photo_api.metrics.counts import Counts, Gauges, gauges_from
from photo_api.metrics.exposition import exposition
from photo_api.metrics.metric import Metric, Values
from photo_api.metrics.reporting import pieces
from photo_api.own_process import resident_bytes
from photo_api.settings.key_dates import date_of
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.supervisor.child import Child
from photo_api.supervisor.slot import Slot, load_of

LOOK_AT_FLEET = 10.0
UNTIL_ONE_IS_READY = 0.5
FLEET_KEPT = 60.0
"""Seconds after which the fleet's numbers are told no more: none are better than old ones."""

KEPT = 0.25
"""Seconds for which what was written down is given to further workers that ask."""


class InstanceMetrics:
    """Sums since the instance's start, which outlive the processes that counted; gauges of those
    that live. `ready` says whether the instance wants requests, `check` how a dependency was
    found, `live` has the keys in force. The supervisor counts in `counts`, too."""

    def __init__(
        self,
        counts: Counts,
        identity: Callable[[], Identity],
        slots: Sequence[Slot],
        ready: Callable[[], bool],
        check: Callable[[str], Check],
        drains_for: Callable[[], float],
        live: LiveSettings,
    ) -> None:
        self.counts = counts
        self._identity = identity
        self._web = [slot for slot in slots if slot.name != "jobs"]
        self._ready = ready
        self._check = check
        self._drains_for = drains_for
        self._live = live
        self._began = time.time()
        self._gauges: dict[Child, Gauges] = {}
        self._written: dict[bool, tuple[float, str]] = {}
        self._fleet: tuple[float, Gauges] = 0.0, {}
        self._asked = 0
        counts.watch(declared.CPU_SECONDS, "main", read=time.process_time)
        counts.watch(declared.REQUESTS_CUT, read=lambda: load_of(slots).cut)

    async def keep(self) -> None:
        """Have one of the web workers read the fleet's numbers now and then, until cancelled."""
        while True:
            ready = [slot for slot in self._web if slot.ready.is_set()]
            if ready:
                self._asked += 1
                random.choice(ready).send(f"look-at-fleet {self._asked}")
            pause = LOOK_AT_FLEET * random.uniform(0.9, 1.1) if ready else UNTIL_ONE_IS_READY
            await asyncio.sleep(pause)

    def take(self, child: Child, event: str, value: str) -> None:
        """Take `counts`, `gauges`, `fleet` or `scrape` of a process; the last is answered to it."""
        if event == "counts":
            self.counts.merge(value)
        elif event == "gauges":
            self._gauges[child] = gauges_from(value)
        elif event == "fleet":
            asked, _, line = value.partition(" ")
            if asked == str(self._asked):  # else it stood still, and sums would fall
                self._fleet = time.monotonic(), gauges_from(line)
        elif event == "scrape":
            asked, _, openmetrics = value.partition(" ")
            for command in pieces(asked, self.text(openmetrics=openmetrics == "1")):
                child.send(command)

    def text(self, *, openmetrics: bool) -> str:
        """All metrics, at most `KEPT` seconds old."""
        now = time.monotonic()
        at, text = self._written.get(openmetrics, (-KEPT, ""))
        if now - at >= KEPT:
            self.counts.add_watched()
            text = exposition(self.counts, self._all_gauges(), openmetrics=openmetrics)
            self._written[openmetrics] = (now, text)
        return text

    def died(self, slot: Slot) -> None:
        """Count a process that ended in another way than it should."""
        self.counts.add(declared.WORKER_DEATHS, slot.name.partition("-")[0])

    def _all_gauges(self) -> Gauges:
        """Those that processes watch, joined, and our own."""
        self._gauges = {child: own for child, own in self._gauges.items() if not child.end.done()}
        joined: Gauges = {}
        for gauges in (self.counts.gauges(), *self._gauges.values()):
            for (name, values), number in gauges.items():
                before = joined.get((name, values), 0.0)
                largest = declared.METRICS[name].joined == "max"
                joined[name, values] = max(before, number) if largest else before + number
        at, fleet = self._fleet
        if time.monotonic() - at < FLEET_KEPT:
            joined |= fleet
        return (
            joined
            | _made(self._live.now)
            | {(metric.name, values): n for metric, values, n in self._own()}
        )

    def _own(self) -> list[tuple[Metric, Values, float]]:
        identity = self._identity()
        who = (identity.instance, identity.node, identity.region or "", identity.version)
        checks = {name: self._check(name) for name in STALE}
        return [
            (declared.INFO, (*who, identity.boot_id), 1),
            (declared.BUILD_INFO, (identity.version, platform.python_version()), 1),
            (declared.START_TIME, (), self._began),
            (declared.READY, (), self._ready()),
            *((declared.CHECK_OK, (name,), check.ok) for name, check in checks.items()),
            (declared.WORKERS, (), sum(slot.ready.is_set() for slot in self._web)),
            (declared.RESIDENT_MEMORY, ("main",), resident_bytes()),
            (declared.DRAINING, (), self._drains_for()),
            (declared.IN_FLIGHT, (), load_of(self._web).in_flight),
        ]


def _made(settings: Settings) -> Gauges:
    """When the keys that sign were made, by their ids: where these tell it."""
    dates = {
        use: date_of(next(iter(known))) for use, known in settings.dated_keys().items() if known
    }
    return {(declared.KEY_MADE.name, (name,)): at for name, at in dates.items() if at is not None}
