"""Whether metrics and log lines arrive where somebody looks, and no secret lies open on the way."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from photo_api.contract import METRICS_PATH
from photo_fleet.render.systemd import LOGS
from photo_fleet.rules.findings import Contradiction
from photo_fleet.rules.stopping import with_grace
from photo_fleet.spec.changes import Changes
from photo_fleet.spec.fleet import Drain, Fleet
from photo_fleet.spec.kinds import budget

SAMPLES = 3
"""Of a metric, that a rule's duration should hold."""

LOOKBACK = 300.0
"""Seconds for which Prometheus takes a sample for the present one, when no newer one comes."""

USUAL_INTERVAL = 60.0

LAST_BATCH = 1.0
"""Seconds in which a sink that is well has taken a connection and the last lines of a process."""


def path(fleet: Fleet) -> Iterator[Contradiction]:
    """Instances are scraped where they tell their metrics."""
    if fleet.metrics.path == METRICS_PATH:
        return
    yield Contradiction(
        "warning",
        "metrics-path",
        f'metrics.path "{fleet.metrics.path}" is not where instances tell them: "{METRICS_PATH}"',
        "every scrape gets 404, and no graph or alert sees how the instances are",
        ({"metrics.path": METRICS_PATH},),
    )


def samples(fleet: Fleet) -> Iterator[Contradiction]:
    """A rule's duration holds several samples of what is scraped; CPU is the cloud's to measure."""
    every = fleet.metrics.interval
    short = {
        f"group.policies[{place}].duration": rule.duration
        for place, rule in enumerate(fleet.group.policies)
        if rule.metric != "cpu" and rule.duration < SAMPLES * every
    }
    if not short:
        return
    yield Contradiction(
        "warning",
        "metrics-interval",
        f"{SAMPLES} × metrics.interval {every:g}s = {SAMPLES * every:g}s > "
        + ", ".join(f"{key} {value:g}s" for key, value in short.items()),
        "a cloud's group, which sees only what is scraped, acts on a single sample or on none",
        (
            {"metrics.interval": float(budget(min(short.values()) / SAMPLES))},
            dict.fromkeys(short, SAMPLES * every),
        ),
    )


def discovery(fleet: Fleet) -> Iterator[Contradiction]:
    """Prometheus is told its targets by somebody who is there, and only when it scrapes them."""
    metrics = fleet.metrics
    if metrics.cloud != "none":
        yield from _cloud(fleet)
    if not metrics.discovery:
        return
    if fleet.balancer.kind == "cloud":
        yield Contradiction(
            "error",
            "metrics-discovery",
            f'metrics.discovery "{metrics.discovery}" is answered by `photo-fleet balance` on an'
            ' nginx host, and balancer.kind "cloud" has none',
            "Prometheus finds no instance; the cloud's own discovery would",
            ({"metrics.discovery": ""},),
        )
    elif metrics.pushgateway:
        yield Contradiction(
            "warning",
            "metrics-discovery",
            f'metrics.pushgateway "{metrics.pushgateway}" and metrics.discovery'
            f' "{metrics.discovery}" are both set',
            "instances push and are not scraped as well, since both would be the same series, so"
            " nobody asks for the targets",
            ({"metrics.discovery": ""}, {"metrics.pushgateway": ""}),
        )


def _cloud(fleet: Fleet) -> Iterator[Contradiction]:
    metrics = fleet.metrics
    told, without = f'metrics.cloud "{metrics.cloud}"', ({"metrics.cloud": "none"},)
    if not metrics.cloud_region:
        yield Contradiction(
            "error",
            "metrics-discovery",
            f"{told} has no metrics.cloud_region",
            "Prometheus does not start with a configuration that names none",
            without,
        )
    if fleet.balancer.kind != "cloud" or metrics.pushgateway:
        other = (
            "metrics.pushgateway" if metrics.pushgateway else f'balancer "{fleet.balancer.kind}"'
        )
        yield Contradiction(
            "warning",
            "metrics-discovery",
            f"{told} is not asked beside {other}",
            "instances that push are not scraped, and behind nginx the registry tells the targets"
            " (metrics.discovery)",
            without,
        )


def lookback(fleet: Fleet) -> Iterator[Contradiction]:
    """One sample that is missing makes no gap."""
    every = fleet.metrics.interval
    if 2 * every <= LOOKBACK:
        return
    yield Contradiction(
        "warning",
        "metrics-gaps",
        f"2 × metrics.interval {every:g}s = {2 * every:g}s > {LOOKBACK:g}s, for which Prometheus"
        " takes a sample for the present one",
        "when a single scrape fails, the instance is gone from graphs, and alerts on it end",
        ({"metrics.interval": USUAL_INTERVAL},),
    )


def gateway(fleet: Fleet) -> Iterator[Contradiction]:
    """Instances push to one place."""
    address = fleet.metrics.pushgateway
    if not _is_loopback(address):
        return
    yield Contradiction(
        "error",
        "push-address",
        f'metrics.pushgateway "{address}" is each instance\'s own machine',
        "every instance pushes to itself: nobody is there, or what is pushed goes with the machine",
        ({"metrics.pushgateway": ""},),
    )


def collector(fleet: Fleet) -> Iterator[Contradiction]:
    """Lines leave the machine; an OpenTelemetry collector may be an agent on each."""
    address = fleet.logs.loki
    if not _is_loopback(address):
        return
    yield Contradiction(
        "warning",
        "logs-address",
        f'logs.loki "{address}" is each instance\'s own machine',
        "a Loki there goes with its machine, and its lines with it; without one every line is lost",
        ({"logs.loki": ""},),
    )


def log_file(fleet: Fleet) -> Iterator[Contradiction]:
    """The file is where the unit may write."""
    file = fleet.logs.file
    name = PurePosixPath(file).name
    if not file or (PurePosixPath(file).parent == PurePosixPath(LOGS) and name != ".."):
        return
    usual = f"{LOGS}/{name if name not in ('', '..') else 'photo-api.log'}"
    yield Contradiction(
        "error",
        "logs-file",
        f'logs.file "{file}" is not in "{LOGS}", which alone the unit makes and may write to',
        "no line gets into the file: all of them are counted as lost",
        ({"logs.file": usual},),
    )


def plain_secrets(fleet: Fleet) -> Iterator[Contradiction]:
    """What proves an identity goes over TLS, or stays on the machine."""
    logs, metrics, tracing = fleet.logs, fleet.metrics, fleet.tracing
    sent = {
        "logs.loki": (logs.loki_auth, logs.loki),
        "logs.otlp": (logs.otlp_auth, logs.otlp),
        "metrics.pushgateway": (metrics.pushgateway_auth != "none", metrics.pushgateway),
        "tracing.otlp": (tracing.otlp_auth, tracing.otlp),
    }
    plain = {
        key: address
        for key, (wants_secret, address) in sent.items()
        if wants_secret and address.startswith("http://") and not _is_loopback(address)
    }
    if not plain:
        return
    encrypted = {key: f"https://{address[len('http://') :]}" for key, address in plain.items()}
    yield Contradiction(
        "warning",
        "plain-secret",
        ", ".join(f'{key} "{address}"' for key, address in plain.items())
        + " gets a secret over plain HTTP",
        "whoever can listen on the network between reads it, and writes what he likes in our name",
        (encrypted,),
    )


def unused(fleet: Fleet) -> Iterator[Contradiction]:
    """Nobody is asked for a secret, or believes in a setting, that nothing uses."""
    logs, metrics, tracing = fleet.logs, fleet.metrics, fleet.tracing
    addresses = (logs.loki, logs.otlp, tracing.otlp)
    encrypted = any(address.startswith("https://") for address in addresses)
    gateway_auth = metrics.pushgateway_auth != "none" and not metrics.pushgateway
    gateway_ca = metrics.pushgateway_ca and not metrics.pushgateway.startswith("https://")
    idle: Changes = {
        **({"logs.loki_auth": False} if logs.loki_auth and not logs.loki else {}),
        **({"logs.loki_tenant": ""} if logs.loki_tenant and not logs.loki else {}),
        **({"logs.otlp_auth": False} if logs.otlp_auth and not logs.otlp else {}),
        **({"logs.ca": ""} if logs.ca and not encrypted else {}),
        **({"metrics.pushgateway_auth": "none"} if gateway_auth else {}),
        **({"metrics.pushgateway_ca": ""} if gateway_ca else {}),
        **({"tracing.otlp_auth": False} if tracing.otlp_auth and not tracing.otlp else {}),
        **({"tracing.sampled": 0} if tracing.sampled and not tracing.otlp else {}),
    }
    if not idle:
        return
    yield Contradiction(
        "warning",
        "unused",
        f"{', '.join(idle)} {'is' if len(idle) == 1 else 'are'} given, without the address that"
        " would use it",
        "nothing goes where it was meant to, and instances do not start without the secrets' files",
        (idle,),
    )


def last_lines(fleet: Fleet) -> Iterator[Contradiction]:
    """An instance that ends has time for its last lines."""
    logs, flush = fleet.logs, fleet.drain.log_flush
    sinks = (logs.file, logs.loki, logs.otlp, logs.nhn, fleet.tracing.otlp)
    if flush >= LAST_BATCH or not any(sinks):
        return
    yield Contradiction(
        "warning",
        "log-flush",
        f"drain.log_flush {flush:g}s < {LAST_BATCH:g}s, which sinks that are well may take",
        "each instance that leaves loses its last lines, and those tell how its drain went",
        (with_grace(fleet, {"drain.log_flush": Drain().log_flush}),),
    )


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


RULES = (
    *(path, samples, lookback, discovery, gateway),
    *(collector, log_file, plain_secrets, unused, last_lines),
)
