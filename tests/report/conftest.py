"""One Prometheus and one registry for all reports."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.own_stage import own_database
from tests.photo_fleet.balancers import role_url


@pytest.fixture(scope="package")
def registry(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    """The address of a migrated database that no other test uses."""
    with own_database(stack, environ) as settings:
        yield settings["PHOTO_API_DATABASE_URL"]


@pytest.fixture(scope="package")
def reader(stack: dict[str, Any], registry: str) -> str:
    """Its address for a report, with the role of `photo-fleet role`."""
    return role_url(registry, stack["superuser_url"], f"report_{uuid4().hex}")
