"""Many instances that boot at the same moment, on a database that nobody has prepared."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from photo_api.db.migrations import LOCK, known_migrations
from tests.own_stage import ask, empty_database
from tests.service import eventually, serving

# So that ten (nine, and one of a deploy) fit into the test server's connections, of which an
# instance speaks up otherwise.
SMALL_POOLS = {"PHOTO_API_DATABASE_POOL": "2", "PHOTO_API_MAX_INSTANCES": "9"}

MIGRATING = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'photo-api migrate'"
    " AND datname = current_database()"
)


@contextmanager
def nobody_migrates(settings: dict[str, str]) -> Iterator[None]:
    """Hold up all that want to migrate, so that they begin at the same moment."""
    with asyncio.Runner() as loop:
        holder = loop.run(asyncpg.connect(settings["PHOTO_API_DATABASE_URL"]))
        loop.run(holder.execute(f"SELECT pg_advisory_lock({LOCK})"))
        try:
            yield
        finally:
            loop.run(holder.close())


@pytest.mark.parametrize(
    ("instances", "arguments"),
    [
        pytest.param(4, ["--no-jobs"], id="four"),
        pytest.param(10, [], id="ten", marks=pytest.mark.slow),
    ],
)
def test_all_become_ready_and_each_migration_runs_once(
    stack: dict[str, Any],
    environ: dict[str, str],
    tmp_path: Path,
    instances: int,
    arguments: list[str],
) -> None:
    logs = [tmp_path / f"{number}.log" for number in range(instances)]
    with empty_database(stack, environ | SMALL_POOLS) as settings, ExitStack() as running:
        with nobody_migrates(settings):
            services = [
                running.enter_context(serving(settings, log, "--migrate", *arguments))
                for log in logs
            ]
            eventually(lambda: len(ask(settings, MIGRATING)) == instances, 60, 0.2)
            assert not any(service.is_healthy() for service in services)
        for service in services:
            eventually(service.is_healthy, 90, 0.2)
        ready = "SELECT boot_id FROM instances WHERE state = 'ready'"
        eventually(lambda: len(ask(settings, ready)) == instances, 30)
        lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    prefix = "applied migration "
    messages = [line["message"] for line in lines]
    applied = Counter(text.removeprefix(prefix) for text in messages if text.startswith(prefix))
    assert applied == {item.name: 1 for item in known_migrations()}
    assert [line for line in lines if line["level"] in ("WARNING", "ERROR")] == []
