"""Nobody's service runs jobs, or sweeps, on a database whose objects are in another store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.own_stage import ask, beside, own_bucket, reached_at, store_at
from tests.service import Service, cli, serving

DATABASE = "PHOTO_API_DATABASE_URL"
NOBODY = "http://127.0.0.1:9"


def test_a_service_with_another_store_gets_a_database_of_its_own(
    stack: dict[str, Any], environ: dict[str, str]
) -> None:
    other = own_bucket(stack, environ)
    changed = {name: value for name, value in other.items() if environ.get(name) != value}
    bucket = {name.removeprefix("PHOTO_API_"): value for name, value in changed.items()}
    for changes in (bucket, store_at(environ, NOBODY)):
        with beside(stack, environ, changes) as own:
            assert own[DATABASE] != environ[DATABASE]
            assert ask(own, "SELECT count(*) FROM jobs") == [(0,)]
    with beside(stack, environ, {"LAME_DUCK": "1"}) as own:
        assert own == {**environ, "PHOTO_API_LAME_DUCK": "1"}


def test_none_is_started_with_another_store_on_the_common_database(
    environ: dict[str, str], tmp_path: Path
) -> None:
    other = reached_at(environ, NOBODY)
    with (
        pytest.raises(AssertionError, match="needs a database of its own"),
        serving(other, tmp_path / "log"),
    ):
        raise NotImplementedError
    with pytest.raises(AssertionError, match="repair others' photos"):
        cli(other, "reconcile", "--repair")


def test_start_service_sees_to_it(
    environ: dict[str, str], start_service: Callable[..., Service]
) -> None:
    service = start_service("--no-jobs", **store_at(environ, NOBODY))
    assert service.environ[DATABASE] != environ[DATABASE]
