"""One Prometheus and one registry for all reports."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.own_stage import own_database


@pytest.fixture(scope="package")
def registry(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    """The address of a migrated database that no other test uses."""
    with own_database(stack, environ) as settings:
        yield settings["PHOTO_API_DATABASE_URL"]
