"""What all instances of one local fleet must share and nobody else may know."""

from dataclasses import dataclass
from pathlib import Path

from photo_base import kept_secrets


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """All of them."""

    jwt_key: str
    secret_key: str
    ops_token: str


def load_or_create(path: Path) -> Secrets:
    """The secrets in `path`, as `kept_secrets` has them."""
    return kept_secrets.load_or_create(
        Secrets,
        path,
        "put back a copy of it, or move it away, which invalidates all tokens and share links",
    )
