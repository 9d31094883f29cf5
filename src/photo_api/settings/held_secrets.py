"""Which secrets of a configuration somebody could guess, and which open more than one door: told by
their names, without anything that is made of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photo_api.settings.strength import guessable, shared, weakness
from photo_base.environment import PREFIX, database_password

COLLECTORS = (
    ("logs.loki_auth", "LOG_LOKI_AUTH"),
    ("logs.otlp_auth", "LOG_OTLP_AUTH"),  # the same, where Loki is asked both ways
    ("logs.trace_auth", "TRACE_OTLP_AUTH"),  # or a collector takes both
    ("logs.nhn_app_key", "LOG_NHN_APP_KEY"),
    ("lifecycle.pushgateway_auth", "PUSHGATEWAY_AUTH"),
)
STORE_NAME = f"{PREFIX}S3_ACCESS_KEY"
"""Of which only its secret key is secret."""


@dataclass(frozen=True, slots=True)
class SecretFaults:
    """By the names of secrets, which complete "… is" and "… has": `weak` are ours that are not
    random or too short, with the reason; `guessable` those that others have made, such as the
    database's password; `same` are pairs."""

    weak: dict[str, str]
    guessable: dict[str, str]
    same: tuple[tuple[str, str], ...]


def faults_of_secrets(values: Mapping[str, Any]) -> SecretFaults:
    """Of the settings by their paths. Milliseconds for each secret, and a few for each pair."""
    ours, theirs = _ours(values), _theirs(values)
    made_elsewhere = {name: secret for name, secret in theirs.items() if name != STORE_NAME}
    return SecretFaults(
        {name: reason for name, secret in ours.items() if (reason := weakness(secret))},
        {name: reason for name, secret in made_elsewhere.items() if (reason := guessable(secret))},
        tuple(shared(ours | theirs)),
    )


def _ours(values: Mapping[str, Any]) -> dict[str, str]:
    # Private keys of CloudFront are random, but look alike where their DER begins.
    of_cdn = {} if values["cdn.provider"] == "cloudfront" else values["cdn.keys"]
    by_kid = {
        "JWT_KEYS": values["auth.jwt_keys"],
        "SECRET_KEYS": values["auth.secret_keys"],
        "CDN_KEYS": of_cdn,
    }
    found = {
        f"{PREFIX}{name}, the secret of {kid!r},": secret
        for name, keys in by_kid.items()
        for kid, secret in keys.items()
    }
    found |= {
        f"{PREFIX}{name}, its key number {number},": key
        for path, name in (
            ("swift.url_keys", "SWIFT_URL_KEYS"),
            ("swift.staging_url_keys", "SWIFT_STAGING_URL_KEYS"),
        )
        for number, key in enumerate(values[path], 1)
    }
    return _given(found | {f"{PREFIX}OPS_TOKEN": values["lifecycle.ops_token"]})


def _theirs(values: Mapping[str, Any]) -> dict[str, str]:
    """Of the database, the store, the collectors of logs and the Pushgateway. One of them may be
    given in two settings."""
    passwords = {
        database_password(values[f"database.{path}"]): f"{PREFIX}{name}, its password,"
        for path, name in (("direct_url", "DATABASE_DIRECT_URL"), ("url", "DATABASE_URL"))
    }
    collectors = {values[path].rpartition(":")[2]: f"{PREFIX}{name}" for path, name in COLLECTORS}
    # NHN Cloud has one password of its API for each person.
    users = {
        values["member.password"]: f"{PREFIX}MEMBER_PASSWORD",
        values["swift.password"]: f"{PREFIX}SWIFT_PASSWORD",
    }
    return _given(
        {
            STORE_NAME: values["s3.access_key"],
            f"{PREFIX}S3_SECRET_KEY": values["s3.secret_key"],
            f"{PREFIX}SWIFT_APPLICATION_CREDENTIAL_SECRET": values["swift.credential_secret"],
            **{name: secret for secret, name in (passwords | collectors | users).items()},
        }
    )


def _given(secrets: Mapping[str, str]) -> dict[str, str]:
    return {name: secret for name, secret in secrets.items() if secret}
