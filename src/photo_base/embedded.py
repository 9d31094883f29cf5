"""What `photo-api embedded` prints for the program that starts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EmbeddedAddresses:
    """Where the database and the store are, and how one gets in. `pids` are those of the start: a
    mended server has another."""

    database_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    s3_endpoint: str
    s3_public_endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    pids: Mapping[str, int]
