"""Settings for stores in which nothing was made yet: a bucket, and containers, of a test's own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from photo_api.storage.swift_containers import Containers
from tests.openstack.account import on_swift
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.openstack.swift import Swift

FRONT = "https://front.example.org"
SECOND_KEY = "8d1fb06a92e74c35a0f1d7e84b69c2aa"
SWIFT_SLOWLY = pytest.mark.parametrize(
    "settings",
    ["s3", pytest.param("swift", marks=[pytest.mark.needs("memcached"), pytest.mark.slow])],
    indirect=True,
)
"""A test that takes seconds on Swift, where each request takes 20 ms."""


@pytest.fixture
def on_s3(stack: dict[str, str], environ: dict[str, str]) -> dict[str, str]:
    return environ | {"PHOTO_API_S3_BUCKET": f"own-{uuid4().hex}"}


@pytest.fixture
def keystone(swift: Swift) -> Iterator[KeystoneV2]:
    with in_a_thread(KeystoneV2(swift.sign_in)) as keystone:
        yield keystone


@pytest.fixture
def on_own_swift(environ: dict[str, str], swift: Swift, keystone: KeystoneV2) -> dict[str, str]:
    name = f"own-{uuid4().hex}"
    containers = Containers(name, f"{name}-staging", name)
    return on_swift(environ, swift, containers, keystone)


@pytest.fixture(params=["s3", pytest.param("swift", marks=pytest.mark.needs("memcached"))])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Those for each kind of store."""
    name = "on_s3" if request.param == "s3" else "on_own_swift"
    found: dict[str, str] = request.getfixturevalue(name)
    return found
