"""A primary that dies, a standby that takes over, and a service that is not restarted for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.db.clusters import both, caught_up, running_pair
from tests.db.people import in_the_end, refused, settled
from tests.service import Service


@pytest.mark.slow
@pytest.mark.parametrize("death", ["stop", "freeze"])
def test_reads_go_on_and_writes_come_back_when_a_standby_is_promoted(
    start_service: Callable[..., Service], tmp_path: Path, death: str
) -> None:
    folder = tmp_path / "pair"
    folder.mkdir()
    with running_pair(folder) as (primary, standby):
        service = start_service(
            DATABASE_URL=both(primary, standby),
            DATABASE_POOL_WAIT="2",
            DATABASE_STATEMENT_TIMEOUT="2",
            USER_CACHE="0",
        )
        with settled(service) as reader:
            caught_up(primary, standby)
            getattr(primary, death)()
            in_the_end(reader.can_read)
            for answer in reader.writes():
                assert refused(answer), (answer.request.url, answer.text)
            for answer in reader.reads():
                assert answer.status_code in (200, 302, 307), (answer.request.url, answer.text)
            standby.promote()
            in_the_end(reader.can_write)
            assert reader.can_read()
            photo = reader.user.upload(album_id=reader.album)["id"]
            assert reader.user.rendered(photo)["renditions"] == "ready", "the jobs moved too"
            assert "Traceback" not in service.log


@pytest.mark.slow
def test_a_primary_that_became_a_standby_is_left_for_the_new_one(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    """A switchover after which both servers answer: the first in the address reads only."""
    folder = tmp_path / "pair"
    folder.mkdir()
    with running_pair(folder) as (primary, standby):
        service = start_service(DATABASE_URL=both(primary, standby))
        with settled(service) as reader:
            caught_up(primary, standby)
            primary.stop()
            standby.promote()
            primary.follow(standby)
            in_the_end(reader.can_write)
            for _ in range(20):
                assert reader.can_write()
                assert reader.can_read()
