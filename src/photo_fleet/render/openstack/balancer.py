"""Octavia: the balancer, its listener, its pool, and what it does not pass on.

Heat 27 has no properties for a listener's timeouts and headers, nor for the failures after which a
monitor takes a member out: `settings` is what `complete.sh` sets of them by the command line. The
units and ranges are those of Octavia's API reference, v2.
"""

from math import ceil, floor

from photo_api.contract import API_PREFIX, METRICS_PATH
from photo_fleet.render.openstack.names import LISTENER, MONITOR, POOL
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet, HealthCheck
from photo_fleet.spec.kinds import limit_ms

MOST_RETRIES = 10
"""Successes and failures in a row for which a monitor can wait."""

ALGORITHMS = {"round-robin": "ROUND_ROBIN", "least-connections": "LEAST_CONNECTIONS"}

HIDDEN = f"^({API_PREFIX})?({METRICS_PATH}|/health/detailed)/?$"
"""As haproxy sees a path, escapes not undone: who escapes it meets the service's token instead."""


def resources(fleet: Fleet) -> dict[str, Node]:
    """By name, the balancer's."""
    return {
        "balancer": {
            "type": "OS::Octavia::LoadBalancer",
            "properties": {
                "name": fleet.name,
                "description": f"In front of {fleet.name}",
                "vip_subnet": {"get_param": "balancer_subnet"},
            },
        },
        LISTENER: {
            "type": "OS::Octavia::Listener",
            "properties": {
                "name": f"{fleet.name}-https",
                "loadbalancer": {"get_resource": "balancer"},
                "protocol": "TERMINATED_HTTPS",
                "protocol_port": 443,
                "default_tls_container_ref": {"get_param": "certificate"},
            },
        },
        POOL: {
            "type": "OS::Octavia::Pool",
            "properties": {
                "name": fleet.name,
                "listener": {"get_resource": LISTENER},
                "protocol": "HTTP",
                "lb_algorithm": ALGORITHMS[fleet.balancer.algorithm],
            },
        },
        MONITOR: {"type": "OS::Octavia::HealthMonitor", "properties": _monitor(fleet.health_check)},
        "hidden": {
            "type": "OS::Octavia::L7Policy",
            "properties": {
                "name": f"{fleet.name}-hidden",
                "description": "What is told to operators is not told to the public",
                "listener": {"get_resource": LISTENER},
                "action": "REJECT",
                "position": 1,
            },
        },
        "hidden_paths": {
            "type": "OS::Octavia::L7Rule",
            "properties": {
                "l7policy": {"get_resource": "hidden"},
                "type": "PATH",
                "compare_type": "REGEX",
                "value": HIDDEN,
            },
        },
        "public_address": {
            "type": "OS::Neutron::FloatingIP",
            "condition": "is_public",
            "properties": {
                "floating_network": {"get_param": "public_network"},
                "port_id": {"get_attr": ["balancer", "vip_port_id"]},
            },
        },
    }


def _monitor(probes: HealthCheck) -> dict[str, Node]:
    delay, timeout = whole_seconds(probes)
    return {
        "pool": {"get_resource": POOL},
        "type": "HTTP",
        "http_method": "GET",
        "url_path": probes.path,
        "expected_codes": "200",
        "delay": delay,
        "timeout": timeout,
        "max_retries": min(MOST_RETRIES, probes.healthy),
    }


def whole_seconds(probes: HealthCheck) -> tuple[int, int]:
    """The monitor's delay and timeout. A fraction of a second becomes the slower delay and the
    shorter timeout, so that a probe still ends before the next begins."""
    return ceil(probes.interval), max(1, floor(probes.timeout))


def settings(fleet: Fleet) -> dict[str, dict[str, str]]:
    """Options of `openstack loadbalancer <kind> set`, by kind. The balancer has one time for idle
    clients and for slow ones; an idle connection to an instance lasts as long as its client's, so
    it is the one that the service must outlive."""
    balancer = fleet.balancer
    return {
        "listener": {
            "--timeout-client-data": str(limit_ms(balancer.keep_alive)),
            "--timeout-member-connect": str(limit_ms(balancer.connect_timeout)),
            "--timeout-member-data": str(limit_ms(balancer.read_timeout)),
            "--insert-headers": "X-Forwarded-For=true,X-Forwarded-Proto=true",
        },
        "healthmonitor": {
            "--max-retries-down": str(min(MOST_RETRIES, fleet.health_check.unhealthy)),
        },
    }
