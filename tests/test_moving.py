"""docs/moving.md, carried out: its blocks move a service made up for it, then its people come."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from photo_api.moving import objects
from photo_api.photos.reconcile import LOCK
from photo_local.postgres import _binary
from tests.old_service import MISSING, OBJECTS, OLD_SCHEMA, PASSWORD, TOKEN, nfd, rows
from tests.own_stage import (
    ask,
    bucket_in,
    database_of,
    empty_database,
    execute,
    own_bucket,
    store_of,
)
from tests.service import Service, cli, eventually, jpeg, new_address, serving
from tests.test_operations_docs import blocks, commands, headings, numbers, sections, tables

ROOT = Path(__file__).parent.parent
ENGLISH, KOREAN = ROOT / "docs/moving.md", ROOT / "docs/ko/moving.md"
LOAD, IMPORT = range(2)
NEW, LOOK, MOVE, COMPARE, END = range(5)

UNDO = """UPDATE photos SET status = 'pending', object_key = NULL, renditions = 'pending',
thumbnail_key = NULL, preview_key = NULL WHERE id = $1"""


@dataclass
class Moved:
    """What has been moved: the service that runs on it, and what the steps said."""

    settings: dict[str, str]
    old: dict[str, str]
    running: Service
    looked: str
    compared: str
    reports: list[dict[str, Any]]

    def person(self) -> httpx.Client:
        headers = {"X-Forwarded-For": new_address()}
        return httpx.Client(base_url=f"{self.running.url}/api", headers=headers, timeout=30)

    def logged_in(self, email: str, password: str = PASSWORD) -> httpx.Client:
        person = self.person()
        body = {"email": email, "password": password}
        tokens = person.post("/auth/login", json=body).raise_for_status().json()
        person.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return person


class Operator:
    """Who runs the page's blocks as they stand there."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        (folder / "photo-api").write_text(
            f'#!/bin/sh\nexec {sys.executable} -m photo_api.cli "$@"\n'
        )
        (folder / "photo-api").chmod(0o755)
        path = f"{folder}:{Path(_binary('psql')).parent}:{os.environ['PATH']}"
        self._environ = environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")}

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._folder, env=self._environ, capture_output=True, text=True, timeout=100,
            check=False,
        )  # fmt: skip

    def sql(self, text: str) -> str:
        (self._folder / "block.sql").write_text(text)
        done = self.shell(
            'psql "$PHOTO_API_DATABASE_URL" -tA --set=ON_ERROR_STOP=1 --file=block.sql'
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def moved(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moved]:
    folder, sh, sql = tmp_path_factory.mktemp("move"), blocks(ENGLISH, "sh"), blocks(ENGLISH, "sql")
    with ExitStack() as parts:
        old = parts.enter_context(empty_database(stack, own_bucket(stack, environ)))
        new = parts.enter_context(empty_database(stack, own_bucket(stack, environ)))
        asyncio.run(execute(old["PHOTO_API_DATABASE_URL"], OLD_SCHEMA + rows()))
        asyncio.run(_fill(old))
        operator = Operator(
            folder,
            new
            | {
                "OLD_DATABASE_URL": old["PHOTO_API_DATABASE_URL"],
                "OLD_BUCKET": bucket_in(old),
            },
        )
        loaded = operator.shell(sh[LOAD])
        assert loaded.returncode == 0, loaded.stderr
        looked = operator.sql(sql[LOOK])
        operator.sql(sql[MOVE])
        reports = []
        for _ in range(2):
            done = operator.shell(f"{sh[IMPORT].strip()} --json")
            assert (done.returncode, done.stderr) == (1, "")
            reports.append(json.loads(done.stdout))
        compared = operator.sql(sql[COMPARE])
        running = parts.enter_context(serving(new, folder / "service.log"))
        eventually(running.is_healthy, 60)
        yield Moved(new, old, running, looked, compared, reports)
        operator.sql(sql[END])
        assert ask(new, "SELECT id FROM photos WHERE status = 'pending'") == []
        [album] = ask(new, "SELECT photo_count FROM albums WHERE id = 3")
        assert album["photo_count"] == 3
        assert asyncio.run(_objects(old)) == {key: data for key, data, _ in OBJECTS.values()}


async def _fill(settings: dict[str, str]) -> None:
    store = store_of(settings)
    for key, data, content_type in OBJECTS.values():
        await store.put_bytes(key, data, content_type=content_type)
    await store.aclose()


async def _objects(settings: dict[str, str]) -> dict[str, bytes]:
    """All that is in the bucket."""
    store = store_of(settings)
    found = {info.key: await store.get(info.key) async for info in store.list("")}
    await store.aclose()
    return found


def test_what_cannot_be_moved_as_it_is_is_told_before(moved: Moved) -> None:
    told = {line for line in moved.looked.splitlines() if "|" in line}
    assert told == {
        "e-mail of another account|2|mina@example.org",
        "password that cannot be verified|4|$1$salt",
        f"photo in an album of somebody else|20|{nfd('제주 여행')}",
    }


def test_what_is_here_is_compared_with_what_was_there(moved: Moved) -> None:
    assert moved.compared.strip() == "4|4|7|5|3|3"


def test_the_report_names_what_is_left_and_what_differed(moved: Moved) -> None:
    first, again = moved.reports
    assert (first["links"], first["photos"]) == (3, 5)
    assert first["missing"] == [f"13: {MISSING}"]
    assert first["no_images"] == [f"14: {OBJECTS[14][0]}"]
    assert first["to_try_again"] == []
    assert first["other_types"] == [f"12: {OBJECTS[12][0]}"]
    assert first["other_sizes"] == [f"15: {OBJECTS[15][0]}"]
    assert (again["links"], again["photos"]) == (0, 0)
    assert (again["missing"], again["no_images"]) == (first["missing"], first["no_images"])


def test_people_keep_their_passwords(moved: Moved) -> None:
    def kept() -> str:
        [row] = ask(moved.settings, "SELECT password_hash FROM users WHERE id = 1")
        return str(row[0])

    wrong = {"email": "mina@example.org", "password": PASSWORD + "!"}
    assert moved.person().post("/auth/login", json=wrong).status_code == 401
    assert kept().startswith("$2b$")
    for email in ("mina@example.org", "MINA@example.org"):
        me = moved.logged_in(email).get("/auth/me").json()
        assert (me["id"], me["username"]) == (1, "미나")
        assert me["created_at"] == "2023-01-01T00:00:00Z"
        assert kept().startswith("$argon2id$")
    assert moved.person().post("/auth/login", json=wrong).status_code == 401
    isan = moved.logged_in("isan@example.org").get("/auth/me").json()
    assert (isan["id"], isan["username"]) == (3, "이산")


def test_the_second_account_of_an_e_mail_is_kept(moved: Moved) -> None:
    second = moved.logged_in("mina@example.org.2.invalid", "another one")
    assert second.get("/auth/me").json()["id"] == 2


def test_a_hash_of_another_kind_lets_nobody_in(moved: Moved) -> None:
    for password in ("hash", "", PASSWORD):
        body = {"email": "old@example.org", "password": password}
        assert moved.person().post("/auth/login", json=body).status_code == 401


def test_albums_keep_their_photos_in_order(moved: Moved) -> None:
    mina = moved.logged_in("mina@example.org")
    [album] = mina.get("/albums/").json()
    assert (album["id"], album["name"], album["description"]) == (3, "제주 여행", "바다")
    assert (album["cover_photo_id"], album["updated_at"]) == (12, "2024-06-01T00:00:00Z")
    photos = mina.get("/albums/3").json()["photos"]
    assert [photo["id"] for photo in photos] == [15, 11, 12]
    assert [photo["id"] for photo in mina.get("/photos/").json()] == [16, 15, 12, 11]
    [theirs] = moved.logged_in("isan@example.org").get("/albums/").json()
    assert (theirs["cover_photo_id"], theirs["photo_count"]) == (None, 1)


@pytest.mark.parametrize("number", [11, 12, 15, 16])
def test_photos_keep_their_bytes_and_are_what_they_are(moved: Moved, number: int) -> None:
    mina, (_, data, _) = moved.logged_in("mina@example.org"), OBJECTS[number]
    photo = mina.get(f"/photos/{number}").json()
    assert (photo["title"], photo["original_filename"]) == (f"한라산 {number}", f"제주{number}.jpg")
    assert photo["file_size"] == len(data)
    assert photo["content_type"] == ("image/png" if number == 12 else "image/jpeg")
    assert photo["created_at"] == f"2024-05-{number}T01:02:03Z"
    assert photo["updated_at"] == "2025-01-02T03:04:05Z"
    image = mina.get(f"/photos/{number}/image?size=original", follow_redirects=True)
    assert image.content == data
    assert image.headers["content-type"] == photo["content_type"]
    eventually(lambda: mina.get(f"/photos/{number}").json()["renditions"] == "ready", 60, 0.2)


def test_what_has_no_object_is_not_shown(moved: Moved) -> None:
    mina = moved.logged_in("mina@example.org")
    for number in (13, 14):
        assert mina.get(f"/photos/{number}").status_code == 404
        assert mina.get(f"/photos/{number}/image").status_code == 404


def test_old_share_links_open(moved: Moved) -> None:
    anyone = moved.person()
    album = anyone.get(f"/share/{TOKEN}").json()
    assert album["album_name"] == "제주 여행"
    assert [photo["id"] for photo in album["photos"]] == [15, 11, 12]
    assert anyone.get("/share/expired-token").status_code == 410
    assert anyone.get("/share/revoked-token").status_code == 404
    links = moved.logged_in("mina@example.org").get("/albums/3/share").json()
    assert [(link["id"], link["token"], link["is_active"]) for link in links] == [
        (9, "revoked-token", False), (2, "expired-token", True), (1, TOKEN, True),
    ]  # fmt: skip
    assert links[-1]["view_count"] > 41
    eventually(
        lambda: (
            anyone.get(f"/share/{TOKEN}/photos/11/image", follow_redirects=True).status_code == 200
        ),
        60,
        0.2,
    )


def test_what_is_new_has_ids_of_its_own_and_is_listed_for_the_way_back(moved: Moved) -> None:
    mina = moved.logged_in("mina@example.org")
    album = mina.post("/albums/", json={"name": "new"}).json()["id"]
    form = {"data": {"album_id": str(album)}, "files": {"file": ("a.jpg", jpeg(), "image/jpeg")}}
    photo = mina.post("/photos/", **form).raise_for_status().json()["id"]  # type: ignore[arg-type]
    assert album > 4
    assert photo > 20
    new = blocks(ENGLISH, "sql")[NEW].rstrip().rstrip(";")
    assert {(row["what"], row["id"]) for row in ask(moved.settings, new)} == {
        ("album", album), ("photo", photo),
    }  # fmt: skip
    mina.delete(f"/photos/{photo}").raise_for_status()


def test_a_deleted_photo_leaves_the_old_bucket_alone(moved: Moved) -> None:
    isan = moved.logged_in("isan@example.org")
    isan.delete("/photos/20").raise_for_status()
    [row] = ask(
        moved.settings,
        "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE 'photos/3/20/%'",
    )
    assert row["object_key"] != OBJECTS[20][0]


def test_what_was_copied_before_is_found(moved: Moved) -> None:
    """As by the real move after a rehearsal."""

    async def modified(key: str) -> Any:
        store = store_of(moved.settings)
        info = await store.head(key)
        await store.aclose()
        return info.last_modified

    [row] = ask(moved.settings, "SELECT object_key, updated_at FROM photos WHERE id = 16")
    before = asyncio.run(modified(row["object_key"]))
    ask(moved.settings, UNDO, 16)
    done = cli(moved.settings, "import", "--bucket", bucket_in(moved.old))
    assert done.stdout.splitlines()[0] == "0 share links sealed, 1 photos made, 2 left"
    [again] = ask(moved.settings, "SELECT object_key, updated_at FROM photos WHERE id = 16")
    assert again == row
    assert asyncio.run(modified(row["object_key"])) == before


def test_a_photo_that_another_run_has_moved_is_not_left_to_the_sweep(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of a run may be older than what another has done."""
    ask(moved.settings, UNDO, 16)
    waiting, bucket = objects._waiting, bucket_in(moved.old)

    async def late() -> objects.Moved:
        async with database_of(moved.settings) as db:
            batch = await waiting(db, 0)
            stores = store_of(moved.settings), store_of(moved.old)
            first = await objects.move_objects(db, *stores, bucket, print)
            assert first.photos == 1

            async def listed(_: Any, after: int) -> list[Any]:
                return [] if after else batch

            monkeypatch.setattr(objects, "_waiting", listed)
            return await objects.move_objects(db, *stores, bucket, print)

    assert asyncio.run(late()).photos == 0
    [row] = ask(moved.settings, "SELECT status, object_key FROM photos WHERE id = 16")
    assert row["status"] == "ready"
    left = "SELECT FROM unreferenced_objects WHERE object_key = $1"
    assert ask(moved.settings, left, row["object_key"]) == []


def test_one_run_at_a_time(moved: Moved) -> None:
    async def refused() -> subprocess.CompletedProcess[str]:
        async with database_of(moved.settings) as db, db.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
            bucket = bucket_in(moved.old)
            return await asyncio.to_thread(cli, moved.settings, "import", "--bucket", bucket)

    done = asyncio.run(refused())
    assert (done.returncode, done.stdout) == (1, "")
    assert "runs; wait for its end" in done.stderr


def test_a_bucket_that_is_not_there_is_told(moved: Moved) -> None:
    done = cli(moved.settings, "import", "--bucket", "no-such-bucket")
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not exist" in done.stderr


def test_the_service_s_own_bucket_is_refused(moved: Moved) -> None:
    done = cli(moved.settings, "import", "--bucket", bucket_in(moved.settings))
    assert (done.returncode, done.stdout) == (2, "")
    assert "one of its own" in done.stderr


def test_the_page_s_commands_exist_and_both_languages_say_the_same() -> None:
    assert [depth for depth, _ in headings(KOREAN)] == [depth for depth, _ in headings(ENGLISH)]
    for languages in (("sh",), ("sql",), ("nginx",)):
        assert blocks(KOREAN, *languages) == blocks(ENGLISH, *languages)
    assert sorted(commands(KOREAN)) == sorted(commands(ENGLISH))
    assert {(name, *shlex.split(more)[:1]) for _, name, more in commands(ENGLISH)} == {
        ("import", "--bucket"), ("import",), ("migrate",), ("reconcile", "--repair"),
    }  # fmt: skip
    assert tables(KOREAN) == tables(ENGLISH)
    for english, korean in zip(sections(ENGLISH), sections(KOREAN), strict=True):
        assert not numbers(english) - numbers(korean), english.partition("\n")[0]
