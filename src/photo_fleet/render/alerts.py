"""What wakes an operator, besides objectives that are missed: each alert, and what it goes by.

A metric that is not there is unknown, which no comparison ever finds: `unknown` has alerts of its
own for that.
"""

import re
from collections.abc import Iterator

from photo_fleet.render import burn_rates
from photo_fleet.render.alert import Alert, Record, Windows
from photo_fleet.render.burn_rates import DAY, HOUR, MINUTE, OF_API
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import dated_keys

OLDEST_JOB = 120
MOST_ORPHANS = 100
OLDEST_NUMBERS = 300
REQUESTS_EACH = 100
"""Of each instance in 10 minutes: of fewer, chance alone may give one twice as many as another."""

DRAIN_EDGES = (15.0, 20.0, 30.0, 45.0, 60.0, 90.0)
"""Some of those that instances tell drains by."""

TRAFFIC = "photo_api:traffic:rate10m"
METRIC = re.compile(r"\b(?:photo_(?:api|fleet)|http)_[a-z_]+\b")
TOLD_APART = re.compile(
    r"photo_api_fleet_|photo_api_key_|photo_api_cdn_fallback|photo_fleet_|photo_api_ready$"
)
"""Metrics whose absence an alert of their own tells, or which only some fleets have."""


def asks_balancer(fleet: Fleet) -> bool:
    """Whether Prometheus scrapes `photo-fleet balance` too, where it asks for its targets."""
    metrics = fleet.metrics
    return fleet.balancer.kind == "nginx" and bool(metrics.discovery) and not metrics.pushgateway


def rules(fleet: Fleet, windows: Windows) -> str:
    """`rules.yml`. A drill's `windows` are shortened, its thresholds are not."""
    groups: dict[str, list[Record | Alert]] = {
        "objectives": [*burn_rates.records(fleet, windows), *burn_rates.alerts(fleet)],
        "fleet": [_traffic(windows), *_of_fleet(fleet, windows), *_unknown(fleet, windows)],
    }
    lines = [f"# Rendered from the spec of {fleet.name}; change it there.", "groups:"]
    for name, members in groups.items():
        lines += [f"- name: photo-api-{name}", "  rules:"]
        lines += [rule.rule(windows) for rule in members]
    return "\n".join(lines) + "\n"


def alerts(fleet: Fleet, windows: Windows) -> list[Alert]:
    """All of them."""
    return [
        *burn_rates.alerts(fleet),
        *_of_fleet(fleet, windows),
        *_unknown(fleet, windows),
    ]


def _of_fleet(fleet: Fleet, windows: Windows) -> Iterator[Alert]:
    yield from _instances(fleet, windows)
    yield from _work(fleet, windows)
    yield from _ages(fleet)


def _instances(fleet: Fleet, w: Windows) -> Iterator[Alert]:
    yield Alert(
        "NoReadyInstance", "sum(photo_api_ready) == 0", MINUTE, "page",
        "noreadyinstance-membersbelowdesired",
        "no instance wants requests",
        "ask /health of one for the reason; it is usually the database",
    )  # fmt: skip
    counted = "sum(photo_api_ready)"
    if asks_balancer(fleet):
        members = 'label_replace(min(photo_fleet_members), "by", "nginx", "", "")'
        counted = f"min({counted} or {members})"
    desired = f"scalar(max(photo_fleet_desired_instances) or vector({fleet.group.min}))"
    yield Alert(
        "MembersBelowDesired", f"{counted}\n< {desired}", 10 * MINUTE, "page",
        "noreadyinstance-membersbelowdesired",
        "{{ $value }} instances serve, fewer than the group wants",
        "see what the group's log says of machines that do not come, and why one is not ready",
    )  # fmt: skip
    restarts = f"changes(photo_api_start_time_seconds[{w(HOUR)}]) > 2"
    changes = f"changes(photo_api_ready[{w(HOUR)}]) > 6"
    deaths = f"increase(photo_api_worker_deaths_total[{w(HOUR)}]) > 3"
    yield Alert(
        "InstanceFlapping", f"{restarts}\nor {changes}\nor {deaths}", 0, "ticket",
        "instanceflapping-fleetflapping-instancelost",
        "{{ $labels.instance }} restarts, or gets ready and unready, again and again",
        "read the causes in instance_events and its journal",
    )  # fmt: skip
    most = 2 * fleet.group.max
    begun = f"last_over_time(photo_api_start_time_seconds[{w(HOUR)}])"
    yield Alert(
        "FleetFlapping", f"count({begun} > time() - {w.seconds(HOUR):g}) > {most}", 0, "page",
        "instanceflapping-fleetflapping-instancelost",
        f"{{{{ $value }}}} instances began within an hour, more than {most}",
        "something outside stops them: look whether the group replaces on a path that looks at the"
        " database",
    )  # fmt: skip
    lost = 'photo_api_fleet_instances{state="lost"}'
    yield Alert(
        "InstanceLost", f"max({lost}) - min(min_over_time({lost}[{w(HOUR)}])) > 0", 0, "ticket",
        "instanceflapping-fleetflapping-instancelost",
        "{{ $value }} instances ended within an hour without a drain",
        "what they were answering is lost: find out who ended them, and compare the kill delay",
    )  # fmt: skip
    yield Alert(
        "TrafficUneven",
        f"({TRAFFIC} < 0.5 * scalar(avg({TRAFFIC}))\nor {TRAFFIC} > 2 * scalar(avg({TRAFFIC})))\n"
        f"and on () avg({TRAFFIC}) * {w.seconds(10 * MINUTE):g} > {REQUESTS_EACH}",
        10 * MINUTE, "ticket", "trafficuneven",
        "{{ $labels.instance }} gets less than half or more than twice its share of requests",
        "see whether it is a member of every nginx, and what it answers",
    )  # fmt: skip
    draining = 'photo_api_fleet_instances{state="draining"}'
    stuck = [*_long_drains(fleet, w), f"min(min_over_time({draining}[{w(HOUR / 2)}])) > 0"]
    yield Alert(
        "DrainStuck", "\nor ".join(stuck), 0, "ticket", "drainstuck",
        "a drain took longer than it may, cut requests, or has not ended for half an hour",
        "see which requests were cut, and whether a balancer does not let go",
    )  # fmt: skip


def _long_drains(fleet: Fleet, w: Windows) -> Iterator[str]:
    """Of those that ended within an hour: some cut requests; some took longer than lame duck and
    requests may, up to the next edge of the histogram."""
    name, hour = "photo_api_fleet_drain_seconds", w(HOUR)
    yield f'max(increase({name}_count{{result="cut"}}[{hour}])) > 0.5'
    longest = fleet.drain.lame_duck + fleet.drain.in_flight_wait
    edge = next((edge for edge in DRAIN_EDGES if edge >= longest), None)
    if edge is not None:
        ended = f"max(sum by (instance) (increase({name}_count[{hour}])))"
        in_time = f'{name}_bucket{{le="{edge!r}"}}'
        yield f"{ended} - max(sum by (instance) (increase({in_time}[{hour}]))) > 0.5"


def _work(fleet: Fleet, w: Windows) -> Iterator[Alert]:
    yield Alert(
        "DependencyDown",
        "max by (check) (photo_api_check_ok) == 0\n"
        "or min by (breaker) (photo_api_breaker_open) == 1",
        MINUTE, "page", "dependencydown",
        "no instance reaches {{ $labels.check }}{{ $labels.breaker }}",
        "mend it; the instances come back by themselves, and none must be replaced",
    )  # fmt: skip
    oldest = 'max(photo_api_fleet_oldest_job_seconds{kind="renditions"})'
    yield Alert(
        "QueueOld", f"{oldest} > {OLDEST_JOB}", 5 * MINUTE, "ticket", "queueold-deadjobs",
        "photos have been waiting for their thumbnails for {{ $value }} s",
        "see whether job workers run and what their jobs fail of; add some",
    )  # fmt: skip
    dead = 'photo_api_fleet_jobs{state="dead"}'
    yield Alert(
        "DeadJobs",
        f"max by (kind) ({dead}) - min by (kind) (min_over_time({dead}[{w(DAY)}])) > 0",
        0, "ticket",
        "queueold-deadjobs",
        "{{ $value }} jobs of {{ $labels.kind }} have failed for good within a day",
        "photo-api jobs list --state dead, mend the cause, photo-api jobs retry",
    )  # fmt: skip
    orphans = "photo_api_fleet_orphan_objects"
    yield Alert(
        "OrphansGrow",
        f"min(min_over_time({orphans}[{w(3 * HOUR)}])) > {MOST_ORPHANS}"
        f"\nand max(deriv({orphans}[{w(3 * HOUR)}])) > 0",
        HOUR, "ticket", "orphansgrow",
        "{{ $value }} objects and more are due to be deleted, and become more",
        "see who holds the lease maintenance, and what the store says to deletions",
    )  # fmt: skip
    yield from _cdn(w)
    refused = (
        f"sum by (instance) (increase(photo_api_database_refusals_total[{w(5 * MINUTE)}])) > 0"
    )
    waiting = f"sum by (instance) (avg_over_time(photo_api_database_waiting[{w(5 * MINUTE)}])) > 1"
    yield Alert(
        "PoolWaiting", f"{waiting}\nor {refused}", 5 * MINUTE, "ticket", "poolwaiting",
        "requests of {{ $labels.instance }} wait for a connection to the database, or get none",
        "find slow statements and held locks before more connections are given",
    )  # fmt: skip
    yield Alert(
        "LogLinesDropped",
        f"sum by (instance, way) (increase(photo_api_log_lines_lost_total[{w(10 * MINUTE)}])) > 0",
        0, "ticket", "loglinesdropped",
        "{{ $labels.instance }} has lost log lines on their way to {{ $labels.way }}",
        "see what log sink fails says on standard error",
    )  # fmt: skip


def _cdn(w: Windows) -> Iterator[Alert]:
    fallback, section = "photo_api_cdn_fallback", "cdnfailed-cdnunknown"
    yield Alert(
        "CdnFailed", f"max({fallback}) == 1", 0, "ticket", section,
        "the CDN fails: the fleet delivers photos without it",
        "ask /health/detailed for the error; the fleet goes back by itself when it is mended",
    )  # fmt: skip
    judged = f'sum(increase(photo_api_cdn_probes_total{{result!="unknown"}}[{w(10 * MINUTE)}]))'
    yield Alert(
        "CdnUnknown", f"count({fallback}) > 0\nunless on () ({judged} > 0)", 10 * MINUTE, "ticket",
        section,
        "nobody can tell whether the CDN is well: the fleet stays on the path that it is on",
        "see whether a job worker runs, who holds the lease maintenance, and whether the store"
        " answers",
    )  # fmt: skip


def _ages(fleet: Fleet) -> Iterator[Alert]:
    spec, section = fleet.objectives, "certificateexpires-keyold-ageunknown"
    unknown = []
    if fleet.balancer.kind == "nginx" and fleet.balancer.tls.certificate and asks_balancer(fleet):
        expires = "photo_fleet_certificate_expires_timestamp_seconds"
        for days, severity in ((spec.certificate_left, "ticket"), (3, "page")):
            yield Alert(
                "CertificateExpires",
                f"min by (instance) ({expires}) - time() < {days} * {DAY:g}",
                10 * MINUTE, "page" if severity == "page" else "ticket", section,
                f"the certificate of the balancer {{{{ $labels.instance }}}} is valid for less than"
                f" {days} days",
                "renew the files, then systemctl reload photo-fleet-nginx",
            )  # fmt: skip
        unknown.append(f'label_replace(absent({expires}), "of", "certificate", "", "")')
    if spec.oldest_key:
        made = "photo_api_key_made_timestamp_seconds"
        yield Alert(
            "KeyOld", f"time() - min by (keys) ({made}) > {spec.oldest_key} * {DAY:g}", HOUR,
            "ticket", section,
            f"the {{{{ $labels.keys }}}} key that signs is older than {spec.oldest_key} days",
            "rotate it in three steps",
        )  # fmt: skip
        unknown += [
            f'label_replace(absent({made}{{keys="{keys}"}}), "of", "{keys} key", "", "")'
            for keys in dated_keys(fleet)
        ]
    if unknown:
        yield Alert(
            "AgeUnknown", "\nor ".join(unknown), HOUR, "ticket", section,
            "nobody knows how old it is: {{ $labels.of }}",
            "give keys ids with their dates (2026-11:…); let photo-fleet balance read the"
            " certificate",
        )  # fmt: skip


def _unknown(fleet: Fleet, w: Windows) -> Iterator[Alert]:
    section = "instancesunseen-targetdown-metricmissing-fleetnumbersold-watchdog"
    pushed = bool(fleet.metrics.pushgateway)
    yield Alert(
        "InstancesUnseen", "absent(photo_api_ready)", MINUTE, "page", section,
        "Prometheus sees no instance: whether one serves is not known",
        "ask /edge/health of nginx; see Prometheus's targets and what discovery answers",
    )  # fmt: skip
    registered = 'max(photo_api_fleet_instances{state="ready"})'
    yield Alert(
        "InstancesUnseen", f"{registered} > count(photo_api_ready)", 10 * MINUTE, "ticket", section,
        "the registry has {{ $value }} ready instances, and Prometheus sees fewer",
        "see Prometheus's targets: the network, the token, discovery",
    )  # fmt: skip
    silent = 'up{job=~"photo-api|photo-fleet-balance|pushgateway"} == 0'
    if pushed:
        late = max(60.0, 4 * fleet.metrics.interval)
        silent += f'\nor time() - push_time_seconds{{job="photo-api"}} > {late:g}'
    yield Alert(
        "TargetDown", silent, 5 * MINUTE, "ticket", section,
        "nothing is known of {{ $labels.job }} {{ $labels.instance }}",
        "see whether it runs, and why Prometheus or the gateway is not answered",
    )  # fmt: skip
    job = "pushgateway" if pushed else "photo-api"
    missing = [
        f'label_replace(absent({name}), "metric", "{name}", "", "")' for name in _needed(fleet, w)
    ]
    yield Alert(
        "MetricMissing",
        "(" + "\nor ".join(missing) + f')\nand on () count(up{{job="{job}"}} == 1) > 0',
        5 * MINUTE, "ticket", section,
        "{{ $labels.metric }} is told by no instance: its alerts cannot fire",
        "see whether the release still has it, and render the rules of that release",
    )  # fmt: skip
    counted = "photo_api_fleet_counted_timestamp_seconds"
    yield Alert(
        "FleetNumbersOld",
        f"absent({counted})\nor time() - max({counted}) > {OLDEST_NUMBERS}", 5 * MINUTE, "ticket",
        section,
        "nobody counts queue, dead jobs, orphans and drains: their alerts cannot fire",
        "see who holds the lease maintenance, and whether a job worker runs",
    )  # fmt: skip
    yield Alert(
        "Watchdog", "vector(1)", 0, "none", section,
        "alerts arrive; this one always fires",
        "have something outside raise an alarm when it stops",
    )  # fmt: skip


def _needed(fleet: Fleet, windows: Windows) -> list[str]:
    """Metrics without which rules are silent for ever, and no other alert says so."""
    records = [*burn_rates.records(fleet, windows), _traffic(windows)]
    known: list[Record | Alert] = [*records, *_of_fleet(fleet, windows)]
    names = {name for rule in known for name in METRIC.findall(rule.expression)}
    return sorted(name for name in names if not TOLD_APART.match(name))


def _traffic(w: Windows) -> Record:
    """Requests a second of each instance that was ready for all of 10 minutes; 0 for one that got
    none."""
    rate = f"sum by (instance) (rate(http_requests_total{{{OF_API}}}[{w(10 * MINUTE)}]))"
    return Record(
        TRAFFIC,
        f"({rate} or sum by (instance) (photo_api_ready) * 0)\n"
        f"and on (instance) min_over_time(photo_api_ready[{w(10 * MINUTE)}]) == 1\n"
        f"and on (instance) time() - photo_api_start_time_seconds > {w.seconds(10 * MINUTE):g}",
    )
