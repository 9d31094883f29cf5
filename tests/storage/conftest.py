"""A real SeaweedFS for the session; every test writes under a prefix of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from photo_api.storage.base import ObjectStore
from photo_api.storage.bucket import Bucket
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_local.seaweed import BUCKET, REGION, Seaweed

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"


def run_seaweed(folder: Path) -> Iterator[Bucket]:
    """Yields the bucket of a server that lives until the generator is closed."""
    with asyncio.Runner() as runner:
        server = Seaweed(folder, ACCESS_KEY, SECRET_KEY)
        runner.run(server.start())
        try:
            credentials = StaticCredentials(ACCESS_KEY, SECRET_KEY)
            yield Bucket(server.endpoint, BUCKET, REGION, credentials)
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    yield from run_seaweed(tmp_path_factory.mktemp("seaweed"))


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test writes under."""
    return f"test-{uuid4().hex}/"


@pytest.fixture(params=["s3"])
async def store(bucket: Bucket) -> AsyncIterator[ObjectStore]:
    """One store of each kind; add a kind by adding a parameter."""
    made = S3Store(bucket.endpoint, bucket.name, bucket.region, bucket.credentials)
    yield made
    await made.aclose()
