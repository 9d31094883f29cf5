"""prometheus.yml of the spec, for Prometheus 2.42 (Debian 12) and newer.

http_sd_configs spells out the type of its authorization: without it 2.42 sends the bare token.
"""

from urllib.parse import urlsplit

from photo_fleet.spec.fleet import DISCOVERY_PATH, Fleet
from photo_fleet.spec.kinds import limit_ms

SECRETS = "/etc/prometheus/photo-api"
DISCOVERY_TOKEN, OPS_TOKEN = f"{SECRETS}/discovery-token", f"{SECRETS}/ops-token"
TARGETS = f"{SECRETS}/targets/*.json"
LONGEST_SCRAPE_MS = 10_000


def files(fleet: Fleet) -> dict[str, str]:
    """Nothing when the spec says neither who tells the targets nor where instances push to. What is
    pushed is not scraped as well: both would be the same series."""
    gateway = fleet.metrics.pushgateway
    jobs = pushed(gateway) if gateway else _instances(fleet)
    if not jobs:
        return {}
    interval = limit_ms(fleet.metrics.interval)
    lines = [
        f"# Rendered from the spec of {fleet.name}; change it there.",
        "global:",
        f"  scrape_interval: {interval}ms",
        f"  scrape_timeout: {min(interval, LONGEST_SCRAPE_MS)}ms",
        "scrape_configs:",
        *jobs,
    ]
    return {"prometheus.yml": "\n".join(lines) + "\n"}


def notes(fleet: Fleet) -> list[str]:
    """What Prometheus's host must have besides."""
    metrics = fleet.metrics
    if metrics.pushgateway:
        return []
    if fleet.balancer.kind == "cloud":
        return [
            f"Prometheus takes its targets from files of {TARGETS}: put the discovery of your cloud"
            " (ec2_sd_configs, openstack_sd_configs) in their place. Instances want the token in"
            f" {OPS_TOKEN}: their PHOTO_API_OPS_TOKEN"
        ]
    if metrics.discovery:
        return [
            f"Prometheus asks {metrics.discovery}{DISCOVERY_PATH} with the token in"
            f" {DISCOVERY_TOKEN}, the same as the balancer's PHOTO_FLEET_DISCOVERY_TOKEN"
        ]
    return [
        "metrics.discovery is not set, so no prometheus.yml is rendered: set it, and Prometheus"
        " asks the balancer which instances run"
    ]


def _instances(fleet: Fleet) -> list[str]:
    metrics = fleet.metrics
    job = ["- job_name: photo-api", f"  metrics_path: {metrics.path}"]
    if fleet.balancer.kind == "cloud":
        found = ["  file_sd_configs:", f"  - files: ['{TARGETS}']"]
        return [*job, *_authorization(OPS_TOKEN, "  "), *found]
    if not metrics.discovery:
        return []
    return [
        *job,
        "  http_sd_configs:",
        f"  - url: {metrics.discovery}{DISCOVERY_PATH}",
        f"    refresh_interval: {limit_ms(metrics.interval)}ms",
        *_authorization(DISCOVERY_TOKEN, "    "),
    ]


def pushed(gateway: str) -> list[str]:
    """The job that scrapes the Pushgateway at this address."""
    place = urlsplit(gateway)
    return [
        "- job_name: pushgateway",
        "  # Groups bring the job and the instance that pushed them.",
        "  honor_labels: true",
        f"  scheme: {place.scheme}",
        f"  static_configs: [{{targets: ['{place.netloc}']}}]",
    ]


def _authorization(file: str, indent: str) -> list[str]:
    return [
        f"{indent}authorization:",
        f"{indent}  type: Bearer",
        f"{indent}  credentials_file: {file}",
    ]
