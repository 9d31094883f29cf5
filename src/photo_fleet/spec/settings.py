"""The service's environment file: what of its settings the spec determines, and where its secrets
come from."""

import math
import re
from collections import ChainMap
from collections.abc import Iterable
from dataclasses import dataclass

from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import budget, limit

SECRETS = "/etc/photo-api/secrets"
SECRETS_GROUP = "photo-api-secrets"
"""Who may read them, besides root: the service, whose user exists only while it runs."""

ENVIRONMENT = "/etc/photo-api/photo-api.env"
SITE = "/etc/photo-api/site.env"

_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+=\[\]-]*")
_SPECIAL = re.compile(r'(["\\$`])')


@dataclass(frozen=True, slots=True)
class Secret:
    """A file below `SECRETS` that becomes PHOTO_API_<variable>_FILE; `meaning` says its content."""

    name: str
    variable: str
    meaning: str


def secrets(fleet: Fleet) -> list[Secret]:
    """Those that an instance needs; without one of them it does not start."""
    found = [Secret("database-url", "DATABASE_URL", "postgresql://user:password@host:5432/name")]
    if fleet.database.pooler == "transaction":
        direct = "the same past the pooler"
        found.append(Secret("database-direct-url", "DATABASE_DIRECT_URL", direct))
    if fleet.service.store_credentials == "keys":
        found.append(Secret("s3-access-key", "S3_ACCESS_KEY", "the object store's access key"))
        found.append(Secret("s3-secret-key", "S3_SECRET_KEY", "its secret key"))
    return [
        *found,
        Secret("jwt-keys", "JWT_KEYS", "kid:secret, the secret from `openssl rand -hex 32`"),
        Secret("secret-keys", "SECRET_KEYS", "kid:secret, the secret from `openssl rand -hex 32`"),
        Secret("ops-token", "OPS_TOKEN", "`openssl rand -hex 32`"),
    ]


def paths(found: Iterable[Secret], folder: str = SECRETS) -> dict[str, str]:
    """The variables that name these secrets' files in `folder`."""
    return {f"PHOTO_API_{secret.variable}_FILE": f"{folder}/{secret.name}" for secret in found}


def files(fleet: Fleet) -> dict[str, str]:
    """`photo-api.env`, in the format of systemd.exec(5), EnvironmentFile=. It holds no secret.

    Raises ValueError when a text of the spec has a control character.
    """
    lines = [
        f"# The settings of {_one_line(fleet.name)} that its fleet spec determines; rendered from",
        f"# it, so change them there. What differs on one machine goes to {SITE}.",
    ]
    for title, settings in _groups(fleet):
        lines += ["", f"# {title}"]
        lines += [f"PHOTO_API_{name}={_quoted(value)}" for name, value in settings.items()]
    absent = _absent(fleet)
    if absent:
        lines += ["", f"# The spec does not tell these: set them there, or in {SITE}."]
        lines += [f"#PHOTO_API_{name}={example}" for name, example in absent.items()]
    access = f"2750 root:{SECRETS_GROUP}, each file 0640"
    lines += ["", f"# Secrets are files in {SECRETS} ({access}),"]
    lines += ["# and a running service looks at them again every 10 s:"]
    lines += [f"#   {secret.name}: {secret.meaning}" for secret in secrets(fleet)]
    return {"photo-api.env": "\n".join(lines) + "\n"}


def settings(fleet: Fleet) -> dict[str, str]:
    """All that is no secret, by their names without the prefix; examples of what the spec does not
    tell."""
    told = [found for _, found in _groups(fleet)]
    return dict(ChainMap(*told, _absent(fleet)))


def notes(fleet: Fleet) -> list[str]:
    """What an operator has to do besides, because the spec does not tell it."""
    missing = ", ".join(f"PHOTO_API_{name}" for name in _absent(fleet))
    return [f"photo-api.env does not set {missing}: complete the spec, or set them in {SITE}"] * (
        missing != ""
    )


def _groups(fleet: Fleet) -> list[tuple[str, dict[str, str]]]:
    return [
        ("Absent and published secrets are refused", {"MODE": "production"}),
        ("How an instance leaves (seconds)", leaving(fleet)),
        ("HTTP", _http(fleet)),
        ("What all instances share", _shared(fleet)),
    ]


def leaving(fleet: Fleet) -> dict[str, str]:
    """The settings of an instance's end, by their names without the prefix."""
    drain = fleet.drain
    return {
        "LAME_DUCK": limit(drain.lame_duck),
        "DRAIN_WAIT": limit(drain.in_flight_wait),
        "LOG_FLUSH": limit(drain.log_flush),
        "GRACE": budget(drain.grace),
    }


def _http(fleet: Fleet) -> dict[str, str]:
    settings = {"KEEP_ALIVE": str(math.ceil(fleet.service.keep_alive))}
    if fleet.balancer.networks:
        settings["TRUSTED_PROXIES"] = ",".join(fleet.balancer.networks)
    if fleet.service.public_url:
        settings["PUBLIC_URL"] = fleet.service.public_url
    return settings


def _shared(fleet: Fleet) -> dict[str, str]:
    service = fleet.service
    settings = {
        "DATABASE_POOL": str(service.pool),
        "DATABASE_POOLER": fleet.database.pooler,
        "MAX_INSTANCES": str(fleet.group.max),
        "JOB_CONCURRENCY": str(service.job_concurrency),
        "S3_BUCKET": fleet.balancer.bucket,
        "S3_REGION": service.store_region,
    }
    if _store(fleet):
        settings["S3_ENDPOINT"] = _store(fleet)
    if service.store_ca:
        settings["S3_CA_FILE"] = service.store_ca
    if fleet.balancer.store and service.public_url:
        settings["S3_PUBLIC_ENDPOINT"] = service.public_url
    return settings


def _store(fleet: Fleet) -> str:
    return fleet.service.store or fleet.balancer.store


def _absent(fleet: Fleet) -> dict[str, str]:
    """Settings without which an instance does not start or does not know its clients."""
    examples = {}
    if not fleet.balancer.networks:
        examples["TRUSTED_PROXIES"] = "10.0.0.0/8"
    if not fleet.service.public_url:
        examples["PUBLIC_URL"] = "https://photos.example.org"
        if fleet.balancer.store:
            examples["S3_PUBLIC_ENDPOINT"] = "https://photos.example.org"
    if not _store(fleet):
        examples["S3_ENDPOINT"] = "https://s3.example.org"
    return examples


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + _SPECIAL.sub(r"\\\1", _one_line(value)) + '"'


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} holds a control character: it must be plain text on one line")
    return text
