"""What Prometheus scrapes, in its text format 0.0.4."""

from collections.abc import Mapping

from photo_api.cloud.identity import Identity
from photo_api.health.checks import Check

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(identity: Identity, checks: Mapping[str, Check]) -> str:
    """The instance's identity and its dependencies; the same whichever worker is asked."""
    labels = {
        "instance": identity.instance,
        "node": identity.node,
        "region": identity.region or "",
        "version": identity.version,
        "boot_id": identity.boot_id,
    }
    lines = [
        "# HELP photo_api_info Who this instance is; always 1.",
        "# TYPE photo_api_info gauge",
        f"photo_api_info{_labelled(labels)} 1",
        "# HELP photo_api_check_ok Whether what the instance depends on was well at the last look.",
        "# TYPE photo_api_check_ok gauge",
        *(
            f"photo_api_check_ok{_labelled({'check': name})} {int(check.ok)}"
            for name, check in sorted(checks.items())
        ),
    ]
    return "\n".join(lines) + "\n"


def _labelled(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
