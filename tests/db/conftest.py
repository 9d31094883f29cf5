from collections.abc import Iterator

import pytest

from tests.db.clusters import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server for one module's tests, each of which leaves it running."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
