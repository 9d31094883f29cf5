"""In what a staged fleet differs from the spec that it stages, and why."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from photo_base.environment import PREFIX
from photo_fleet.drill.stage.demands import SETTINGS
from photo_fleet.spec.fleet import Fleet

OWN_STORE = "the stage has a store of its own"
NOBODY = "nobody collects metrics, log lines or spans of a stage"

WHY = {
    "service.public_url": "everything is at one address of loopback",
    "balancer.networks": "everything is at one address of loopback",
    "service": OWN_STORE,
    "store": OWN_STORE,
    "balancer.store": OWN_STORE,
    "balancer.bucket": OWN_STORE,
    "balancer.tls": "plain HTTP: the certificate is another host's",
    "balancer": "nginx with its Lua module stands in front",
    "group": "the size changes only when a scenario says so",
    "database.max_connections": "room for as many instances as scenarios want",
    "database": "no pooler stands before the database",
    "cdn": "nginx of the stage is its CDN, with little room",
    "edge": "nginx of the stage is its CDN, with little room",
    "metrics": NOBODY,
    "logs": NOBODY,
    "tracing": NOBODY,
    "objectives": "the stage's keys are made with it",
}
"""By the beginning of a key; the longest counts."""

BESIDE = (
    "not staged: units, their sandbox and limits, cloud-init, users and folders of machines;"
    " instances are processes of this release, and nginx is one of this user's",
    "other than rendered: addresses, ports, folders and secrets, which are the stage's own, and "
    + ", ".join(f"{PREFIX}{name}={value}" for name, value in SETTINGS.items()),
)
"""What no key of a spec tells."""


def replaced(asked: Fleet, staged: Fleet) -> list[str]:
    """A line for each reason, with the keys that it is for."""
    found: dict[str, list[str]] = {}
    for key, before, after in _differences(asked, staged, ""):
        told = f"{key} {_shown(before)} → {_shown(after)}" if after else f"{key} {_shown(before)}"
        found.setdefault(_why(key), []).append(told if after else f"{told} left out")
    return [*(f"{why}: {', '.join(keys)}" for why, keys in found.items()), *BESIDE]


def _differences(asked: Any, staged: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    for item in fields(asked):
        before, after = getattr(asked, item.name), getattr(staged, item.name)
        key = f"{path}.{item.name}".lstrip(".")
        if is_dataclass(before):
            yield from _differences(before, after, key)
        elif before != after:
            yield key, before, after


def _why(key: str) -> str:
    return WHY[max((start for start in WHY if f"{key}.".startswith(f"{start}.")), key=len)]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        plain = all(isinstance(item, str) for item in value)
        return "[" + ", ".join(map(str, value)) + "]" if plain else f"({len(value)} of them)"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if value else str(value)
