"""What `/health/detailed` tells the operator of an instance's configuration: no secret, and nothing
from which one could be guessed."""

import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from photo_api.db.migrations import known_migrations
from photo_api.own_process import machine_bytes
from photo_api.settings.cdn import CdnSettings
from photo_api.settings.held_secrets import SecretFaults
from photo_api.settings.key_dates import date_of
from photo_api.settings.loading import Settings
from photo_api.state import AppState

EXAMPLE: dict[str, Any] = {
    "port": 8000,
    "workers": 2,
    "mode": "production",
    "lame_duck": 15.0,
    "drain_wait": 30.0,
    "log_flush": 5.0,
    "grace": 60.0,
    "longest_request": 30.0,
    "keep_alive": 75,
    "metrics_access": "network",
    "pool": 10,
    "processors": 2,
    "memory_bytes": 8330915840,
    "release": "0.2.0",
    "schema": ["0001_initial"],
    "jwt_key_ids": ["2026-01"],
    "secret_key_ids": ["2026-01"],
    "keys": [{"use": "jwt", "id": "2026-01", "signs": True, "age_s": 7776000}],
    "secrets": {
        "weak": {"PHOTO_API_S3_SECRET_KEY": "can be guessed: it is short, or a word or two"},
        "same": [["PHOTO_API_OPS_TOKEN", "PHOTO_API_JWT_KEYS, the secret of '2026-01'"]],
    },
    "public_url": "https://photos.example.org",
    "trusted_proxies": ["10.0.0.0/24"],
    "cors_origins": ["https://www.example.org"],
    "store": {
        "kind": "s3",
        "address": "https://photos.example.org",
        "bucket": "photos",
        "uploads": "photos",
    },
    "cdn": {
        "provider": "nginx",
        "address": "https://cdn.example.org",
        "key_ids": ["2026-01"],
        "fallback": "store",
    },
}
"""Of what `configuration` tells."""


def configuration(state: AppState) -> dict[str, Any]:
    """Numbers as they are in force, processors that may be used and memory of the machine, names of
    what was found wrong with secrets, ages of keys in seconds."""
    settings, life = state.settings, state.settings.lifecycle
    return {
        **state.health.about,
        "mode": settings.mode,
        "lame_duck": life.lame_duck,
        "drain_wait": life.drain_wait,
        "log_flush": life.log_flush,
        "grace": life.grace,
        # Nothing cuts a request that makes progress but the end of its instance.
        "longest_request": life.drain_wait,
        "keep_alive": settings.http.keep_alive,
        "metrics_access": life.metrics_access,
        "pool": settings.database.pool_size,
        "processors": len(os.sched_getaffinity(0)),
        "memory_bytes": machine_bytes(),
        "release": state.identity.version,
        "schema": [item.name for item in known_migrations()],
        "jwt_key_ids": list(settings.auth.jwt_keys),
        "secret_key_ids": list(settings.auth.secret_keys),
        "keys": list(_keys(settings)),
        "secrets": _flags(state.held_secrets.faults),
        "public_url": settings.http.public_url,
        "trusted_proxies": [str(network) for network in settings.http.trusted_proxies],
        "cors_origins": list(settings.http.cors_origins),
        "store": _store(settings),
        "cdn": _cdn(settings.cdn),
    }


def _store(settings: Settings) -> dict[str, str]:
    """Where clients find the bucket (Swift: the container), and the one that they upload to."""
    if settings.store == "s3":
        s3 = settings.s3
        address = s3.public_endpoint or s3.endpoint
        return {"kind": "s3", "address": address, "bucket": s3.bucket, "uploads": s3.bucket}
    swift, account = settings.swift, urlsplit(settings.swift.url).path
    return {
        "kind": "swift",
        "address": f"{swift.public_endpoint}{account}" if swift.public_endpoint else swift.url,
        "bucket": swift.container,
        "uploads": swift.staging_container,
    }


def _cdn(cdn: CdnSettings) -> dict[str, Any] | None:
    """What clients read by, if not by the store itself."""
    if not cdn.provider:
        return None
    return {
        "provider": cdn.provider,
        "address": cdn.url,
        "key_ids": list(cdn.keys),
        "fallback": cdn.fallback,
    }


def _keys(settings: Settings) -> Iterator[dict[str, Any]]:
    """`age_s` is None where the id holds no date: nobody else knows it."""
    now = time.time()
    for use, keys in settings.dated_keys().items():
        for number, kid in enumerate(keys):
            made = date_of(kid)
            age = None if made is None else round(now - made)
            yield {"use": use, "id": kid, "signs": number == 0, "age_s": age}


def _flags(faults: SecretFaults) -> dict[str, Any]:
    weak = faults.weak | faults.guessable
    return {
        "weak": {name.rstrip(","): reason for name, reason in weak.items()},
        "same": [[name.rstrip(",") for name in pair] for pair in faults.same],
    }
