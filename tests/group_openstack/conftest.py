from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.group_openstack.stage import Stage, staged
from tests.own_stage import own_database
from tests.photo_fleet.balancers import role_url


@pytest.fixture(scope="package")
def own(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """Settings with a database, and so a registry, of these tests' own."""
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture(scope="package")
def role(stack: dict[str, Any], own: dict[str, str]) -> str:
    """The same database for who may see the registry and nothing else."""
    return role_url(own["PHOTO_API_DATABASE_URL"], stack["superuser_url"], "scale_in")


@pytest.fixture
async def stage(own: dict[str, str], role: str) -> AsyncIterator[Stage]:
    """A group of four, whose instances are rows that a stop order ends."""
    async with staged(own, role) as stage:
        yield stage
