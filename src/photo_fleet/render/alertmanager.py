"""An example of Alertmanager's configuration, for 0.25 (Debian 12) and newer."""

from photo_fleet.spec.fleet import Fleet

RECEIVERS = ("pages", "tickets", "watchdog")
EXAMPLE = "http://127.0.0.1:9095"
"""Where a program of the operator's own would take them."""


def example(fleet: Fleet, hooks: str = EXAMPLE) -> str:
    """`alertmanager.yml`: pages at once, tickets gathered, and the alert that always fires to what
    misses it. `hooks` is who is told, by webhooks; "": nobody."""
    return "\n".join(
        [
            f"# Rendered from the spec of {fleet.name}, as an example: say whom to tell.",
            "route:",
            "  receiver: tickets",
            "  group_by: [alertname, objective]",
            "  group_wait: 30s",
            "  group_interval: 5m",
            "  repeat_interval: 1d",
            "  routes:",
            "  - matchers: [severity = page]",
            "    receiver: pages",
            "    group_wait: 10s",
            "    repeat_interval: 1h",
            "  - matchers: [alertname = Watchdog]",
            "    receiver: watchdog",
            "    group_wait: 0s",
            "    repeat_interval: 5m",
            "# What follows from another alert is not told as well.",
            "inhibit_rules:",
            "- source_matchers: [severity = page]",
            "  target_matchers: [severity = ticket]",
            "  equal: [alertname, objective, instance]",
            "- source_matchers: [alertname = InstancesUnseen, severity = page]",
            "  target_matchers: [alertname =~ 'MetricMissing|FleetNumbersOld|TargetDown']",
            "- source_matchers: [alertname =~ 'DependencyDown|NoReadyInstance']",
            "  target_matchers: [alertname =~ 'FleetNumbersOld|MembersBelowDesired|PoolWaiting']",
            "receivers:",
            *(line for name in RECEIVERS for line in _receiver(name, hooks)),
            "",
        ]
    )


def _receiver(name: str, hooks: str) -> list[str]:
    lines = [f"- name: {name}"]
    return [*lines, "  webhook_configs:", f"  - url: {hooks}/{name}"] if hooks else lines
