"""`photo-api reconcile`: finds what table and store disagree on, mends it, and deletes nothing.

Nothing young is looked at, so most tests make an hour pass by setting what counts as young.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from photo_api import cli
from photo_api.db.pool import Database
from photo_api.photos import adoption, late_uploads, reconcile
from photo_api.photos.upload_queries import begin_upload, note_object
from photo_api.storage.base import ObjectStore
from tests import service
from tests.own_stage import (
    ask,
    database_of,
    empty_database,
    holds,
    own_bucket,
    own_database,
    reached_at,
    store_of,
)
from tests.service import Service, User, eventually, heic, jpeg, running_service

T = TypeVar("T")


@pytest.fixture(scope="module")
def running(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with a database and a bucket of the module's own. It sweeps once, at its start."""
    changed = environ | {"PHOTO_API_SWEEP_INTERVAL": "3600"}
    with (
        own_database(stack, own_bucket(stack, changed)) as settings,
        running_service(settings, tmp_path_factory.mktemp("reconcile")) as running,
    ):
        yield running


@pytest.fixture
def settings(running: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The service's, also as our environment; its database and bucket are empty."""
    for name in [name for name in os.environ if name.startswith("PHOTO_API_")]:
        monkeypatch.delenv(name)
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    yield running.environ
    empty(running.environ)


def empty(settings: dict[str, str]) -> None:
    """Leave nothing of a test, once nobody works on it any more."""
    eventually(lambda: not ask(settings, "SELECT 1 FROM jobs WHERE state <> 'dead'"), 30)

    async def delete(db: Database, store: ObjectStore) -> None:
        await db.execute("TRUNCATE users, photos, unreferenced_objects, jobs, job_turns CASCADE")
        if keys := [item.key async for item in store.list("")]:
            await store.delete(keys)

    with_both(settings, delete)


@pytest.fixture
def user(running: Service, settings: dict[str, str]) -> Iterator[User]:
    with running.new_user() as user:
        yield user


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing's times are the store's own and cannot be changed."""
    monkeypatch.setattr(reconcile, "YOUNG", "0 seconds")


@pytest.fixture
def run(
    settings: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run `photo-api reconcile --json …`: its exit code and its report."""

    def run(*options: str) -> tuple[int, dict[str, Any]]:
        code = cli.main(["reconcile", "--json", *options])
        return code, json.loads(capsys.readouterr().out)

    return run


Run = Callable[..., tuple[int, dict[str, Any]]]


def with_both(settings: dict[str, str], act: Callable[[Database, ObjectStore], Awaitable[T]]) -> T:
    async def go() -> T:
        async with database_of(settings) as db:
            return await act(db, store_of(settings))

    return asyncio.run(go())


def stray(settings: dict[str, str], key: str, data: bytes | None = None) -> str:
    """Put an object where no row knows of it; its key."""

    async def put(_: Database, store: ObjectStore) -> str:
        await store.put_bytes(key, data or jpeg(), content_type="image/jpeg")
        return key

    return with_both(settings, put)


def lose(settings: dict[str, str], key: str) -> None:
    """Delete an object behind everybody's back."""

    async def delete(_: Database, store: ObjectStore) -> None:
        await store.delete([key])

    with_both(settings, delete)


def photo_with_renditions(user: User, data: bytes | None = None) -> int:
    photo_id = user.upload(data)["id"]
    assert user.rendered(photo_id)["renditions"] == "ready"
    return int(photo_id)


def keys(settings: dict[str, str], photo_id: int) -> Any:
    [row] = ask(
        settings,
        "SELECT object_key, thumbnail_key, preview_key FROM photos WHERE id = $1",
        photo_id,
    )
    return row


def test_agreement(settings: dict[str, str], user: User, run: Run, an_hour_later: None) -> None:
    photo_with_renditions(user)
    code, report = run()
    assert code == 0
    assert report["clean"] is True
    assert (report["photos"], report["objects"]) == (1, 3)
    assert service.cli(settings, "reconcile").stdout.splitlines() == [
        "1 photos, 3 objects",
        "table and store agree",
    ]


def test_young_objects_and_uploads_in_progress_are_no_orphans(
    settings: dict[str, str], user: User, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_with_renditions(user)
    stray(settings, f"photos/{user.account['id']}/77/{uuid4().hex}.jpg")
    assert run()[0] == 0, "it is not an hour old"
    monkeypatch.setattr(reconcile, "YOUNG", "0 seconds")
    assert run()[0] == 1
    [orphan] = run()[1]["orphans"]

    async def note(db: Database, _: ObjectStore) -> None:
        await note_object(db, orphan, 60)

    with_both(settings, note)
    assert run()[0] == 0, "the sweep knows it"


def test_orphans_are_reported_and_left_alone(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    orphans = [
        stray(settings, "photos/1/2/not-our-name"),
        stray(settings, f"photos/{user.account['id']}/77/{uuid4().hex}.jpg"),
        stray(settings, "renditions/1/2/x-1-thumbnail.webp"),
        stray(settings, "renditions/x/99999999999999999999/thumbnail.webp"),
    ]
    for _ in range(2):
        code, report = run()
        assert (code, report["orphans"]) == (1, sorted(orphans))
        assert report["quarantined"] == report["adopted"] == []
    assert all(holds(settings, key) for key in orphans)


def test_repair_moves_orphans_to_quarantine_for_30_days(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    data = jpeg()
    orphan = stray(settings, f"photos/{user.account['id']}/77/{uuid4().hex}.jpg", data)
    code, report = run("--repair", "--force")
    assert (code, report["quarantined"]) == (0, [orphan])
    assert not holds(settings, orphan)

    async def read(_: Database, store: ObjectStore) -> bytes:
        return await store.get("quarantine/" + orphan)

    assert with_both(settings, read) == data
    [row] = ask(
        settings,
        "SELECT object_key, taken, delete_after - now() > interval '29 days 23 hours' AS kept"
        " FROM unreferenced_objects",
    )
    assert tuple(row) == ("quarantine/" + orphan, False, True)
    assert run()[0] == 0
    stray(settings, orphan, data)
    assert run("--repair", "--force")[1]["quarantined"] == [orphan], "it may happen again"


def test_many_orphans_look_like_a_mistake(
    settings: dict[str, str],
    user: User,
    run: Run,
    an_hour_later: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Above 1 % somebody may have given us another service's bucket."""
    photo_with_renditions(user)
    orphan = stray(settings, f"photos/{user.account['id']}/77/{uuid4().hex}.jpg")
    for option in ("--repair", "--adopt"):
        code, report = run(option)
        assert code == 1
        assert "1 of 4 objects (25.0 %)" in report["refused"]
        assert report["quarantined"] == report["adopted"] == []
        assert holds(settings, orphan)
    assert cli.main(["reconcile", "--repair"]) == 1
    text = capsys.readouterr().out
    assert "nothing was changed" in text
    assert "--force" in text


def test_few_orphans_need_no_force(
    settings: dict[str, str], run: Run, an_hour_later: None, user: User
) -> None:
    async def fill(db: Database, store: ObjectStore) -> None:
        await db.execute(
            "INSERT INTO photos (owner_id, album_id, status, original_filename, content_type,"
            " file_size, object_key) SELECT $1, 0, 'ready', 'a.jpg', 'image/jpeg', 1,"
            " 'photos/x/' || n FROM generate_series(1, 200) n",
            user.account["id"],
        )
        puts = (
            store.put_bytes(f"photos/x/{n}", b"x", content_type="image/jpeg") for n in range(1, 201)
        )
        await asyncio.gather(*puts)

    with_both(settings, fill)
    orphans = [stray(settings, f"photos/1/7/{uuid4().hex}.jpg") for _ in range(2)]
    code, report = run("--repair")
    assert (code, report["refused"]) == (0, None)
    assert report["quarantined"] == sorted(orphans)


def test_a_missing_original_is_reported_and_nothing_is_done(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    photo_id = photo_with_renditions(user)
    original, thumbnail, _ = keys(settings, photo_id)
    lose(settings, original)
    lose(settings, thumbnail)
    for options in ((), ("--repair", "--adopt", "--force")):
        code, report = run(*options)
        assert (code, report["missing_originals"]) == (1, [original])
        assert report["requeued"] == [], "there is nothing to make them of"
    assert user.photo(photo_id)["id"] == photo_id


def test_missing_renditions_are_made_again(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    photo_id, other = photo_with_renditions(user), photo_with_renditions(user)
    before = keys(settings, photo_id)
    lose(settings, before["thumbnail_key"])
    assert run()[0] == 1
    code, report = run("--repair")
    assert (code, report["missing_renditions"]) == (0, [before["thumbnail_key"]])
    assert report["requeued"] == [photo_id]
    assert user.rendered(photo_id)["renditions"] == "ready"
    after = keys(settings, photo_id)
    assert after["object_key"] == before["object_key"]
    assert all(holds(settings, key) for key in after)
    assert not set(after[1:]) & set(before[1:])
    assert user.photo(other)["renditions"] == "ready"
    code, report = run()
    assert (code, report["orphans"]) == (0, []), "the sweep knows the one that was left"


@pytest.mark.parametrize("kind", ["a shared photo", "a HEIC"])
def test_a_missing_file_at_full_size_is_made_again(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None, kind: str
) -> None:
    album = user.album()["id"]
    photo_id = user.upload(jpeg() if kind == "a shared photo" else heic(), album)["id"]
    if kind == "a shared photo":
        user.api.post(f"/albums/{album}/share").raise_for_status()

    def file() -> str | None:
        look = "SELECT display_key FROM photos WHERE id = $1 AND renditions = 'ready'"
        rows = ask(settings, look, photo_id)
        return rows[0]["display_key"] if rows else None

    lost = eventually(file)
    assert lost is not None
    assert run()[0] == 0
    lose(settings, lost)
    code, report = run("--repair")
    assert (code, report["missing_renditions"], report["requeued"]) == (0, [lost], [photo_id])
    made = eventually(lambda: (key := file()) != lost and key)
    assert made
    assert holds(settings, made)
    code, report = run()
    assert (code, report["orphans"]) == (0, [])


def test_adopt_makes_a_photo_of_an_orphan(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    """As after a database was restored from last night's backup."""
    data = jpeg(400, 300)
    photo_id = photo_with_renditions(user, data)
    ask(settings, "DELETE FROM photos WHERE id = $1", photo_id)
    assert user.api.get("/photos/").json() == []
    code, report = run("--adopt", "--repair", "--force")
    assert (code, report["adopted"]) == (0, [photo_id])
    assert len(report["quarantined"]) == 2, "its old renditions"
    photo = user.rendered(photo_id)
    assert (photo["renditions"], photo["width"]) == ("ready", 400)
    assert (photo["owner_id"], photo["content_type"]) == (user.account["id"], "image/jpeg")
    assert photo["file_size"] == len(data)
    image = user.api.get(f"/photos/{photo_id}/image", follow_redirects=True)
    assert image.content == data
    assert run()[0] == 0


def test_what_cannot_be_adopted_stays(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    owner = user.account["id"]
    photo_with_renditions(user)
    orphans = {
        "no such user": stray(settings, f"photos/999/77/{uuid4().hex}.jpg"),
        "no image": stray(settings, f"photos/{owner}/78/{uuid4().hex}.jpg", b"<html>"),
        "no name of ours": stray(settings, f"photos/{owner}/79/a.jpg"),
        "no possible id": stray(settings, f"photos/{owner}/{2**53}/{uuid4().hex}.jpg"),
    }
    code, report = run("--adopt", "--force")
    assert (code, report["adopted"]) == (1, [])
    assert report["orphans"] == sorted(orphans.values())
    assert all(holds(settings, key) for key in orphans.values())
    assert len(user.api.get("/photos/").json()) == 1


def test_an_orphan_whose_id_is_in_use_gets_another(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None
) -> None:
    """The database was restored, and uploads went on before anybody reconciled."""
    owner, taken = user.account["id"], photo_with_renditions(user)
    stray(settings, f"photos/{owner}/{taken}/{uuid4().hex}.jpg")
    code, report = run("--adopt", "--force")
    [adopted] = report["adopted"]
    assert code == 0
    assert adopted > taken
    assert [photo["id"] for photo in user.api.get("/photos/").json()] == [adopted, taken]


@pytest.mark.parametrize("distance", [-3, 1000])
def test_ids_handed_out_before_an_adoption_are_not_handed_out_again(
    settings: dict[str, str], user: User, run: Run, an_hour_later: None, distance: int
) -> None:
    """An upload in progress has its id, and no row yet."""

    async def next_ids(db: Database, _: ObjectStore) -> list[int]:
        return [(await begin_upload(db, 0, "x.jpg", 60, None, 0))[0] for _ in range(10)]

    handed_out = max(with_both(settings, next_ids))
    adopted = handed_out + distance
    stray(settings, f"photos/{user.account['id']}/{adopted}/{uuid4().hex}.jpg")
    assert run("--adopt", "--force")[1]["adopted"] == [adopted]
    assert min(with_both(settings, next_ids)) > max(handed_out, adopted)


def test_an_id_that_cannot_have_been_handed_out_is_not_believed(
    settings: dict[str, str],
    user: User,
    run: Run,
    an_hour_later: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Anybody who may write into the bucket may name an object; only 2**53 ids are to be had."""
    photo_with_renditions(user)
    last = ask(settings, "SELECT last_value FROM photos_id_seq")[0][0]
    near = last + adoption.LOST_IDS
    far = [
        stray(settings, f"photos/{owner}/{number}/{uuid4().hex}.jpg")
        for owner in (user.account["id"], 999)
        for number in (2**53 - 1, near + 1)
    ]
    other_digits = stray(settings, f"photos/{user.account['id']}/٣/{uuid4().hex}.jpg")
    lost = stray(settings, f"photos/{user.account['id']}/{near}/{uuid4().hex}.jpg")
    assert run()[1]["far_ids"] == sorted(far)
    code, report = run("--adopt", "--force")
    assert (code, report["adopted"]) == (1, [near])
    assert report["far_ids"] == sorted(far)
    assert set(report["orphans"]) == {*far, other_digits, lost}
    assert all(holds(settings, key) for key in (*far, other_digits))
    assert user.photo(user.upload()["id"])["id"] == near + 1
    assert cli.main(["reconcile"]) == 1
    assert "cannot have been handed out" in capsys.readouterr().out


def test_two_repairs_at_once_do_no_harm(
    settings: dict[str, str], user: User, an_hour_later: None
) -> None:
    orphans = [stray(settings, f"photos/1/7/{uuid4().hex}.jpg") for _ in range(30)]

    async def repair(db: Database, store: ObjectStore) -> list[reconcile.Report]:
        one, two = (
            reconcile.reconcile(db, store, staged_for=0, repair=True, adopt=False, force=True)
            for _ in range(2)
        )
        return list(await asyncio.gather(one, two))

    refused = [report.refused for report in with_both(settings, repair)]
    assert sorted(refused, key=bool) == [None, reconcile.ANOTHER]
    assert all(holds(settings, "quarantine/" + key) for key in orphans)
    assert ask(settings, "SELECT count(*) FROM unreferenced_objects")[0][0] == 30


def test_what_has_become_a_photo_since_the_listing_is_not_moved(
    settings: dict[str, str], user: User
) -> None:
    key = keys(settings, user.upload()["id"])["object_key"]

    async def move(db: Database, store: ObjectStore) -> list[str]:
        report = reconcile.Report()
        await reconcile._quarantine(db, store, key, report)
        return report.quarantined

    assert not with_both(settings, move)
    assert holds(settings, key)


def test_bytes_of_uploads_that_nobody_waits_for_are_left_to_the_sweep(
    settings: dict[str, str], user: User, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a PUT leaves them that took too long; they are never a photo."""
    owner = user.account["id"]
    waiting = user.presign(user.album()["id"], jpeg())
    stray(settings, waiting["object_key"])
    ask(settings, "DELETE FROM unreferenced_objects")
    late = sorted(stray(settings, f"staging/{of}/77/{uuid4().hex}") for of in (owner, 999))
    assert run()[0] == 0, "they are young"
    monkeypatch.setattr(late_uploads, "MARGIN", -1_000_000)
    code, report = run("--adopt", "--force")
    assert (code, report["late_uploads"], report["orphans"]) == (1, late, [])
    assert (report["adopted"], report["left_to_sweep"]) == ([], [])
    code, report = run("--repair")
    assert (code, report["left_to_sweep"]) == (0, late)
    due = ask(settings, "SELECT object_key, delete_after <= now() FROM unreferenced_objects")
    assert sorted(map(tuple, due)) == [(key, True) for key in late]
    assert run()[0] == 0
    assert all(holds(settings, key) for key in late), "it deletes nothing itself"


def test_the_text_for_people(
    settings: dict[str, str],
    user: User,
    an_hour_later: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    orphans = sorted(stray(settings, f"photos/1/7/{uuid4().hex}.jpg") for _ in range(23))
    assert cli.main(["reconcile"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["0 photos, 23 objects", "23 objects without a row:"]
    assert lines[2] == f"  {orphans[0]}"
    assert lines[22] == "  … and 3 more"
    assert "--repair" in lines[23]
    assert cli.main(["reconcile", "--repair", "--force"]) == 0
    assert "moved 23 objects to quarantine/ for 30 days" in capsys.readouterr().out


def without(part: str, settings: dict[str, str]) -> dict[str, str]:
    """The settings of who cannot reach this part."""
    if part == "store":
        return reached_at(settings, "http://127.0.0.1:9")
    on_swift = settings.get("PHOTO_API_STORE") == "swift"
    names = {
        "database": ("DATABASE_URL", "postgresql://photo_api@127.0.0.1:9/photo_api"),
        "bucket": ("SWIFT_CONTAINER" if on_swift else "S3_BUCKET", "no-such-bucket"),
        "secret": ("SWIFT_PASSWORD" if on_swift else "S3_SECRET_KEY", "not the right one " * 2),
    }
    name, value = names[part]
    return settings | {f"PHOTO_API_{name}": value}


@pytest.mark.parametrize("part", ["database", "store", "bucket", "secret"])
def test_what_cannot_be_reached_is_exit_code_2(settings: dict[str, str], part: str) -> None:
    """Never a report of what is missing."""
    ended = service.cli(without(part, settings), "reconcile", "--json", "--repair")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Cannot read the database or the store" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_without_our_schema_is_exit_code_2(
    stack: dict[str, Any], environ: dict[str, str]
) -> None:
    with empty_database(stack, environ) as settings:
        ended = service.cli(settings, "reconcile")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
