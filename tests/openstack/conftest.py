"""A real Swift for the session, and a real Keystone with a Swift that believes its tokens."""

from collections.abc import Iterator

import pytest

from tests.openstack.keystone import Keystone
from tests.openstack.running import running_swift, running_v3
from tests.openstack.swift import Swift


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    yield from running_swift(tmp_path_factory.mktemp("swift"))


@pytest.fixture(scope="session")
def v3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Keystone, Swift]]:
    yield from running_v3(tmp_path_factory.mktemp("v3"))
