"""Instances that share a database, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.own_stage import own_database
from tests.service import Service, eventually, serving

Start = Callable[..., Service]


@pytest.fixture(scope="module")
def database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ | {"PHOTO_API_DATABASE_POOL": "4"}) as settings:
        yield settings


@pytest.fixture(scope="module")
def start(
    database: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Service]]:
    """Start an instance beside the others, with changed settings (their whole names), not waiting
    until it is ready."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    with ExitStack() as running:

        def start(*arguments: str, **changed: str) -> Service:
            log = folder / f"{len(list(folder.iterdir()))}.log"
            return running.enter_context(serving(database | changed, log, *arguments))

        yield start


@pytest.fixture(scope="module")
def fleet(start: Start) -> list[Service]:
    """Three instances."""
    services = [start("--no-jobs") for _ in range(3)]
    for service in services:
        eventually(service.is_healthy, 60)
    return services
