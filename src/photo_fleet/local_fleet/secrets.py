"""What all instances of one local fleet must share and nobody else may know."""

import hmac
from dataclasses import dataclass
from pathlib import Path

from photo_base import kept_secrets


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """All of them."""

    jwt_key: str
    secret_key: str
    ops_token: str

    @property
    def cdn_keys(self) -> str:
        """As the setting has them; derived, for folders of releases without an edge."""
        derived = hmac.digest(self.secret_key.encode(), b"keys of the edge", "sha256")
        return f"fleet:{derived.hex()}"


def load_or_create(path: Path) -> Secrets:
    """The secrets in `path`, as `kept_secrets` has them."""
    return kept_secrets.load_or_create(
        Secrets,
        path,
        "put back a copy of it, or move it away, which invalidates all tokens and share links",
    )
