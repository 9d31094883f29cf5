"""The composition root of `photo-api serve` and `worker`: identity, logs, supervisor."""

from typing import Any

from photo_api.cloud.identity import identify
from photo_api.cloud.metadata import look_up
from photo_api.own_process import hide_memory
from photo_api.settings.secrets import SecretFiles
from photo_api.supervisor.supervisor import Supervisor
from photo_api.telemetry.logs import configure_logging, log_shipping

OWN_FLUSH = 1.0


async def supervise(secrets: SecretFiles, *, host: str, port: int, **how: Any) -> int:
    """Run an instance to its end; the exit code. `how` is the `Supervisor`'s. Raises OSError when
    the port cannot be had."""
    hide_memory()
    settings = secrets.settings
    configure_logging(settings.logs, settings.lifecycle.instance_ip, "main")
    metadata = await look_up(settings.cloud)
    identity = identify(settings.lifecycle, metadata=metadata)
    # The workers have had their whole LOG_FLUSH by then.
    flush = min(OWN_FLUSH, settings.lifecycle.log_flush)
    with log_shipping(settings.logs, identity.instance, "main", flush):
        instance = Supervisor(secrets, identity, host=host, port=port, metadata=metadata, **how)
        return await instance.run()
