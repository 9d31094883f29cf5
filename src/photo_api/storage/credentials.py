"""Where an S3 access key comes from: the settings, or `role_credentials.py`."""

from typing import Protocol

from photo_api.cloud.sigv4 import Credentials


class CredentialSource(Protocol):
    """Gives the key to sign with now; asked for every request, so it never waits."""

    def current(self) -> Credentials:
        """The key in force, the same object until it changes. Raises `StoreUnavailable` when there
        is none."""


class StaticCredentials:
    """The key of the settings."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._credentials = Credentials(access_key, secret_key)

    def use(self, access_key: str, secret_key: str) -> None:
        """Sign with this key from now on."""
        changed = Credentials(access_key, secret_key)
        if changed != self._credentials:
            self._credentials = changed

    def current(self) -> Credentials:
        """The key in force."""
        return self._credentials
