"""What `photo-api embedded` prints for the program that starts it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EmbeddedSwift:
    """The fields of the service's settings PHOTO_API_SWIFT_…"""

    url: str
    public_endpoint: str
    auth_url: str
    user: str
    project: str
    container: str
    staging_container: str
    password: str = field(repr=False)
    url_key: str = field(repr=False)
    staging_url_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EmbeddedAddresses:
    """Where the database and the store are, and how one gets in. `pids` are those of the start: a
    mended server has another. It is one of the two stores that
    the rest is about: S3, or `swift`."""

    database_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    s3_endpoint: str = ""
    s3_public_endpoint: str = ""
    bucket: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    pids: Mapping[str, int] = field(default_factory=dict)
    swift: EmbeddedSwift | None = None

    @classmethod
    def parse(cls, line: str | bytes) -> "EmbeddedAddresses":
        """What was printed."""
        told = json.loads(line)
        swift = told.pop("swift", None)
        return cls(**told, swift=swift and EmbeddedSwift(**swift))

    def store_settings(self) -> dict[str, str]:
        """Those of a service that uses the store, by their names without the prefix."""
        if (swift := self.swift) is None:
            return {
                "STORE": "s3",
                "S3_ENDPOINT": self.s3_endpoint,
                "S3_PUBLIC_ENDPOINT": self.s3_public_endpoint,
                "S3_BUCKET": self.bucket,
                "S3_REGION": self.region,
            }
        return {
            "STORE": "swift",
            "SWIFT_URL": swift.url,
            "SWIFT_PUBLIC_ENDPOINT": swift.public_endpoint,
            "SWIFT_AUTH_URL": swift.auth_url,
            "SWIFT_USER": swift.user,
            "SWIFT_PROJECT_ID": swift.project,
            "SWIFT_CONTAINER": swift.container,
            "SWIFT_STAGING_CONTAINER": swift.staging_container,
        }

    def store_secrets(self) -> dict[str, str]:
        """What of its settings nobody else may know, by their names without the prefix."""
        if (swift := self.swift) is None:
            return {"S3_ACCESS_KEY": self.access_key, "S3_SECRET_KEY": self.secret_key}
        return {
            "SWIFT_PASSWORD": swift.password,
            "SWIFT_URL_KEYS": swift.url_key,
            "SWIFT_STAGING_URL_KEYS": swift.staging_url_key,
        }
