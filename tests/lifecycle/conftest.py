from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.lifecycle.fleet import OwnFleet, own_fleet
from tests.own_stage import own_database


@pytest.fixture(scope="module")
def own(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """Settings with a database, and so a registry, of the module's own."""
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
async def fleet(own: dict[str, str]) -> AsyncIterator[OwnFleet]:
    made = await own_fleet(own)
    yield made
    await made.close()
