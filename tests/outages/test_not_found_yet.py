"""A store that is short of machines may say 404 of what it has: nothing is settled on that."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.outages.test_storage import refused
from tests.own_stage import ask, bucket_in, endpoint_in, own_bucket, own_database, reached_at
from tests.service import Service, User, eventually, jpeg, put, running_service


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, own_bucket(stack, environ)) as settings:
        yield settings


@pytest.fixture(scope="module")
def relay(settings: dict[str, str]) -> Iterator[FaultyStore]:
    with faulty_store(endpoint_in(settings)) as relay:
        yield relay


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], relay: FaultyStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    own = reached_at(settings, relay.endpoint) | {"PHOTO_API_JOB_MAX_ATTEMPTS": "5"}
    with running_service(own, tmp_path_factory.mktemp("not-found-yet")) as running:
        yield running


@pytest.fixture
def user(service: Service, relay: FaultyStore) -> Iterator[User]:
    with service.new_user() as user:
        yield user
    relay.passes()


def hide_photos(relay: FaultyStore, settings: dict[str, str]) -> None:
    """Whoever reads an original is told that there is none."""
    path = urlsplit(settings.get("PHOTO_API_SWIFT_URL", "")).path
    relay.answers(404, "NoSuchKey", only=f"GET {path}/{bucket_in(settings)}/photos/")


def test_a_photo_whose_bytes_are_not_found_gets_its_renditions_later(
    user: User, relay: FaultyStore, settings: dict[str, str]
) -> None:
    hide_photos(relay, settings)
    photo_id = user.upload(jpeg())["id"]
    tried = "SELECT 1 FROM jobs WHERE subject_id = $1 AND error IS NOT NULL"
    eventually(lambda: ask(settings, tried, photo_id) or user.photo(photo_id)["renditions_error"])
    relay.passes()
    assert user.rendered(photo_id)["renditions"] == "ready"


def test_a_copy_that_is_not_found_yet_confirms_nothing_and_refuses_nothing(
    user: User, relay: FaultyStore, settings: dict[str, str]
) -> None:
    album, data = user.album()["id"], jpeg()
    presigned = user.presign(album, data)
    put(presigned, data).raise_for_status()
    hide_photos(relay, settings)
    refused(user.confirm(presigned["photo_id"]))
    relay.passes()
    assert user.confirm(presigned["photo_id"]).status_code == 200
