"""A database for each module, which each test leaves empty; workers that no other test shares."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.jobs.stage import LEASE, Worker, end
from tests.own_stage import forget_all, own_database
from tests.service import die_with_parent, eventually


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ | {"PHOTO_API_JOB_LEASE": str(LEASE)}) as settings:
        yield settings


@pytest.fixture(autouse=True)
def _empty(settings: dict[str, str]) -> Iterator[None]:
    yield
    forget_all(settings)


@pytest.fixture
def start_worker(settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a `photo-api worker`, with changed settings (without prefix)."""
    workers: list[Worker] = []

    def start(**changed: str) -> Worker:
        log_file = tmp_path / f"worker-{len(workers)}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "photo_api.cli", "worker"],
                env=settings | {f"PHOTO_API_{name}": value for name, value in changed.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        worker = Worker(process, log_file)
        workers.append(worker)
        eventually(lambda: '"ready"' in worker.log, 15)
        return worker

    yield start
    with ExitStack() as ending:
        for worker in workers:
            ending.callback(end, worker)


@pytest.fixture
async def connections(settings: dict[str, str]) -> AsyncIterator[list[Any]]:
    url = settings["PHOTO_API_DATABASE_URL"]
    made = [await asyncpg.connect(url) for _ in range(4)]
    yield made
    for connection in made:
        await connection.close()
