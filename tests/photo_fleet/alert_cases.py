"""What a fleet's metrics are like in the minutes before a moment, and which alerts fire then.

Values are written as `promtool test rules` takes them, a minute apart: `0+60x90` rises from 0 by
60, `1x90` stays, `_x5` is not there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

INSTANCES = ("a", "b")
A, B = (f'job="photo-api",instance="{name}"' for name in INSTANCES)
NGINX = 'job="photo-fleet-balance",instance="nginx"'
ALL = "300"
"""As many minutes as any case looks at."""

Series = Mapping[str, str | None]


def _healthy() -> dict[str, str]:
    found = {
        f"up{{{NGINX}}}": "1",
        f"photo_fleet_members{{{NGINX}}}": "2",
        f"photo_fleet_certificate_expires_timestamp_seconds{{{NGINX}}}": "7776000",
    }
    for one in (A, B):
        found |= {
            f"up{{{one}}}": "1",
            f"photo_api_ready{{{one}}}": "1",
            f"photo_api_start_time_seconds{{{one}}}": "-86400",
            f'photo_api_check_ok{{{one},check="database"}}': "1",
            f'photo_api_check_ok{{{one},check="storage"}}': "1",
            f'photo_api_breaker_open{{{one},breaker="store"}}': "0",
            f'photo_api_worker_deaths_total{{{one},process="web"}}': "0",
            f'photo_api_key_made_timestamp_seconds{{{one},keys="jwt"}}': "0",
            f'photo_api_key_made_timestamp_seconds{{{one},keys="secret"}}': "0",
            f'photo_api_cdn_probes_total{{{one},result="ok"}}': "0",
            f'photo_api_cdn_probes_total{{{one},result="unknown"}}': "0",
            f'photo_api_database_waiting{{{one},process="web"}}': "0",
            f'photo_api_database_refusals_total{{{one},process="web"}}': "7",
            f'photo_api_log_lines_lost_total{{{one},process="web",way="sink"}}': "12",
            f"photo_api_fleet_counted_timestamp_seconds{{{one}}}": "0+60",
            f'photo_api_fleet_instances{{{one},state="ready"}}': "2",
            f'photo_api_fleet_instances{{{one},state="draining"}}': "0",
            f'photo_api_fleet_instances{{{one},state="lost"}}': "1",
            f'photo_api_fleet_jobs{{{one},kind="renditions",state="dead"}}': "3",
            f'photo_api_fleet_oldest_job_seconds{{{one},kind="renditions"}}': "20",
            f'photo_api_fleet_oldest_job_seconds{{{one},kind="metadata"}}': "9000",
            f"photo_api_fleet_orphan_objects{{{one}}}": "40",
            f'photo_api_fleet_drain_seconds_count{{{one},result="whole"}}': "7",
            f'photo_api_fleet_drain_seconds_bucket{{{one},result="whole",le="45.0"}}': "7",
            f'photo_api_fleet_drain_seconds_count{{{one},result="cut"}}': "2",
            f'photo_api_fleet_drain_seconds_bucket{{{one},result="cut",le="45.0"}}': "0",
        }
        for objective, method in (("reads", "GET"), ("writes", "POST")):
            request = f'{one},method="{method}",handler="/api/albums"'
            took = "http_request_duration_seconds"
            found |= {
                f'photo_api_objective_requests_total{{{one},objective="{objective}",result="ok"}}':
                "0+600",
                f'photo_api_objective_requests_total{{{one},objective="{objective}",'
                'result="failed"}': "0",
                f'http_requests_total{{{request},status="200"}}': "0+600",
                f"{took}_count{{{request}}}": "0+600",
                f'{took}_bucket{{{request},le="0.25"}}': "0+599",
                f'{took}_bucket{{{request},le="1.0"}}': "0+599",
            }  # fmt: skip
    return {name: f"{values}x{ALL}" for name, values in found.items()}


HEALTHY = _healthy()


def every(part: str, values: str | None) -> dict[str, str | None]:
    """All healthy series whose text has this part, with other values; None: they are not there."""
    found = {name: values and f"{values}" for name in HEALTHY if part in name}
    assert found, part
    return found


@dataclass(frozen=True, slots=True)
class Case:
    """At a minute, what differs from health until then, and what fires: names with severity, and
    with the longer window for an objective."""

    title: str
    series: Series = field(default_factory=dict)
    fires: frozenset[str] = frozenset()
    minute: int = 100

    def beside(self, other: "Case") -> "Case | None":
        """Both at once, as one case, which is cheaper; None when one would hide the other: they
        are of the same series or alerts, or only one of them is to fire anything."""
        alike = bool(self.fires) == bool(other.fires) and self.minute == other.minute
        if not alike or self.series.keys() & other.series.keys() or self.fires & other.fires:
            return None
        both = {**self.series, **other.series}
        return Case(f"{self.title}; {other.title}", both, self.fires | other.fires, self.minute)


def packed(cases: Iterable[Case]) -> list[Case]:
    """As few as they fit into."""
    bundles: list[Case] = []
    for case in cases:
        for place, bundle in enumerate(bundles):
            if (both := bundle.beside(case)) is not None:
                bundles[place] = both
                break
        else:
            bundles.append(case)
    return bundles


HOUR = 65
"""Minutes after which an hour is known."""


def fires(*names: str) -> frozenset[str]:
    return frozenset(names)


def failing(per_minute: float, objective: str = "reads") -> dict[str, str | None]:
    """So many of 600 requests a minute at each instance."""
    return {
        name: f"0+{per_minute}x{ALL}"
        for name in HEALTHY
        if f'objective="{objective}",result="failed"' in name
    }


def burning(alert: str, *windows: str) -> frozenset[str]:
    severity = {"1h": "page", "6h": "page", "1d": "ticket", "3d": "ticket"}
    return frozenset(f"{alert} {severity[window]} {window}" for window in windows)


def cdn(fallback: str, ok: str) -> dict[str, str]:
    """A fleet with a CDN, of whose probe one instance has counted so many."""
    probes = f"photo_api_cdn_probes_total{{{A},result="
    told = {f"photo_api_cdn_fallback{{{one}}}": f"{fallback}x{ALL}" for one in (A, B)}
    return told | {f'{probes}"ok"}}': ok, f'{probes}"unknown"}}': f"0+6x{ALL}"}


QUIET = every('result="ok"', f"0+1x{ALL}") | every("http_requests_total", f"0+1x{ALL}")
LOST = every('state="lost"', f"1x60 2x{ALL}")
OTHER_UNKNOWN = ("photo_api_", "http_")

OBJECTIVES = (
    Case("a healthy fleet"),
    Case("a fleet that nobody asks anything", every('result="ok"', f"0x{ALL}")),
    Case(
        "a single 500 in a quiet hour",
        QUIET | {next(iter(failing(0))): f"0x40 1x{ALL}"},
    ),
    Case(
        "a quiet fleet in which every read fails",
        every('objective="reads",result="ok"', f"5x{ALL}") | failing(0.2),
        burning("ReadsFail", "1h", "6h", "1d", "3d"),
    ),
    Case("half of the budget", failing(0.3)),
    Case("1.5 times the budget", failing(0.9), burning("ReadsFail", "3d")),
    Case("4 times the budget", failing(2.4), burning("ReadsFail", "1d", "3d")),
    Case("7 times the budget", failing(4.2), burning("ReadsFail", "6h", "1d", "3d")),
    Case("20 times the budget", failing(12), burning("ReadsFail", "1h", "6h", "1d", "3d")),
    Case(
        "the same of writes",
        failing(12, "writes"),
        burning("WritesFail", "1h", "6h", "1d", "3d"),
    ),
    Case(
        "an outage that has been over for 20 minutes",
        dict.fromkeys(failing(0), f"0x10 0+60x35 2100x{ALL}"),
        burning("ReadsFail", "6h", "1d", "3d"),
    ),
    Case(
        "reads that take too long",
        {name: f"0+500x{ALL}" for name in HEALTHY if 'method="GET"' in name and '"0.25"' in name},
        burning("ReadsSlow", "1h", "6h", "1d", "3d"),
    ),
    Case(
        "writes that take as long as reads must not",
        {name: f"0+300x{ALL}" for name in HEALTHY if 'method="POST"' in name and '"0.25"' in name},
    ),
    Case(
        "writes that take too long",
        {name: f"0+500x{ALL}" for name in HEALTHY if 'method="POST"' in name and '"1.0"' in name},
        burning("WritesSlow", "1h", "6h", "1d", "3d"),
    ),
)

FLEET = (
    Case(
        "no instance is ready",
        every("photo_api_ready", f"1x95 0x{ALL}") | every('state="ready"', f"2x95 0x{ALL}"),
        fires("NoReadyInstance page"),
    ),
    Case("no instance is ready for a moment", every("photo_api_ready", f"1x99 0x{ALL}")),
    Case(
        "an instance is missing for longer than a machine takes to come",
        {f"photo_api_ready{{{B}}}": f"1x80 0x{ALL}"},
        fires("MembersBelowDesired page"),
    ),
    Case("an instance is being replaced", {f"photo_api_ready{{{B}}}": f"1x95 0x{ALL}"}),
    Case(
        "nginx has fewer members than instances are ready",
        every("photo_fleet_members", f"2x80 1x{ALL}"),
        fires("MembersBelowDesired page"),
    ),
    Case(
        "the group wants more than its minimum, and somebody says so",
        {"photo_fleet_desired_instances": f"4x{ALL}"},
        fires("MembersBelowDesired page"),
    ),
    Case(
        "an instance restarts again and again",
        {f"photo_api_start_time_seconds{{{B}}}": f"-86400x60 3600x10 4200x10 4800x{ALL}"},
        fires("InstanceFlapping ticket"),
    ),
    Case("an instance restarts", {f"photo_api_start_time_seconds{{{B}}}": f"-86400x60 3600x{ALL}"}),
    Case(
        "an instance gets ready and unready",
        {f"photo_api_ready{{{B}}}": f"1x60 {'0x2 1x2 ' * 4}1x{ALL}"},
        fires("InstanceFlapping ticket"),
    ),
    Case(
        "the workers of an instance die",
        {f'photo_api_worker_deaths_total{{{B},process="web"}}': f"0x60 1x5 3x5 5x{ALL}"},
        fires("InstanceFlapping ticket"),
    ),
    Case(
        "more instances than ever begin anew within an hour",
        {
            f'photo_api_start_time_seconds{{job="photo-api",instance="i{n}"}}': (
                f"_x{70 + n} 4500 4500"
            )
            for n in range(21)
        },
        fires("FleetFlapping page"),
    ),
    Case(
        "the CDN fails, as one instance has heard first",
        cdn("1", f"0+6x{ALL}") | {f"photo_api_cdn_fallback{{{B}}}": f"0x{ALL}"},
        fires("CdnFailed ticket"),
    ),
    Case("the CDN is well", cdn("0", f"0+6x{ALL}")),
    Case(
        "nobody looks at the CDN any more",
        cdn("0", f"0+6x70 420x{ALL}"),
        fires("CdnUnknown ticket"),
    ),
    Case("nobody has looked at the CDN for a moment", cdn("0", f"0+6x95 570x{ALL}")),
    Case("an instance ended without a drain", LOST, fires("InstanceLost ticket")),
    Case("one was lost yesterday", LOST, minute=200),
    Case(
        "a member gets hardly any requests",
        {name: f"0+100x{ALL}" for name in HEALTHY if "http_requests_total" in name and B in name},
        fires("TrafficUneven ticket"),
        minute=120,
    ),
    Case(
        "a member gets none, and has no series of them",
        {name: None for name in HEALTHY if "http_requests_total" in name and B in name},
        fires("TrafficUneven ticket"),
        minute=120,
    ),
    Case(
        "a quiet fleet's requests fall as chance has it",
        {
            name: f"0+{1 if B in name else 6}x{ALL}"
            for name in HEALTHY
            if "http_requests_total" in name
        },
    ),
    Case(
        "a drain that outlived its time",
        every('drain_seconds_count{job="photo-api",instance="a",result="whole"', f"7x70 8x{ALL}"),
        fires("DrainStuck ticket"),
        minute=110,
    ),
    Case(
        "a drain that cut requests",
        every('drain_seconds_count{job="photo-api",instance="b",result="cut"', f"2x70 3x{ALL}"),
        fires("DrainStuck ticket"),
        minute=112,
    ),
    Case("a drain in time", every('result="whole"', f"7x70 8x{ALL}")),
    Case(
        "a drain that does not end", every('state="draining"', f"0x60 1x{ALL}"),
        fires("DrainStuck ticket"),
    ),
    Case("a rolling deploy", every('state="draining"', f"0x60 1x20 0x2 1x{ALL}")),
)  # fmt: skip

WORK = (
    Case(
        "no instance reaches the database",
        every('check="database"', f"1x95 0x{ALL}"),
        fires("DependencyDown page"),
    ),
    Case("one of them does", {f'photo_api_check_ok{{{B},check="database"}}': f"1x90 0x{ALL}"}),
    Case(
        "all breakers of the store are open",
        every("breaker_open", f"0x95 1x{ALL}"),
        fires("DependencyDown page"),
    ),
    Case(
        "thumbnails wait",
        every('oldest_job_seconds{job="photo-api",instance="a",kind="renditions"', f"0+60x{ALL}"),
        fires("QueueOld ticket"),
    ),
    Case("jobs died for good", every('"dead"', f"3x60 4x{ALL}"), fires("DeadJobs ticket")),
    Case("dead jobs are tried again", every('"dead"', f"3x60 0x{ALL}")),
    Case(
        "objects without an owner become more, and no sweep clears them",
        every("orphan_objects", f"200+5x{ALL}"),
        fires("OrphansGrow ticket"),
        minute=300,
    ),
    Case("a large deletion is being swept", every("orphan_objects", f"9000-20x{ALL}"), minute=300),
    Case(
        "requests wait for a connection",
        every("database_waiting", f"0x80 4x{ALL}"),
        fires("PoolWaiting ticket"),
    ),
    Case(
        "requests get no connection",
        every("database_refusals", f"0x80 0+3x{ALL}"),
        fires("PoolWaiting ticket"),
    ),
    Case("the database restarts", every("database_refusals", f"0x90 30x{ALL}")),
    Case(
        "log lines are lost", every("log_lines_lost", f"12x95 30x{ALL}"),
        fires("LogLinesDropped ticket"),
    ),
    Case(
        "a certificate is due",
        every("certificate_expires", f"{13 * 86400}x{ALL}"),
        fires("CertificateExpires ticket"),
    ),
    Case(
        "a certificate expires",
        every("certificate_expires", f"{2 * 86400}x{ALL}"),
        fires("CertificateExpires ticket", "CertificateExpires page"),
    ),
    Case(
        "a key is old",
        every('keys="jwt"', f"{-400 * 86400}x{ALL}"),
        fires("KeyOld ticket"),
    ),
    Case("a key's id tells no date", every('keys="jwt"', None), fires("AgeUnknown ticket")),
    Case("the certificate is not read", every("certificate", None), fires("AgeUnknown ticket")),
)  # fmt: skip

UNKNOWN = (
    Case(
        "Prometheus reaches no instance",
        {name: None for name in HEALTHY if A in name or B in name}
        | {f"up{{{one}}}": f"0x{ALL}" for one in (A, B)},
        fires(
            *("InstancesUnseen page", "TargetDown ticket", "FleetNumbersOld ticket"),
            "AgeUnknown ticket",
        ),
    ),
    Case(
        "there is no target at all",
        dict.fromkeys(HEALTHY),
        fires("InstancesUnseen page", "FleetNumbersOld ticket", "AgeUnknown ticket"),
    ),
    Case(
        "Prometheus reaches fewer instances than are ready",
        every('state="ready"', f"3x{ALL}"),
        fires("InstancesUnseen ticket"),
    ),
    Case(
        "an instance is not answered", {f"up{{{B}}}": f"1x80 0x{ALL}"}, fires("TargetDown ticket")
    ),
    Case("a scrape fails", {f"up{{{B}}}": f"1x98 0x{ALL}"}),
    Case(
        "nobody counts the fleet's numbers",
        every("counted_timestamp", f"0+60x80 4800x{ALL}"),
        fires("FleetNumbersOld ticket"),
    ),
    Case(
        "the fleet's numbers are not told",
        {name: None for name in HEALTHY if "photo_api_fleet" in name},
        fires("FleetNumbersOld ticket"),
    ),
)  # fmt: skip

OF_FLEET = FLEET + WORK + UNKNOWN
