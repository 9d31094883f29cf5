"""Makes the configured object store and its credentials, for whoever is a composition root."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from photo_api.settings.dependencies import S3Settings
from photo_api.settings.instance import CloudSettings
from photo_api.storage.credentials import CredentialSource, StaticCredentials


@asynccontextmanager
async def open_credentials(
    settings: S3Settings, cloud: CloudSettings
) -> AsyncIterator[CredentialSource]:
    """The configured keys, or those of the instance's role, renewed for as long as this is open."""
    if settings.access_key:
        yield StaticCredentials(settings.access_key, settings.secret_key)
        return
    # Most fleets have keys: they need no HTTP client on the serving path.
    from photo_api.storage.instance_role import InstanceRoleCredentials

    async with InstanceRoleCredentials(cloud.metadata_url) as credentials:
        yield credentials
