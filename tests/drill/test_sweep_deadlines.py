"""What a load leaves behind is swept at its own deadlines, and nothing before: here they are short,
and no statement makes them due."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import pytest

from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.evidence.objects import list_objects
from photo_fleet.drill.evidence.reconcile import reconcile
from photo_fleet.drill.evidence.tables import sweep_now
from photo_fleet.drill.records import Discrepancies
from tests.drill.loaded import Stage, own_stage, run_load
from tests.own_stage import ask
from tests.service import Service, User, eventually, running_service
from tests.test_sweep_broken_off import kill, send

URL_TTL, LONGEST_PUT, KEY_GRACE = 8, 4, 8
"""Seconds. The last is no setting, so the service's own processes are told as they start."""

LONGEST = 90.0
LEFT_BEHIND = {"upload": 2.0, "direct_upload": 2.0, "careless_upload": 3.0, "delete_photo": 2.0}
NOT_DUE = """
SELECT object_key FROM unreferenced_objects
WHERE NOT taken AND delete_after > clock_timestamp() + interval '1 second'
"""


@pytest.fixture
def settings(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "told"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"from photo_api.photos import upload_queries\nupload_queries.KEY_GRACE = {KEY_GRACE}\n"
    )
    return environ | {
        "PYTHONPATH": str(folder),
        "PHOTO_API_UPLOAD_URL_TTL": str(URL_TTL),
        "PHOTO_API_UPLOAD_LONGEST_PUT": str(LONGEST_PUT),
    }


@pytest.fixture
def stage(stack: dict[str, Any], settings: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    with own_stage(stack, settings, tmp_path) as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(180)
def test_what_a_load_leaves_behind_goes_at_its_own_deadlines(
    stage: Stage, settings: dict[str, str], tmp_path: Path
) -> None:
    own = {
        "PHOTO_API_DATABASE_URL": stage.database_url,
        "PHOTO_API_S3_BUCKET": stage.bucket.name,
    }
    (tmp_path / "doomed").mkdir()
    with asyncio.Runner() as loop:
        with (
            running_service(settings | own, tmp_path / "doomed", "--no-jobs") as doomed,
            doomed.new_user() as user,
        ):
            mix = Mix(rate=15, clients=4, weights=LEFT_BEHIND)
            load: Load = loop.run(run_load(stage, mix, 3))
            broken_off = break_off_an_upload(stage, doomed, user, loop)
        there = set(loop.run(list_objects(stage.bucket)))
        waiting = not_due(own) & there
        assert broken_off in waiting
        assert any(key.startswith("staging/") for key in waiting)

        swept = loop.get_loop().create_task(sweep_now(stage.database_url, LONGEST, hasten=False))
        while not swept.done():
            there = set(loop.run(list_objects(stage.bucket)))
            assert not_due(own) & waiting <= there, "bytes went before their deadline"
            loop.run(asyncio.sleep(0.3))
        assert swept.result() == 0
        evidence = loop.run(stage.gather(load))
    assert not waiting & evidence.objects
    assert any(item.deleted for item in evidence.uploads)
    assert reconcile(evidence) == Discrepancies()


def not_due(settings: dict[str, str]) -> set[str]:
    return {row["object_key"] for row in ask(settings, NOT_DUE)}


def break_off_an_upload(stage: Stage, doomed: Service, user: User, loop: asyncio.Runner) -> str:
    """Its bytes are in the store and its instance is killed before the row is written; the key."""
    noted = "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE $1"
    album, ours = user.album()["id"], f"photos/{user.account['id']}/%"
    holder = loop.run(asyncpg.connect(stage.database_url))
    loop.run(holder.execute("BEGIN; LOCK TABLE photos IN SHARE MODE"))
    sending = Thread(target=send, args=(doomed, user, album))
    sending.start()
    eventually(lambda: loop.run(holder.fetch(noted, ours)))
    [[key]] = loop.run(holder.fetch(noted, ours))
    eventually(lambda: key in loop.run(list_objects(stage.bucket)))
    kill(doomed)
    loop.run(holder.execute("COMMIT"))
    loop.run(holder.close())
    sending.join()
    return str(key)
