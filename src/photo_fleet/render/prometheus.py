"""prometheus.yml of the spec with its rules, for Prometheus 2.42 (Debian 12) and newer.

http_sd_configs spells out the type of its authorization: without it 2.42 sends the bare token.
"""

from types import MappingProxyType
from urllib.parse import urlsplit

from photo_fleet.render import alertmanager, alerts
from photo_fleet.render.alert import NOMINAL, Windows
from photo_fleet.spec.fleet import BALANCER_METRICS_PATH, DISCOVERY_PATH, Fleet, Metrics
from photo_fleet.spec.kinds import limit_ms

SECRETS = "/etc/prometheus/photo-api"
DISCOVERY_TOKEN, OPS_TOKEN = f"{SECRETS}/discovery-token", f"{SECRETS}/ops-token"
GATEWAY_TOKEN, GATEWAY_PASSWORD = f"{SECRETS}/pushgateway-token", f"{SECRETS}/pushgateway-password"
TARGETS = f"{SECRETS}/targets/*.json"
TAG = "photo-api-fleet"
"""The tag (EC2) or metadata (OpenStack) of a group's instances; its value is the fleet's name."""

CLOUD_REFRESH = "60s"
RULES = "rules.yml"
LONGEST_SCRAPE_MS = 10_000


def files(fleet: Fleet, windows: Windows = NOMINAL) -> dict[str, str]:
    """Nothing when the spec says neither who tells the targets nor where instances push to. What is
    pushed is not scraped as well: both would be the same series."""
    gateway = fleet.metrics.pushgateway
    jobs = [*pushed(gateway), *_proof(fleet.metrics)] if gateway else _instances(fleet)
    if not jobs:
        return {}
    interval = limit_ms(fleet.metrics.interval)
    lines = [
        f"# Rendered from the spec of {fleet.name}; change it there.",
        "global:",
        f"  scrape_interval: {interval}ms",
        f"  scrape_timeout: {min(interval, LONGEST_SCRAPE_MS)}ms",
        f"  evaluation_interval: {interval}ms",
        f"rule_files: [{RULES}]",
        *_alerting(fleet),
        "scrape_configs:",
        *jobs,
        *_balancer(fleet),
    ]
    return {
        "prometheus.yml": "\n".join(lines) + "\n",
        RULES: alerts.rules(fleet, windows),
        "alertmanager.yml": alertmanager.example(fleet),
    }


def notes(fleet: Fleet) -> list[str]:
    """What Prometheus's host must have besides."""
    metrics = fleet.metrics
    if not (metrics.pushgateway or _instances(fleet)):
        return [
            "metrics.discovery is not set, so no prometheus.yml is rendered: set it, and Prometheus"
            " asks the balancer which instances run"
        ]
    return [*_targets(fleet), *_told(fleet)]


def _targets(fleet: Fleet) -> list[str]:
    metrics = fleet.metrics
    if metrics.pushgateway:
        files = {"basic": GATEWAY_PASSWORD, "bearer": GATEWAY_TOKEN}
        file = files.get(metrics.pushgateway_auth)
        return [f"Prometheus asks the Pushgateway with the secret in {file}"] if file else []
    if fleet.balancer.kind == "cloud":
        token = f"Instances want the token in {OPS_TOKEN}: their PHOTO_API_OPS_TOKEN"
        return [CLOUD_NOTES[metrics.cloud].format(tag=TAG, fleet=fleet.name), token]
    return [
        f"Prometheus asks {metrics.discovery}{DISCOVERY_PATH} with the token in"
        f" {DISCOVERY_TOKEN}, the same as the balancer's PHOTO_FLEET_DISCOVERY_TOKEN"
    ]


def _told(fleet: Fleet) -> list[str]:
    notes = [
        "alertmanager.yml is an example: put those in its receivers who shall be woken, and"
        " something outside that misses Watchdog when it stops"
    ]
    if not fleet.metrics.alertmanager:
        notes.append(
            "metrics.alertmanager is not set: Prometheus shows its alerts and wakes nobody"
        )
    if fleet.balancer.tls.certificate and not alerts.asks_balancer(fleet):
        notes.append(
            "nobody tells Prometheus when the balancer's certificate expires: `photo-fleet balance`"
            " would, at metrics.discovery"
        )
    return notes


CLOUD_NOTES = MappingProxyType(
    {
        "none": f"Prometheus takes its targets from files of {TARGETS}: write them, or set"
        " metrics.cloud",
        "ec2": "Prometheus lists the running instances with the tag {tag} = {fleet}, which the"
        " group gives to those that it starts; its role allows ec2:DescribeInstances and"
        " ec2:DescribeAvailabilityZones",
        "openstack": "Prometheus lists the active servers with the metadata {tag} = {fleet}, which"
        " the group gives to those that it starts; its unit has the environment OS_AUTH_URL,"
        " OS_USERNAME, OS_PASSWORD, and OS_TENANT_ID or OS_PROJECT_NAME and OS_DOMAIN_NAME",
    }
)


def _instances(fleet: Fleet) -> list[str]:
    metrics = fleet.metrics
    job = ["- job_name: photo-api", f"  metrics_path: {metrics.path}"]
    if fleet.balancer.kind == "cloud":
        return [*job, *_authorization(OPS_TOKEN, "  "), *_by_cloud(fleet)]
    if not metrics.discovery:
        return []
    return [
        *job,
        "  http_sd_configs:",
        f"  - url: {metrics.discovery}{DISCOVERY_PATH}",
        f"    refresh_interval: {limit_ms(metrics.interval)}ms",
        *_authorization(DISCOVERY_TOKEN, "    "),
    ]


def _by_cloud(fleet: Fleet) -> list[str]:
    """Targets are `address:port`, and are named so; node and region stand in `photo_api_info`."""
    asked = [
        f"    region: '{fleet.metrics.cloud_region}'",
        f"    port: {fleet.service.port}",
        f"    refresh_interval: {CLOUD_REFRESH}",
    ]
    match fleet.metrics.cloud:
        case "ec2":
            return [
                "  ec2_sd_configs:",
                "  - filters:",
                f"    - {{name: 'tag:{TAG}', values: ['{fleet.name}']}}",
                "    - {name: instance-state-name, values: [running]}",
                *asked,
            ]
        case "openstack":
            known_by = f"__meta_openstack_tag_{TAG.replace('-', '_')}"
            return [
                "  openstack_sd_configs:",
                "  - role: instance",
                *asked,
                "  relabel_configs:",
                f"  - source_labels: [__meta_openstack_instance_status, {known_by}]",
                f"    regex: 'ACTIVE;{fleet.name}'",
                "    action: keep",
            ]
    return ["  file_sd_configs:", f"  - files: ['{TARGETS}']"]


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


def _proof(metrics: Metrics) -> list[str]:
    """What the gateway wants of who scrapes it, and how it proves that it is the one."""
    lines: list[str] = []
    if metrics.pushgateway_auth == "bearer":
        lines += _authorization(GATEWAY_TOKEN, "  ")
    elif metrics.pushgateway_auth == "basic":
        lines += [f"  basic_auth: {{username: photo-api, password_file: {GATEWAY_PASSWORD}}}"]
    if metrics.pushgateway_ca:
        lines += [f"  tls_config: {{ca_file: {metrics.pushgateway_ca}}}"]
    return lines


def _balancer(fleet: Fleet) -> list[str]:
    """The nginx host that metrics.discovery names tells of itself, too."""
    if not alerts.asks_balancer(fleet):
        return []
    place = urlsplit(fleet.metrics.discovery)
    return [
        "- job_name: photo-fleet-balance",
        f"  metrics_path: {BALANCER_METRICS_PATH}",
        f"  scheme: {place.scheme}",
        *_authorization(DISCOVERY_TOKEN, "  "),
        f"  static_configs: [{{targets: ['{place.netloc}']}}]",
    ]


def _alerting(fleet: Fleet) -> list[str]:
    if not fleet.metrics.alertmanager:
        return []
    place = urlsplit(fleet.metrics.alertmanager)
    return [
        "alerting:",
        "  alertmanagers:",
        f"  - scheme: {place.scheme}",
        f"    static_configs: [{{targets: ['{place.netloc}']}}]",
    ]


def _authorization(file: str, indent: str) -> list[str]:
    return [
        f"{indent}authorization:",
        f"{indent}  type: Bearer",
        f"{indent}  credentials_file: {file}",
    ]
