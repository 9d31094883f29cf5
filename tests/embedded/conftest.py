from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.servers import eventually, working_below


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; nothing may work below it when the test is over."""
    folder = tmp_path / "data"
    yield folder
    assert eventually(lambda: not working_below(folder), 5), working_below(folder)
