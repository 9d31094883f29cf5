"""All settings of the serving plane: declared once, read from the environment once, frozen.

Each field says its variable (without the prefix PHOTO_API_), its meaning, its default and how its
text is read. `load` collects every fault before it refuses, so that an operator mends them in one
go. A secret may be given as a file instead: PHOTO_API_<NAME>_FILE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, cast

from photo_api.contract import STOP_MARGIN
from photo_api.settings import cdn, swift
from photo_api.settings.cdn import CdnSettings
from photo_api.settings.dependencies import DatabaseSettings, S3Settings, with_the_bucket
from photo_api.settings.held_secrets import SecretFaults, faults_of_secrets
from photo_api.settings.instance import CloudSettings, LifecycleSettings, LogSettings
from photo_api.settings.member import MemberSettings
from photo_api.settings.serving import (
    AuthSettings,
    DeliverySettings,
    HttpSettings,
    JobSettings,
    UploadSettings,
)
from photo_api.settings.strength import MAKE
from photo_api.settings.swift import SwiftSettings
from photo_base.environment import (
    PREFIX,
    SettingsError,
    Variable,
    choice,
    read,
    setting,
)
from photo_base.origins import with_own


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `create_app` and its neighbours are made from."""

    database: DatabaseSettings
    s3: S3Settings
    swift: SwiftSettings
    auth: AuthSettings
    http: HttpSettings
    uploads: UploadSettings
    delivery: DeliverySettings
    cdn: CdnSettings
    jobs: JobSettings
    lifecycle: LifecycleSettings
    cloud: CloudSettings
    member: MemberSettings
    logs: LogSettings
    mode: Literal["production", "development"] = setting(
        "MODE",
        "`production` refuses absent and published secrets; `development` is for one's own machine",
        default="production",
        parse=choice("production", "development"),
    )
    store: Literal["s3", "swift"] = setting(
        "STORE",
        "which kind of object store there is: `s3`, or OpenStack's `swift` with Keystone",
        default="s3",
        parse=choice("s3", "swift"),
    )

    @property
    def pages(self) -> tuple[str, ...]:
        """Origins whose pages exchange bytes with the store: the gallery's and front ends'."""
        return with_own(self.http.public_url, self.http.cors_origins)

    def dated_keys(self) -> dict[str, dict[str, str]]:
        """Those whose ids the operator chooses, by what they are for: an id may hold a date."""
        of_cdn = {} if self.cdn.provider == "cloudfront" else self.cdn.keys
        return {"jwt": self.auth.jwt_keys, "secret": self.auth.secret_keys, "cdn": of_cdn}


GROUPS: Mapping[str, type[Any]] = {
    item.name: cast(type[Any], item.type) for item in fields(Settings) if not item.metadata
}


def variables() -> Iterator[tuple[str, Variable]]:
    """Every setting as (path in `Settings`, its declaration), in the order of declaration."""
    for item in fields(Settings):
        if "variable" in item.metadata:
            yield item.name, item.metadata["variable"]
    for group, kind in GROUPS.items():
        for item in fields(kind):
            yield f"{group}.{item.name}", item.metadata["variable"]


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`. Raises `SettingsError` with every fault at once, unknown
    PHOTO_API_ variables among them: a typo must not fall back to a default in silence."""
    problems = _unknown(environ)
    values = {path: read(variable, environ, problems) for path, variable in variables()}
    problems += _missing(values)
    if not problems:
        problems += _contradictions(values)
    if problems:
        raise SettingsError(problems)
    groups = {
        group: kind(**{item.name: values[f"{group}.{item.name}"] for item in fields(kind)})
        for group, kind in GROUPS.items()
    }
    own = {path: value for path, value in values.items() if "." not in path}
    return Settings(**own, **groups)


class HeldSecrets:
    """What is wrong with the secrets in these settings, looked at when somebody asks: in
    development nothing refuses them, and of others' secrets only what is the same as ours."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def faults(self) -> SecretFaults:
        """Takes some tens of milliseconds for the first time."""
        settings = self._settings
        return faults_of_secrets({path: attrgetter(path)(settings) for path, _ in variables()})


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = {PREFIX + variable.name for _, variable in variables()}
    known |= {PREFIX + variable.name + "_FILE" for _, variable in variables() if variable.secret}
    return [
        f"{name} is not a setting; `photo-api config table` lists them"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    ]


def _missing(values: Mapping[str, Any]) -> list[str]:
    """What this kind of store needs and another does not; a value that is faulty is None."""
    if values["store"] == "swift":
        return list(swift.missing(values))
    if values["store"] == "s3" and values["s3.endpoint"] == "":
        return [f"{PREFIX}S3_ENDPOINT must be set: the store's address as this server uses it"]
    return []


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    on_swift = values["store"] == "swift"
    problems = list(swift.contradictions(values) if on_swift else with_the_bucket(values))
    if bool(values["s3.access_key"]) != bool(values["s3.secret_key"]):
        problems.append(f"{PREFIX}S3_ACCESS_KEY and {PREFIX}S3_SECRET_KEY must be set together")
    if values["database.pooler"] == "transaction" and not values["database.direct_url"]:
        problems.append(
            f"{PREFIX}DATABASE_DIRECT_URL must be set with {PREFIX}DATABASE_POOLER=transaction:"
            " LISTEN and locks need the database itself"
        )
    if bool(values["cloud.autoscaling_group"]) != bool(values["cloud.lifecycle_hook"]):
        problems.append(f"{PREFIX}AUTOSCALING_GROUP and {PREFIX}LIFECYCLE_HOOK go together")
    if values["lifecycle.metrics_access"] == "token" and not values["lifecycle.ops_token"]:
        problems.append(f"{PREFIX}METRICS_ACCESS=token needs {PREFIX}OPS_TOKEN")
    problems += _stop_budget(values)
    problems += cdn.contradictions(values)
    if values["mode"] == "production":
        problems += _weak(values)
    return problems


def _weak(values: Mapping[str, Any]) -> list[str]:
    """Secrets that somebody could guess, or that open more than one door. Those of the database,
    the store, the collectors of logs and the Pushgateway are made elsewhere: of them it only counts
    that nothing else has them."""
    faults = faults_of_secrets(values)
    found = [f"{name} {reason}; {MAKE}" for name, reason in faults.weak.items()]
    same = [f"{name} is the same as {other.rstrip(',')}" for other, name in faults.same]
    return found + [f"{text}; {MAKE} for each" for text in same]


def _stop_budget(values: Mapping[str, Any]) -> list[str]:
    parts = {name: values[f"lifecycle.{name.lower()}"] for name in STOP_PARTS}
    needed, grace = sum(parts.values()) + STOP_MARGIN, values["lifecycle.grace"]
    if needed <= grace:
        return []
    terms = " + ".join(f"{name} {seconds:g}" for name, seconds in parts.items())
    return [
        f"{PREFIX}GRACE {grace:g} s is too short: {terms} + {STOP_MARGIN:g} = {needed:g} s, so the"
        f" platform would kill the instance {needed - grace:g} s before its drain is over; raise"
        f" {PREFIX}GRACE (and the platform's kill delay) to {needed:g}, or lower one of the others"
    ]


STOP_PARTS = ("LAME_DUCK", "DRAIN_WAIT", "LOG_FLUSH")


def table() -> str:
    """The Markdown table of all settings that docs/settings.md holds."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for _, variable in variables():
        default = "(required)" if variable.default is None else variable.default or "(empty)"
        name = f"`{PREFIX}{variable.name}`"
        if variable.secret:
            name += f" or `{PREFIX}{variable.name}_FILE`"
        lines.append(f"| {name} | {default} | {variable.doc} |")
    return "\n".join(lines) + "\n"
