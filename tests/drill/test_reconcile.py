"""Whatever the clients' ledger, the logs, the tables and the store disagree on is found, and
nothing else."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from photo_api.contract import CDN_PROBE_PREFIX
from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.evidence.downloads import Download
from photo_fleet.drill.evidence.links import View
from photo_fleet.drill.evidence.logs import Execution, nginx_executions, server_executions
from photo_fleet.drill.evidence.objects import Bucket, CannotList, list_objects
from photo_fleet.drill.evidence.reconcile import Evidence, reconcile
from photo_fleet.drill.evidence.tables import Tables
from photo_fleet.drill.ledger import Creation
from photo_fleet.drill.records import Discrepancies, Outcome, Request, Upload
from tests.drill.loaded import Stage, own_stage, run_load
from tests.own_stage import store_of

NOTHING = Discrepancies()


def photo(photo_id: int = 1, **more: Any) -> dict[str, Any]:
    row = {
        "id": photo_id, "status": "ready", "title": f"t{photo_id}", "album_id": 5,
        "object_key": f"photos/1/{photo_id}/a.jpg", "thumbnail_key": None, "preview_key": None,
        "display_key": None,
        "renditions": "ready", "in_album": True, "has_album": True, "has_job": False,
    }  # fmt: skip
    return row | more


def album(album_id: int = 5, **more: Any) -> dict[str, Any]:
    row = {"id": album_id, "name": f"a{album_id}", "description": None}
    return row | {"photo_count": 1, "counted": 1} | more


def key_of(key: str, resource: int, status: int | None = 201) -> dict[str, Any]:
    return {"key": key, "status": status, "resource_id": resource}


def request(request_id: str, method: str = "POST") -> Request:
    return Request(request_id, "c", "k", method, "api", 0, 0, 1, Outcome.OK, 201, "i")


SOUND = Evidence(
    requests=(request("r1"), request("r2")),
    uploads=(Upload(1, "c", "aa", 1.0),),
    creations=(
        Creation("t1", "c", "photo", "t1", 1),
        Creation("a5", "c", "album", "a5", 5),
        Creation("s9", "c", "share", "5", 9),
    ),
    tables=Tables(
        photos=(photo(1), photo(2, status="gone", object_key=None, in_album=False)),
        albums=(album(5),),
        shares=({"id": 9, "album_id": 5},),
        keys=(key_of("t1", 1), key_of("a5", 5), key_of("s9", 9)),
        members=({"album_id": 5, "photos": [1]},),
    ),
    executions=(Execution("r1", "POST", "i", 201, "server"),),
    objects=frozenset({"photos/1/1/a.jpg"}),
    downloads={1: Download("aa")},
    views={9: View("a5", (1,))},
)


def with_rows(**changes: Any) -> Evidence:
    return replace(SOUND, tables=replace(SOUND.tables, **changes))


def with_upload(**changes: Any) -> Evidence:
    return replace(SOUND, uploads=(replace(SOUND.uploads[0], **changes),))


def executed(*told: tuple[str, str, int, str]) -> Evidence:
    found = tuple(
        Execution("r1", method, where, status, log) for method, where, status, log in told
    )
    return replace(SOUND, executions=found)


def test_what_agrees_has_no_discrepancies() -> None:
    assert reconcile(SOUND) == NOTHING
    assert reconcile(Evidence()) == NOTHING


@pytest.mark.parametrize(
    ("evidence", "kind", "words"),
    [
        (with_rows(albums=(album(5), album(6, name="a5"))), "duplicates", "5, 6"),
        (
            with_rows(photos=(photo(1), photo(2, title="t1", status="gone", in_album=False))),
            "duplicates",
            "1, 2",
        ),
        (
            with_rows(shares=({"id": 9, "album_id": 5}, {"id": 10, "album_id": 5})),
            "duplicates",
            "9, 10",
        ),
        (
            executed(("POST", "i", 201, "server"), ("POST", "j", 201, "server")),
            "duplicates",
            "server: i, j",
        ),
        (
            executed(("PATCH", "i", 200, "nginx"), ("PATCH", "j", 200, "nginx")),
            "duplicates",
            "nginx: i, j",
        ),
        (replace(SOUND, objects=frozenset(), uploads=()), "ghosts", "photo 1 is ready"),
        (
            with_rows(photos=(photo(1, thumbnail_key="renditions/1/1/x"),)),
            "ghosts",
            "thumbnail_key",
        ),
        (replace(SOUND, objects=SOUND.objects | {"staging/1/7/z"}), "ghosts", "staging/1/7/z"),
        (replace(SOUND, downloads={1: Download("bb")}), "acknowledged_lost", "other bytes"),
        (replace(SOUND, downloads={}), "acknowledged_lost", "nobody fetched"),
        (
            replace(SOUND, downloads={1: Download(None, "the store answered 404")}),
            "acknowledged_lost",
            "the store answered 404",
        ),
        (with_upload(photo_id=8), "acknowledged_lost", "photo 8 of c was acknowledged and has no"),
        (with_upload(photo_id=8, deleted=True), "acknowledged_lost", "has no row"),
        (with_upload(photo_id=2), "acknowledged_lost", "is gone"),
        (
            replace(SOUND, creations=(*SOUND.creations, Creation("x", "c", "album", "x", 77))),
            "acknowledged_lost",
            "album 77",
        ),
        (with_upload(deleted=True), "half_done", "photo 1 was deleted and is ready"),
        (with_rows(photos=(photo(1, in_album=False),)), "half_done", "not in its album"),
        (with_rows(photos=(photo(1, renditions="pending"),)), "half_done", "no job"),
        (with_rows(photos=(photo(1, renditions="failed"),)), "half_done", "failed for good"),
        (with_rows(photos=(photo(1, renditions="partial"),)), "half_done", "in part"),
        (
            replace(SOUND, downloads={1: Download("aa", is_small=False)}),
            "half_done",
            "no thumbnail came, and its renditions are ready",
        ),
        (
            replace(
                with_rows(photos=(photo(1, renditions="pending", has_job=True),)),
                downloads={1: Download("aa", is_small=False)},
            ),
            "half_done",
            "no thumbnail came, and its renditions are pending",
        ),
        (
            replace(
                with_rows(photos=(photo(1, renditions="failed"),)),
                downloads={1: Download("aa", is_small=False)},
            ),
            "half_done",
            "failed for good",
        ),
        (with_rows(albums=(album(5, description="other"),)), "half_done", "another"),
        (with_rows(albums=(album(5, counted=0),)), "half_done", "0 photos and counts 1"),
        (with_rows(keys=SOUND.tables.keys[1:]), "half_done", "mark t1"),
        (with_rows(keys=(*SOUND.tables.keys[:2], key_of("s9", 9, None))), "half_done", "mark 5"),
        (with_rows(keys=(*SOUND.tables.keys[:2], key_of("s9", 11))), "half_done", "share 11"),
    ],
)
def test_each_discrepancy_is_found_and_named_alone(
    evidence: Evidence, kind: str, words: str
) -> None:
    found = reconcile(evidence)
    told = getattr(found, kind)
    assert len(told) == 1, found
    assert words in told[0]
    assert replace(found, **{kind: ()}) == NOTHING


@pytest.mark.parametrize(
    "evidence",
    [
        replace(SOUND, objects=SOUND.objects | {f"{CDN_PROBE_PREFIX}{7:032x}"}),
        # Passed on once more after a refusal, or seen by both logs: executed once.
        executed(("POST", "i", 503, "server"), ("POST", "j", 201, "server")),
        executed(("POST", "i", 201, "server"), ("POST", "i:80", 201, "nginx")),
        executed(("DELETE", "i", 204, "server"), ("DELETE", "j", 204, "server")),
        # What was asked for was never carried out.
        replace(SOUND, creations=(*SOUND.creations, Creation("y", "c", "photo", "y"))),
        # A deletion without an answer may have been carried out.
        with_upload(photo_id=2, delete_asked=True),
        with_upload(photo_id=2, deleted=True),
    ],
)
def test_what_merely_looks_odd_is_no_discrepancy(evidence: Evidence) -> None:
    assert reconcile(evidence) == NOTHING


SEEN_NEW = {9: View("new", (1,))}


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (with_rows(photos=(photo(1, title="other"),), keys=SOUND.tables.keys), "has other"),
        (replace(SOUND, views={}), "share 9 of c was acknowledged: nobody opened it"),
        (
            replace(SOUND, views={9: View(problem="the API answered 404")}),
            "share 9 of c was acknowledged: the API answered 404",
        ),
        (replace(SOUND, views=SEEN_NEW), "another name than album 5"),
        (replace(SOUND, views={9: View("a5")}), "other photos than album 5"),
        (
            replace(with_rows(albums=(album(5, name="new"),)), views=SEEN_NEW),
            "was named a5, and is named new",
        ),
    ],
)
def test_what_was_acknowledged_is_there_and_shown(evidence: Evidence, words: str) -> None:
    found = reconcile(evidence)
    assert [words in told for told in found.acknowledged_lost] == [True], found


def test_a_share_of_another_album_is_lost() -> None:
    rows = ({"id": 9, "album_id": 6},)
    albums = (album(5), album(6, photo_count=0, counted=0, name="a6"))
    evidence = with_rows(shares=rows, albums=albums)
    found = reconcile(replace(evidence, views={9: View("a6")}))
    assert "with mark 5, and has 6" in found.acknowledged_lost[0]


def test_logs_are_read_as_they_are_written() -> None:
    lines = [
        b'{"logger":"photo_api.access","request_id":"a","method":"POST","route":"/x",'
        b'"status":201,"instance":"10.0.0.1","message":"request"}\n',
        b'{"logger":"photo_api.jobs","message":"done"}\n',
        b"Traceback (most recent call last):\n",
        b'{"logger":"photo_api.access","reque',
    ]
    assert list(server_executions(lines)) == [Execution("a", "POST", "10.0.0.1", 201, "server")]

    def nginx(statuses: str, heads: str, upstreams: str) -> list[tuple[str, int]]:
        line = (
            f'{{"request_id":"a","method":"POST","upstream":"{upstreams}",'
            f'"upstream_status":"{statuses}","header_seconds":"{heads}"}}'
        )
        return [(item.instance, item.status) for item in nginx_executions([line.encode()])]

    assert nginx("201", "0.010", "i:1") == [("i:1", 201)]
    assert nginx("502, 201", "-, 0.010", "i:1, j:1") == [("j:1", 201)]
    assert nginx("201, 201", "0.001, 0.010", "i:1, j:1") == [("i:1", 201), ("j:1", 201)]
    assert nginx("", "", "") == []
    assert nginx("502", "-", "photo_members") == []


@pytest.fixture(scope="module")
def stage(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with own_stage(stack, environ, tmp_path_factory.mktemp("drill")) as running:
        yield running


@pytest.fixture(scope="module")
def loaded(stage: Stage) -> Load:
    """A load that is over, with all that it left swept."""

    async def use() -> Load:
        weights = {"upload": 2.0, "direct_upload": 2.0, "create_album": 1.0, "edit_album": 1.0}
        load = await run_load(stage, Mix(rate=20, clients=2, weights=weights), 2)
        assert await stage.sweep() == 0
        return load

    return asyncio.run(use())


async def execute(stage: Stage, statement: str, *args: object) -> Any:
    connection = await asyncpg.connect(stage.database_url)
    try:
        return await connection.fetchval(statement, *args)
    finally:
        await connection.close()


def find(settings: Mapping[str, str], stage: Stage) -> Any:
    return store_of({**settings, "PHOTO_API_S3_BUCKET": stage.bucket.name})


async def test_damage_done_by_hand_is_found(
    stage: Stage, loaded: Load, environ: dict[str, str]
) -> None:
    evidence = await stage.gather(loaded)
    assert reconcile(evidence) == NOTHING
    assert len(evidence.downloads) == len(loaded.ledger.uploads) > 10
    store = find(environ, stage)
    first, second, third, *_ = [row for row in evidence.tables.photos if row["status"] == "ready"]

    await store.delete([first["object_key"]])
    await store.put_bytes(second["object_key"], b"other bytes", content_type="image/jpeg")
    await store.put_bytes("photos/1/999/left.jpg", b"x", content_type="image/jpeg")
    twin = next(item for item in loaded.ledger.creations if item.what == "album" and item.id)
    statement = "INSERT INTO albums (owner_id, name) SELECT owner_id, $2 FROM albums WHERE id = $1"
    await execute(stage, f"{statement} RETURNING id", twin.id, twin.mark)
    await execute(stage, f"{statement} RETURNING id", twin.id, twin.mark)
    await execute(stage, "DELETE FROM album_photos WHERE photo_id = $1", third["id"])
    renamed = next(item for item in loaded.ledger.edits if item.what == "name" and item.request)
    statement = "UPDATE albums SET name = 'x', description = 'x' WHERE id = $1"
    await execute(stage, statement, renamed.album)
    share = next(item for item in loaded.ledger.creations if item.what == "share" and item.id)
    await execute(stage, "UPDATE shares SET expires_at = now() WHERE id = $1", share.id)

    found = reconcile(await stage.gather(loaded))
    assert any(f"photo {first['id']} is ready" in item for item in found.ghosts)
    assert any("photos/1/999/left.jpg" in item for item in found.ghosts)
    lost = sorted(found.acknowledged_lost)
    assert len(lost) == 5
    assert any(f"photo {third['id']} was added last, and is not in it" in item for item in lost)
    assert any(f"album {renamed.album} was named" in item for item in lost)
    assert any(f"share {share.id} " in item and "answered 410" in item for item in lost)
    assert any(
        f"photo {first['id']} " in item and "the store answered 404" in item for item in lost
    )
    assert any(f"photo {second['id']} " in item and "other bytes" in item for item in lost)
    assert len(found.duplicates) == 1
    assert twin.mark in found.duplicates[0]
    assert [item for item in found.half_done if f"photo {third['id']} " in item]
    told = str(found)
    assert "Signature" not in told
    assert "http" not in told


A_PAGE = 1000
"""Keys at most that S3 lists at a time."""


async def test_all_pages_of_a_bucket_are_listed(stage: Stage, environ: dict[str, str]) -> None:
    store = find(environ, stage)
    keys = [f"many/a +&ü{number}" for number in range(A_PAGE + 25)]
    few = asyncio.Semaphore(20)

    async def put(key: str) -> None:
        async with few:
            await store.put_bytes(key, b"1", content_type="text/plain")

    await asyncio.gather(*map(put, keys))
    listed = await list_objects(stage.bucket)
    assert set(keys) <= listed.keys()
    assert listed[keys[0]] == 1
    await store.delete(keys)
    wrong = Bucket(stage.bucket.endpoint, stage.bucket.name, "us-east-1", "who", "what")
    with pytest.raises(CannotList, match="403"):
        await list_objects(wrong)
