"""The same real store as the storage tests'."""

from tests.storage.conftest import bucket, prefix, store

__all__ = ["bucket", "prefix", "store"]
