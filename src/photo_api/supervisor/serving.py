"""The composition root of `photo-api serve` and `worker`: identity, logs, supervisor."""

import logging
import os
from typing import Any

from photo_api.cloud.identity import identify
from photo_api.cloud.metadata import look_up
from photo_api.own_process import hide_memory
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import SecretFiles
from photo_api.supervisor.spawning import Ahead
from photo_api.supervisor.supervisor import Supervisor
from photo_api.telemetry.logs import configure_logging, log_shipping
from photo_base.proxies import proxy_of, without_password

log = logging.getLogger(__name__)

OWN_FLUSH = 1.0


async def supervise(
    secrets: SecretFiles, ahead: Ahead | None, *, host: str, port: int, **how: Any
) -> int:
    """Run an instance to its end; the exit code. `ahead` is a web worker that has started already,
    `how` is the `Supervisor`'s. Raises OSError when the port cannot be had."""
    hide_memory()
    settings = secrets.settings
    early = identify(settings.lifecycle)
    configure_logging(settings.logs, early, "main")
    _tell_of_proxy(settings)
    metadata = await look_up(settings.cloud)
    identity = identify(settings.lifecycle, early.boot_id, metadata)
    # The workers have had their whole LOG_FLUSH by then.
    flush = min(OWN_FLUSH, settings.lifecycle.log_flush)
    with log_shipping(settings.logs, identity, "main", flush) as logs:
        instance = Supervisor(secrets, identity, host=host, port=port, metadata=metadata, **how)
        instance.ahead = ahead
        instance.follow_secrets(logs.use)
        logs.watched_by(instance.counts, "main")
        return await instance.run()


def _tell_of_proxy(settings: Settings) -> None:
    """Of the store alone: the database and the cloud's metadata are asked directly in any case."""
    store = settings.swift.url if settings.store == "swift" else settings.s3.endpoint
    if proxy := proxy_of(store, os.environ):
        log.warning(
            "the object store is reached through the proxy %s, which the environment names",
            without_password(proxy),
        )
