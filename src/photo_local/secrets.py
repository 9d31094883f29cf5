"""The random secrets of one data directory."""

from dataclasses import dataclass
from pathlib import Path

from photo_base import kept_secrets


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """All of them."""

    database_password: str
    s3_access_key: str
    s3_secret_key: str
    jwt_key: str
    secret_key: str


def load_or_create(path: Path) -> Secrets:
    """The secrets in `path`, as `kept_secrets` has them."""
    return kept_secrets.load_or_create(
        Secrets,
        path,
        "the database beside it opens only with the password in it, so put back a copy of the"
        f" file, or move {path.parent} away to begin anew",
    )
