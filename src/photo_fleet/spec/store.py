"""Which object store a fleet has, as its spec says it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from photo_fleet.spec.kinds import HOST, Address, Location, Text

Account = Annotated[
    str,
    Location(
        rf"({HOST}(/[A-Za-z0-9_.-]+)*/v1/[A-Za-z0-9_.:-]+)?", "https://swift.example.org/v1/AUTH_1"
    ),
]
Keystone = Annotated[
    str, Location(rf"({HOST}(/[A-Za-z0-9_.-]+)*/(v3|v2\.0))?", "https://keystone.example.org/v3")
]
Container = Annotated[str, Text("[A-Za-z0-9._-]{1,240}", "photos")]
User = Annotated[str, Text("[A-Za-z0-9._@+-]{0,255}", "photo-api")]
Project = Annotated[str, Text("[A-Za-z0-9._-]{0,64}", "7c1f5a0e9b8d4c6f")]
Domain = Annotated[str, Text("[A-Za-z0-9._-]{1,64}", "default")]


@dataclass(frozen=True, slots=True)
class Swift:
    """An account of OpenStack's object store, and who gets its tokens from Keystone."""

    account: Account = ""
    """Its address as an instance reaches it; empty: set on the machine."""
    public: Address = ""
    """The store's address in the URLs that clients get; empty: that of `account`."""
    container: Container = "photos"
    staging_container: Container = "photos-staging"
    digest: Literal["auto", "sha1", "sha256", "sha512"] = "auto"
    auth: Keystone = ""
    """Keystone's address; empty: set on the machine, as user and project."""
    user: User = ""
    project: Project = ""
    """Its id, which version 2.0 calls tenant."""
    domain: Domain = "default"
    credentials: Literal["password", "application"] = "password"
    """`application`: an application credential, which has user and project of its own."""


@dataclass(frozen=True, slots=True)
class Store:
    """Which kind of object store there is. What S3 needs is with `Service` and `Balancer`."""

    kind: Literal["s3", "swift"] = "s3"
    swift: Swift = Swift()
