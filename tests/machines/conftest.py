"""One stage for all machines."""

from collections.abc import Iterator

import pytest

from tests.machines.stage import Stage, running_stage


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stage(tmp_path_factory.mktemp("machines")) as running:
        yield running
