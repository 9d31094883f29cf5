"""A real SeaweedFS and a real Swift for the session; a test writes under a prefix of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from photo_api.storage.base import ObjectStore
from photo_api.storage.bucket import Bucket
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_api.storage.swift_containers import Containers
from photo_local.seaweed import BUCKET, REGION, Seaweed
from tests.openstack.account import make_containers, open_account
from tests.openstack.swift import Swift

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


@pytest.fixture(scope="session")
def containers(swift: Swift) -> Containers:
    return asyncio.run(make_containers(swift))


@pytest.fixture(params=["s3", pytest.param("swift", marks=pytest.mark.needs("memcached"))])
def place(request: pytest.FixtureRequest) -> Bucket | tuple[Swift, Containers]:
    """Where a store of each kind keeps its objects; add a kind by adding a parameter."""
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        return bucket
    return request.getfixturevalue("swift"), request.getfixturevalue("containers")


@pytest.fixture
async def store(place: Bucket | tuple[Swift, Containers]) -> AsyncIterator[ObjectStore]:
    """One store of each kind."""
    if isinstance(place, Bucket):
        made = store_in(place)
        yield made
        await made.aclose()
        return
    async with open_account(*place) as (swift, _):
        yield swift


@pytest.fixture
async def s3(bucket: Bucket) -> AsyncIterator[S3Store]:
    """That of the one kind."""
    made = store_in(bucket)
    yield made
    await made.aclose()


def store_in(bucket: Bucket) -> S3Store:
    return S3Store(bucket.endpoint, bucket.name, bucket.region, bucket.credentials)
