"""What the job process says of what goes wrong: an outage in one line, a bug with its traceback."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from photo_api.db.pool import DatabaseUnavailable
from photo_api.storage.base import StoreDown
from photo_api.supervisor.spawning import socket_pair
from photo_api.telemetry.failures import bug
from photo_base.postgres import FAILURES
from tests.jobs.stage import Worker
from tests.own_stage import ask, execute, own_database
from tests.service import eventually


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """With a database for each test, which it may break."""
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture(autouse=True)
def _empty() -> None:
    """Nobody uses it afterwards."""


def _said(worker: Worker, message: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"].startswith(message)]


def test_a_bug_in_maintenance_and_jobs_has_its_traceback(
    settings: dict[str, str], start_worker: Callable[..., Worker]
) -> None:
    wrong = "DROP TABLE idempotency_keys; ALTER TABLE jobs RENAME COLUMN kind TO sort"
    asyncio.run(execute(settings["PHOTO_API_DATABASE_URL"], wrong))
    worker = start_worker()
    missing = "maintenance failed: UndefinedTableError"
    eventually(lambda: _said(worker, missing), 15)
    assert "prune_keys" in _said(worker, missing)[0]["traceback"]
    eventually(lambda: _said(worker, "cannot look for jobs: UndefinedColumnError"), 15)
    assert "queue.py" in _said(worker, "cannot look for jobs")[0]["traceback"]


def test_an_outage_is_one_line(
    stack: dict[str, Any], settings: dict[str, str], start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker()
    eventually(lambda: ask(settings, "SELECT 1 FROM leases"), 15)
    name = urlsplit(settings["PHOTO_API_DATABASE_URL"]).path[1:]
    closed = f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    asyncio.run(execute(stack["superuser_url"], closed))
    asyncio.run(execute(stack["superuser_url"], cut))
    eventually(lambda: _said(worker, "cannot look for jobs"), 15)
    assert all("traceback" not in line for line in _said(worker, "cannot"))


async def test_only_what_is_no_outage_is_a_bug(connections: list[Any]) -> None:
    connection = connections[0]

    async def failing(statement: str, *args: object) -> Exception:
        with pytest.raises(FAILURES) as caught:
            await connection.fetch(statement, *args)
        return caught.value

    bugs = [
        await failing("SELECT nothing_of_this_name"),
        await failing("SELECT 1 / 0"),
        await failing("SELECT $1::int", "no number"),
        await failing("INSERT INTO jobs (kind, subject_id) VALUES (NULL, 1)"),
        KeyError("id"),
    ]
    assert [bug(error) for error in bugs] == bugs
    outages = [ConnectionRefusedError(), TimeoutError(), DatabaseUnavailable(), StoreDown()]
    await connections[1].execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
    outages.append(await failing("SELECT 1"))
    outages.append(await failing("SELECT 1"))
    assert [bug(error) for error in outages] == [None] * len(outages)


BROKEN = """
from photo_api import job_worker as process
async def run(self):
    raise KeyError("a bug in maintenance")
process.Maintenance.run = run
process.main()
"""


def test_a_task_that_ends_by_a_bug_ends_the_process_and_says_why(settings: dict[str, str]) -> None:
    """A process that goes on without one of its tasks does nothing, and nobody would know."""
    ours, theirs = socket_pair()
    with closing(ours), theirs:
        ours.send(b"secrets {}")
        arguments = ["--name", "jobs", "--boot-id", "b", "--control", str(theirs.fileno())]
        ended = subprocess.run(
            [sys.executable, "-c", BROKEN, *arguments],
            env=settings,
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert ended.returncode == 1
    last = json.loads(ended.stderr.splitlines()[-1])
    assert last["message"].startswith("the job process ends: ")
    assert "a bug in maintenance" in last["traceback"]
