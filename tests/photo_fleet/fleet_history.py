"""Hours of a fleet, as a Prometheus would have them: counted and written down by the service's own
code, stamped and labelled as a scrape does it, and brought into a real Prometheus by promtool.

Morning comes, the group grows; an instance hangs on its database, one is lost, one leaves in order.
"""

import json
import math
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photo_api.metrics import declared
from photo_api.metrics.counts import Counts, Gauges
from photo_api.metrics.exposition import SUM, exposition
from photo_api.metrics.metric import Metric, Values
from photo_fleet.balancer.metrics import MEANINGS

BALANCER = "10.0.1.2:9099"
RELEASE, NEXT_RELEASE = "0.12.0", "0.13.0"
NAMES = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")

ROUTES = (
    ("GET", "/api/photos", "200", 0.35, 0.03),
    ("GET", "/api/photos/{photo_id}/image", "307", 0.3, 0.012),
    ("GET", "/api/albums", "200", 0.12, 0.02),
    ("GET", "/api/share/{token}", "200", 0.06, 0.03),
    ("GET", "/api/photos/{photo_id}", "404", 0.01, 0.01),
    ("POST", "/api/photos/presigned-url", "201", 0.05, 0.05),
    ("POST", "/api/photos/confirm", "200", 0.05, 0.2),
    ("POST", "/api/photos", "201", 0.02, 1.4),
    ("POST", "/api/auth/login", "200", 0.02, 0.25),
    ("DELETE", "/api/photos/{photo_id}", "204", 0.02, 0.04),
)
"""Method, handler, status, share of the requests, usual duration in seconds."""


@dataclass
class Instance:
    """One boot. Times are in minutes of the history; `drains` and `ends` may be never."""

    name: str
    starts: float
    ends: float = math.inf
    drains: float = math.inf
    release: str = RELEASE
    sick: tuple[float, float] = (math.inf, math.inf)
    counts: Counts = field(default_factory=Counts)


def fleet_of(minutes: float) -> list[Instance]:
    """Ten boots over the history: seven at most at once."""
    at = [minutes * part / 12 for part in range(13)]
    return [
        Instance("10.0.1.10:8000", -900, ends=at[9], drains=at[9] - 1),
        Instance("10.0.1.11:8000", -880),
        Instance("10.0.1.12:8000", -300, sick=(at[4], at[5])),
        Instance("10.0.1.13:8000", at[2]),
        Instance("10.0.1.14:8000", at[3], ends=at[7]),
        Instance("10.0.1.15:8000", at[5]),
        Instance("10.0.1.16:8000", at[7] + 1, release=NEXT_RELEASE),
        Instance("10.0.1.17:8000", at[9], release=NEXT_RELEASE),
    ]


class History:
    """`minutes` of a fleet that end at `end`, scraped every `interval` seconds."""

    def __init__(self, end: float, minutes: int, interval: int = 60) -> None:
        self.end, self.minutes, self.interval = end, minutes, interval
        self.instances = fleet_of(minutes)
        self._chance = random.Random(7)

    def openmetrics(self) -> Iterator[str]:
        """All samples, minute by minute."""
        begin = self.end - self.minutes * 60
        for step in range(self.minutes * 60 // self.interval + 1):
            minute = step * self.interval / 60
            at = begin + minute * 60
            alive = [one for one in self.instances if one.starts <= minute < one.ends]
            for instance in alive:
                self._count(instance, minute, len(alive))
                gauges = self._gauges(instance, minute, begin, alive)
                text = exposition(instance.counts, gauges, openmetrics=True)
                yield from _scraped(text, instance.name, at)
            yield from _scraped(self._balancer(minute, begin, len(alive)), BALANCER, at)
        yield "# EOF\n"

    def _balancer(self, minute: float, begin: float, members: int) -> str:
        """What the nginx host tells, whose certificate is valid for forty days more."""
        expires = begin + 40 * 86400
        numbers = zip(MEANINGS, (members, members, expires), strict=True)
        return "\n".join(f"{name} {number}" for name, number in numbers)

    def _count(self, one: Instance, minute: float, of: int) -> None:
        day = 0.35 + 0.65 * math.sin(math.pi * min(1.0, minute / self.minutes)) ** 2
        load = 60 * day * self.interval / of * self._chance.uniform(0.92, 1.08)
        ill = one.sick[0] <= minute < one.sick[1]
        told: list[object] = []
        for method, handler, status, part, usual in ROUTES:
            self._requests(told, (method, handler), status, load * part, usual * (6 if ill else 1))
        if ill:
            failed = max(1.0, load * 0.04)
            self._requests(told, ("GET", "/api/photos"), "503", failed, 1.5)
            told.append(["photo_api_objective_requests_total", ["reads", "failed"], round(failed)])
            told.append(["photo_api_database_refusals_total", ["web"], round(failed)])
            told.append(["photo_api_health_checks_total", ["database", "timeout"], 4])
        uploads = round(load * 0.07)
        for metric, values, number in (
            ("photo_api_objective_requests_total", ["reads", "ok"], round(load * 0.84)),
            ("photo_api_objective_requests_total", ["writes", "ok"], round(load * 0.16)),
            ("photo_api_uploads_total", ["direct", "ok"], uploads),
            ("photo_api_uploads_total", ["server", "ok"], uploads // 3),
            ("photo_api_uploads_total", ["direct", "duplicate"], uploads // 9),
            ("photo_api_uploads_total", ["server", "quota_exceeded"], uploads // 40),
            ("photo_api_uploaded_bytes_total", ["direct"], uploads * 3_400_000),
            ("photo_api_uploaded_bytes_total", ["server"], uploads * 900_000),
            ("photo_api_unbelieved_forwards_total", [], 0),
            ("photo_api_presigned_uploads_total", ["ok"], round(uploads * 1.08)),
            ("photo_api_presigned_uploads_total", ["quota_exceeded"], uploads // 20),
            ("photo_api_confirms_total", ["ok"], uploads),
            ("photo_api_confirms_total", ["not_uploaded"], uploads // 20),
            ("photo_api_logins_total", ["ok"], round(load * 0.02)),
            ("photo_api_logins_total", ["invalid_credentials"], round(load * 0.002)),
            ("photo_api_token_checks_total", ["cached"], round(load * 0.8)),
            ("photo_api_token_checks_total", ["ok"], round(load * 0.15)),
            ("photo_api_share_views_total", ["person", "ok"], round(load * 0.05)),
            ("photo_api_share_views_total", ["program", "ok"], round(load * 0.02)),
            ("photo_api_read_urls_total", ["owners", "cached", "cdn"], round(load * 3)),
            ("photo_api_read_urls_total", ["owners", "signed", "cdn"], round(load * 0.4)),
            ("photo_api_read_urls_total", ["owners", "signed", "store"], round(load * 0.1)),
            ("photo_api_streamed_images_total", ["visitors", "begun"], round(load * 0.01)),
            ("photo_api_cdn_probes_total", ["ok"], 2),
            ("photo_api_health_checks_total", ["database", "ok"], 12),
            ("photo_api_health_checks_total", ["storage", "ok"], 12),
            ("photo_api_cpu_seconds_total", ["main"], self.interval * 0.01),
            ("photo_api_cpu_seconds_total", ["web"], load * 0.006),
            ("photo_api_cpu_seconds_total", ["jobs"], uploads * 0.35),
        ):
            told.append([metric, values, number])
        if round(minute) == round(self.minutes / 3) and one.name.startswith("10.0.1.11"):
            told.append(["photo_api_worker_deaths_total", ["web"], 1])
        for kind, usual in (("renditions", 0.4), ("display", 0.9), ("metadata", 0.1)):
            self._durations(told, declared.JOB_DURATION, [kind, "done"], uploads, usual)
        for operation, usual in (("put", 0.06), ("copy", 0.03), ("head", 0.008), ("get", 0.02)):
            values = [operation, "ok"]
            self._durations(told, declared.STORAGE_CALL_DURATION, values, uploads * 2, usual)
        one.counts.merge(json.dumps(told))

    def _requests(
        self, told: list[object], route: tuple[str, str], status: str, number: float, usual: float
    ) -> None:
        count = round(number)
        told.append(["http_requests_total", [*route, status], count])
        self._durations(told, declared.REQUEST_DURATION, list(route), count, usual)

    def _durations(
        self, told: list[object], metric: Metric, values: list[str], number: int, usual: float
    ) -> None:
        """Half within the usual time, one in a hundred eight times as long: as they are."""
        edges = [*metric.edges, math.inf]
        reached = [round(number * (1 - 0.5 ** ((edge / usual) ** 0.9))) for edge in edges]
        alone = [now - before for before, now in zip([0, *reached], reached, strict=False)]
        told.append([metric.name, values, alone, number * usual * 1.3, {}])

    def _gauges(self, one: Instance, minute: float, begin: float, alive: list[Instance]) -> Gauges:
        ill, leaves = one.sick[0] <= minute < one.sick[1], minute >= one.drains
        name = one.name.partition(":")[0]
        told: dict[tuple[str, Values], float] = {
            ("photo_api_info", (name, "vm", "kr1", one.release, f"b{name}")): 1,
            ("photo_api_build_info", (one.release, "3.11.2")): 1,
            ("photo_api_start_time_seconds", ()): begin + one.starts * 60,
            ("photo_api_ready", ()): 0 if ill or leaves else 1,
            ("photo_api_workers", ()): 2,
            ("photo_api_draining_seconds", ()): (minute - one.drains) * 60 + 12 if leaves else 0,
            ("http_requests_in_flight", ()): self._chance.randint(1, 9) * (4 if ill else 1),
        }
        for keys in ("jwt", "secret"):
            told["photo_api_key_made_timestamp_seconds", (keys,)] = begin - 90 * 86400
        for check in ("database", "storage"):
            told["photo_api_check_ok", (check,)] = 0 if ill and check == "database" else 1
        for breaker in ("database", "store", "store_writes"):
            told["photo_api_breaker_open", (breaker,)] = int(ill and breaker == "database")
        for process, memory in (("main", 34), ("web", 190), ("jobs", 210)):
            told["photo_api_resident_memory_bytes", (process,)] = memory * 1024**2
            for way in ("sink", "stderr"):
                told["photo_api_log_lines_waiting", (process, way)] = self._chance.randint(0, 3)
        for process in ("web", "jobs"):
            told["photo_api_database_waiting", (process,)] = 6 if ill else 0
            told["photo_api_spans_waiting", (process,)] = self._chance.randint(0, 3)
            told["photo_api_database_connections", (process, "in_use")] = 10 if ill else 2
            told["photo_api_database_connections", (process, "idle")] = 0 if ill else 5
        for readers in ("owners", "visitors"):
            told["photo_api_url_cache_bytes", (readers, "cdn")] = 900_000
        told["photo_api_streams", ()] = self._chance.randint(0, 2)
        told["photo_api_upload_memory_held_bytes", ()] = self._chance.randint(0, 13) * 5 * 2**20
        told["photo_api_cdn_fallback", ()] = 0
        return told | self._fleet(minute, begin, alive)

    def _fleet(self, minute: float, begin: float, alive: list[Instance]) -> Gauges:
        leaving = sum(minute >= one.drains for one in alive)
        lost = sum(one.ends <= minute and one.drains == math.inf for one in self.instances)
        gone = [one for one in self.instances if one.ends <= minute and one.drains < math.inf]
        photos = 184_000 + 40 * minute
        told: dict[tuple[str, Values], float] = {
            ("photo_api_fleet_counted_timestamp_seconds", ()): begin + minute * 60 - 8,
            ("photo_api_fleet_users", ()): 2140,
            ("photo_api_fleet_albums", ()): 9120,
            ("photo_api_fleet_shares", ()): 1377,
            ("photo_api_fleet_photos", ()): photos,
            ("photo_api_fleet_photo_bytes", ()): photos * 3_400_000,
            ("photo_api_fleet_trashed_photos", ()): photos // 50,
            ("photo_api_fleet_trashed_bytes", ()): photos // 50 * 3_400_000,
            ("photo_api_fleet_photos_without_thumbnail", ()): minute // 90,
            ("photo_api_fleet_pending_uploads", ()): 40 + minute % 17,
            ("photo_api_fleet_oldest_pending_upload_seconds", ()): 300 + minute % 60 * 20,
            ("photo_api_fleet_orphan_objects", ()): 120 + minute % 30 * 4,
            ("photo_api_fleet_orphan_bytes", ()): (120 + minute % 30 * 4) * 3_400_000,
            ("photo_api_fleet_oldest_orphan_seconds", ()): 20 + minute % 30,
            ("photo_api_fleet_kept_orphan_objects", ()): 0,
        }
        for result in declared.DRAIN_RESULTS:
            ends = [str(edge) for edge in declared.FLEET_DRAIN.edges]
            told |= {(declared.FLEET_DRAIN.name, (result, end)): 0 for end in ends}
        told[declared.FLEET_DRAIN.name, ("whole", "20.0")] = len(gone)
        told[declared.FLEET_DRAIN.name, ("whole", SUM)] = len(gone) * 19.5
        states = {"starting": 0, "ready": len(alive) - leaving, "draining": leaving, "lost": lost}
        for state, number in states.items():
            told["photo_api_fleet_instances", (state,)] = number
        for kind in ("renditions", "display", "shared_album", "metadata"):
            told["photo_api_fleet_oldest_job_seconds", (kind,)] = self._chance.uniform(0, 4)
            for state, number in (("queued", 6), ("leased", 3), ("dead", 0)):
                told["photo_api_fleet_jobs", (kind, state)] = number
        return told


def _scraped(text: str, instance: str, at: float) -> Iterator[str]:
    """With the labels of the target and the time; a label that is there already gives way."""
    for line in text.splitlines():
        if found := NAMES.fullmatch(line):
            own = (found[2] or "").replace('instance="', 'exported_instance="')
            labels = f'{own}{"," if own else ""}job="photo-api",instance="{instance}"'
            yield f"{found[1]}{{{labels}}} {found[3]} {at:.0f}\n"


def bring_in(history: History, folder: Path) -> None:
    """Have it in a Prometheus's `folder/data`."""
    samples = folder / "history.txt"
    with samples.open("w") as file:
        file.writelines(history.openmetrics())
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", samples, folder / "data"],
        check=True,
        capture_output=True,
    )
    samples.unlink()
