"""What two instances of one database tell of the fleet, which one of them counts."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.metrics.scraping import scrape
from tests.own_stage import ask, own_database
from tests.service import Service, eventually, running_service

Told = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def two(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> Iterator[tuple[Service, Service]]:
    with own_database(stack, environ) as settings, ExitStack() as running:

        def start(name: str) -> Service:
            folder = tmp_path / name
            folder.mkdir()
            own = {"PHOTO_API_RUN_DIR": str(folder), "PHOTO_API_SWEEP_INTERVAL": "0.5"}
            return running.enter_context(running_service(settings | own, folder))

        yield start("first"), start("second")


def _told(service: Service) -> Told:
    samples = scrape(service.url).samples.items()
    return {key: number for key, number in samples if key[0].startswith("photo_api_fleet_")}


def _counts(service: Service) -> bool:
    """Whether its job worker holds the lease, as far as it knows."""
    log = service.log
    return log.count('"holds the lease"') > log.count('"lost the lease"')


@pytest.mark.slow
def test_all_tell_what_one_counts_and_another_when_that_stands_still(
    two: tuple[Service, Service],
) -> None:
    with two[0].new_user() as user:
        user.upload()

    def alike(name: str, number: float, **labels: str) -> bool:
        first, second = map(_told, two)
        return first == second and first.get((name, frozenset(labels.items()))) == number

    eventually(lambda: alike("photo_api_fleet_instances", 2, state="ready"), 60)
    [leader] = [service for service in two if _counts(service)]
    [other] = [service for service in two if service is not leader]
    [frozen] = leader.children("job_worker")
    frozen.suspend()
    eventually(lambda: _counts(other), 30)
    ask(
        leader.environ,
        "INSERT INTO instance_events (boot_id, instance, event, at) VALUES"
        " ($1, 'gone', 'draining', now() - interval '7 s'), ($1, 'gone', 'stopped', now())",
        uuid4(),
    )
    count = "photo_api_fleet_drain_seconds_count"
    eventually(lambda: alike(count, 1, result="whole"), 60)
    frozen.resume()
    eventually(lambda: not _counts(leader), 30)
    time.sleep(1)  # for what it was about to write
    assert alike(count, 1, result="whole")
    rows = ask(leader.environ, "SELECT sum(value) FROM statistics WHERE name LIKE 'drains:%:10'")
    assert rows[0][0] == 1, "by both together"
