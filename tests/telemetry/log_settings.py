"""Settings of logs as they are without any variable, but for what a test says."""

from dataclasses import fields
from typing import Any

from photo_api.cloud.identity import Identity
from photo_api.settings.instance import LogSettings

IDENTITY = Identity("boot-1", "10.0.0.1", "node", None, "0.1.0")


def log_settings(**given: Any) -> LogSettings:
    """By the names of the fields."""
    declared = {item.name: item.metadata["variable"] for item in fields(LogSettings)}
    defaults = {name: variable.parse(variable.default) for name, variable in declared.items()}
    return LogSettings(**{**defaults, **given})
