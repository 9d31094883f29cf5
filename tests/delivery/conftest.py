"""The same real stores as the storage tests'."""

from tests.storage.conftest import bucket, containers, prefix, s3

__all__ = ["bucket", "containers", "prefix", "s3"]
