"""Aodh: when the group grows, and when somebody is asked to shrink it.

Aodh asks the Prometheus that the cloud's operators configured for it, or Gnocchi, which knows of a
server's CPU alone. Growing is Heat's own policy; shrinking is not, for Heat would kill a server.
"""

from math import ceil

from photo_fleet.render import group_load
from photo_fleet.render.openstack.names import SCALE_IN_URL
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet, Policy

PERIOD = 60
"""Seconds between two values of a rule's duration, and over which Gnocchi averages one."""

SCRAPES = 4
"""Scrapes in the time over which Prometheus averages CPU, where that is longer than a period."""


def resources(fleet: Fleet) -> dict[str, Node]:
    """By name, for each rule one for each source, of which the template chooses."""
    found: dict[str, Node] = {}
    for number, rule in enumerate(fleet.group.policies):
        of = "" if rule.is_scale_out else "_and_shrinks"
        common = _common(number, rule)
        found[f"rule_{number}"] = {
            "type": "OS::Aodh::PrometheusAlarm",
            "condition": f"by_prometheus{of}",
            "properties": {
                **common,
                "threshold": _plain(rule.threshold),
                "query": {
                    "str_replace": {
                        "template": query(fleet, rule),
                        "params": {"$vcpus": {"get_param": "vcpus"}},
                    }
                },
            },
        }
        if rule.metric == "cpu":
            found[f"rule_{number}_by_gnocchi"] = {
                "type": "OS::Aodh::GnocchiAggregationByResourcesAlarm",
                "condition": f"by_gnocchi{of}",
                "properties": {**common, **_gnocchi(rule)},
            }
    return found


def periods(rule: Policy) -> int:
    """How many values in a row have to be beyond the threshold."""
    return max(1, ceil(rule.duration / PERIOD))


def expression(fleet: Fleet, rule: Policy) -> str:
    """PromQL with `$vcpus`: the rule's value now, as reports read it of the group."""
    match rule.metric:
        case "cpu":
            averaged = max(PERIOD, ceil(SCRAPES * fleet.metrics.interval))
            return f"100 * {group_load.cores(str, f'{averaged}s')} / $vcpus"
        case "in_flight":
            return group_load.in_flight(str)
        case "queue_age":
            return group_load.queue_age(str)


def query(fleet: Fleet, rule: Policy) -> str:
    """PromQL with `$vcpus`: what of the rule's duration is nearest to not being beyond. It has no
    value while some minute of it is unknown, and to shrink also while Prometheus sees fewer
    instances than the registry: silence changes no size (decision 16)."""
    seconds = periods(rule) * PERIOD
    window = f"({expression(fleet, rule)})[{seconds}s:{PERIOD}s]"
    nearest = "min" if rule.is_scale_out else "max"
    lines = [
        f"{nearest}_over_time({window})",
        f"and on () count_over_time({window}) >= {periods(rule)}",
    ]
    if not rule.is_scale_out:
        registered = 'max(photo_api_fleet_instances{state="ready"})'
        lines.append(f"and on () {registered} <= count({group_load.READY} == 1)")
    return "\n".join(lines) + "\n"


def _gnocchi(rule: Policy) -> dict[str, Node]:
    """Gnocchi's `cpu` is a counter of nanoseconds; its rate over a period is compared with those
    of all processors in it."""
    used = round(rule.threshold / 100 * PERIOD * 1e9)
    return {
        "metric": "cpu",
        "resource_type": "instance",
        "aggregation_method": "rate:mean",
        "granularity": PERIOD,
        "evaluation_periods": periods(rule),
        "threshold": {
            "yaql": {"expression": f"$.data * {used}", "data": {"get_param": "vcpus"}},
        },
        "query": {
            "str_replace": {
                "template": '{"=": {"server_group": "$stack"}}',
                "params": {"$stack": {"get_param": "OS::stack_id"}},
            }
        },
    }


def _common(number: int, rule: Policy) -> dict[str, Node]:
    side = "above" if rule.is_scale_out else "below"
    signal: Node = {
        # Aodh calls it with a token of the trust that it has been given.
        "str_replace": {
            "template": "trust+url",
            "params": {"url": {"get_attr": [f"grow_{number}", "signal_url"]}},
        }
    }
    return {
        "description": f"{rule.metric} {side} {_plain(rule.threshold)} for {rule.duration:g} s"
        f" → {rule.step:+d}",
        "comparison_operator": "gt" if rule.is_scale_out else "lt",
        # Again while it stays so, which policies and the scale-in answer by their cooldown.
        "repeat_actions": True,
        "alarm_actions": [signal if rule.is_scale_out else {"get_param": SCALE_IN_URL}],
    }


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else value
