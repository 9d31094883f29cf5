"""Which settings of an instance a spec determines: the one mapping, for the rendered environment
file, for the instances of a local fleet and for `check --secrets`; and which secrets it needs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from photo_api.contract import UPLOAD_MEMORY
from photo_base.environment import PREFIX
from photo_fleet.spec.aws import group_name, hook_name, hook_timeout
from photo_fleet.spec.cdn import Cdn
from photo_fleet.spec.fleet import Fleet, Logs, Tracing
from photo_fleet.spec.kinds import budget, limit
from photo_fleet.spec.store import Swift

EXAMPLES = {
    "PHOTO_API_TRUSTED_PROXIES": "10.0.0.0/8",
    "PHOTO_API_PUBLIC_URL": "https://photos.example.org",
    "PHOTO_API_S3_PUBLIC_ENDPOINT": "https://photos.example.org",
    "PHOTO_API_S3_ENDPOINT": "https://s3.example.org",
    "PHOTO_API_SWIFT_URL": "https://swift.example.org/v1/AUTH_1234",
    "PHOTO_API_SWIFT_AUTH_URL": "https://keystone.example.org/v3",
    "PHOTO_API_SWIFT_USER": "photo-api",
    "PHOTO_API_SWIFT_PROJECT_ID": "1234",
    "PHOTO_API_MEMBER_AUTH_URL": "https://api-identity-infrastructure.nhncloudservice.com/v2.0",
    "PHOTO_API_MEMBER_NETWORK_URL": "https://kr1-api-network-infrastructure.nhncloudservice.com",
    "PHOTO_API_MEMBER_POOL": "522a5681-fc4c-4b0b-85ec-bf7777c48a57",
    "PHOTO_API_MEMBER_USER": "photo-api",
    "PHOTO_API_MEMBER_PROJECT_ID": "1234",
}
"""Settings that a spec may leave to the machine, without which an instance does not start, does not
know its clients, or does not leave its balancer."""


BEARER = "a bearer token for {}, or user:password"
GATEWAY = {
    "basic": "photo-api:password for the Pushgateway",
    "bearer": "the Pushgateway's bearer token",
}
CDN_KEYS = {
    "nginx": "kid:secret, the secret from `openssl rand -hex 32`, which signs URLs of the edge",
    "cloudfront": "the public key's id in CloudFront, a colon, the private key as base64 of DER",
    "akamai": "kid:key, the key in hexadecimal as its property has it",
    "nhn": "kid:key, the encryption key in hexadecimal as the console shows it",
}


@dataclass(frozen=True, slots=True)
class Secret:
    """A file that becomes PHOTO_API_<variable>_FILE; `meaning` says its content."""

    name: str
    variable: str
    meaning: str


PASSWORD = (Secret("swift-password", "SWIFT_PASSWORD", "the password of Swift's user in Keystone"),)
CREDENTIAL = (
    Secret(
        "swift-credential-id",
        "SWIFT_APPLICATION_CREDENTIAL_ID",
        "the id of an application credential of Keystone",
    ),
    Secret("swift-credential-secret", "SWIFT_APPLICATION_CREDENTIAL_SECRET", "its secret"),
)
MEMBER = Secret(
    "member-password",
    "MEMBER_PASSWORD",
    "the API password of the user that takes instances out of the load balancer",
)
SWIFT = (
    Secret("swift-url-keys", "SWIFT_URL_KEYS", "`openssl rand -hex 32`, which signs URLs"),
    Secret("swift-staging-url-keys", "SWIFT_STAGING_URL_KEYS", "another, for uploads"),
)


def settings(fleet: Fleet) -> dict[str, str]:
    """All variables that the spec determines, without secrets."""
    service, drain, balancer, logs = fleet.service, fleet.drain, fleet.balancer, fleet.logs
    found = {
        "MODE": "production",
        "LAME_DUCK": limit(drain.lame_duck),
        "DRAIN_WAIT": limit(drain.in_flight_wait),
        "LOG_FLUSH": limit(drain.log_flush),
        "GRACE": budget(drain.grace),
        **_member(fleet),
        "KEEP_ALIVE": str(math.ceil(service.keep_alive)),
        "TRUSTED_PROXIES": ",".join(balancer.networks),
        "PUBLIC_URL": service.public_url,
        "CORS_ORIGINS": ",".join(service.cors_origins),
        # A cloud's balancer passes every path on.
        "METRICS_ACCESS": "token" if balancer.kind == "cloud" else "",
        "PUSHGATEWAY": fleet.metrics.pushgateway,
        "PUSHGATEWAY_CA_FILE": fleet.metrics.pushgateway_ca,
        "PUSH_INTERVAL": limit(fleet.metrics.interval) if fleet.metrics.pushgateway else "",
        "DATABASE_POOL": str(service.pool),
        "DATABASE_POOLER": fleet.database.pooler,
        "MAX_INSTANCES": str(fleet.group.max),
        "JOB_CONCURRENCY": str(service.job_concurrency),
        **_unless_default(service.upload_memory),
        **(_swift(fleet) if fleet.store.kind == "swift" else _s3(fleet)),
        **_cdn(fleet.cdn),
        "LOG_SINK": logs.file,
        "LOG_LOKI_URL": logs.loki,
        "LOG_LOKI_TENANT": logs.loki_tenant,
        "LOG_OTLP_URL": logs.otlp,
        "LOG_CA_FILE": logs.ca,
        **_tracing(fleet),
        **_termination(fleet),
    }
    return {PREFIX + name: value for name, value in found.items() if value}


def _unless_default(upload_memory: int) -> dict[str, str]:
    """0.1.0 does not know this one."""
    return {} if upload_memory == UPLOAD_MEMORY else {"UPLOAD_MEMORY": str(upload_memory)}


def _member(fleet: Fleet) -> dict[str, str]:
    nhn = fleet.group.nhn
    if not fleet.leaves_by_itself:
        return {}
    return {
        "MEMBER_AUTH_URL": nhn.auth,
        "MEMBER_NETWORK_URL": nhn.network,
        "MEMBER_POOL": nhn.pool,
        "MEMBER_USER": nhn.user,
        "MEMBER_PROJECT_ID": nhn.project,
    }


def _s3(fleet: Fleet) -> dict[str, str]:
    service, balancer = fleet.service, fleet.balancer
    return {
        "S3_BUCKET": balancer.bucket,
        "S3_REGION": service.store_region,
        "S3_ENDPOINT": service.store or balancer.store,
        "S3_CA_FILE": service.store_ca,
        "S3_PUBLIC_ENDPOINT": service.public_url if balancer.store else "",
    }


def _swift(fleet: Fleet) -> dict[str, str]:
    swift = fleet.store.swift
    return {
        "STORE": "swift",
        "SWIFT_URL": swift.account,
        "SWIFT_PUBLIC_ENDPOINT": swift.public,
        "SWIFT_CONTAINER": swift.container,
        "SWIFT_STAGING_CONTAINER": swift.staging_container,
        "SWIFT_DIGEST": swift.digest,
        "SWIFT_AUTH_URL": swift.auth,
        **(_user(swift) if swift.credentials == "password" else {}),
        "SWIFT_CA_FILE": fleet.service.store_ca,
    }


def _user(swift: Swift) -> dict[str, str]:
    return {
        "SWIFT_USER": swift.user,
        "SWIFT_PROJECT_ID": swift.project,
        "SWIFT_USER_DOMAIN_ID": swift.domain,
    }


def _cdn(cdn: Cdn) -> dict[str, str]:
    if cdn.provider == "none":
        return {}
    return {
        "CDN": cdn.provider,
        "CDN_URL": cdn.url,
        "CDN_DIGEST": cdn.digest,
        "CDN_FALLBACK": cdn.fallback,
    }


def _tracing(fleet: Fleet) -> dict[str, str]:
    """The service counts strangers by web worker."""
    tracing = fleet.tracing
    if not tracing.otlp:
        return {}
    return {
        "TRACE_OTLP_URL": tracing.otlp,
        "TRACE_RATIO": f"{tracing.sampled / 100:.12g}",
        "TRACE_STRANGERS": f"{tracing.strangers / fleet.service.workers:.3g}",
        "TRACE_STORE": "on" if tracing.store else "off",
    }


def _termination(fleet: Fleet) -> dict[str, str]:
    """The hook of AWS that waits for an instance's drain."""
    if fleet.group.cloud != "aws":
        return {}
    return {
        "AUTOSCALING_GROUP": group_name(fleet),
        "LIFECYCLE_HOOK": hook_name(fleet),
        "LIFECYCLE_HEARTBEAT": str(hook_timeout(fleet)),
    }


def absent(fleet: Fleet) -> dict[str, str]:
    """Variables that an instance needs and the spec does not tell, with examples."""
    service, balancer = fleet.service, fleet.balancer
    told: dict[str, object] = {
        "PHOTO_API_TRUSTED_PROXIES": balancer.networks,
        "PHOTO_API_PUBLIC_URL": service.public_url,
    }
    if (swift := fleet.store.swift) and fleet.store.kind == "swift":
        told |= {
            "PHOTO_API_SWIFT_URL": swift.account,
            "PHOTO_API_SWIFT_AUTH_URL": swift.auth,
        }
        if swift.credentials == "password":
            told |= {
                "PHOTO_API_SWIFT_USER": swift.user,
                "PHOTO_API_SWIFT_PROJECT_ID": swift.project,
            }
    else:
        told |= {
            "PHOTO_API_S3_PUBLIC_ENDPOINT": service.public_url or not balancer.store,
            "PHOTO_API_S3_ENDPOINT": service.store or balancer.store,
        }
    if fleet.leaves_by_itself:
        given = _member(fleet)
        told |= {f"{PREFIX}{name}": value for name, value in given.items()}
    return {name: EXAMPLES[name] for name, value in told.items() if not value}


def secrets(fleet: Fleet) -> list[Secret]:
    """Those that an instance needs; without one of them it does not start."""
    found = [Secret("database-url", "DATABASE_URL", "postgresql://user:password@host:5432/name")]
    if fleet.database.pooler == "transaction":
        direct = "the same past the pooler"
        found.append(Secret("database-direct-url", "DATABASE_DIRECT_URL", direct))
    if fleet.store.kind == "swift":
        by_password = fleet.store.swift.credentials == "password"
        found += [*(PASSWORD if by_password else CREDENTIAL), *SWIFT]
    elif fleet.service.store_credentials == "keys":
        found.append(Secret("s3-access-key", "S3_ACCESS_KEY", "the object store's access key"))
        found.append(Secret("s3-secret-key", "S3_SECRET_KEY", "its secret key"))
    if meaning := CDN_KEYS.get(fleet.cdn.provider):
        found.append(Secret("cdn-keys", "CDN_KEYS", meaning))
    found += _of_collectors(fleet.logs, fleet.tracing)
    if meaning := GATEWAY.get(fleet.metrics.pushgateway_auth):
        found.append(Secret("pushgateway-auth", "PUSHGATEWAY_AUTH", meaning))
    return [
        *found,
        Secret("jwt-keys", "JWT_KEYS", "kid:secret, the secret from `openssl rand -hex 32`"),
        Secret("secret-keys", "SECRET_KEYS", "kid:secret, the secret from `openssl rand -hex 32`"),
        Secret("ops-token", "OPS_TOKEN", "`openssl rand -hex 32`"),
    ]


def of_the_machine(fleet: Fleet) -> list[Secret]:
    """Those, and what is for other programs of its machine."""
    return [*secrets(fleet), *([MEMBER] if fleet.leaves_by_itself else [])]


def dated_keys(fleet: Fleet) -> tuple[str, ...]:
    """Uses of keys whose ids should hold a date. Those of CloudFront are given by it."""
    of_cdn = ("cdn",) if fleet.cdn.provider in ("nginx", "akamai", "nhn") else ()
    return ("jwt", "secret", *of_cdn)


def _of_collectors(logs: Logs, tracing: Tracing) -> list[Secret]:
    spans = Secret("trace-otlp-auth", "TRACE_OTLP_AUTH", BEARER.format("the collector of spans"))
    known = (
        (logs.loki_auth, Secret("log-loki-auth", "LOG_LOKI_AUTH", BEARER.format("Loki"))),
        (logs.otlp_auth, Secret("log-otlp-auth", "LOG_OTLP_AUTH", BEARER.format("the collector"))),
        (logs.nhn, Secret("log-nhn-app-key", "LOG_NHN_APP_KEY", "Log & Crash Search's app key")),
        (tracing.otlp_auth, spans),
    )
    return [secret for wanted, secret in known if wanted]


def paths(found: Iterable[Secret], folder: str) -> dict[str, str]:
    """The variables that name these secrets' files in `folder`."""
    return {f"{PREFIX}{secret.variable}_FILE": f"{folder}/{secret.name}" for secret in found}
