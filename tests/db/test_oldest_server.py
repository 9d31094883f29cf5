"""The oldest PostgreSQL that is promised takes every migration and every statement.

The embedded one is the newest. `TEST_POSTGRES_BIN` runs any test on another."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest

from bench.every_statement import STATEMENTS
from bench.many_rows import MIDDLE, NONE, Rows, ids_of, rows_for
from bench.senders import Seen
from photo_api.db.connect import ONE_PLAN
from photo_api.db.fitness import OLDEST_SERVER
from photo_api.db.migrations import known_migrations, migrate
from tests.db.clusters import Cluster, running_cluster, settings

PROGRAMS = Path(f"/usr/lib/postgresql/{OLDEST_SERVER}/bin")
# Debian 12 has this one; where another is the system's, there is no package to ask for.
pytestmark = [
    pytest.mark.needs("postgres"),
    pytest.mark.skipif(not PROGRAMS.exists(), reason=f"no PostgreSQL {OLDEST_SERVER} here"),
]


@pytest.fixture(scope="module")
def oldest() -> Iterator[Cluster]:
    with ExitStack() as open_now:
        # Debian's programs go back to their working directory by its path, as no root.
        folder = Path(open_now.enter_context(TemporaryDirectory()))
        folder.chmod(0o711)
        yield open_now.enter_context(running_cluster(folder / "cluster", PROGRAMS))


@pytest.mark.slow
async def test_it_takes_every_migration_and_every_statement(oldest: Cluster) -> None:
    applied = await migrate(settings(oldest.url))
    assert applied == [one.name for one in known_migrations()]
    superuser: Any = await asyncpg.connect(
        oldest.superuser_url, server_settings={"plan_cache_mode": ONE_PLAN}
    )
    assert superuser.get_server_version().major == OLDEST_SERVER
    everything = superuser.transaction()
    await everything.start()
    await rows_for(superuser, NONE, Rows(1200, 2400))
    ids, carried_out = await ids_of(superuser, MIDDLE), 0

    async def look(query: str, args: tuple[object, ...]) -> None:
        nonlocal carried_out
        carried_out += 1

    for call in STATEMENTS.values():
        own = superuser.transaction()
        await own.start()
        await call(Seen(superuser, look), ids)
        await own.rollback()
    await everything.rollback()
    await superuser.close()
    assert carried_out > len(STATEMENTS)
